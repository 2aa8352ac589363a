"""How much of what laws usually miss a law misses, from the residuals of its own rows.

Where the law is right, residuals are noise. Where it is a little wrong, neighbours err alike: on top of the noise lies
a smooth error, here a sum over the variables of Brownian motions (variogram s^2 R |dh|) of the change h in the
predicted value that each variable causes; R is the range of all predictions. What the fit itself takes up is projected
out (restricted likelihood), and the noise is averaged over. So each size s has a likelihood: many clean rows exclude
all but small ones, a handful of rows none. The odds beforehand are against the law, as few of the published data sets
follow one: BEFOREHAND for sizes from USUAL on, the rest for smaller ones, both evenly spread over ln s. A law whose
smooth error is of size s misses the share

    g = min(1, (s / USUAL)^GROWS)

of what laws usually miss beyond the fitted rows (``calibration``): the error there is larger, against that among the
rows, the smaller the latter is. So clean rows never make a law more certain than their noise and number allow. Rows
that are copies count once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import CLIP, FloatArray, spanned
from scalefit.rows.rows import Rows
from scalefit.rows.scale import maps_a_loss, maps_losses
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.pieces import distinct, pieces

USUAL = 0.06  #: size s of a smooth error from which on a law misses what laws usually do
LARGE = np.geomspace(USUAL, 1.0, 9)  #: such sizes
SMALL = np.geomspace(0.001, USUAL, 14, endpoint=False)  #: smaller ones
GROWS = 0.7  #: power of the size of a smaller one with which what the law misses grows
NOISES = np.geomspace(0.1, 1.5, 28)  #: noise in units of that of the fit
BEFOREHAND = 0.85  #: probability of the larger sizes, before the residuals are seen
OTHERS = 0.75  #: quantile at which the other variables are held while one of them changes
MOST_ROWS = 160  #: rows that are compared at most, evenly spaced
FEWEST = 1e-4  #: probability below which a share is left out
LOWEST, ENOUGH = 0.5, 10  #: part and least number of the rows whose noise is that of predictions
Share = tuple[float, float]
ALL: tuple[Share, ...] = ((1.0, 1.0),)  #: all that laws usually miss, for certain


def shares_missed(law: Law, model: BoundLaw, rows: Rows, solution: Solution, log: bool) -> tuple[Share, ...]:
    """Shares g and their probabilities, the largest first; all of it for curves, whose rows are not independent.

    So for a map from a loss to a loss, too: losses of one run lie off alike, so that residuals look like noise however
    wrong the map is beyond them (of 28 public ones that look right, 11 would hold less than 60 % of the larger runs).
    Of other maps from a loss, rows along a run count that are as far apart as their errors are correlated.
    """
    mapped, several = maps_a_loss(law), any(values.ndim > 1 for values in rows.variables.values())
    if law.is_trajectory or several or maps_losses(law) or (rows.in_curves and not mapped):
        return ALL
    apart = pieces(solution.residuals, rows.run_codes) if rows.in_curves else distinct(rows)
    first = np.unique(apart, return_index=True)[1]
    keep = first[np.unique(np.linspace(0, len(first) - 1, min(len(first), MOST_ROWS)).astype(np.intp))]
    if len(keep) <= len(model.coordinates) + 1 or not solution.sigma > 0:
        return _weighed(np.zeros(len(LARGE) + len(SMALL)))
    part = model.take(keep)
    value, slope = (found[0] for found in part.jacobian(solution.theta[None]))
    slope = slope / value if log else slope
    predicted = np.log(value) if log else value
    smooth = _alike(law, part, solution, log) * float(np.ptp(predicted))
    residual = np.clip(solution.residuals[keep], -CLIP * solution.sigma, CLIP * solution.sigma)
    if not (np.isfinite(smooth).all() and np.isfinite(slope).all()):
        return _weighed(np.zeros(len(LARGE) + len(SMALL)))
    return _weighed(_likelihoods(residual, slope.T, smooth, solution.sigma, np.concatenate([LARGE, SMALL])))


def quieter(law: Law, rows: Rows, predicted: FloatArray, residuals: FloatArray) -> float:
    """The noise r of the rows (n,) of the lowest predictions over that of all rows, at most 1; 1 for laws of curves.

    Small runs scatter more than large ones, whose losses are asked for: r is the median absolute residual of the LOWEST
    part of the rows, and at least ENOUGH, over that of all. 1 for what is no loss as well, as it may rise with scale.
    """
    first = np.unique(distinct(rows), return_index=True)[1]
    count = max(int(np.ceil(LOWEST * len(first))), ENOUGH)
    if law.is_trajectory or law.target != "loss" or count >= len(first):
        return 1.0
    size = np.abs(residuals[first])
    every, lowest = np.median(size), np.median(size[np.argsort(predicted[first], kind="stable")[:count]])
    return float(min(lowest / every, 1.0)) if every > 0 else 1.0


def _weighed(likelihoods: FloatArray) -> tuple[Share, ...]:
    """The shares with their probabilities, from the logarithms of the likelihoods of LARGE and SMALL sizes."""
    beforehand = np.repeat([BEFOREHAND / len(LARGE), (1 - BEFOREHAND) / len(SMALL)], [len(LARGE), len(SMALL)])
    weight = beforehand * np.exp(np.maximum(likelihoods - likelihoods.max(), -700.0))
    chances = np.concatenate([[weight[: len(LARGE)].sum()], weight[: len(LARGE) - 1 : -1]]) / weight.sum()
    shares = np.concatenate([[1.0], (SMALL[::-1] / USUAL) ** GROWS])
    kept = chances >= FEWEST
    return tuple(zip(shares[kept].tolist(), (chances[kept] / chances[kept].sum()).tolist(), strict=True))


def _alike(law: Law, model: BoundLaw, solution: Solution, log: bool) -> FloatArray:
    """The covariance (n, n) of a smooth error with s^2 R = 1: Brownian in the change that each variable causes."""
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


def _likelihoods(
    residual: FloatArray, slope: FloatArray, smooth: FloatArray, sigma: float, sizes: FloatArray
) -> FloatArray:
    """The logarithm (k,) of the restricted likelihood of a smooth error of each size, averaged over the noise."""
    every, count = spanned(slope, every=True)
    free = every[:, count:]  # contrasts that no parameter changes
    spread, axes = np.linalg.eigh(free.T @ smooth @ free)
    seen = axes.T @ (free.T @ residual)
    variance = sizes[:, None, None] ** 2 * np.maximum(spread, 0.0) + (sigma * NOISES[:, None]) ** 2
    logs = -0.5 * np.sum(np.log(variance) + seen**2 / variance, axis=-1)
    best = logs.max(axis=1, keepdims=True)
    return np.asarray(best[:, 0] + np.log(np.mean(np.exp(logs - best), axis=1)))
