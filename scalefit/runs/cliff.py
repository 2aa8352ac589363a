"""Which runs of a learning-rate sweep diverged with a finite loss: above the initial loss, or past a cliff."""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray

FACTOR = 1.5  #: past a cliff the loss is more than this many times the lowest loss of its size,
SHARE = 1 / 3  #: more than this share of the way from the lowest to the initial (else the largest) loss,
JUMP = 3.0  #: and log loss rises, per octave of learning rate, by more than this many times the steepest step before
ABOVE = 1.001  #: a loss above this many times the initial loss counts as diverged, cliff or not
REACH = 5.0  #: octaves on either side of the best learning rate within which steps are compared


def cliff(lr: FloatArray, loss: FloatArray, initial: float = np.nan) -> np.ndarray:
    """A mask (n,) of the runs that count as diverged although their loss is finite.

    ``lr``, ``loss``: (n,), the runs of one size, NaN for a run without a finite loss; ``initial``: the loss before
    training, NaN if unknown. A loss more than 0.1 % above ``initial`` counts as diverged. At learning rates above the
    best one, a cliff begins where the loss is more than 1.5 times the lowest and more than a third of the way up to
    the initial (else the largest) loss, and log loss rises per octave by more than three times the steepest step
    between lower learning rates; from there on every loss that high counts as diverged. A gentle slope up to the
    initial loss is no cliff. There is none either where a loss is not positive, or where fewer than three learning
    rates come before it. These factors are our choice.

    >>> cliff(np.array([0.001, 0.002, 0.004, 0.008, 0.016]), np.array([3.2, 3.0, 2.9, 3.0, 10.5])).tolist()
    [False, False, False, False, True]
    """
    x, y = np.log2(np.asarray(lr, dtype=float)), np.asarray(loss, dtype=float)
    lost = y > ABOVE * initial
    finite = np.isfinite(y) & ~lost
    if not finite.any() or (y[finite] <= 0).any():
        return np.asarray(lost)
    floor, least = float(y[finite].min()), float(x[finite][np.argmin(y[finite])])
    start = initial if np.isfinite(initial) else float(y[finite].max())
    level = float(np.log(max(FACTOR * floor, floor + SHARE * (start - floor))))
    return np.asarray(lost | _beyond(x, np.log(np.where(finite, y, 1.0)), finite, least, level))


def _beyond(x: FloatArray, y: FloatArray, finite: np.ndarray, least: float, level: float) -> np.ndarray:
    """The runs from the first cliff on whose log loss is above ``level``; ``least``: log2 of the best learning rate."""
    lost, fell = np.zeros(len(x), dtype=bool), False
    places: list[float] = []
    means: list[float] = []
    for place in np.unique(x[finite]):
        here = finite & (x == place)
        high = here & (y > level)
        if fell:
            lost |= high
        elif place > least and len(places) > 2 and high.any():
            near = np.abs(np.array(places) - least) <= REACH
            steps = np.abs(np.diff(np.array(means)[near]) / np.diff(np.array(places)[near]))
            steepest = float(steps.max()) if len(steps) else np.inf
            lost |= high & ((y - means[-1]) / (place - places[-1]) > JUMP * steepest)
            fell = bool(lost.any())
        if (here & ~lost).any():
            places.append(float(place))
            means.append(float(y[here & ~lost].mean()))
    return lost
