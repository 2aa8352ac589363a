"""One step of every member of a batch: its direction, its length, and the point inside the box that it leads to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.derivatives import Local
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

STRETCHES = np.array([1.0, 0.5, 0.2, 2.0])  #: multiples of a step that are compared along the tangents
MANY = 64  #: from so many small systems on elimination of all at a time is faster than one after the other
SURE = 1e-9  #: pivots above this are positive whatever rounding does
SMALL = 0.3  #: logarithmic residuals below this are taken for relative ones


def newton_step(
    gradient: FloatArray, matrix: FloatArray, diagonal: FloatArray, damping: FloatArray, held: NDArray[np.bool_]
) -> FloatArray:
    """Damped steps (B, p) with eigenvalues made positive; held coordinates do not move."""
    scale = np.sqrt(np.maximum(diagonal, 1e-300))
    dead = held | (diagonal <= 1e-290)
    some_dead = dead.any()
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    slope = gradient / scale
    if some_dead:
        scaled = np.where(dead[:, :, None] | dead[:, None, :], 0.0, scaled)
        index = np.arange(scaled.shape[1])
        scaled[:, index, index] = np.where(dead, 1.0, scaled[:, index, index])
        slope = np.where(dead, 0.0, slope)
    if not np.isfinite(scaled.sum()):
        scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    if len(scaled) < MANY:
        step = _by_eigenvalues(scaled, slope, damping)
    else:  # most are positive, and solved all at a time
        step, pivots = eliminated(scaled + damping[:, None, None] * np.eye(scaled.shape[1]), slope)
        bent = ~(pivots > damping[:, None] + SURE).all(axis=1)
        step[bent] = _by_eigenvalues(scaled[bent], slope[bent], damping[bent])
    step = -step / scale
    return np.where(dead, 0.0, step) if some_dead else np.asarray(step)


def _by_eigenvalues(matrix: FloatArray, right: FloatArray, damping: FloatArray) -> FloatArray:
    """The solutions (B, p) with the sizes of the eigenvalues, damped."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    strength = np.maximum(np.abs(eigenvalues), 1e-14) + damping[:, None]
    along = (right[:, None, :] @ vectors)[:, 0] / strength
    return np.asarray((vectors @ along[:, :, None])[:, :, 0])


def eliminated(matrix: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The solutions (B, k) of many small symmetric systems (B, k, k), all at a time, and the pivots (B, k).

    A matrix is positive where all its pivots are.

    >>> [found.tolist() for found in eliminated(np.array([[[4.0, 2.0], [2.0, 3.0]]]), np.array([[2.0, 5.0]]))]
    [[[-0.5, 2.0]], [[4.0, 2.0]]]
    """
    k = right.shape[1]
    rows = np.concatenate([matrix, right[:, :, None]], axis=2).transpose(1, 2, 0).copy()
    for i in range(k):
        for j in range(i + 1, k):
            rows[j, i + 1 :] -= rows[j, i] / rows[i, i] * rows[i, i + 1 :]
    x = rows[:, k]
    for i in reversed(range(k)):
        for j in range(i + 1, k):
            x[i] -= rows[i, j] * x[j]
        x[i] /= rows[i, i]
    return np.ascontiguousarray(x.T), rows[range(k), range(k)].T


def bounded_step(
    model: BoundLaw,
    theta: FloatArray,
    gradient: FloatArray,
    matrix: FloatArray,
    diagonal: FloatArray,
    damping: FloatArray,
    near: NDArray[np.bool_],
) -> FloatArray:
    """Steps that lead out of the box at no coordinate that stands at an end of it: such a one is held instead.

    Near a minimum the coordinate that would leave the box first goes to the end, and the others adapt; elsewhere the
    linear ones are projected after the step, inside the box.
    """
    held = np.zeros(theta.shape, dtype=bool)
    step = newton_step(gradient, matrix, diagonal, damping, held)
    ahead = theta + step
    if ((ahead > model.low) & (ahead < model.high)).all():
        return step
    moved = np.zeros_like(theta)
    for _ in range(theta.shape[1]):
        room = np.where(step < 0, model.low, model.high) - theta
        leaves = ~held & (np.abs(step) > np.abs(room)) & (near[:, None] | (room == 0))
        if not leaves.any():
            break
        share = np.where(leaves, np.abs(room) / np.abs(step), np.inf)
        first = leaves & (share == share.min(axis=1, keepdims=True))
        held |= first
        moved = np.where(first, room, moved)
        slope = gradient + (matrix @ moved[:, :, None])[:, :, 0]
        step = newton_step(slope, matrix, diagonal, damping, held)
    return step + moved


def stretched(
    objective: Objective,
    weights: FloatArray,
    local: Local,
    near: NDArray[np.bool_],
    bend: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Each step times the multiple that lowers the cost most in its own model, with the loss itself in every row.

    Few rows may lie inside the threshold: the quadratic model is then too bold, and its majorant too timid.
    """
    along = (step[:, None, :] @ local.jacobian)[:, 0]
    curved = ((step[:, None, :] @ bend)[:, 0] * step).sum(axis=1)
    if objective.space == "log":
        along = along / local.value
        curved -= np.where(near, (weights * objective.psi(local.residual) * along**2).sum(axis=1), 0.0)
    ahead = local.residual[:, None, :] + STRETCHES[:, None] * along[:, None, :]
    rho = objective.rho(ahead.reshape(len(ahead), -1)).reshape(ahead.shape)
    cost = rho @ weights if weights.ndim == 1 else (rho @ weights[:, :, None])[:, :, 0]
    cost += 0.5 * STRETCHES**2 * curved[:, None]
    best = np.argmin(np.where(np.isfinite(cost), cost, np.inf), axis=1)
    return np.asarray(step * STRETCHES[best, None])


def retract(model: BoundLaw, theta: FloatArray, step: FloatArray, by_factor: NDArray[np.bool_]) -> FloatArray:
    """The point that a step leads to, inside the box.

    The size of a term moves exponentially with its exponent (A with alpha in A N^-alpha), so a linear coordinate
    takes a small relative step as a factor: the valley between the two is then straight.
    """
    ratio = step / theta
    factor = theta * np.exp(ratio)
    as_factor = by_factor[:, None] & model.linear & (np.abs(ratio) < 1)
    return np.minimum(np.maximum(np.where(as_factor, factor, theta + step), model.low), model.high)


def aims(objective: Objective, values: FloatArray, local: Local) -> FloatArray:
    """What predictions (B, n) are projected on: such that at an optimum of the objective it lies at the predictions."""
    if objective.space == "linear":
        return np.broadcast_to(values, local.value.shape)
    return np.where(np.abs(local.residual) < SMALL, local.value * (1 - local.residual), values)
