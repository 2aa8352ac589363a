"""The rows that were fitted (a sample of them if there were many), which a result keeps for figures and forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Points:
    """The rows that were fitted, or a sample of them if there were many."""

    runs: tuple[str, ...]
    steps: tuple[int, ...] | None
    variables: Mapping[str, tuple[float, ...]]
    values: tuple[float, ...]
    area: tuple[float, ...] | None = None  #: for curves: logarithm of the area under the learning rate so far
    fall: tuple[float, ...] | None = None  #: for curves: summed changes of the learning rate so far, over its peak

    def frame(self, target: str) -> pd.DataFrame:
        """The points as a table."""
        step = {} if self.steps is None else {"step": self.steps}
        return pd.DataFrame({"run": self.runs, **step, **self.variables, target: self.values})
