"""Learning-rate sensitivity: the loss that a learning rate other than the best one costs on average."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scalefit.errors import InputError, counted
from scalefit.numerics import FloatArray


def lr_sensitivity(loss: ArrayLike, initial_loss: float = np.inf) -> float:
    """Mean over a grid of learning rates of min(loss, initial loss) - least loss, in the unit of the loss.

        S = mean_lr [ min(l(lr), l_0) - l* ],    l* = min_lr min(l(lr), l_0)

    ``loss`` (n,): final validation losses, one a learning rate of the grid; those that are not finite (diverged runs)
    count as ``initial_loss``, the loss of the untrained model (ln vocab for a head started at zero). Compare models on
    the same grid only. A model that learns nothing has S = 0. Raises InputError if no loss is finite, or if a run
    diverged and the initial loss is not given. Source: arXiv:2309.14322, section 2.2.

    >>> round(lr_sensitivity([3.0, 2.5, 2.6, np.nan], initial_loss=5.5), 3)
    0.9
    """
    values = np.asarray(loss, dtype=float).ravel()
    finite = np.isfinite(values)
    if not finite.any():
        raise InputError("no run of the grid has a finite loss", todo="add smaller learning rates")
    if not (finite.all() or np.isfinite(initial_loss)):
        why = f"{counted(int((~finite).sum()), 'run')} diverged, and the loss at initialisation is not known"
        raise InputError(why, todo="give the initial loss: ln(vocabulary) if the head starts at zero")
    capped: FloatArray = np.minimum(np.where(finite, values, np.inf), initial_loss)  # min(nan, x) would be nan
    return float(np.mean(capped) - capped.min())


def within_decades(lr: ArrayLike, centre: float, decades: float = 3.0) -> np.ndarray:
    """A mask (n,): which learning rates lie in a window of ``decades`` decades around ``centre``.

    Where an intervention moves the optimum, move the centre with it and keep the width.

    >>> within_decades([1e-5, 1e-3, 1e-2, 1.0], centre=1e-2).tolist()
    [False, True, True, False]
    """
    distance = np.abs(np.log10(np.asarray(lr, dtype=float) / centre))
    return np.asarray(distance <= decades / 2 + 1e-9)
