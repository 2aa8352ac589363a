"""The sandwich covariance of a fit's parameters, where it is valid, and the reason where it is not.

    V = H^-1 (sum_b g_b g_b') H^-1

with g_b the gradient of the objective over the rows of block b and H its second derivatives at the optimum
(Huber 1967). It costs no refit, but it believes the objective to be a parabola as far as the optimum may wander. Near
the end of a domain, in a flat valley, with few blocks, or with a threshold so narrow that the curvature counts a
handful of rows, it is not: 0.8 to 1.7 times the resampled spread on published points, and nothing in V says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.solver.expansion import Expansion
from scalefit.solver.objective import Objective

LEAST_BLOCKS = 20
LEAST_INSIDE = 0.5  #: share of rows in the parabolic part of a robust loss below which its curvature is a guess
FLATTEST = 1e-12  #: ratio of the smallest to the largest eigenvalue of the scaled curvature
WIDEST = 0.5  #: standard error of a coordinate's step beyond which the parabola is not believed
TODO = "resample instead (method auto), or ask for the profile"


def sandwich(
    expansion: Expansion, objective: Objective, values: FloatArray, weights: FloatArray, blocks: NDArray[np.intp]
) -> FloatArray:
    """The covariance (p, p) of the steps of an :class:`~scalefit.solver.expansion.Expansion`.

    Raises :class:`InputError` where it is not valid, saying why.
    """
    names = [coordinate.name for coordinate in expansion.model.coordinates]
    residual = objective.residuals(expansion.value, objective.target(values))
    _check(expansion, objective, residual, weights, int(blocks.max()) + 1)
    pull = weights * objective.psi(residual)
    curvature = np.einsum("n,ni,nj->ij", weights * objective.curvature(residual), expansion.slope, expansion.slope)
    curvature += np.einsum("n,nij->ij", pull, expansion.bend)
    size = np.sqrt(np.maximum(np.diag(curvature), 0.0))
    if not np.all(size > 0):
        flat = names[int(np.argmin(size))]
        raise InputError(f"the objective is flat in {flat}", where="sandwich covariance", todo=TODO)
    eigenvalues, vectors = np.linalg.eigh(curvature / np.outer(size, size))
    if not eigenvalues[0] > FLATTEST * eigenvalues[-1]:
        along = names[int(np.argmax(np.abs(vectors[:, 0])))]
        raise InputError(f"no parabola: the objective is flat along {along}", where="sandwich covariance", todo=TODO)
    scores = np.zeros((int(blocks.max()) + 1, len(names)))
    np.add.at(scores, blocks, pull[:, None] * expansion.slope)
    inverse = (vectors / eigenvalues) @ vectors.T / np.outer(size, size)
    found = inverse @ (scores.T @ scores) @ inverse
    error = np.sqrt(np.diag(found)) / np.where(expansion.by_factor, 1.0, np.maximum(np.abs(expansion.theta), 1.0))
    if np.max(error) > WIDEST:
        wide = names[int(np.argmax(error))]
        raise InputError(
            f"the standard error of {wide} is as large as itself: no parabola reaches that far",
            where="sandwich covariance",
            todo=TODO,
        )
    return np.asarray(found)


def _check(expansion: Expansion, objective: Objective, residual: FloatArray, weights: FloatArray, blocks: int) -> None:
    """Raise where the optimum is at an end of a domain, blocks are few, or the loss is nearly L1."""
    theta, model = expansion.theta, expansion.model
    at_end = (theta <= model.low) | (theta >= model.high) | (model.linear & (theta == 0))
    if at_end.any():
        name = model.coordinates[int(np.argmax(at_end))].name
        raise InputError(f"{name} stands at an end of its domain", where="sandwich covariance", todo=TODO)
    if blocks < max(LEAST_BLOCKS, 2 * len(theta)):
        raise InputError(f"only {blocks} independent rows or runs", where="sandwich covariance", todo=TODO)
    inside = float(np.sum(weights * (np.abs(residual) <= objective.delta)) / np.sum(weights))
    if objective.loss != "squared" and inside < LEAST_INSIDE:
        raise InputError(
            f"only {100 * inside:.0f} % of the rows lie within the threshold {objective.delta:.2g} of the robust loss",
            where="sandwich covariance",
            todo=f'{TODO}; delta="auto" makes it valid',
        )
