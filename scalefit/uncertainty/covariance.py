"""The sandwich covariance of a fit's parameters; refused with the reason where it is not valid.

    V = H^-1 (sum_b g_b g_b') H^-1

with g_b the gradient of the objective over the rows of block b and H its second derivatives at the optimum
(Huber 1967). It needs no refit, but assumes that the objective is quadratic within the sampling error of the optimum.
It is not near the end of a domain, in a flat valley, with few blocks, or with a threshold so narrow that few rows enter
the curvature: V then gives 0.8 to 1.7 times the resampled spread on published points, without any sign of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.solver.expansion import Expansion
from scalefit.solver.objective import Objective

LEAST_BLOCKS = 20
LEAST_INSIDE = 0.5  #: share of rows within the robust threshold below which the curvature is not reliable
FLATTEST = 1e-12  #: ratio of the smallest to the largest eigenvalue of the scaled curvature
WIDEST = 0.5  #: standard error of a coordinate above which the objective is not taken as quadratic
WHERE = "sandwich covariance"
TODO = "resample instead (method auto), or use the profile"


def sandwich(
    expansion: Expansion, objective: Objective, values: FloatArray, weights: FloatArray, blocks: NDArray[np.intp]
) -> FloatArray:
    """The covariance (p, p) of the steps of an :class:`~scalefit.solver.expansion.Expansion`.

    Raises :class:`InputError` with the reason where it is not valid.
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
        raise InputError(f"the objective is flat in {flat}", where=WHERE, todo=TODO)
    eigenvalues, vectors = np.linalg.eigh(curvature / np.outer(size, size))
    if not eigenvalues[0] > FLATTEST * eigenvalues[-1]:
        along = names[int(np.argmax(np.abs(vectors[:, 0])))]
        raise InputError(f"the objective is flat along {along}, not quadratic", where=WHERE, todo=TODO)
    scores = np.zeros((int(blocks.max()) + 1, len(names)))
    np.add.at(scores, blocks, pull[:, None] * expansion.slope)
    inverse = (vectors / eigenvalues) @ vectors.T / np.outer(size, size)
    found = inverse @ (scores.T @ scores) @ inverse
    error = np.sqrt(np.diag(found)) / np.where(expansion.by_factor, 1.0, np.maximum(np.abs(expansion.theta), 1.0))
    if np.max(error) > WIDEST:
        wide = names[int(np.argmax(error))]
        what = f"the standard error of {wide} is as large as itself, too large for the quadratic approximation"
        raise InputError(what, where=WHERE, todo=TODO)
    return np.asarray(found)


def _check(expansion: Expansion, objective: Objective, residual: FloatArray, weights: FloatArray, blocks: int) -> None:
    """Refuse an optimum at an end of a domain, few blocks, or a threshold that makes the loss nearly L1."""
    theta, model = expansion.theta, expansion.model
    at_end = (theta <= model.low) | (theta >= model.high) | (model.linear & (theta == 0))
    if at_end.any():
        name = model.coordinates[int(np.argmax(at_end))].name
        raise InputError(f"{name} is at an end of its domain", where=WHERE, todo=TODO)
    if blocks < max(LEAST_BLOCKS, 2 * len(theta)):
        raise InputError(f"only {blocks} independent rows or runs", where=WHERE, todo=TODO)
    inside = float(np.sum(weights * (np.abs(residual) <= objective.delta)) / np.sum(weights))
    if objective.loss != "squared" and inside < LEAST_INSIDE:
        what = (
            f"only {100 * inside:.0f} % of the rows lie within the threshold {objective.delta:.2g} of the robust loss"
        )
        raise InputError(what, where=WHERE, todo=f'{TODO}; delta="auto" makes it valid')
