"""Dips: a loss that falls away from its trend and comes back to it is no new level to be judged by.

A stretch of easier data, or a fault of the log, lowers the loss for a while. What comes after it stands above the
dip, but not above the level before it. The rows of an abrupt dip do not count at all; what is left of a gradual one is
filled up where levels are compared (:func:`scalefit.progress.rises.held`). Source: own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from scalefit.numerics import FloatArray
from scalefit.progress.rises import DEVIATIONS, GAP, LASTS, MATERIAL, far_out, held, running_median, wander, width_of

SAME_RATE = 0.8  #: a fall while the learning rate falls below this share of what it was is no dip
BACK = 0.5  #: share of its depth by which the loss has come back from a dip
MOST = 20  #: dips of one log
SMOOTHED = 5  #: rows of the median in which valleys are looked for
SHOULDER = 0.25  #: share of the depth that makes a valley at which it begins and ends
LOCAL = 4.0  #: deviations of the rows around by which the middle of a dip lies below the levels on both sides
STEEPER = 2.0  #: times the fall over as many rows before, above which a valley is one


def in_dips(loss: FloatArray, lr: FloatArray | None = None) -> NDArray[np.bool_]:
    """Which rows of a loss (n,) lie in a dip: abruptly and far below the level before, to which the loss came back.

    It begins far below the running median, like a spike upside down, and ends where the loss has come back by half of
    its depth for ten rows (three at the end of the log); or it is a narrow valley of the smoothed loss. A dip takes
    three rows or more and no more than came before it, and the learning rate ``lr`` (n,) does not fall during it. Rows
    of a loss that is not above zero are in none.

    >>> loss = 3.0 + 0.01 * np.cos(np.arange(200.0) ** 2) - 0.5 * (np.abs(np.arange(200) - 120) < 8)
    >>> np.flatnonzero(in_dips(loss)).tolist() == list(range(113, 128))
    True
    """
    found = np.zeros(len(loss), dtype=bool)
    for _ in range(MOST):
        rows = np.flatnonzero(~found & (loss > 0))
        if len(rows) < 2 * GAP:
            return found
        logs = np.log(loss[rows])
        falls = ((start, _end(logs, start)) for start in _falls(logs))
        dips = [*(each for each in falls if _abrupt(logs, *each)), *_valleys(logs)]
        short = ((a, b) for a, b in dips if a + LASTS <= b <= 2 * a and _deep(logs, a, b))
        dip = next((rows[a:b] for a, b in short if not _annealed(lr, rows[max(0, a - GAP) : b])), None)
        if dip is None:
            return found
        found[dip] = True
    return found


def _abrupt(logs: FloatArray, start: int, stop: int) -> bool:
    """Whether the first rows lie lower than those before by half of the depth: a steady fall is no dip."""
    before, fallen = (float(np.median(logs[max(0, a) : b])) for a, b in ((start - GAP, start), (start, start + GAP)))
    return stop > start and before - fallen > BACK * (before - float(np.median(logs[start:stop])))


def _deep(logs: FloatArray, start: int, stop: int) -> bool:
    """Whether the loss lies far below the levels before and after: no excursion of slow noise, and none of a log that
    grows calmer, whose noise is that of the rows around."""
    long, wide = max(stop - start, GAP), width_of(logs)
    before, after = logs[max(0, start - long) : start], logs[stop : stop + long]
    if not (len(before) and len(after)):
        return False
    depth = min(float(np.median(before)), float(np.median(after))) - float(np.median(logs[start:stop]))
    near = np.concatenate([logs[max(0, start - wide) : start], logs[stop : stop + wide]])
    return depth > max(MATERIAL, LOCAL * far_out(near)[1])


def _falls(logs: FloatArray) -> list[int]:
    """The rows at which the logarithm of a loss falls far below its running median."""
    residual, alone = logs - running_median(logs), far_out(logs)[2]
    with np.errstate(invalid="ignore"):
        low = residual < -max(_far(logs), alone)
    return [int(row) for row in np.flatnonzero(low[1:] & ~low[:-1]) + 1]


def _far(logs: FloatArray) -> float:
    """The height that counts as far, in units of the logarithm of the loss."""
    strays = wander(logs - running_median(logs), width_of(logs))
    return max(MATERIAL, DEVIATIONS * max(far_out(logs)[1], strays))


def _valleys(logs: FloatArray) -> list[tuple[int, int]]:
    """First row and end of the valleys of the smoothed logarithm that are narrower than an eighth of the log and more
    than twice as deep as it fell over as many rows before."""
    level = median_filter(logs, size=min(SMOOTHED, len(logs)), mode="nearest")
    filled, far = held(level) - level, _far(logs)
    ends = np.flatnonzero(np.diff(np.pad(filled > SHOULDER * far, 1).astype(int)))
    found = []
    for start, stop in ends.reshape(-1, 2).tolist():
        if filled[start:stop].max() <= far:
            continue
        before = max(start - 1, 0)
        trend = level[max(before - (stop - start), 0)] - level[before]
        if level[before] - level[start:stop].min() > STEEPER * trend:
            found.append((start, stop))
    return found


def _end(logs: FloatArray, start: int) -> int:
    """The row at which the loss has come back from a dip that begins at ``start``; 0 if it has not."""
    before = float(np.median(logs[max(0, start - GAP) : start]))
    high = np.flatnonzero(logs[start:] >= before)
    low = logs[start : start + int(high[0])] if len(high) else logs[start:]
    depth = before - float(np.median(low)) if len(low) else 0.0
    back = np.flatnonzero(logs[start : len(logs) - LASTS + 1] > before - (1 - BACK) * depth)
    return next((start + k for k in back.tolist() if np.median(logs[start + k :][:GAP]) > before - BACK * depth), 0)


def _annealed(lr: FloatArray | None, rows: NDArray[np.int64]) -> bool:
    """Whether the learning rate falls over these rows, from shortly before a dip to its end."""
    if lr is None or not np.isfinite(lr[rows]).all():
        return False
    return bool(lr[rows].min() < SAME_RATE * lr[rows[0]])
