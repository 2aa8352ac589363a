"""The rows that were fitted (a sample of them if there were many), which a result keeps for figures and forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.numerics import FloatArray

DIGITS = 10  #: to which a row must agree to be the same


@dataclass(frozen=True)
class Points:
    """The rows that were fitted, or a sample of them if there were many."""

    runs: tuple[str, ...]
    steps: tuple[int, ...] | None
    variables: Mapping[str, tuple[float, ...]]
    values: tuple[float, ...]
    area: tuple[float, ...] | None = None  #: for curves: logarithm of the area under the learning rate so far
    fall: tuple[float, ...] | None = None  #: for curves: summed changes of the learning rate so far, over its peak
    states: tuple[tuple[float, ...], ...] | None = None  #: for curves: some states of the schedules

    def hold(self, variables: Mapping[str, FloatArray], values: FloatArray) -> NDArray[np.bool_]:
        """Which of these rows (n,) are among the kept ones: the same variables and the same measured value."""
        own = [np.asarray(column, dtype=float) for column in (*self.variables.values(), self.values)]
        names = list(self.variables)
        if any(np.ndim(variables[name]) > 1 for name in names):
            own, names = own[-1:], []  # several values a row: the measured one must do
        asked = [*(np.broadcast_to(variables[name], values.shape) for name in names), values]
        known = set(zip(*(map(f"{{:.{DIGITS}g}}".format, column.tolist()) for column in own), strict=True))
        keys = zip(*(map(f"{{:.{DIGITS}g}}".format, column.tolist()) for column in asked), strict=True)
        return np.array([key in known for key in keys], dtype=bool) & np.isfinite(values)

    @property
    def different(self) -> int:
        """How many of the rows differ from one another in a variable or in the measured value."""
        return len({tuple(map(str, row)) for row in zip(*self.variables.values(), self.values, strict=True)})

    def frame(self, target: str) -> pd.DataFrame:
        """The points as a table."""
        step = {} if self.steps is None else {"step": self.steps}
        return pd.DataFrame({"run": self.runs, **step, **self.variables, target: self.values})
