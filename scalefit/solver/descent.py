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

from scalefit.numerics import FloatArray
from scalefit.solver.derivatives import Local, curvatures, measure
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.projection import majorised_weights, project_weighted

NEAR = 0.1  #: below this relative decrease of the objective a member takes exact Newton steps
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
    finite = np.isfinite(scaled)
    eigenvalues, vectors = np.linalg.eigh(scaled if finite.all() else np.where(finite, scaled, 0.0))
    strength = np.maximum(np.abs(eigenvalues), 1e-14) + damping[:, None]
    along = (slope[:, None, :] @ vectors)[:, 0] / strength
    step = -(vectors @ along[:, :, None])[:, :, 0] / scale
    return np.where(dead, 0.0, step) if some_dead else np.asarray(step)


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
    near: bool = False,
) -> Descent:
    """Advance all starts (B, p) together to local minima; ``values`` and ``weights`` are (n,) or one row per member.

    ``near``: the members lie near a minimum already, and begin with an exact Newton step. With ``second`` (see
    :func:`curvatures`) they are taken to do so, as resamples do.
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
                near=near,
            )
            for i in range(0, len(theta), block)
        ]
        return Descent(
            np.vstack([part.theta for part in parts]),
            np.concatenate([part.objective for part in parts]),
            np.concatenate([part.converged for part in parts]),
            max(part.iterations for part in parts),
        )
    return _descend_block(model, objective, values, weights, theta, tolerance, iterations, second, near)


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
    near: bool,
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
        np.full(count, near or second is not None),
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
    gradient, matrix, diagonal, bend = curvatures(model, objective, weights, theta, local, near, second)
    step = _bounded_step(model, theta, gradient, matrix, diagonal, mu)
    if second is None and objective.loss != "squared":
        step = _stretched(objective, weights, local, near, bend, step)
    trial = _retract(model, theta, step)
    if not near.all():
        rows = majorised_weights(objective, weights, local.value, local.residual)
        trial[~near] = project_weighted(model, own_rows(values, ~near), rows[~near], trial[~near])
    expected = np.abs((gradient * (trial - theta)).sum(axis=1))
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


def _stretched(
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
    rho = objective.rho(local.residual[:, None, :] + STRETCHES[:, None] * along[:, None, :])
    cost = rho @ weights if weights.ndim == 1 else (rho @ weights[:, :, None])[:, :, 0]
    cost += 0.5 * STRETCHES**2 * curved[:, None]
    best = np.argmin(np.where(np.isfinite(cost), cost, np.inf), axis=1)
    return np.asarray(step * STRETCHES[best, None])


def _retract(model: BoundLaw, theta: FloatArray, step: FloatArray) -> FloatArray:
    """The point that a step leads to, inside the box.

    The size of a term moves exponentially with its exponent (A with alpha in A N^-alpha), so a linear coordinate
    takes a small relative step as a factor: the valley between the two is then straight.
    """
    ratio = step / theta
    factor = theta * np.exp(ratio)
    as_factor = model.linear & (np.abs(ratio) < 1)
    return np.minimum(np.maximum(np.where(as_factor, factor, theta + step), model.low), model.high)


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
