"""The last digits: Gauss-Newton with an orthogonal factorisation and residuals in extended precision.

Normal equations square the condition number; where the loss is quadratic at the solution a few steps of this kind
give every digit that double-precision parameters can hold.
"""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

STEPS = 60
PATIENCE = 4  #: steps that may fail to shrink before the refinement ends
MOST_ROWS = 5000  #: beyond this many rows statistics, not rounding, limit every digit


def refine(
    model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray, theta: FloatArray
) -> FloatArray:
    """Coordinates (p,) polished where all residuals are in the quadratic zone of the loss; else as they came."""
    target = objective.target(values)
    if model.n > MOST_ROWS or not _quadratic(model, objective, target, theta):
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


def _quadratic(model: BoundLaw, objective: Objective, target: FloatArray, theta: FloatArray) -> bool:
    r = objective.residuals(model.value(theta[None]), target)
    return objective.loss == "squared" or (objective.loss == "huber" and bool(np.all(np.abs(r) < objective.delta)))
