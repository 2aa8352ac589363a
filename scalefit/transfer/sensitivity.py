"""Learning-rate sensitivity: the loss that a learning rate other than the best one costs on average."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scalefit.errors import InputError, counted
from scalefit.numerics import FloatArray
from scalefit.transfer.optimum import Optimum
from scalefit.transfer.sweeps import Sweeps


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


def sensitivities(
    sweeps: Sweeps, optima: Mapping[str, Mapping[float, Optimum]]
) -> tuple[dict[tuple[str, float], float], list[str]]:
    """Learning-rate sensitivity by arm and size, over the learning rates that all of them share; and notes on it."""
    cells = {
        (arm, size): _without(sweeps.cell(arm, size), best.stray)
        for arm, each in optima.items()
        for size, best in each.items()
    }
    grids = [set(cell["lr"]) for cell in cells.values()]
    shared = set.intersection(*grids)
    if len(shared) < 3:
        return dict.fromkeys(cells, np.nan), ["LR sensitivity is missing: all sizes share fewer than 3 learning rates"]
    notes, found, start = [], {}, sweeps.initial_loss
    if any(grid != shared for grid in grids):
        notes.append(f"LR sensitivity is taken over the {len(shared)} learning rates that all sizes share")
    for key, cell in cells.items():
        same = cell[cell["lr"].isin(shared)]
        # a seed that diverged counts as the initial loss before the mean over seeds, as defined
        capped = same["loss"].fillna(start).clip(upper=start if np.isfinite(start) else None)
        means = capped.groupby(same["lr"]).agg(lambda losses: losses.mean(skipna=False)).to_numpy()
        found[key] = lr_sensitivity(means) if np.isfinite(means).all() else float("nan")
    if any(not np.isfinite(value) for value in found.values()):
        notes.append("LR sensitivity is missing where runs diverged: give --initial-loss, ln(vocabulary size)")
    elif not np.isfinite(start):
        notes.append(
            "the initial loss is not known: LR sensitivity counts higher losses in full, not as the initial loss; "
            "give --initial-loss, ln(vocabulary size)"
        )
    return found, notes


def _without(cell: pd.DataFrame, stray: tuple[tuple[float, float], ...]) -> pd.DataFrame:
    """The runs of a cell without those left out as far from the curve."""
    for lr, loss in stray:
        cell = cell[~(np.isclose(cell["lr"], lr, rtol=1e-5) & np.isclose(cell["loss"], loss, rtol=1e-9))]
    return cell


def within_decades(lr: ArrayLike, centre: float, decades: float = 3.0) -> np.ndarray:
    """A mask (n,): which learning rates lie in a window of ``decades`` decades around ``centre``.

    Where an intervention moves the optimum, move the centre with it and keep the width.

    >>> within_decades([1e-5, 1e-3, 1e-2, 1.0], centre=1e-2).tolist()
    [False, True, True, False]
    """
    distance = np.abs(np.log10(np.asarray(lr, dtype=float) / centre))
    return np.asarray(distance <= decades / 2 + 1e-9)
