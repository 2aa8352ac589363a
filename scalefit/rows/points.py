"""The rows that were fitted, thinned when there were many, as a result keeps them for figures and forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Points:
    """The rows that were fitted (thinned when there were many), kept for plots."""

    runs: tuple[str, ...]
    steps: tuple[int, ...] | None
    variables: Mapping[str, tuple[float, ...]]
    values: tuple[float, ...]
    area: tuple[float, ...] | None = None  #: of a curve: logarithm of the area under the learning rate so far
    fall: tuple[float, ...] | None = None  #: and the learning rate's changes so far, in peaks

    def frame(self, target: str) -> pd.DataFrame:
        """The points as a table."""
        step = {} if self.steps is None else {"step": self.steps}
        return pd.DataFrame({"run": self.runs, **step, **self.variables, target: self.values})
