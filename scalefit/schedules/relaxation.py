"""Powered areas and relaxed learning rates: measures of a schedule that carry over to other peak learning rates.

    R1(s) = sum_{i<=s} lr_i^q                                    progress
    R2_s  = R2_{s-1} + (1 - e^(-lr_s/relax)) (lr_s^p - R2_{s-1})   noise level, R2 = 0 before the first step

R2 follows lr^p with a delay that is an area under the learning-rate curve, not a number of steps: it does not change
while the learning rate is zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError

Floats = NDArray[np.float64]
GONE = 1e-17  #: below this factor earlier values no longer matter


def powered_area(lr_per_step: ArrayLike, q: float) -> Floats:
    """R1 at every step, (T+1,), from the learning rate of steps 0..T; steps at learning rate zero add nothing.

    >>> powered_area([0, 4, 4, 1], q=0.5).tolist()
    [0.0, 2.0, 4.0, 5.0]
    """
    return np.cumsum(_powered(lr_per_step, q))


def relaxed_rate(lr_per_step: ArrayLike, p: float, relax: float) -> Floats:
    """R2 at every step, (T+1,); ``relax`` is the area (lr step) over which it follows by the factor 1/e.

    By doubling: O(T log T), no loop over steps. Raises InputError for a ``relax`` that is not positive.

    >>> relaxed_rate([1, 1, 0, 0], p=0.5, relax=1.0).round(6).tolist()
    [0.632121, 0.864665, 0.864665, 0.864665]
    """
    if not relax > 0:
        raise InputError(f"relax={relax:g} is not positive", todo="give an area in learning rate times steps")
    kept = np.exp(-np.asarray(lr_per_step, dtype=np.float64) / relax)
    level = (1 - kept) * _powered(lr_per_step, p)
    reach = 1
    while reach < level.size and kept.max() > GONE:
        level[reach:] += kept[reach:] * level[:-reach]  # the right side is computed before it is added
        kept[reach:] = kept[reach:] * kept[:-reach]
        kept[:reach] = 0.0
        reach *= 2
    return level


def _powered(lr_per_step: ArrayLike, power: float) -> Floats:
    lr = np.asarray(lr_per_step, dtype=np.float64)
    if lr.ndim != 1 or not np.all(np.isfinite(lr) & (lr >= 0)):
        raise InputError("a learning rate per step is not a number of at least 0", todo="give one for each step")
    return np.where(lr > 0, lr**power, 0.0)
