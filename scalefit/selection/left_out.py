"""The error of each row as all the others predict it, to first order, without a refit."""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray, spanned
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

LEAST_LEFT = 0.02  #: what a row leaves to the others at least, so that one that decides a constant alone stays finite


def left_out_residuals(
    model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray | None, theta: FloatArray
) -> FloatArray:
    """Residuals (n,) of rows that a fit had not seen: r / (1 - h), with h the row's share of its own prediction.

    h is the diagonal of J (J' W J)^-1 J' W, with the derivatives J of the residuals and robust weights W: exact for a
    linear law, and of the others that are fitted to few rows rather too large. Not finite where the law has no
    derivative.
    """
    value, slopes = (found[0] for found in model.jacobian(theta[None]))
    with np.errstate(all="ignore"):
        slopes = objective.slopes(value, slopes).T
        residuals = objective.residuals(value, objective.target(values))
    if not (np.isfinite(slopes).all() and np.isfinite(residuals).all()):
        return np.full(len(values), np.nan)
    share = np.sqrt(objective.majorant(residuals) * (1.0 if weights is None else weights))
    directions, count = spanned(slopes * share[:, None])
    own = np.sum(directions[:, :count] ** 2, axis=1)
    return np.asarray(residuals / np.maximum(1 - own, LEAST_LEFT))
