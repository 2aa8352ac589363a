"""Which runs of a sweep have diverged though their loss is finite: back at the initial loss, or beyond a cliff."""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray

FACTOR = 1.5  #: a loss must lie above this many times the least of its size,
SHARE = 1 / 3  #: above this share of the way from there to the initial (else the largest) loss,
JUMP = 3.0  #: and rise, per octave, by more than this many times the steepest step before it
ABOVE = 1.001  #: times the initial loss: from there on a loss is one of a diverged run, jump or not
REACH = 5.0  #: octaves from the least loss, within which steps are compared


def cliff(lr: FloatArray, loss: FloatArray, initial: float = np.nan) -> np.ndarray:
    """Runs that count as diverged though their loss is finite, a mask (n,).

    ``lr``, ``loss``: (n,), the runs of one size, NaN for a diverged one; ``initial``: the loss before training, NaN
    where it is not known. Every loss above ``initial`` (by 0.1 %) is one; a loss at it is where it jumped there: beyond
    a slope that leads up to it, it only saturates. At a learning rate above that of the least loss a
    cliff begins where the loss is more than 1.5 times the least and a third of the way to the initial (else to the
    largest) loss, and log loss rises per octave by more than three times the steepest step between the learning rates
    before; from there on every loss as high is one. Where losses are not all above zero, or fewer than three learning
    rates come before, there is no cliff. These factors are our choice.

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
    """The runs from the first cliff on whose log loss is above ``level``; ``least``: log2 lr of the least loss."""
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
