"""The end of a descent: Newton's steps of one member, and the last digits.

A batch of one spends its time between the operations, so that :func:`newton_alone` takes the same steps as the batch on
plain vectors, as long as each lowers the cost inside the box. The last digits come by Gauss-Newton with an orthogonal
factorisation and residuals in extended precision: normal equations square the condition number; where the loss is
quadratic at the solution a few steps of this kind give every digit that double-precision parameters can hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.solver.derivatives import Batch, Local, Problem
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.programs import BeyondProgramError
from scalefit.solver.steps import STRETCHES

#: shares of the cost below which a Newton step may be the last, and of the square of what it missed
ALMOST, LEFT = 1e-6, 10.0
SHORTER = (1.0, 0.5, 0.1)  #: shares of a step that are tried, the next where one does not lower the cost
NO_STRETCH = 1e-4  #: share of the cost below which a Newton step is taken as it is
LOOSE = 1e-2  #: a step damped more than this says nothing about convergence
DECAY = 0.15  #: of the damping with each step that lowers the cost

STEPS = 60
PATIENCE = 4  #: steps that may fail to shrink before the refinement ends
MOST_ROWS = 5000  #: beyond this many rows statistics, not rounding, limit every digit


@dataclass
class Alone:
    """One member on its way: its point (p,) and the objective there."""

    theta: FloatArray
    cost: float
    value: FloatArray  # (n,)
    slopes: FloatArray  # of the predictions, (p, n)
    residual: FloatArray

    @classmethod
    def of(cls, theta: FloatArray, local: Local) -> Alone:
        """The member of a batch of one."""
        return cls(theta[0], float(local.cost[0]), local.value[0], local.jacobian[0], local.residual[0])

    @property
    def local(self) -> Local:
        """The objective here as that of a batch of one."""
        return Local(np.array([self.cost]), self.value[None], self.slopes[None], self.residual[None])


def go_alone(rows: Problem, batch: Batch, tolerance: float, floor: FloatArray, most: int) -> tuple[int, bool]:
    """How many steps the only member that is left took by itself, and whether it is at its minimum now.

    None where there are others, where its last step was not one of Newton's, at an end of the box, for members with
    rows or thresholds of their own, and where second derivatives take long.
    """
    if len(batch.member) > 1 or not batch.near[0] or batch.stalls[0] or not batch.factor[0]:
        return 0, False
    model, objective, damping = rows.model, rows.objective, float(batch.damping[0, 1])
    if damping > LOOSE or model.own or objective.own is not None:
        return 0, False
    if model.program is None or not model.program.outline.is_second_short:
        return 0, False
    if not ((batch.theta > model.low) & (batch.theta < model.high)).all():
        return 0, False
    target, weights = (each if each.ndim == 1 else each[0] for each in (rows.target, rows.weights))
    given = model, objective, target, weights, Alone.of(batch.theta, batch.local), damping
    end, ended, taken, damping = newton_alone(*given, tolerance=tolerance, floor=float(floor[0]), most=most)
    batch.theta, batch.local, batch.damping[0, 1] = end.theta[None], end.local, damping
    return taken, ended


def newton_alone(
    model: BoundLaw,
    objective: Objective,
    target: FloatArray,
    weights: FloatArray,
    here: Alone,
    damping: float,
    *,
    tolerance: float,
    floor: float,
    most: int,
) -> tuple[Alone, bool, int, float]:
    """Newton's steps while each lowers the cost inside the box: their end, whether it is the minimum, how many they
    were, and the damping of the next.

    Such a step gains half of what its slope promises. What it missed of that, squared, is left for the next one, so
    that one which gains little and misses less is the last.
    """
    for taken in range(most):
        try:
            step, slope = _step(model, objective, weights, here, damping)
            for share in SHORTER:
                trial = _ahead(model, here.theta, share * step)
                if not ((trial > model.low) & (trial < model.high)).all():
                    return here, False, taken, damping
                ahead = _measured(model, objective, target, weights, trial)
                expected, gained = abs(float(slope @ (trial - here.theta))), here.cost - ahead.cost
                done = expected <= tolerance * here.cost + floor
                if gained > 0 or done:
                    break
        except (BeyondProgramError, np.linalg.LinAlgError):
            return here, False, taken, damping
        if not gained > 0:  # where something was to be gained, the batch tries other steps
            return here, done, taken + done, damping
        if expected < ALMOST * here.cost:
            done |= LEFT * (2 * gained - expected) ** 2 <= tolerance * here.cost * expected
        here, damping = ahead, DECAY * damping
        if done:
            return here, True, taken + 1, damping
    return here, False, most, damping


def _measured(
    model: BoundLaw, objective: Objective, target: FloatArray, weights: FloatArray, theta: FloatArray
) -> Alone:
    assert model.program is not None
    value, slopes = model.program.slopes(theta, model.every)
    residual = objective.residuals(value, target)
    return Alone(theta, float(weights @ objective.rho(residual)), value, slopes, residual)


def _step(
    model: BoundLaw, objective: Objective, weights: FloatArray, here: Alone, damping: float
) -> tuple[FloatArray, FloatArray]:
    """The damped step (p,), times the multiple that lowers the cost most along its tangent, and the gradient there."""
    assert model.program is not None
    log, residual = objective.space == "log", here.residual
    pull = per_row = weights * objective.psi(residual)
    bent, slopes = weights * objective.curvature(residual), here.slopes
    if log:
        bent, per_row, slopes = bent - pull, pull / here.value, slopes / here.value
    gradient, bend = slopes @ pull, model.program.bends(here.theta, per_row)
    scale = np.sqrt((slopes * slopes) @ (weights * objective.majorant(residual)))
    strength, vectors = np.linalg.eigh(((slopes * bent) @ slopes.T + bend) / (scale * scale[:, None]))
    strength = np.maximum(np.abs(strength), 1e-14) + damping
    step = -(vectors @ (((gradient / scale) @ vectors) / strength)) / scale
    if objective.loss == "squared" or abs(float(gradient @ step)) < NO_STRETCH * here.cost:
        return step, gradient
    along = step @ slopes
    curved = float(step @ bend @ step) - (float(pull @ (along * along)) if log else 0.0)
    cost = objective.rho(residual + STRETCHES[:, None] * along) @ weights + 0.5 * curved * STRETCHES**2
    return step * STRETCHES[int(cost.argmin())], gradient


def _ahead(model: BoundLaw, theta: FloatArray, step: FloatArray) -> FloatArray:
    """Where a step leads: small relative steps of linear coordinates are factors (see :func:`steps.retract`)."""
    ratio = step / theta
    return np.where(model.linear & (np.abs(ratio) < 1), theta * np.exp(ratio), theta + step)


def refine(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    theta: FloatArray,
    residuals: FloatArray,
) -> FloatArray:
    """Coordinates (p,) polished where all residuals (n,) are in the quadratic zone of the loss; else as they came."""
    if model.n > MOST_ROWS or not _quadratic(objective, residuals):
        return theta
    wide = np.longdouble
    exact = model.take(slice(None))
    exact = type(model)(
        model.law,
        {name: np.asarray(v, dtype=wide) for name, v in exact.variables.items()},
        model.coordinates,
        model.fixed,
        model.ties,
    )
    wide_target = np.log(values.astype(wide)) if objective.space == "log" else values.astype(wide)
    root = np.sqrt(weights)
    best, best_size, worse = theta, np.inf, 0
    current = theta.astype(wide)
    for _ in range(STEPS):
        predicted, jacobian = exact.jacobian(current[None])  # type: ignore[arg-type]
        if objective.space == "log" and not np.all(predicted > 0):
            break
        residual = (np.log(predicted[0]) if objective.space == "log" else predicted[0]) - wide_target
        rows = jacobian[0] / predicted[0] if objective.space == "log" else jacobian[0]
        free = (current > model.low) & (current < model.high)
        step = np.zeros_like(current)
        size = np.sqrt(np.maximum(np.sum((rows[free] * root).astype(float) ** 2, axis=1), 1e-300))
        matrix = ((rows[free] * root).T / size).astype(float)
        if not np.isfinite(matrix).all():
            break
        solved, *_ = np.linalg.lstsq(matrix, -(residual * root).astype(float), rcond=1e-15)
        step[free] = solved / size
        length = float(np.linalg.norm(solved))
        if length < best_size:
            best, best_size, worse = np.asarray(current, dtype=np.float64), length, 0
        else:
            worse += 1
        if worse == PATIENCE or length == 0.0:
            break
        current = np.clip(current + step, model.low, model.high)
    return best


def _quadratic(objective: Objective, r: FloatArray) -> bool:
    return objective.loss == "squared" or (objective.loss == "huber" and bool(np.all(np.abs(r) < objective.delta)))
