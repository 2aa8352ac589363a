"""One step of every member of a batch: its direction, its length, and the point inside the box that it leads to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.derivatives import Local
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

STRETCHES = np.array([1.0, 0.5, 0.2, 2.0])  #: multiples of a step that are compared along the tangents
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
    eigenvalues, vectors = np.linalg.eigh(scaled)
    strength = np.maximum(np.abs(eigenvalues), 1e-14) + damping[:, None]
    along = (slope[:, None, :] @ vectors)[:, 0] / strength
    step = -(vectors @ along[:, :, None])[:, :, 0] / scale
    return np.where(dead, 0.0, step) if some_dead else np.asarray(step)


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
