"""What a size without an optimum says of the line through the others: between which learning rates it passes there.

A sweep whose smallest loss lies at an end of its grid, or that diverged throughout, has no optimum, but leaves a gap in
which it must lie. Each drawn line is weighted by the probability that the optimum of that size, which strays from the
line as all do, lies in its gap. Source: importance weights of interval-censored measurements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from scalefit.numerics import FloatArray
from scalefit.transfer.drift import STRAY

WRONG = 0.02  #: probability that a gap is wrong, as where a single run was odd
BROKEN = 0.05  #: share of the lines that pass through a gap, below which the two contradict each other


def held_in(
    height: FloatArray, slope: FloatArray, x: FloatArray, gaps: FloatArray, seed: int = 0
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Height and slope (1 + draws,) of the lines that pass through the gaps, and which gaps (n,) contradict them.

    ``x``: (n,) octaves of the sizes; ``gaps``: (n, 2) log2 of the learning rates between which their optima lie, an end
    may be infinite. The fit itself, the first of each, moves as the mean of the draws does. A gap through which hardly
    any line passes moves none; where gaps contradict each other, the fit passes through some of them alone.

    >>> rng = np.random.default_rng(0)
    >>> height, slope = np.r_[-6, rng.normal(-6, 0.1, 400)], np.r_[-0.5, rng.normal(-0.5, 0.2, 400)]
    >>> height, slope, broken = held_in(height, slope, np.array([3.0]), np.array([[-np.inf, -8.0]]))
    >>> round(float(slope[0]), 1), bool(broken[0])
    (-0.7, False)
    """
    none = np.zeros(len(x), dtype=bool)
    if not len(x) or len(height) < 2 or np.isnan(slope[0]):
        return height, slope, none
    inside = _inside(height[1:] + slope[1:] * x[:, None], gaps)
    broken = np.asarray(inside.mean(axis=1) < BROKEN)
    if broken.all():
        return height, slope, broken
    weight = np.prod((1 - WRONG) * inside[~broken] + WRONG, axis=0)
    weight /= weight.sum()
    count = len(weight)
    places = (np.arange(count) + np.random.default_rng([seed, 4]).uniform()) / count
    taken = 1 + np.minimum(np.searchsorted(np.cumsum(weight), places), count - 1)
    moved = (each[0] + weight @ each[1:] - each[1:].mean() for each in (height, slope))
    fit_height, fit_slope = (float(each) for each in moved)
    broken |= _inside((fit_height + fit_slope * x)[:, None], gaps)[:, 0] < BROKEN
    return np.r_[fit_height, height[taken]], np.r_[fit_slope, slope[taken]], broken


def _inside(line: FloatArray, gaps: FloatArray) -> FloatArray:
    """The probability that an optimum that strays from the lines (n, draws) lies in its gap, (n, draws)."""
    return np.asarray(ndtr((gaps[:, 1:] - line) / STRAY) - ndtr((gaps[:, :1] - line) / STRAY))
