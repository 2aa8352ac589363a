"""Variable projection: for given non-linear coordinates, the best linear parameters, exactly.

The linear parameters minimise sum w (f - y)^2 / s^2 over their box, with s = y where residuals are logarithms (to
first order the logarithmic residual) and 1 elsewhere. Bounded ones are solved by trying every support of the small
normal matrix, all candidates of all starts as one batch.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.steps import MANY, eliminated

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
    solved: bool = False,
) -> FloatArray:
    """Coordinates (B, p) with the linear ones solved for at the others' values.

    ``robust_steps`` reweights by the objective's majorant that many times, so that bad rows lose their pull; first at
    the least squares, or where the linear ones are ``solved`` for already, if on other rows, at these.
    """
    target = objective.target(values)
    row_weights = weights / values**2 if objective.space == "log" else weights
    for step in range(robust_steps):
        if solved and not step:
            predicted = model.value(theta)
        else:
            theta, predicted = with_predictions(model, values, row_weights, theta)
        row_weights = majorised_weights(objective, weights, predicted, objective.residuals(predicted, target))
    return project_weighted(model, values, row_weights, theta)


def majorised_weights(
    objective: Objective, weights: FloatArray, predicted: FloatArray, residual: FloatArray
) -> FloatArray:
    """Weights of (f - y)^2 per row under which least squares is the next reweighted step of the objective."""
    finite = np.isfinite(residual)
    majorant = np.where(finite, objective.majorant(np.where(finite, residual, 0.0)), 0.0)
    scale = np.where(finite, predicted, 1.0) ** 2 if objective.space == "log" else 1.0
    return np.asarray(weights * majorant / scale)


def project_weighted(model: BoundLaw, values: FloatArray, row_weights: FloatArray, theta: FloatArray) -> FloatArray:
    """Coordinates with the linear ones at the minimum of sum row_weights (f - y)^2 over their box; (n,) or (B, n)."""
    return _projected(model, values, row_weights, theta)[0] if len(model.straight) else theta


def with_predictions(
    model: BoundLaw, values: FloatArray, row_weights: FloatArray, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The same coordinates, and the predictions (B, n) there."""
    if not len(model.straight):
        return theta, model.value(theta)
    solved, offset, columns = _projected(model, values, row_weights, theta)
    predicted = offset + (solved[:, None, model.straight] @ columns)[:, 0]
    return solved, predicted if np.isfinite(predicted.sum()) else model.value(solved)


def _projected(
    model: BoundLaw, values: FloatArray, row_weights: FloatArray, theta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Projected coordinates, what the law predicts without its linear ones, and what it is multiplied by them."""
    solved = theta.copy()
    solved[:, model.straight] = 0.0
    offset, columns = model.jacobian(solved, model.straight)
    solved[:, model.straight] = _solve(model, columns, values - offset, row_weights)
    return solved, offset, columns


@np.errstate(over="ignore", invalid="ignore")  # a column too large to square ends as not a number, then as zero
def _solve(model: BoundLaw, columns: FloatArray, values: FloatArray, weights: FloatArray) -> FloatArray:
    """Bounded weighted least squares for a batch: columns (B, k, n), values (B, n), weights (n,) or (B, n)."""
    low, high = model.low[model.linear], model.high[model.linear]
    base = np.where(np.isfinite(low), low, 0.0)
    if not np.isfinite(columns.sum()):
        columns = np.where(np.isfinite(columns), columns, 0.0)
    if base.any():
        values = values - base @ columns
    solved = base + _solve_above(columns, values, weights, np.isfinite(low))
    for k in np.flatnonzero(np.isfinite(high)):  # one that would pass its upper end stays there; the others adapt
        over = solved[:, k] > high[k]
        if over.any():
            others = columns[over]
            rest = values[over] - (high[k] - base[k]) * others[:, k]
            others[:, k] = 0.0
            own = weights if weights.ndim == 1 else weights[over]
            solved[over] = base + _solve_above(others, rest, own, np.isfinite(low))
            solved[over, k] = high[k]
    return np.asarray(np.clip(solved, low, high))


def _solve_above(
    columns: FloatArray, values: FloatArray, weights: FloatArray, bounded: NDArray[np.bool_]
) -> FloatArray:
    """Weighted least squares (B, k), non-negative where ``bounded``; a column of zeros gets zero."""
    weighted = columns * (weights if weights.ndim == 1 else weights[:, None, :])
    gram = weighted @ columns.transpose(0, 2, 1)
    size = np.sqrt(np.maximum(np.diagonal(gram, axis1=1, axis2=2), 1e-300))
    gram = gram / (size[:, :, None] * size[:, None, :])
    right = (weighted @ values[:, :, None])[:, :, 0] / size
    return np.asarray(_enumerate(gram, right, bounded) / size)


def _enumerate(gram: FloatArray, right: FloatArray, bounded: NDArray[np.bool_]) -> FloatArray:
    """The non-negative (where bounded) minimiser of x'Gx/2 - b'x: that of all, or by trying every support."""
    x = _solve_each(gram, right)
    if bounded.sum() > MOST_BOUNDED:
        return np.where(bounded, np.maximum(x, 0.0), x)
    left = ~((np.abs(x) < USUAL) & ((x >= 0) | ~bounded)).all(axis=1)
    if left.any():
        x[left] = _of_supports(gram[left], right[left], bounded)
    return x


def _of_supports(gram: FloatArray, right: FloatArray, bounded: NDArray[np.bool_]) -> FloatArray:
    """The lowest of the minimisers on every support, all of them solved at a time."""
    support, both = _supports(tuple(bounded.tolist()))
    shape = (len(support), *right.shape)
    x = _solve_each(
        np.where(both, gram, np.eye(len(bounded))).reshape(-1, *gram.shape[1:]),
        np.where(support, right, 0.0).reshape(-1, right.shape[1]),
    ).reshape(shape)
    cost = np.sum((0.5 * (x[..., None, :] @ gram)[..., 0, :] - right) * x, axis=-1)
    cost[~((x >= 0) | ~bounded).all(axis=-1) | ~(cost < np.inf)] = np.inf
    best = cost.argmin(axis=0), np.arange(len(right))
    return np.where(np.isfinite(cost[best])[:, None], x[best], 0.0)


@cache
def _supports(bounded: tuple[bool, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Every choice of the bounded that are not zero, (S, 1, k), and which pairs are of them, (S, 1, k, k)."""
    support = np.array(list(product(*((True, False) if one else (True,) for one in bounded))))[:, None]
    return support, support[..., None] & support[..., None, :]


def _solve_each(gram: FloatArray, right: FloatArray) -> FloatArray:
    """The solutions of small positive systems of unit diagonal, (B, k, k) and (B, k)."""
    k = right.shape[1]
    if len(right) < MANY:
        return np.asarray(np.linalg.solve(gram + RIDGE * np.eye(k), right[:, :, None])[..., 0], dtype=float)
    return eliminated(gram + RIDGE * np.eye(k), right)[0]
