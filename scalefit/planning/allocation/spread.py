"""Intervals of what a plan chooses, from the draws of a fit."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray

QUANTILES = (0.05, 0.1, 0.16, 0.25)  #: of which a side of a difference is made


def constants_of(fit: Fit) -> FloatArray:
    """The fitted constants and below them those of the draws, (1 + draws, P) in the law's order."""
    own = np.array([list(fit.parameters.values())])
    return own if fit.intervals is None else np.concatenate([own, np.array(fit.intervals.draws)])


def ends(values: FloatArray, few: float, level: float = 0.9) -> tuple[float, float]:
    """The interval of the first of some positive values, from the others (its draws), in the logarithm.

    As for parameters, it is that of the draws, widened by the small-sample factor ``few``. Draws without a value (NaN)
    do not count; infinite ones do. NaN without draws.

    >>> low, high = ends(np.array([10.0, *np.linspace(9, 11, 201)]), 1.0)
    >>> round(low, 1), round(high, 1)
    (9.1, 10.9)
    """
    own, made = float(values[0]), np.sort(values[1:][~np.isnan(values[1:])])
    if not len(made) or not np.isfinite(own) or own <= 0:
        return float("nan"), float("nan")
    low, high = (_quantile(made, share) for share in ((1 - level) / 2, (1 + level) / 2))
    with np.errstate(all="ignore"):
        down, up = (few * np.log(end / own) for end in (low, high))
    return float(own * np.exp(min(down, 0.0))), float(own * np.exp(max(up, 0.0)))


def _quantile(ordered: FloatArray, share: float) -> float:
    """A quantile of sorted values of which the last may be infinite."""
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    return float(above if np.isinf(above) else below + (above - below) * (place % 1))


def plain_ends(values: FloatArray, few: float, level: float = 0.9) -> tuple[float, float]:
    """The same for values of any sign, not in the logarithm."""
    own, made = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not len(made):
        return float("nan"), float("nan")
    low, high = np.quantile(made, [(1 - level) / 2, (1 + level) / 2])
    return own + few * min(float(low) - own, 0.0), own + few * max(float(high) - own, 0.0)


def difference_ends(values: FloatArray, few: float, level: float = 0.9) -> tuple[float, float]:
    """The same for a difference, whose draws are nearly normal: each side from several quantiles, not the last alone.

    The 5 % point of 200 draws is off by a seventh of a standard deviation, so that one true null in a hundred more lies
    outside; each of the quantiles QUANTILES tells the width of a side, and their mean is used.

    >>> low, high = difference_ends(np.array([0.0, *np.linspace(-1, 1, 401)]), 1.0)
    >>> bool(np.isclose(low, -high))
    True
    """
    own, made = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not len(made):
        return float("nan"), float("nan")
    normal = NormalDist()
    lows, highs = np.quantile(made, QUANTILES), np.quantile(made, [1 - share for share in QUANTILES])
    units = np.array([normal.inv_cdf(1 - share) for share in QUANTILES])
    reach = few * normal.inv_cdf((1 + level) / 2)
    down, up = (max(float(np.mean(apart / units)), 0.0) for apart in (own - lows, highs - own))
    return own - reach * down, own + reach * up
