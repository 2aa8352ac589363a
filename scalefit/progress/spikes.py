"""Losses that stand alone far above their neighbours: spikes, which say nothing about where the run ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.progress.drift import white_noise

BEFORE = 5  #: earlier calm rows with which a loss is compared
LASTS = 3  #: rows from which a rise counts as real
NOISES, LEAST = 8.0, 0.03  #: smallest height of a spike, in units of the noise of a row and relative


def spikes(loss: FloatArray) -> NDArray[np.bool_]:
    """Which losses of a curve (n,) lie above the five rows before them by 8 times the noise and 3 %, for 1-2 rows.

    A rise that lasts for three rows counts as real; fewer rows at the end count as spikes until more rows come.

    >>> curve = np.array([4.0, 3.5, 3.2, 3.1, 3.05, 3.0, 9.0, 2.96, 2.95, 2.94, 2.93, 4.0])
    >>> np.flatnonzero(spikes(curve)).tolist()
    [6, 11]
    >>> np.flatnonzero(spikes(np.append(curve, [4.0, 3.9]))).tolist()
    [6]
    """
    logs = np.log(loss)
    limit = max(NOISES * white_noise(logs), LEAST)
    found = np.zeros(len(loss), dtype=bool)
    first, i = 0, BEFORE
    while i < len(loss):
        level = np.median(logs[first:i][~found[first:i]][-BEFORE:])
        below = np.flatnonzero(logs[i:] - level <= limit)
        high = int(below[0]) if len(below) else len(loss) - i
        found[i : i + high] = high < LASTS
        first = i if high >= LASTS else first
        i += high + (1 if high < LASTS else 0)
    return found
