"""What is believed of the losses at a target and at candidates, and what the fitted runs say of them.

    log L(x) = log law(x; theta) + delta(x)

The constants theta are free (CONSTANTS standard deviations in their logarithms), the law is linear in them about the
fit. Every law has an error: delta is smooth, with the covariance

    Cov(delta(x), delta(y)) = (k BEYOND R)^2 exp(-(h / LENGTH)^2)

h the distance in the decimal logarithms of size and data, R the range of the law over the fitted runs; k is the factor
of the back-test by which prediction intervals believe it (:mod:`scalefit.uncertainty.calibration`), with the
probability that the law misses anything. The form and its one length were chosen on four public sets
(benchmarks/next_run.py, CHOSEN).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.expressions import parse
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.planning.next_runs.design import Known
from scalefit.solver.coordinates import through_ties
from scalefit.uncertainty.calibration import BEYOND, student

CONSTANTS = 2.0
LENGTH = 1.5  #: decades
FEW_LEFT = 10  #: rows beyond the constants below which a median residual does not tell the noise
LEVEL = 0.9  #: of intervals
MOST_ROWS = 400  #: fitted rows that are counted, evenly spaced


def noise_of(fit: Fit) -> float:
    """The noise of one run that must be reckoned with, in residuals of the fit.

    From few rows beyond the constants it is hardly known: a robust fit passes through as many rows as it has constants,
    and the median residual of seven runs is less than a third of the noise in a quarter of simulated sets. So it is no
    less than the root mean square residual for the rows that are left over, and it is wider as Student's t is wider
    than the normal distribution.
    """
    left = max(fit.rows - fit.free, 1)
    noise = fit.sigma
    if left < FEW_LEFT:
        variables = {name: np.asarray(values, dtype=np.float64) for name, values in fit.points.variables.items()}
        measured, predicted = np.asarray(fit.points.values), fit.evaluate(variables)
        residuals = np.log(measured / predicted) if fit.estimate.log else measured - predicted
        noise = max(noise, float(np.sqrt(np.sum(residuals**2) / left)))
    return noise * student(LEVEL, left) / student(LEVEL, np.inf)


def believed(
    fit: Fit, places: Mapping[str, FloatArray], noise: float, unit: float
) -> tuple[FloatArray, FloatArray, Known]:
    """Slopes (n, p) at places, the covariance (n, n) of the law's errors there, and what the fitted runs say.

    ``places`` holds (n,) for each of the law's variables; ``noise`` is that of one run; ``unit``: of a residual, in the
    loss.
    """
    fitted = {name: np.asarray(values, dtype=np.float64) for name, values in fit.points.variables.items()}
    rows = len(next(iter(fitted.values())))
    kept = np.unique(np.linspace(0, rows - 1, min(rows, MOST_ROWS)).astype(np.intp))
    every = {name: np.concatenate([places[name], fitted[name][kept]]) for name in places}
    slopes, values = _slopes(fit, every, unit)
    count = len(values) - len(kept)
    own, there = slice(count, None), slice(count)
    errors = _errors(fit, every, float(np.ptp(values[own])))
    slopes = CONSTANTS * slopes
    known = Known.of(slopes[own], errors[own, own], errors[own, there], noise**2)
    return slopes[there], errors[there, there], known


def _slopes(fit: Fit, places: Mapping[str, FloatArray], unit: float) -> tuple[FloatArray, FloatArray]:
    """(n, p) of the law's value in the logarithm of each constant, and the values (n,), both as residuals."""
    law = fit.law
    value, partials = law.derivatives(dict(places), fit.parameters)
    value = np.asarray(value) + np.zeros(len(next(iter(places.values()))))
    free = [name for name in law.parameters if name not in fit.fixed and name not in fit.ties]
    scale = value if fit.estimate.log else np.full_like(value, unit)
    ties = {name: parse(text) for name, text in fit.ties.items()}
    at = {name: np.asarray(number) for name, number in fit.parameters.items()}
    columns = [at[name] * through_ties(ties, name, partials, at) / scale for name in free]
    slopes = np.stack([np.broadcast_to(column, value.shape) for column in columns], axis=1)
    return slopes, np.log(value) if fit.estimate.log else value / unit


def _errors(fit: Fit, places: Mapping[str, FloatArray], change: float) -> FloatArray:
    """(n, n) the covariance of the law's errors; zero for a fit that was not calibrated."""
    calibration = fit.intervals.calibration if fit.intervals else None
    count = len(next(iter(places.values())))
    if calibration is None:
        return np.zeros((count, count))
    logs = [np.log10(values) for values in places.values() if values.ndim == 1 and np.all(values > 0)]
    apart = np.sqrt(sum((log[:, None] - log[None]) ** 2 for log in logs))
    size = BEYOND * change * getattr(calibration, "size", calibration.factor)
    return np.asarray(size**2 * np.exp(-((apart / LENGTH) ** 2)))
