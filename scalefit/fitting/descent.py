"""Batched descent to a local minimum: majorised Gauss-Newton far from it, exact Newton near it.

Every member of the batch has its own point, damping and (for resamples) row weights, and leaves the batch when it
has converged. The step solves (H + mu D) step = -g in coordinates scaled by D, the diagonal of the majorised
Gauss-Newton matrix, with the eigenvalues of H made positive, inside the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalefit.fitting.model import BoundLaw
from scalefit.fitting.objective import Objective
from scalefit.fitting.projection import majorised_weights, project_weighted
from scalefit.numerics import FloatArray

NEAR = 0.1  #: below this relative decrease of the objective a member takes exact Newton steps
FORWARD = 1e-6  #: step of the forward differences along the way, relative
DIFFERENCE = 1e-5  #: step of the second derivatives' central differences, relative
FIRST_DAMPING = 1e-4
WARM_DAMPING = 1e-6  #: of members that begin near a minimum
STALLED = 1e-6  #: relative decrease below which a member that no step improves has converged
MOST_STALLS = 8  #: rejected steps in a row after which a member is as low as rounding allows
STRETCHES = np.array([1.0, 0.5, 0.2, 2.0])  #: multiples of a step that are compared along the tangents
LOOSE = 1e-2  #: a step damped more than this says nothing about convergence
ROUNDING = 1e-15  #: residuals below this are zero
BLOCK = 1 << 17  #: elements of predictions that one batch holds at a time
WARM_BLOCK = 1 << 15  #: the same for members that need few steps: small enough to stay in cache


@dataclass(frozen=True)
class Descent:
    """Where a batch of starts ended."""

    theta: FloatArray  #: (B, p)
    objective: FloatArray  #: (B,)
    converged: NDArray[np.bool_]  #: (B,)
    iterations: int


@dataclass
class Local:
    """The objective at a batch of points: value, gradient and the two curvature matrices' ingredients."""

    cost: FloatArray
    value: FloatArray
    jacobian: FloatArray  # of the predictions
    residual: FloatArray


def measure(model: BoundLaw, objective: Objective, target: FloatArray, weights: FloatArray, theta: FloatArray) -> Local:
    """Predictions, derivatives and cost at a batch of points."""
    value, jacobian = model.jacobian(theta)
    residual = objective.residuals(value, target)
    rho = objective.rho(residual)
    cost = rho @ weights if weights.ndim == 1 else np.einsum("bn,bn->b", weights, rho)
    with np.errstate(all="ignore"):  # infinities of both signs may meet
        bad = ~np.isfinite(cost + jacobian.sum(axis=(1, 2)))
    return Local(np.where(bad, np.inf, cost), value, jacobian, residual)


def curvatures(
    model: BoundLaw,
    objective: Objective,
    weights: FloatArray,
    theta: FloatArray,
    local: Local,
    near: NDArray[np.bool_],
    second: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradient (B, p), step matrix (B, p, p) and its scale, the majorised diagonal (B, p).

    ``second`` (n, p, p), the predictions' second derivatives at a point near all members, spares measuring them.
    """
    log = objective.space == "log"
    scaled = local.jacobian / local.value[:, None, :] if log else local.jacobian
    pull = weights * objective.psi(local.residual)
    gradient = (scaled @ pull[:, :, None])[:, :, 0]
    majorant = weights * objective.majorant(local.residual)
    diagonal = ((scaled * scaled) @ majorant[:, :, None])[:, :, 0]
    row_curvature = np.where(near[:, None], weights * objective.curvature(local.residual), majorant)
    if log:
        row_curvature = row_curvature - np.where(near[:, None], pull, 0.0)
    matrix = (scaled * row_curvature[:, None, :]) @ scaled.transpose(0, 2, 1)
    if near.any() and not model.linear.all():
        per_row = pull[near] / local.value[near] if log else pull[near]
        if second is None:
            matrix[near] += _second_order(model, theta[near], per_row, local.jacobian[near])
        else:
            matrix[near] += (per_row @ second.reshape(len(second), -1)).reshape(-1, *second.shape[1:])
    return gradient, matrix, diagonal


def _second_order(model: BoundLaw, theta: FloatArray, per_row: FloatArray, jacobian: FloatArray) -> FloatArray:
    """sum over rows of per_row times the second derivatives of the predictions, (B, p, p).

    Rows of the matrix for non-linear coordinates by forward differences of the exact Jacobian, whose error is far
    below what a Newton step needs; between linear ones the second derivative is zero.
    """
    count, p = theta.shape
    second = np.zeros((count, p, p))
    curved, straight = np.flatnonzero(~model.linear), np.flatnonzero(model.linear)
    here = (jacobian @ per_row[:, :, None])[:, :, 0]
    for j in curved:
        ahead = theta.copy()
        ahead[:, j] += FORWARD * np.maximum(np.abs(theta[:, j]), 0.1)
        there = (model.jacobian(ahead)[1] @ per_row[:, :, None])[:, :, 0]
        second[:, j] = (there - here) / (ahead[:, j] - theta[:, j])[:, None]
    second = np.where(np.isfinite(second), second, 0.0)
    among = (slice(None), curved[:, None], curved)
    second[among] = 0.5 * (second[among] + second[among].transpose(0, 2, 1))
    second[:, straight[:, None], curved] = second[:, curved[:, None], straight].transpose(0, 2, 1)
    return second


def second_derivatives(model: BoundLaw, theta: FloatArray) -> FloatArray:
    """Second derivatives of every row's prediction at one point (p,), shape (n, p, p)."""
    p = len(model.coordinates)
    second = np.zeros((model.n, p, p))
    for j in np.flatnonzero(~model.linear):
        step = DIFFERENCE * max(abs(float(theta[j])), 0.1)
        ahead, behind = theta.copy(), theta.copy()
        ahead[j] += step
        behind[j] -= step
        change = model.jacobian(ahead[None])[1][0] - model.jacobian(behind[None])[1][0]
        second[:, j] = second[:, :, j] = change.T / (ahead[j] - behind[j])
    return np.where(np.isfinite(second), second, 0.0)


def newton_step(
    gradient: FloatArray, matrix: FloatArray, diagonal: FloatArray, damping: FloatArray, held: NDArray[np.bool_]
) -> FloatArray:
    """Damped steps (B, p) with eigenvalues made positive; held coordinates do not move."""
    scale = np.sqrt(np.maximum(diagonal, 1e-300))
    dead = held | (diagonal <= 1e-290)
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    blocked = dead[:, :, None] | dead[:, None, :]
    scaled = np.where(blocked, 0.0, scaled)
    index = np.arange(scaled.shape[1])
    scaled[:, index, index] = np.where(dead, 1.0, scaled[:, index, index])
    slope = np.where(dead, 0.0, gradient / scale)
    eigenvalues, vectors = np.linalg.eigh(np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0))
    strength = np.maximum(np.abs(eigenvalues), 1e-14) + damping[:, None]
    along = np.einsum("bij,bi->bj", vectors, slope) / strength
    return np.where(dead, 0.0, -np.einsum("bij,bj->bi", vectors, along) / scale)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a trial may overflow: it is then rejected
def descend(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    theta: FloatArray,
    *,
    tolerance: float = 1e-13,
    iterations: int = 200,
    second: FloatArray | None = None,
) -> Descent:
    """Advance all starts (B, p) together to local minima; ``values`` and ``weights`` are (n,) or one row a member.

    With ``second`` (see :func:`curvatures`) the members are taken to lie near a minimum already, as resamples do.
    """
    block = max(1, (BLOCK if second is None else WARM_BLOCK) // model.size)
    if len(theta) > block:
        parts = [
            descend(
                model,
                objective,
                own_rows(values, slice(i, i + block)),
                own_rows(weights, slice(i, i + block)),
                theta[i : i + block],
                tolerance=tolerance,
                iterations=iterations,
                second=second,
            )
            for i in range(0, len(theta), block)
        ]
        return Descent(
            np.vstack([part.theta for part in parts]),
            np.concatenate([part.objective for part in parts]),
            np.concatenate([part.converged for part in parts]),
            max(part.iterations for part in parts),
        )
    return _descend_block(model, objective, values, weights, theta, tolerance, iterations, second)


def own_rows(rows: FloatArray, members: slice | NDArray[Any]) -> FloatArray:
    """What some members have in rows (n,) that all share, or in rows of their own (B, n)."""
    return rows if rows.ndim == 1 else rows[members]


@dataclass
class Batch:
    """The members that are still moving."""

    member: NDArray[np.intp]  # their positions among all starts
    theta: FloatArray
    local: Local
    damping: FloatArray  # (B, 2), one for each kind of step
    near: NDArray[np.bool_]  # whether the next step is an exact Newton step
    stalls: NDArray[np.intp]  # rejected steps in a row

    def only(self, alive: NDArray[np.bool_]) -> Batch:
        """The members where ``alive`` holds."""
        if alive.all():
            return self
        local = Local(
            *(x[alive] for x in (self.local.cost, self.local.value, self.local.jacobian, self.local.residual))
        )
        return Batch(
            self.member[alive], self.theta[alive], local, self.damping[alive], self.near[alive], self.stalls[alive]
        )


def _descend_block(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    start: FloatArray,
    tolerance: float,
    iterations: int,
    second: FloatArray | None,
) -> Descent:
    target = objective.target(values)
    theta = np.clip(start, model.low, model.high)
    local = measure(model, objective, target, weights, theta)
    count = len(theta)
    final_theta, final_cost = theta.copy(), local.cost.copy()
    converged = np.zeros(count, dtype=bool)
    unit = float(np.mean(target**2)) if objective.space == "linear" else 1.0
    floor = np.broadcast_to(0.5 * np.sum(weights, axis=-1) * ROUNDING**2 * unit, (count,))
    batch = Batch(
        np.arange(count),
        theta,
        local,
        np.full((count, 2), FIRST_DAMPING if second is None else WARM_DAMPING),
        np.full(count, second is not None),
        np.zeros(count, dtype=np.intp),
    ).only(np.isfinite(local.cost))
    done_iterations = 0
    while len(batch.member) and done_iterations < iterations:
        own, own_target, own_weights = (own_rows(rows, batch.member) for rows in (values, target, weights))
        done, flat = _advance(
            model, objective, own, own_target, own_weights, batch, tolerance, floor[batch.member], second
        )
        final_theta[batch.member], final_cost[batch.member] = batch.theta, batch.local.cost
        converged[batch.member[done & flat]] = True
        batch = batch.only(~done)
        done_iterations += 1
    return Descent(final_theta, final_cost, converged, done_iterations)


def _advance(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    target: FloatArray,
    weights: FloatArray,
    batch: Batch,
    tolerance: float,
    floor: FloatArray,
    second: FloatArray | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """One step of every member, taken where it lowers the cost; says which members are done, and which lie flat.

    A member is done where nothing more is to be gained, or where no step is accepted any more: that is convergence
    only if hardly anything was to be gained.
    """
    theta, local, near = batch.theta, batch.local, batch.near
    kind = (np.arange(len(theta)), near.astype(np.intp))
    mu = batch.damping[kind]
    gradient, matrix, diagonal = curvatures(model, objective, weights, theta, local, near, second)
    step = _bounded_step(model, theta, gradient, matrix, diagonal, mu)
    trial = _retract(model, theta, _stretched(objective, weights, local, step))
    if not near.all():
        rows = majorised_weights(objective, weights, local.value, local.residual)
        trial[~near] = project_weighted(model, own_rows(values, ~near), rows[~near], trial[~near])
    expected = np.abs(np.einsum("bp,bp->b", gradient, trial - theta))
    ahead = measure(model, objective, target, weights, trial)
    better = ahead.cost < local.cost
    gain = (local.cost - ahead.cost) / np.maximum(local.cost, 1e-300)
    done = near & (mu <= LOOSE) & (expected <= tolerance * local.cost + floor)
    done |= near & ~better & (batch.stalls >= MOST_STALLS)
    batch.damping[kind] = np.where(better, 0.15 * mu, np.maximum(mu, 1e-8) * 32)
    # a rejected step is followed by one of the other kind
    batch.near = np.where(better, (gain < NEAR) & (mu <= LOOSE), ~near)
    batch.stalls = np.where(better, 0, batch.stalls + 1)
    batch.theta = np.where(better[:, None], trial, theta)
    batch.local = _choose(better, ahead, local)
    return np.asarray(done), np.asarray(expected <= STALLED * local.cost + MOST_STALLS * floor)


def _bounded_step(
    model: BoundLaw,
    theta: FloatArray,
    gradient: FloatArray,
    matrix: FloatArray,
    diagonal: FloatArray,
    damping: FloatArray,
) -> FloatArray:
    """Steps that lead out of the box at no coordinate that stands at an end of it: such a one is held instead."""
    low, high = theta <= model.low, theta >= model.high
    held = (low & (gradient > 0)) | (high & (gradient < 0))
    step = newton_step(gradient, matrix, diagonal, damping, held)
    for _ in range(theta.shape[1]):
        outward = (low & (step < 0)) | (high & (step > 0))
        if not outward.any():
            break
        held |= outward
        step = newton_step(gradient, matrix, diagonal, damping, held)
    return step


def _stretched(objective: Objective, weights: FloatArray, local: Local, step: FloatArray) -> FloatArray:
    """Each step times the multiple that would lower the cost most if predictions moved along their tangents.

    Few rows may lie inside the threshold: the quadratic model is then too bold, and its majorant too timid.
    """
    along = (step[:, None, :] @ local.jacobian)[:, 0]
    if objective.space == "log":
        along = along / local.value
    rho = objective.rho(local.residual[:, None, :] + STRETCHES[:, None] * along[:, None, :])
    cost = rho @ weights if weights.ndim == 1 else (rho @ weights[:, :, None])[:, :, 0]
    best = np.argmin(np.where(np.isfinite(cost), cost, np.inf), axis=1)
    return np.asarray(step * STRETCHES[best, None])


def _retract(model: BoundLaw, theta: FloatArray, step: FloatArray) -> FloatArray:
    """The point that a step leads to, inside the box.

    The size of a term moves exponentially with its exponent (A with alpha in A N^-alpha), so a linear coordinate
    takes a small relative step as a factor: the valley between the two is then straight.
    """
    with np.errstate(all="ignore"):
        ratio = step / theta
        factor = theta * np.exp(ratio)
    as_factor = model.linear & (np.abs(ratio) < 1)
    return np.clip(np.where(as_factor, factor, theta + step), model.low, model.high)


def _choose(better: NDArray[np.bool_], ahead: Local, local: Local) -> Local:
    if better.all():
        return ahead

    def pick(new: FloatArray, old: FloatArray) -> FloatArray:
        return np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return Local(
        pick(ahead.cost, local.cost),
        pick(ahead.value, local.value),
        pick(ahead.jacobian, local.jacobian),
        pick(ahead.residual, local.residual),
    )
