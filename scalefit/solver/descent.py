"""Batched descent to a local minimum: majorised Gauss-Newton far from it, exact Newton near it.

Every member of the batch has its own point, damping and (for resamples) row weights, and leaves the batch when it
has converged. The step solves (H + mu D) step = -g in coordinates scaled by D, the diagonal of the majorised
Gauss-Newton matrix, with the eigenvalues of H made positive, inside the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.memory import once
from scalefit.numerics import FloatArray
from scalefit.solver.derivatives import Batch, Problem, curvatures, measure, own_rows
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.projection import majorised_weights, project_weighted
from scalefit.solver.refine import ALMOST, DECAY, LEFT, LOOSE, go_alone
from scalefit.solver.starts import distinct, first_alike
from scalefit.solver.steps import aims, bounded_step, retract, stretched

NEAR = 0.03  #: below this relative decrease of the objective a member takes exact Newton steps
FIRST_DAMPING = 1e-4
WARM_DAMPING = 1e-6  #: of members that begin near a minimum
STALLED = 1e-6  #: relative decrease below which a member that no step improves has converged
MOST_STALLS = 8  #: rejected steps in a row after which a member is as low as rounding allows
ROUNDING = 1e-15  #: residuals below this are zero
QUICK = 16  #: steps that most resamples need
PACE = 20  #: steps after which the progress of each start is judged; that of a refit after half as many
CATCHING_UP = 5.0  #: a start is given up that would not reach the best one at so many times its pace
CRAWLS = 1e-5  #: a refit is taken for converged whose objective fell by less than this share in so many steps
#: a start is taken for one with another that descends to the same minimum, or has reached it, once its objective and
#: each coordinate are within these shares of the other's
SAME_COST, SAME_PLACE = 1e-5, 1e-2
BLOCK = 1 << 17  #: elements of predictions that one batch holds at a time
WARM_BLOCK = 1 << 15  #: the same for members that need few steps: small enough to stay in cache


@dataclass(frozen=True)
class Descent:
    """Where a batch of starts ended."""

    theta: FloatArray  #: (B, p)
    objective: FloatArray  #: (B,)
    converged: NDArray[np.bool_]  #: (B,)
    iterations: int


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
    rivals: int | None = None,
    enough: float = -np.inf,
) -> Descent:
    """Advance all starts (B, p) together to local minima; ``values`` and ``weights`` are (n,) or one row per member.

    ``near``: the members lie near a minimum already, and begin with an exact Newton step. With ``second`` (see
    :func:`curvatures`) they are taken to do so, as resamples do. ``rivals``: how many members in a row seek the same
    minimum, where rows are not those of all. Where a member falls below ``enough``, all end there.
    """
    given = (model, objective, values, weights, theta, tolerance, iterations, second, near, rivals, enough)
    return once(lambda: _descend(*given), "descend", model.told, *given[1:])


def _descend(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    theta: FloatArray,
    tolerance: float,
    iterations: int,
    second: FloatArray | None,
    near: bool,
    rivals: int | None,
    enough: float,
) -> Descent:
    """The same in blocks that are small enough to be held."""
    if rivals is None and weights.ndim == values.ndim == 1:
        first, of = distinct(theta)
        if len(first) < len(theta):
            given = theta[first], tolerance, iterations, second, near, rivals, enough
            found = _descend(model, objective, values, weights, *given)
            return Descent(found.theta[of], found.objective[of], found.converged[of], found.iterations)
    block = max(1, (BLOCK if second is None else WARM_BLOCK) // model.size)
    block = max(1, block // (rivals or 1)) * (rivals or 1)
    if len(theta) > block:
        parts = [
            _descend_block(
                model.members(slice(i, i + block)),
                objective.members(slice(i, i + block)),
                own_rows(values, slice(i, i + block)),
                own_rows(weights, slice(i, i + block)),
                theta[i : i + block],
                *(tolerance, iterations, second, near, rivals, enough),
            )
            for i in range(0, len(theta), block)
        ]
        return Descent(
            np.vstack([part.theta for part in parts]),
            np.concatenate([part.objective for part in parts]),
            np.concatenate([part.converged for part in parts]),
            max(part.iterations for part in parts),
        )
    return _descend_block(model, objective, values, weights, theta, tolerance, iterations, second, near, rivals, enough)


def refit(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    start: FloatArray,
    second: FloatArray,
    tolerance: float = 1e-13,
) -> Descent:
    """Advance resamples, (n,) or (B, n) values and weights, from starts near a fit with second derivatives ``second``.

    The few that take long lie far from the fit: they go on with second derivatives of their own.
    """
    found = descend(
        model, objective, values, weights, start, tolerance=tolerance, iterations=QUICK, second=second, near=True
    )
    left = ~found.converged
    if left.any():
        own_values, own_weights = own_rows(values, left), own_rows(weights, left)
        rest = descend(model, objective, own_values, own_weights, found.theta[left], tolerance=tolerance, near=True)
        found.theta[left], found.objective[left], found.converged[left] = rest.theta, rest.objective, rest.converged
    return found


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
    rivals: int | None,
    enough: float,
) -> Descent:
    target, count = objective.target(values), len(start)
    if rivals is None and weights.ndim == values.ndim == 1:
        rivals = count
    own = Problem(model, objective, values, target, weights, count)
    batch, leader = _begun(own, start, second is not None, near, rivals)
    theta, cost, converged = batch.theta.copy(), batch.local.cost.copy(), np.zeros(count, dtype=bool)
    unit = float(np.mean(target**2)) if objective.space == "linear" else 1.0
    floor = np.full(count, 0.5 * np.sum(weights, axis=-1) * ROUNDING**2 * unit)
    batch = batch.only(np.isfinite(cost) & (leader == batch.member))
    pace = PACE // 2 if rivals is None else PACE  # refits do not all seek the same minimum
    steps, before, here = 0, cost.copy(), own.members(batch.member)
    while len(batch.member) and steps < iterations and not cost.min() < enough:
        if here.count != len(batch.member):
            here = own.members(batch.member)
        own_floor = floor[batch.member]
        taken, end = go_alone(here, batch, tolerance, own_floor, pace - steps % pace)
        done = flat = np.array([end])
        if not taken:
            taken, (done, flat) = 1, _advance(here, batch, tolerance, own_floor, second)
        theta[batch.member], cost[batch.member] = batch.theta, batch.local.cost
        steps += taken
        if steps % pace == 0:
            done, flat = _paced(batch, before, cost, rivals, iterations - steps, done, flat)
            before[batch.member] = batch.local.cost
        converged[batch.member[done & flat]] = True
        if done.all():
            break
        if rivals is not None and (len(batch.member) > 1 or converged.any()):
            met = _met(batch, theta, cost, rivals, converged, ~done)
            leader[batch.member[met >= 0]] = met[met >= 0]
            done |= met >= 0
        if done.any():
            batch = batch.only(~done)
    while (leader != leader[leader]).any():
        leader = leader[leader]
    return Descent(theta[leader], cost[leader], converged[leader], steps)


def _begun(
    own: Problem, start: FloatArray, warm: bool, near: bool, rivals: int | None
) -> tuple[Batch, NDArray[np.intp]]:
    """All members at their starts, and for each the one whose descent is its own: the first rival that starts there."""
    model, count = own.model, len(start)
    theta = np.clip(start, model.low, model.high)
    batch = Batch(
        np.arange(count),
        theta,
        measure(model, own.objective, own.target, own.weights, theta),
        np.full((count, 2), WARM_DAMPING if warm else FIRST_DAMPING),
        np.full(count, near or warm),
        np.zeros(count, dtype=np.intp),
        np.ones(count, dtype=bool),
    )
    return batch, np.arange(count) if rivals is None else first_alike(theta, rivals)


def _paced(
    batch: Batch,
    before: FloatArray,
    lowest: FloatArray,
    rivals: int | None,
    left: int,
    done: NDArray[np.bool_],
    flat: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which members are done, and which of them at a minimum, by what they gained since the objectives ``before``.

    A rival is given up that would not reach the ``lowest`` of its group in the steps that are left, a refit that crawls
    is taken for converged.
    """
    cost, gained = batch.local.cost, before[batch.member] - batch.local.cost
    if rivals is None:
        crawls = gained <= CRAWLS * cost
        return done | crawls, flat | crawls
    ahead = CATCHING_UP * gained * left / PACE
    best = lowest.reshape(-1, rivals).min(axis=1)[batch.member // rivals]
    return done | ((cost - ahead > best) & ~flat), flat


def _met(
    batch: Batch,
    theta: FloatArray,
    cost: FloatArray,
    rivals: int,
    converged: NDArray[np.bool_],
    moving: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """For each member of the batch the lowest rival that has converged, or takes Newton's steps to its minimum, where
    it is next to that one; -1 without one."""
    leads = converged.copy()
    leads[batch.member] |= batch.near
    lowest = np.where(leads, cost, np.inf).reshape(-1, rivals).argmin(axis=1)
    end = (lowest + rivals * np.arange(len(lowest)))[batch.member // rivals]
    above = batch.local.cost - cost[end]
    met = moving & batch.near & leads[end] & (end != batch.member) & (above >= 0) & (above <= SAME_COST * cost[end])
    if met.any():
        met &= (np.abs(batch.theta - theta[end]) <= SAME_PLACE * np.abs(theta[end])).all(axis=1)
    return np.where(met, end, -1)


def _advance(
    rows: Problem,
    batch: Batch,
    tolerance: float,
    floor: FloatArray,
    second: FloatArray | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """One step of every member, taken where it lowers the cost; says which members are done, and which lie flat.

    A member is done where nothing more is to be gained, or where no step is accepted any more: that is convergence
    only if hardly anything was to be gained.
    """
    model, objective, weights = rows.model, rows.objective, rows.weights
    theta, local, near = batch.theta, batch.local, batch.near
    kind = (np.arange(len(theta)), near.astype(np.intp))
    mu = batch.damping[kind]
    gradient, matrix, diagonal, bend = curvatures(model, objective, weights, theta, local, near, second)
    step = bounded_step(model, theta, gradient, matrix, diagonal, mu, near)
    if second is None and objective.loss != "squared":
        step = stretched(objective, weights, local, near, bend, step)
    trial = retract(model, theta, step, batch.factor)
    if not near.all():
        far, some = local.only(~near), rows.members(np.flatnonzero(~near))
        majorised = majorised_weights(some.objective, some.weights, far.value, far.residual)
        trial[~near] = project_weighted(some.model, aims(objective, some.values, far), majorised, trial[~near])
    expected = np.abs((gradient * (trial - theta)).sum(axis=1))
    ahead = measure(model, objective, rows.target, weights, trial)
    gained = local.cost - ahead.cost
    better, exact = gained > 0, near & (mu <= LOOSE)
    done = exact & (expected <= tolerance * local.cost + floor)
    done |= near & ~better & (batch.stalls >= MOST_STALLS)
    last = exact & better & (expected < ALMOST * local.cost)
    if last.any():
        done |= last & (LEFT * (2 * gained - expected) ** 2 <= tolerance * local.cost * expected)
    batch.damping[kind] = np.where(better, DECAY * mu, np.maximum(mu, 1e-8) * 32)
    # a rejected step is followed by one of the kind that is damped less
    quick = gained < NEAR * np.maximum(local.cost, 1e-300)
    batch.near = np.where(better, quick & (mu <= LOOSE), batch.damping[:, 1] <= batch.damping[:, 0])
    batch.factor ^= near & ~better  # the valley may be straight in the other way
    batch.stalls = np.where(better, 0, batch.stalls + 1)
    batch.theta = trial if better.all() else np.where(better[:, None], trial, theta)
    batch.local = local.replaced(better, ahead)
    return done, expected <= STALLED * local.cost + MOST_STALLS * floor
