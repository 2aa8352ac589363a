"""``Rows``: what a fit or a prediction works on, one array a variable, and where each row came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scalefit.numerics import FloatArray
from scalefit.rows.streams import Stream
from scalefit.runs import Runs, Trajectory


@dataclass(frozen=True)
class Rows:
    """What a fit or a prediction works on; all arrays have one entry a row."""

    variables: Mapping[str, FloatArray]
    values: FloatArray | None
    frame: pd.DataFrame  #: identifying columns (run, step, ...) of the rows, indexed by source line
    positions: np.ndarray  #: each row's position in the run log's own frame
    in_curves: bool
    paths: Mapping[str, Trajectory] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stream: Stream | None = None  #: all rows of a large log, of which these are an even sample

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def run_codes(self) -> np.ndarray:
        """An integer for each row's run."""
        return pd.factorize(self.frame["run"].astype(str))[0]

    def keep(self, mask: np.ndarray, note: str = "") -> Rows:
        """Only the rows where the mask holds."""
        if mask.all():
            return self
        return Rows(
            {name: values[mask] for name, values in self.variables.items()},
            None if self.values is None else self.values[mask],
            self.frame[mask],
            self.positions[mask],
            self.in_curves,
            self.paths,
            (*self.notes, note) if note else self.notes,
            self.stream,
        )

    def place(self, runs: Runs, row: int) -> str:
        """The file and line of a row."""
        return place_in(runs, self.in_curves, int(self.positions[row]))


def place_in(runs: Runs, in_curves: bool, position: int) -> str:
    """The file and line of a position in the curves or the table of run logs."""
    frame = runs.curves if in_curves and runs.curves is not None else runs.table
    source = frame["source"].iloc[position] if "source" in frame.columns else None
    name = str(source) if source is not None else (runs.origin[0].path if runs.origin else "runs")
    return f"{name}, row {frame.index[position]}"
