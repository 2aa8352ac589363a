"""Whether every refit to the smaller runs errs on the same side of the larger ones: a term that the law lacks.

The refits are those of the back-test, started from the fit itself in one batch, so that they cost little and need no
draws. The mean error of a refit has the standard error

    s sqrt(g (J' J)^-1 g' + 1 / m),

with s the noise of the rows fitted, J their derivatives by the parameters, g the mean derivatives of the m rows ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray, robust_sigma, unit_columns
from scalefit.rows.door import check_identified
from scalefit.rows.rows import Rows
from scalefit.solver.derivatives import second_derivatives
from scalefit.solver.descent import refit
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.calibration import LEVEL, student
from scalefit.uncertainty.folds import FOLD_ROWS, folds_of

FEWEST = 4  #: refits from which on their agreement says something
MEAN = 2.0  #: mean error of the refits, each in units of its standard error, that chance hardly makes
LARGE = 0.001  #: mean relative error from which it matters


@dataclass(frozen=True)
class Bias:
    """The mean error of one refit on the runs that it did not see (measured less predicted), and its standard error."""

    error: float
    standard_error: float


def refits(law: Law, model: BoundLaw, rows: Rows, weights: FloatArray | None, solution: Solution) -> tuple[Bias, ...]:
    """The bias of each refit to the smaller runs; none of a law along the schedule, judged without single runs."""
    if law.is_trajectory or rows.stream or rows.values is None or not len(model.coordinates):
        return ()
    keep = slice(None, None, max(1, -(-len(rows) // FOLD_ROWS)))
    held = [out[keep] for _, out in folds_of(law, rows, len(model.coordinates)) if _identified(law, model, rows, ~out)]
    if len(held) < FEWEST:
        return ()
    part, values = model.take(keep), rows.values[keep]
    own = np.ones(len(values)) if weights is None else weights[keep]
    drawn = np.stack([np.where(out, 0.0, own) for out in held])
    start = np.repeat(solution.theta[None], len(held), axis=0)
    found = refit(part, solution.objective, values, drawn, start, second_derivatives(part, solution.theta))
    if not found.converged.all():
        return ()
    return tuple(_bias(part, solution, values, theta, out) for theta, out in zip(found.theta, held, strict=True))


def _identified(law: Law, model: BoundLaw, rows: Rows, kept: NDArray[np.bool_]) -> bool:
    try:
        check_identified(law, rows.keep(kept), len(model.coordinates))
    except InputError:
        return False
    return True


def _bias(model: BoundLaw, solution: Solution, values: FloatArray, theta: FloatArray, held: NDArray[np.bool_]) -> Bias:
    objective = solution.objective
    value, slope = (found[0] for found in model.jacobian(theta[None]))
    residual = -objective.residuals(value, objective.target(values))
    slope = np.nan_to_num(objective.slopes(value, slope).T)
    free = max(int((~held).sum()) - slope.shape[1], 1)
    noise = robust_sigma(residual[~held], slope.shape[1]) * student(LEVEL, free) / student(LEVEL, np.inf)
    fitted = unit_columns(np.vstack([slope[~held], slope[held].mean(axis=0)]))  # and, in its last row, g
    moved = np.linalg.lstsq(fitted[:-1].T, fitted[-1], rcond=None)[0]  # its squared length is g (J' J)^-1 g'
    return Bias(float(residual[held].mean()), float(noise * np.sqrt(moved @ moved + 1 / held.sum())))


def one_sided(biases: Sequence[Bias], unit: float) -> str:
    """What to say where all refits predict too low, or all too high; ``unit`` is the size of a residual of 1."""
    if len(biases) < FEWEST:
        return ""
    errors = np.array([bias.error for bias in biases])
    sigmas = np.array([bias.error / max(bias.standard_error, 1e-300) for bias in biases])
    same = bool(np.all(errors > 0) or np.all(errors < 0))
    size = abs(float(np.mean(errors))) / unit
    if not same or abs(float(np.mean(sigmas))) < MEAN or size < LARGE:
        return ""
    side, count = "low" if errors[0] > 0 else "high", f"{len(biases)} of {len(biases)}"
    text = f"predicts too {side} at scale: in {count} refits it misses the larger runs on that side"
    return f"{text}, by {100 * size:.2g} % on average; the law lacks a term, or only the larger runs follow it"
