"""Variable projection: for given non-linear coordinates, the best linear parameters, exactly.

The linear parameters minimise sum w (f - y)^2 / s^2 over their box, with s = y where residuals are logarithms (to
first order the logarithmic residual) and 1 elsewhere. Bounded ones are solved by trying every support of the small
normal matrix, all candidates of all starts as one batch.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

RIDGE = 1e-13
USUAL = 1e150  #: numbers whose squares are finite are below this
MOST_BOUNDED = 6  #: beyond this many bounded linear parameters supports are not enumerated but clipped


def project(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    theta: FloatArray,
    *,
    robust_steps: int = 0,
) -> FloatArray:
    """Coordinates (B, p) with the linear ones solved for at the others' values.

    ``robust_steps`` reweights by the objective's majorant that many times, so that bad rows lose their pull.
    """
    target = objective.target(values)
    row_weights = weights / values**2 if objective.space == "log" else weights
    for step in range(robust_steps + 1):
        theta = project_weighted(model, values, np.broadcast_to(row_weights, (len(theta), model.n)), theta)
        if step < robust_steps:
            predicted = model.value(theta)
            row_weights = majorised_weights(objective, weights, predicted, objective.residuals(predicted, target))
    return theta


def majorised_weights(
    objective: Objective, weights: FloatArray, predicted: FloatArray, residual: FloatArray
) -> FloatArray:
    """Weights of (f - y)^2 per row under which least squares is the next reweighted step of the objective."""
    finite = np.isfinite(residual)
    majorant = np.where(finite, objective.majorant(np.where(finite, residual, 0.0)), 0.0)
    scale = np.where(finite, predicted, 1.0) ** 2 if objective.space == "log" else 1.0
    return np.asarray(weights * majorant / scale)


def project_weighted(model: BoundLaw, values: FloatArray, row_weights: FloatArray, theta: FloatArray) -> FloatArray:
    """Coordinates with the linear ones at the minimum of sum row_weights (f - y)^2 over their box."""
    if not model.linear.any():
        return theta
    solved = theta.copy()
    solved[:, model.linear] = 0.0
    offset, columns = model.jacobian(solved, model.straight)
    solved[:, model.linear] = _solve(model, columns, values - offset, row_weights)
    return solved


@np.errstate(over="ignore", invalid="ignore")  # a column too large to square ends as not a number, then as zero
def _solve(model: BoundLaw, columns: FloatArray, values: FloatArray, weights: FloatArray) -> FloatArray:
    """Bounded weighted least squares for a batch: columns (B, k, n), values and weights (B, n)."""
    low, high = model.low[model.linear], model.high[model.linear]
    base = np.where(np.isfinite(low), low, 0.0)
    finite = np.isfinite(columns)
    columns = columns if finite.all() else np.where(finite, columns, 0.0)
    if base.any():
        values = values - base @ columns
    solved = base + _solve_above(columns, values, weights, np.isfinite(low))
    for k in np.flatnonzero(np.isfinite(high)):  # one that would pass its upper end stays there; the others adapt
        over = solved[:, k] > high[k]
        if over.any():
            others = columns[over]
            rest = values[over] - (high[k] - base[k]) * others[:, k]
            others[:, k] = 0.0
            solved[over] = base + _solve_above(others, rest, weights[over], np.isfinite(low))
            solved[over, k] = high[k]
    return np.asarray(np.clip(solved, low, high))


def _solve_above(
    columns: FloatArray, values: FloatArray, weights: FloatArray, bounded: NDArray[np.bool_]
) -> FloatArray:
    """Weighted least squares (B, k), non-negative where ``bounded``; a column of zeros gets zero."""
    weighted = columns * weights[:, None, :]
    gram = weighted @ columns.transpose(0, 2, 1)
    size = np.sqrt(np.maximum(np.diagonal(gram, axis1=1, axis2=2), 1e-300))
    gram = gram / (size[:, :, None] * size[:, None, :])
    right = (weighted @ values[:, :, None])[:, :, 0] / size
    return np.asarray(_enumerate(gram, right, bounded) / size)


def _enumerate(gram: FloatArray, right: FloatArray, bounded: np.ndarray) -> FloatArray:
    """The non-negative (where bounded) minimiser of x'Gx/2 - b'x, by trying every support."""
    batch, k = right.shape
    x = np.asarray(np.linalg.solve(gram + RIDGE * np.eye(k), right[:, :, None])[..., 0], dtype=float)
    if bounded.sum() > MOST_BOUNDED:
        return np.where(bounded, np.maximum(x, 0.0), x)
    if (np.abs(x) < USUAL).all() and ((x >= 0) | ~bounded).all():  # the support of all is that of every member
        return x
    best = np.zeros((batch, k))
    best_cost = np.full(batch, np.inf)
    for choice in product((True, False), repeat=int(bounded.sum())):
        support = np.ones(k, dtype=bool)
        support[bounded] = choice
        if not support.all():
            x = _solve_support(gram, right, support) if support.any() else np.zeros((batch, k))
        cost = np.sum((0.5 * (x[:, None, :] @ gram)[:, 0] - right) * x, axis=1)
        allowed = np.all((x >= 0) | ~bounded, axis=1) & (cost < best_cost)
        best[allowed], best_cost[allowed] = x[allowed], cost[allowed]
    return best


def _solve_support(gram: FloatArray, right: FloatArray, support: np.ndarray) -> FloatArray:
    x = np.zeros_like(right)
    small = gram[:, support][:, :, support] + RIDGE * np.eye(int(support.sum()))
    x[:, support] = np.linalg.solve(small, right[:, support, None])[..., 0]
    return x
