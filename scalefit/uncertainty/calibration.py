"""Calibration of prediction intervals by a back-test: refits to the smaller runs, judged on the larger ones.

Draws alone make intervals too narrow, because every law is a little wrong. A back-test on the user's own runs (refits
below growing scales; for curves, refits without one run each) gives errors e at known distances d, in decades beyond
the fitted scales. With the spread s of the draws and the noise sigma, a prediction has the standard deviation

    S = sqrt(k^2 (s^2 + PER_RUN^2 + (PER_DECADE d)^2) + sigma^2)

and k^2 is the weighted mean of one estimate per refit (a fold) and of the prior value PRIOR^2, which counts as
PRIOR_FOLDS folds. With B = s^2 + PER_RUN^2 + (PER_DECADE d)^2 the estimate of a fold is

    k_f^2 = sum w (e^2 - sigma^2) B / sum w B^2,   w = 1 / (PRIOR^2 B + sigma^2)^2,

least squares with the weights of normal errors; it counts less where the noise is larger than the error of the law.
As k is estimated from few folds, it is widened by Student's t. The four constants were set once, together, on public
data sets (docs/intervals.md names them and reports the coverage).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.door import check_identified
from scalefit.rows.rows import Rows
from scalefit.rows.scale import reads_scale, scale_of
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Settings, solve
from scalefit.uncertainty.bootstrap import Method, bootstrap, resampled_as_one

PER_RUN = 0.001  #: relative error assumed for every law on a held-out run
PER_DECADE = 0.0125  #: relative error assumed for every law per decade of extrapolation
PRIOR = 1.3  #: the factor k assumed before any back-test
PRIOR_FOLDS = 3.0  #: how many folds the prior counts as
WORST = 6.0  #: largest estimate of k that a single fold can give
LEVEL = 0.9
LEAST_SIDE = 0.05  #: smallest share of the draws' range on either side of the fit
CUTS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  #: quantiles of scale below which the law is refitted
FOLD_DRAWS = 60
FOLD_ROWS = 4000  #: most rows that a refit reads, and most that it predicts
ENOUGH_FOLDS, ENOUGH_POINTS = 3, 8  #: with fewer, intervals are reported as not calibrated
SPAN = 2.0  #: decades that the fitted range counts as, for a law that reads neither size nor data


@dataclass(frozen=True)
class Calibration:
    """The factor k from a back-test, the numbers of refits and predictions behind it, and the fitted scales."""

    factor: float
    folds: int
    points: int
    low: float  #: decimal logarithm of the smallest fitted scale
    high: float  #: of the largest

    @property
    def calibrated(self) -> bool:
        """Whether there were enough refits and predictions to call the intervals calibrated."""
        return self.folds >= ENOUGH_FOLDS and self.points >= ENOUGH_POINTS

    def distance(self, law: Law, variables: dict[str, FloatArray]) -> FloatArray:
        """How far rows lie outside the fitted scales, in decades; see :func:`scale_of`.

        For a law that reads no size, data or compute (a loss from a loss), the fitted range counts as SPAN decades.
        """
        scale = scale_of(law, variables)
        beyond = np.maximum(0.0, np.maximum(scale - self.high, self.low - scale))
        return beyond if reads_scale(law) else beyond * SPAN / max(self.high - self.low, 1e-9)


@dataclass(frozen=True)
class Fold:
    """The errors of one refit on its held-out runs; all arrays have one entry per held-out row."""

    label: str
    rows: NDArray[np.intp]  #: which rows were held out
    fitted: int  #: how many rows were fitted
    distance: FloatArray
    error: FloatArray  #: measured minus predicted, in residual space
    below: FloatArray  #: standard deviation of the draws there, below the prediction
    above: FloatArray  #: and above it
    sigma: float  #: noise of the fitted rows

    @property
    def spread(self) -> FloatArray:
        """The standard deviation of the draws on the side of the error."""
        return np.where(self.error > 0, self.above, self.below)


def spreads(centre: FloatArray, made: FloatArray, few: float) -> tuple[FloatArray, FloatArray]:
    """Standard deviations (n,) below and above ``centre`` (n,), from the 5 and 95 % points of draws (B, n).

    Near its floor a law can have larger errors on one side than on the other, so each side has its own.

    >>> below, above = spreads(np.zeros(1), np.linspace(-1, 3, 401)[:, None], 1.0)
    >>> bool(above > 2 * below)
    True
    """
    low, high = np.nanpercentile(np.where(np.isfinite(made), made, np.nan), [5, 95], axis=0)
    least = LEAST_SIDE * (high - low)
    unit = few / student(LEVEL, np.inf)
    return unit * np.maximum(centre - low, least), unit * np.maximum(high - centre, least)


def small_sample(blocks: int, rows: int, parameters: int, method: Method) -> float:
    """By which factor resampling m blocks of n rows understates the 90 % interval of a law with p parameters.

    sqrt(m / (m - 1) (n - 1) / (n - p)) corrects the spread (its second part only where residuals are not, as they are
    for ``wild``), Student's t with min(m - 1, n - p) degrees of freedom over the normal the length.

    >>> round(small_sample(20, 20, 4, "pairs"), 3)
    1.187
    """
    shrunk = 1.0 if method == "wild" else (rows - 1) / max(rows - parameters, 1)
    spread = np.sqrt(blocks / max(blocks - 1, 1) * shrunk)
    freedom = max(min(blocks - 1, rows - parameters), 1)
    return float(spread) * student(LEVEL, freedom) / student(LEVEL, np.inf)


def folds_of(law: Law, rows: Rows, free: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """Labels and masks of the rows to hold out, one per fold."""
    runs = rows.run_codes
    if law.is_trajectory:
        count = int(runs.max()) + 1
        if count < law.schedules_needed + 1:
            return []
        names = rows.frame["run"].astype(str).to_numpy()
        return [(f"without {names[runs == code][0]}", runs == code) for code in range(count)]
    scale = scale_of(law, dict(rows.variables))
    found: dict[int, NDArray[np.bool_]] = {}
    for cut in np.quantile(scale, CUTS):
        held = scale > cut + 1e-9
        if held.any() and int((~held).sum()) >= free + 3:
            found[int((~held).sum())] = held  # two cuts can leave the same rows
    return [(f"smallest {count} rows", held) for count, held in found.items()]


def walk(
    law: Law, model: BoundLaw, rows: Rows, settings: Settings, seed: int, folds: list[tuple[str, NDArray[np.bool_]]]
) -> list[Fold]:
    """Refit without each fold's rows and record the errors there; folds that cannot be fitted are left out."""
    assert rows.values is not None
    found = []
    for label, held in folds:
        try:
            found.append(_one_fold(law, model, rows, settings, seed, label, held))
        except (InputError, np.linalg.LinAlgError):
            continue  # the remaining runs do not identify the law
    return found


def _one_fold(
    law: Law, model: BoundLaw, rows: Rows, settings: Settings, seed: int, label: str, held: NDArray[np.bool_]
) -> Fold:
    assert rows.values is not None
    fitted, beyond = _thinned(~held), _thinned(held)
    kept = rows.keep(np.isin(np.arange(len(held)), fitted))
    check_identified(law, kept, len(model.coordinates))
    part, ahead = model.take(fitted), model.take(beyond)
    values = rows.values[fitted]
    solution = solve(part, values, None, settings)
    blocks, method = resampled_as_one(solution.residuals, kept.run_codes, "auto")
    ones = np.ones(len(values))
    draws = bootstrap(
        part, solution.objective, values, ones, solution.theta, blocks, draws=FOLD_DRAWS, seed=seed, method=method
    )
    few = small_sample(int(blocks.max()) + 1, len(values), len(model.coordinates), method)
    scale = scale_of(law, dict(kept.variables))
    inside = Calibration(1.0, 0, 0, float(scale.min()), float(scale.max()))
    variables = {name: v[beyond] for name, v in rows.variables.items()}
    centre, measured = ahead.value(solution.theta[None])[0], solution.objective.target(rows.values[beyond])
    error = -solution.objective.residuals(centre, measured)
    with np.errstate(all="ignore"):
        made = ahead.value(draws)
        middle, made = (np.log(centre), np.log(made)) if solution.objective.space == "log" else (centre, made)
    return Fold(
        label, beyond, len(values), inside.distance(law, variables), error, *spreads(middle, made, few), solution.sigma
    )


def _thinned(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions where the mask holds, evenly thinned to FOLD_ROWS at most."""
    positions = np.flatnonzero(mask)
    return positions[:: max(1, -(-len(positions) // FOLD_ROWS))]


def deviation(
    factor: float, spread: FloatArray, distance: FloatArray, sigma: float, unit: float | FloatArray = 1.0
) -> FloatArray:
    """The standard deviation S of a prediction; see the head of this file. ``unit`` is the size of a residual of 1."""
    return np.asarray(np.sqrt(factor**2 * _assumed(spread, distance, unit) + sigma**2))


def _assumed(spread: FloatArray, distance: FloatArray, unit: float | FloatArray) -> FloatArray:
    """The variance B of a prediction's mean that is assumed before any back-test."""
    return np.asarray(spread**2 + (PER_RUN * unit) ** 2 + (PER_DECADE * unit * distance) ** 2)


def calibrate(law: Law, rows: Rows, folds: list[Fold], unit: float = 1.0, level: float = LEVEL) -> Calibration:
    """The factor k from the folds and the prior, widened by Student's t at ``level``."""
    scale = scale_of(law, dict(rows.variables))
    total, weight, points, count = PRIOR_FOLDS * PRIOR**2, PRIOR_FOLDS, 0, 0
    for fold in folds:
        finite = np.isfinite(fold.error) & np.isfinite(fold.spread)
        if not finite.any():
            continue
        square, trust = _estimate(fold, finite, unit)
        total, weight, points, count = total + trust * square, weight + trust, points + int(finite.sum()), count + 1
    factor = float(np.sqrt(total / weight)) * student(level, weight) / student(level, np.inf)
    return Calibration(factor, count, points, float(scale.min()), float(scale.max()))


def _estimate(fold: Fold, rows: NDArray[np.bool_], unit: float) -> tuple[float, float]:
    """The estimate k_f^2 of a fold, at most WORST^2, and its weight: the smaller, the more of it may be noise."""
    assumed, noise = _assumed(fold.spread[rows], fold.distance[rows], unit), fold.sigma**2
    weights = assumed / (PRIOR**2 * assumed + noise) ** 2
    whole = float(np.sum(weights * assumed))
    square = float(np.sum(weights * (fold.error[rows] ** 2 - noise))) / whole
    doubt = noise * float(np.sqrt(2 * np.sum(weights**2))) / whole  # standard error if all of the error were noise
    return min(max(square, 0.0), WORST**2), 1 / (1 + (doubt / PRIOR**2) ** 2)


def student(level: float, freedom: float) -> float:
    """Half the width of the central ``level`` of Student's t; of the normal distribution for infinite ``freedom``.

    >>> round(student(0.9, 9), 3), round(student(0.9, np.inf), 3)
    (1.833, 1.645)
    """
    return float(stdtrit(freedom, 0.5 + level / 2))
