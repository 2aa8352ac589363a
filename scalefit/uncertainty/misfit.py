"""How likely it is that a law misses something, from the residuals of its own rows.

Where the law is right, residuals are noise. Where it is a little wrong, neighbours err alike: on top of the noise lies
a smooth error, here a sum over the variables of Brownian motions (variogram k^2 R |dh|) of the change h in the
predicted value that each variable causes; R is the range of all predictions. What the fit itself takes up is projected
out (restricted likelihood), the noise is averaged over, and k over values that are evenly spaced in the logarithm. The
probability follows from the ratio of both likelihoods and the odds beforehand, which are against the law: few of the
published data sets follow one, and a handful of rows cannot show it. Rows that are copies count once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import CLIP, FloatArray, spanned
from scalefit.rows.rows import Rows
from scalefit.rows.scale import maps_a_loss
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.pieces import distinct, pieces

SIZES = np.geomspace(0.06, 1.0, 9)  #: sizes k of a smooth error that matters; they are averaged over
SMALLER = np.geomspace(0.01, 0.05, 5)  #: sizes that noise hides: they count only where the evidence is
DECISIVE = 20.0  #: at least this ratio of likelihoods
NOISES = np.geomspace(0.1, 1.5, 28)  #: noise in units of that of the fit
BEFOREHAND = 0.85  #: probability that a law misses something, before its residuals are seen
OTHERS = 0.75  #: quantile at which the other variables are held while one of them changes
MOST_ROWS = 160  #: rows that are compared at most, evenly spaced
MOST = 300.0  #: largest logarithm of the ratio of likelihoods


def probability_of_misfit(law: Law, model: BoundLaw, rows: Rows, solution: Solution, log: bool) -> float:
    """The probability that the law misses something; 1 for curves, whose rows are not independent.

    It is 1 for a map from a loss to a loss, too: losses of one run lie off alike, so that residuals look like noise
    however wrong the map is beyond them (of 28 public ones that look right, 11 would hold less than 60 % of the larger
    runs). Of other maps from a loss, rows along a run count that are as far apart as their errors are correlated.
    """
    mapped, several = maps_a_loss(law), any(values.ndim > 1 for values in rows.variables.values())
    if law.is_trajectory or several or (mapped and law.target == "loss") or (rows.in_curves and not mapped):
        return 1.0
    apart = pieces(solution.residuals, rows.run_codes) if rows.in_curves else distinct(rows)
    first = np.unique(apart, return_index=True)[1]
    keep = first[np.unique(np.linspace(0, len(first) - 1, min(len(first), MOST_ROWS)).astype(np.intp))]
    if len(keep) <= len(model.coordinates) + 1 or not solution.sigma > 0:
        return BEFOREHAND
    part = model.take(keep)
    value, slope = (found[0] for found in part.jacobian(solution.theta[None]))
    slope = slope / value if log else slope
    predicted = np.log(value) if log else value
    smooth = _alike(law, part, solution, log) * float(np.ptp(predicted))
    residual = np.clip(solution.residuals[keep], -CLIP * solution.sigma, CLIP * solution.sigma)
    if not (np.isfinite(smooth).all() and np.isfinite(slope).all()):
        return BEFOREHAND
    ratio = _likelihood_ratio(residual, slope.T, smooth, solution.sigma)
    return float(BEFOREHAND * ratio / (BEFOREHAND * ratio + 1 - BEFOREHAND))


def _alike(law: Law, model: BoundLaw, solution: Solution, log: bool) -> FloatArray:
    """The covariance (n, n) of a smooth error with k^2 R = 1: Brownian in the change that each variable causes."""
    parameters = {name: np.ravel(value)[0] for name, value in model.parameters(solution.theta[None]).items()}
    total = np.zeros((model.n, model.n))
    for name, values in model.variables.items():
        if np.ptp(values) == 0:
            continue
        at = _with_others_held(model.variables, name)
        with np.errstate(all="ignore"):
            made = np.asarray(law.evaluate(at, parameters)) + np.zeros(model.n)
            h = np.log(made) if log else made
        h = h - np.median(h)
        total += 0.5 * (np.abs(h)[:, None] + np.abs(h)[None] - np.abs(h[:, None] - h[None]))
    return total


def _with_others_held(variables: Mapping[str, FloatArray], name: str) -> dict[str, FloatArray]:
    return {
        other: values if other == name else np.full_like(values, np.quantile(values, OTHERS))
        for other, values in variables.items()
    }


def _likelihood_ratio(residual: FloatArray, slope: FloatArray, smooth: FloatArray, sigma: float) -> float:
    """Restricted likelihood with a smooth error, averaged over its size, over that without; both over the noise."""
    every, count = spanned(slope, every=True)
    free = every[:, count:]  # contrasts that no parameter changes
    spread, axes = np.linalg.eigh(free.T @ smooth @ free)
    seen = axes.T @ (free.T @ residual)
    sizes = np.concatenate([[0.0], SMALLER, SIZES])[:, None, None] ** 2
    variance = sizes * np.maximum(spread, 0.0) + (sigma * NOISES[:, None]) ** 2
    logs = -0.5 * np.sum(np.log(variance) + seen**2 / variance, axis=-1)
    best = float(logs.max())
    by_size = np.log(np.mean(np.exp(np.maximum(logs - best, -700.0)), axis=1))
    ratios = np.exp(np.minimum(by_size[1:] - by_size[0], MOST))
    small, large = (float(np.mean(part)) for part in np.split(ratios, [len(SMALLER)]))
    return max(large, small) if small > DECISIVE else large
