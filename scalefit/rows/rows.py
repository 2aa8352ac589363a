"""``Rows``: what a fit or a prediction works on, one array for each variable, and the source of each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from scalefit.numerics import FloatArray
from scalefit.rows.streams import Stream
from scalefit.runs import Runs, Trajectory


@dataclass(frozen=True)
class Rows:
    """What a fit or a prediction works on; all arrays have one entry per row."""

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

    @cached_property
    def run_codes(self) -> np.ndarray:
        """An integer for each row's run."""
        return pd.factorize(self.frame["run"].astype(str))[0]

    @cached_property
    def names(self) -> frozenset[str]:
        """The runs that the rows are of."""
        return frozenset(map(str, self.frame["run"].unique()))

    @property
    def position(self) -> FloatArray | None:
        """Where each row lies along its run's curve: rises along each, and falls from one to the next."""
        if not (self.in_curves and self.paths):
            return None
        steps = self.frame["step"].to_numpy(dtype=np.float64)
        return np.asarray(steps - self.run_codes * (steps.max(initial=0.0) + 1))

    def keep(self, mask: np.ndarray, note: str = "") -> Rows:
        """Only the rows where the mask holds."""
        if mask.all():
            return self
        return replace(
            self,
            variables={name: values[mask] for name, values in self.variables.items()},
            values=None if self.values is None else self.values[mask],
            frame=self.frame[mask],
            positions=self.positions[mask],
            notes=(*self.notes, note) if note else self.notes,
        )

    def place(self, runs: Runs, row: int) -> str:
        """The file and line of a row."""
        return place_in(runs, self.in_curves, int(self.positions[row]))


def place_in(runs: Runs, in_curves: bool, position: int) -> str:
    """The file and line of a position in the curves or the table of run logs.

    What is known of a whole run may stand in another file than its curve: of several files only the run is named.
    """
    if not in_curves and runs.curves is not None and len(runs.origin) > 1:
        return f"run {runs.table['run'].iloc[position]}"
    frame = runs.curves if in_curves and runs.curves is not None else runs.table
    one = runs.origin[0].path if runs.origin else "runs"
    return f"{frame['source'].iloc[position] if 'source' in frame.columns else one}, row {frame.index[position]}"
