"""A run that is diverging now: its loss rises ever faster at the end of the log, or is lost and rises on.

A loss that has left its level by an exponential is far from lost at first, and a rule for lost runs sees it late. A
spike has turned down by the end of the log, a level shift does not grow, and noise is smaller. How far is lost is said
by the one rule of divergence (:func:`scalefit.runs.divergence.lost_level`). Sources: own.
"""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.progress.rises import GAP, far_out
from scalefit.runs.divergence import lost_level

FEWEST = 4  #: rows of a rise whose gradient norm rises with it,
ALONE = 8  #: and without one
NOISES = 6.0  #: height of the last rows, in standard deviations of a row
FASTER = 1.5  #: times as much that the loss rises in the second half of the rise as in the first
ON = 0.5  #: of a loss that is lost: as much and more still rises, and the last third is the highest
HIGHEST, LAST = 0.4, 3  #: share of the greatest height at which the last rows must stand, and how many
NORM = 2.0  #: times its earlier level that the gradient norm stands at the end,
RISING = 1.2  #: and times that of the first rows of the rise
ENDLESS = 10.0  #: times its level that a loss stands beyond any model's, where that of the untrained one is not known
JUMP = 2 / 3  #: share of a rise that lies between two neighbouring rows, above which it is a jump
SMOOTHED = 5  #: rows of the running median in which the beginning of a rise is looked for,
LOWEST = 3.0  #: standard deviations of it above the lowest that still count as the bottom,
EARLIER = 3  #: and times the length of what was seen of the rise that it may lie before


def begun(loss: FloatArray, seen: int) -> int:
    """The row at which a rise of a positive loss (n,) begins that is seen from a row on: after the last of the bottom.

    >>> rise = 3.0 + 2.0 * np.maximum(0.0, np.arange(200) / 100 - 1.0) ** 2
    >>> begun(rise, 160)
    106
    """
    logs = np.log(loss)
    first = max(0, seen - EARLIER * (len(logs) - seen) - GAP)
    before = logs[first : seen + 1]
    if len(before) < 2 * GAP:
        return seen
    level = np.median(np.lib.stride_tricks.sliding_window_view(before, SMOOTHED), axis=1)
    low = level <= level.min() + LOWEST * far_out(before)[1] * np.sqrt(np.pi / 2 / SMOOTHED)
    return min(first + int(np.flatnonzero(low)[-1]) + SMOOTHED // 2 + 1, seen)


def runaway(loss: FloatArray, start: int, norm: FloatArray | None = None, initial: float = np.inf) -> bool:
    """Whether a positive loss (n,) rises ever faster from the row ``start`` to its end, or is lost and rises on.

    ``norm``: (n,) the gradient norm at the same rows, NaN where it is not known. With one that rises as well, four rows
    of rising loss suffice; without, eight, and the rise must get faster, or be as high as that of a run that has lost
    what it had learned (``initial``: the loss of the untrained model).
    Three rows suffice that rise on above the loss of an untrained model.

    >>> row = np.arange(200)
    >>> loss = 3.0 + 0.01 * np.cos(row**2.0) + 0.02 * np.expm1(np.maximum(0, row - 180) / 5.0)
    >>> norm = 1.0 + np.expm1(np.maximum(0, row - 180) / 6.0)
    >>> runaway(loss, 185, norm), runaway(loss, 185), runaway(loss[:182], 181, norm[:182])
    (True, True, False)
    """
    logs, rows = np.log(loss), len(loss) - start
    before = logs[max(0, start - GAP) : start]
    if len(before) and explodes(loss[start:], float(np.exp(np.median(before))), initial):
        return True
    if rows < FEWEST or not len(before):
        return False
    height = logs[start:] - np.median(before)
    third = max(1, rows // 3)
    first, last = float(np.median(height[:third])), float(np.median(height[-third:]))
    grown = last - first > NOISES * far_out(logs[:start] if start >= 2 * GAP else logs)[1] / third**0.5
    if not grown or np.median(height[-LAST:]) < HIGHEST * float(height.max()):
        return False
    if norm is not None and norm_rises(norm, start, third):
        return True
    half = float(np.median(height[max(0, rows // 2 - third // 2) : rows // 2 + third // 2 + 1]))
    level = float(np.exp(np.median(before)))
    early, late = (
        level * np.exp(end) - level * np.exp(start) for start, end in ((first, half), (half, last))
    )  # in nats
    lost = level * np.exp(last) > lost_level(level, initial) and late > ON * max(early, 0.0)
    return bool(rows >= ALONE and (late > FASTER * max(early, 0.0) or lost))


def explodes(rise: FloatArray, level: float, initial: float = np.inf) -> bool:
    """Whether the last three rows of a rise (n,) each stand above an untrained model's loss, and above the row before.

    Where that loss is not known (inf), above ten times the level before the rise; in any case they are lost.

    >>> explodes(np.array([50.0, 500.0, 1e6]), 3.3, 10.8), explodes(np.array([6.0, 7.0, 8.0]), 3.3, 10.8)
    (True, False)
    >>> explodes(np.array([50.0, 500.0, 1e6]), 3.3), explodes(np.array([50.0, 500.0, 20.0]), 3.3, 10.8)
    (True, False)
    """
    least = max(ENDLESS * level if np.isinf(initial) else initial, lost_level(level, initial))
    last = rise[-LAST:]
    return bool(len(last) == LAST and last[0] > least and np.all(np.diff(last) > 0))


def jumps(rise: FloatArray, level: float) -> bool:
    """Whether most of a rise (n,) above a level lies between two neighbouring rows: a level shift, or a spike.

    >>> jumps(np.array([3.0, 3.1, 6.0, 6.1]), 3.0), jumps(3.0 + np.expm1(np.arange(6.0)), 3.0)
    (True, False)
    """
    return bool(np.diff(rise, prepend=level).max() > JUMP * (float(rise.max()) - level))


def norm_rises(norm: FloatArray, start: int, third: int) -> bool:
    """Whether the gradient norm stands far above its level before the rise, and higher than when it began."""
    before, during = norm[max(0, start - 6 * GAP) : start], norm[start:]
    before = before[np.isfinite(before)]
    first, last = during[:third], during[-third:]
    if not len(before) or np.isnan(first).all() or np.isnan(last).all():
        return False
    level, begun, now = float(np.median(before)), float(np.nanmedian(first)), float(np.nanmedian(last))
    return bool(now > NORM * level and now > RISING * begun)
