"""Two stages of prediction joined: the interval of the second counts that of the first."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from scalefit.numerics import FloatArray

SHARES = (np.arange(199) + 0.5) / 199  #: quantiles at which each stage is taken
NORMAL = np.array([NormalDist().inv_cdf(float(share)) for share in SHARES])
TAIL = NormalDist().inv_cdf(0.95)  #: of a 90 % interval

Ends = tuple[float, float, float]  #: a value and the ends of its 90 % interval; NaN without one


def spread_out(ends: Ends, log: bool) -> FloatArray:
    """Values that stand for a prediction: quantiles of two half normal distributions with the ends of its interval.

    >>> made = spread_out((2.0, 1.9, 2.2), log=False)
    >>> [round(float(each), 2) for each in np.quantile(made, [0.05, 0.5, 0.95])]
    [1.9, 2.0, 2.2]
    """
    value, low, high = np.log(ends) if log else np.array(ends)
    made = value + np.where(NORMAL < 0, value - low, high - value) * NORMAL / TAIL
    return np.asarray(np.exp(made) if log else made)


def chained(first: FloatArray, second: Callable[[FloatArray], FloatArray], errors: FloatArray) -> tuple[float, float]:
    """The 90 % interval of ``second(x) + error``, x and the error independent, each given by values alike probable."""
    made = second(first)[:, None] + errors[None, :]
    low, high = np.quantile(made, [0.05, 0.95])
    return float(low), float(high)
