"""Which runs of a learning-rate sweep diverged with a finite loss: above the initial loss, or past a cliff."""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.runs.divergence import lost_level, near_initial

JUMP = 3.0  #: at a cliff log loss rises, per octave, by more than this many times the steepest step before it
ABOVE = 1.001  #: a loss above this many times the initial loss counts as diverged, cliff or not
REACH = 5.0  #: octaves on either side of the best learning rate within which steps are compared


def cliff(lr: FloatArray, loss: FloatArray, initial: float = np.nan) -> np.ndarray:
    """A mask (n,) of the runs that count as diverged although their loss is finite.

    ``lr``, ``loss``: (n,), the runs of one size, NaN for a run without a finite loss; ``initial``: the loss before
    training, NaN if unknown. A loss more than 0.1 % above ``initial`` counts as diverged, and so does one near it
    (`near_initial`) at a learning rate above the best one. A cliff begins, above the best learning rate, where the loss
    is above `lost_level` and log loss rises per octave by more than three times the steepest step between lower
    learning rates; a gentle slope is no cliff. There is none either where a loss is not positive, or where fewer than
    three learning rates come before it. Beyond the first diverged run every loss above `lost_level` counts as diverged.

    >>> cliff(np.array([0.001, 0.002, 0.004, 0.008, 0.016]), np.array([3.2, 3.0, 2.9, 3.0, 10.5])).tolist()
    [False, False, False, False, True]
    """
    x, y = np.log2(np.asarray(lr, dtype=float)), np.asarray(loss, dtype=float)
    lost = y > ABOVE * initial
    finite = np.isfinite(y) & ~lost
    if not finite.any() or (y[finite] <= 0).any():
        return np.asarray(lost)
    floor, least = float(y[finite].min()), float(x[finite][np.argmin(y[finite])])
    start = initial if np.isfinite(initial) else np.inf
    lost |= finite & (x > least) & (y > near_initial(floor, start))
    level = lost_level(floor, start)
    lost |= _beyond(x, np.log(np.where(finite, y, 1.0)), finite & ~lost, least, float(np.log(level)))
    first = x[(x > least) & (lost | ~np.isfinite(y))]
    return np.asarray(lost | (finite & (x > first.min(initial=np.inf)) & (y > level)))


def lost(lr: FloatArray, loss: FloatArray, cell: np.ndarray, initial: float = np.nan) -> np.ndarray:
    """A mask (n,) of the runs of a sweep that diverged: without a finite loss, or by `cliff` among those of their cell.

    ``lr``, ``loss``, ``cell``: (n,); ``loss`` is not finite for a run that has none or that is marked as diverged.
    """
    gone = ~np.isfinite(loss)
    for name in np.unique(cell):
        here = cell == name
        gone[here] |= cliff(lr[here], loss[here], initial)
    return gone


def _beyond(x: FloatArray, y: FloatArray, finite: np.ndarray, least: float, level: float) -> np.ndarray:
    """The runs at the first cliff, whose log loss is above ``level``; ``least``: log2 of the best learning rate."""
    places: list[float] = []
    means: list[float] = []
    for place in np.unique(x[finite]):
        here = finite & (x == place)
        high = here & (y > level)
        if place > least and len(places) > 2 and high.any():
            near = np.abs(np.array(places) - least) <= REACH
            steps = np.abs(np.diff(np.array(means)[near]) / np.diff(np.array(places)[near]))
            steepest = float(steps.max()) if len(steps) else np.inf
            fell = high & ((y - means[-1]) / (place - places[-1]) > JUMP * steepest)
            if fell.any():
                return np.asarray(fell)
        places.append(float(place))
        means.append(float(y[here].mean()))
    return np.zeros(len(x), dtype=bool)
