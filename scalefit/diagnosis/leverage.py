"""How much leaving a run out usually changes a prediction: from where the run lies, not from what it measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.rows.points import Points
from scalefit.uncertainty.estimate import Estimate

STEP = 0.1  #: step of a numeric derivative, relative to the largest move of the refits
STEEPEST = 1e100  #: derivatives beyond this cannot be squared and summed
SAME = 1e-9  #: singular value below which the refits do not move in a direction (fixed, tied, at a bound)


def expected_changes(
    fit: Estimate, without: Mapping[str, tuple[float, ...]], points: Points, variables: Mapping[str, Any]
) -> FloatArray:
    """The usual size of the change of a prediction without each run, for a unit of noise, in the order of ``without``.

    With X the derivatives of the fitted rows by the free parameters, X_i those of run i, M_i = X_i' X_i,
    H = sum of M_i, g the derivatives of the prediction and v = H^-1 g, noise of size 1 changes it by

        c_i^2 = v' (M_i + M_i (H - M_i)^-1 M_i) v

    for rows with independent errors. NaN where the law is not identified without the run, and everywhere where it is so
    steep in a parameter that its values overflow.
    """
    sizes = np.full(len(without), np.nan)
    directions = _directions(fit, [refit for refit in without.values() if refit])
    if not len(directions):
        return sizes
    fitted = {name: np.array(column) for name, column in points.variables.items()}
    rows, g = _derivatives(fit, fitted, directions), _derivatives(fit, variables, directions)[0]
    if not (np.all(np.abs(rows) <= STEEPEST) and np.all(np.abs(g) <= STEEPEST)):  # NaN among them
        return sizes
    labels = np.array(points.runs)
    whole = rows.T @ rows
    v = np.linalg.lstsq(whole, g, rcond=None)[0]
    for i, (name, refit) in enumerate(without.items()):
        own = rows[labels == name]
        if not refit or not len(own):
            continue
        moved = own.T @ (own @ v)
        rest = np.linalg.lstsq(whole - own.T @ own, moved, rcond=None)[0]
        sizes[i] = np.sqrt(max(float(v @ moved + moved @ rest), 0.0))
    return sizes


def leverage_of(change: float) -> float:
    """The leverage h of a row whose own prediction changes by c = h / sqrt(1 - h) without it, for a unit of noise.

    >>> round(leverage_of(0.5 / 0.5**0.5), 12)
    0.5
    """
    change = abs(float(change))
    return float(2 * change / (np.hypot(change, 2.0) + change))


def _directions(fit: Estimate, refits: list[tuple[float, ...]]) -> FloatArray:
    """Directions in which the refits without a run move the parameters, (k, p), each of the usual length."""
    here = np.array([*fit.parameters.values()])
    moves = np.array(refits).reshape(len(refits), len(here)) - here
    size = np.abs(moves).max(axis=0, initial=0.0)
    if not (size > 0).any():
        return np.empty((0, len(size)))
    with np.errstate(all="ignore"):
        scaled = moves / np.where(size > 0, size, 1.0)
    if not np.isfinite(scaled).all():  # a refit went beyond all numbers
        return np.empty((0, len(size)))
    _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(directions[singular > SAME * singular[0]] * size)


def _derivatives(fit: Estimate, variables: Mapping[str, Any], directions: FloatArray) -> FloatArray:
    """Of the prediction (of its logarithm for residuals in logarithms) along the directions, (n, k)."""
    here = np.array([*fit.parameters.values()])
    with np.errstate(all="ignore"):
        table = np.concatenate([here + STEP * directions, here - STEP * directions])
        value = fit.values(variables, table)
        above, below = np.split(np.nan_to_num(np.log(value) if fit.log else value), 2)
        return np.asarray(np.nan_to_num((above - below).T / (2 * STEP)))
