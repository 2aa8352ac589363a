"""A law with its fitted numbers, from which predictions, their intervals and the influence of runs are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray


@dataclass(frozen=True)
class Estimate:
    """The law, its parameters, and the space and noise of its residuals.

    >>> from scalefit.laws import find_law
    >>> line = Estimate(find_law("power:over=N"), {"A": 2.0, "alpha": 1.0}, log=True, sigma=0.01)
    >>> line.value({"x": np.array([1.0, 2.0])}).tolist()
    [2.0, 1.0]
    """

    law: Law
    parameters: Mapping[str, float]
    log: bool  #: whether residuals are differences of logarithms
    sigma: float  #: the noise of the residuals

    def moved(self, value: FloatArray, by: FloatArray) -> FloatArray:
        """A value of the target further up or, where ``by`` is negative, down in residual space.

        Differences lead down to no value that the target cannot have: where it is positive, as a loss is, they count
        as shares of the value in the logarithm, so that 1 less than 2 is 2 exp(-1/2).
        """
        with np.errstate(all="ignore"):
            down = value * np.exp(np.minimum(by, 0.0) / value)
        if self.log:
            return np.asarray(value * np.exp(by))
        return np.where(self.law.log_residuals & (value > 0) & (by < 0), down, value + by)

    def value(self, variables: Mapping[str, Any]) -> FloatArray:
        """The law's value at arrays of its variables."""
        return np.asarray(self.law.evaluate(variables, self.parameters))

    def values(self, variables: Mapping[str, Any], table: FloatArray) -> FloatArray:
        """The law's values (B, n) at rows of variables (n,) for other parameters, a table (B, P) in the law's order."""
        with np.errstate(all="ignore"):
            made = self.law.evaluate(variables, {name: table[:, j, None] for j, name in enumerate(self.law.parameters)})
        length = max((np.shape(values)[0] for values in variables.values() if np.ndim(values)), default=1)
        return np.broadcast_to(made, (len(table), length))
