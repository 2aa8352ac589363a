"""The grid of a sweep: equal learning rates merged, losses averaged, seeds made comparable."""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray, offsets

SAME = 1e-6  #: relative difference up to which two learning rates are the same


def snapped(lr: FloatArray) -> FloatArray:
    """The learning rates, with those that differ by less than a millionth merged (a table may hold 32-bit numbers).

    >>> snapped(np.array([0.001, 0.0010000000474974513, 0.002])).tolist()
    [0.001, 0.001, 0.002]
    """
    rates, place = np.unique(np.asarray(lr, dtype=float), return_inverse=True)
    new = np.concatenate([[True], ~(np.diff(rates) <= SAME * rates[1:])])  # NaN stays NaN
    return np.asarray(rates[new][np.cumsum(new) - 1][place])


def means_of(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distinct learning rates and their mean losses."""
    grid, place = np.unique(x, return_inverse=True)
    return grid, np.bincount(place, y) / np.maximum(np.bincount(place), 1)


def levelled(x: FloatArray, y: FloatArray, seed: FloatArray) -> FloatArray:
    """Losses without the offset that each seed adds to all its runs (a factor, where all losses are above zero).

    Then the smallest mean is due to its learning rate, not to the seeds that were run there.
    """
    columns = offsets(seed)
    if not columns.shape[1]:
        return y
    log = bool(np.all(y > 0))
    values = np.log(y) if log else y
    rates = np.eye(len(np.unique(x)))[np.unique(x, return_inverse=True)[1]]
    constants = np.linalg.lstsq(np.hstack([rates, columns]), values, rcond=None)[0]
    level = values - columns @ constants[rates.shape[1] :]
    return np.asarray(np.exp(level) if log else level)
