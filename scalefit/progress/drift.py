"""How far a run strays from its law on the way to its end: a random walk in two clocks, scaled by back-tests.

The log residual e of a run, measured over predicted, is a level plus a Brownian motion whose variance grows

    v = DRIFT_AREA^2 d(log S1) + DRIFT_FALL^2 d(fall)

with the logarithm of the area S1 under the learning rate, and with its fall, the sum of |changes of the learning rate|
over the peak: laws err where a run goes on for long, and where the learning rate decays. White noise is added. The
residuals ahead, given those so far, follow from Gaussian regression, with the variance times k^2: the mean over
back-tested forecasts (of other runs without themselves, and of this run from its own first parts) of the squared error
over its predicted variance, with a prior of k = 1 worth PRIOR_FORECASTS forecasts.

The three constants are round numbers, chosen once on five families of public curves (docs/partial.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import MAD_TO_SIGMA, FloatArray
from scalefit.runs.trajectory import Clock
from scalefit.uncertainty.calibration import student

DRIFT_AREA = 0.005  #: relative error that a law makes while S1 grows by a factor e
DRIFT_FALL = 0.005  #: relative error that it makes while the learning rate falls from its peak to zero
LEVEL = 0.1  #: prior standard deviation of the relative offset of a run from the law of other runs
PRIOR_FORECASTS = 2.0  #: number of forecasts that the prior k = 1 is worth
WORST = 36.0  #: largest k^2 of one forecast, in units of the median one (of 1 where the median is below)
LEAST_NOISE = 3e-4  #: relative
MOST_ROWS = 60  #: most rows of a curve that a forecast uses, evenly chosen


def chosen_rows(count: int, most: int = MOST_ROWS) -> NDArray[np.intp]:
    """Positions of at most ``most`` of ``count`` rows, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def white_noise(residual: FloatArray) -> float:
    """The noise of single rows from second differences along the curve, which a smooth drift does not affect.

    >>> round(white_noise(np.random.default_rng(0).normal(0, 0.01, 4000) + np.linspace(0, 1, 4000)), 3)
    0.01
    """
    if len(residual) < 5:
        return LEAST_NOISE
    return max(float(MAD_TO_SIGMA * np.median(np.abs(np.diff(residual, 2))) / 6**0.5), LEAST_NOISE)


def walk_covariance(one: Clock, other: Clock, origin: float) -> FloatArray:
    """Covariance (n, m) of the random walk between the rows of two clocks of one run, from a log area on."""
    area = np.minimum.outer(one.area, other.area) - origin
    fall = np.minimum.outer(one.fall, other.fall)
    return np.asarray(DRIFT_AREA**2 * area + DRIFT_FALL**2 * fall)


def ahead(seen: Clock, residual: FloatArray, at: Clock, noise: float) -> tuple[FloatArray, FloatArray]:
    """Mean and unscaled variance of the residual at later rows ``at``, (m,) each."""
    rows = chosen_rows(len(residual))
    known, origin = seen.take(rows), float(seen.area[0])
    matrix = walk_covariance(known, known, origin) + LEVEL**2 + noise**2 * np.eye(len(rows))
    across = walk_covariance(known, at, origin) + LEVEL**2
    weights = np.linalg.solve(matrix, across)
    variance = np.diag(walk_covariance(at, at, origin)) + LEVEL**2 - np.einsum("nm,nm->m", across, weights)
    return weights.T @ residual[rows], np.maximum(variance, 0.0)


@dataclass(frozen=True)
class Scale:
    """k^2 and the number of forecasts that it rests on, with those of the prior."""

    square: float
    weight: float
    prior: float = PRIOR_FORECASTS

    @property
    def forecasts(self) -> int:
        """The number of back-tested forecasts."""
        return round(self.weight - self.prior)

    def half(self, variance: FloatArray, noise: FloatArray | float, level: float) -> FloatArray:
        """Half the width of the central ``level`` interval: Student's t for the number of forecasts."""
        return np.asarray(student(level, self.weight) * np.sqrt(self.square * variance + noise**2))


def squared(error: float, variance: float, noise: float) -> float:
    """The k^2 of one forecast: its squared error, less the noise, over the unscaled variance."""
    return max(error**2 - noise**2, 0.0) / max(variance, 1e-14)


def scale_from(runs: Sequence[Sequence[float]], prior: float = PRIOR_FORECASTS) -> Scale:
    """k^2 from back-tested forecasts by run; those of one run are correlated and count as one.

    A single forecast far worse than the others is limited; where all are bad, k is large. ``prior``: how many forecasts
    the prior k = 1 is worth.

    >>> scale_from([]).square, scale_from([[4.0], [2.0, 6.0]]).square
    (1.0, 2.5)
    >>> round(scale_from([[1.0]] * 8 + [[1e4]]).square, 1), round(scale_from([[100.0]] * 8).square)
    (4.2, 80)
    """
    every = [square for squares in runs for square in squares]
    most = WORST * max(1.0, float(np.median(every))) if every else WORST
    weight = prior + len(runs)
    total = sum(float(np.mean(np.minimum(squares, most))) for squares in runs)
    return Scale((prior + total) / weight, weight, prior)


def one_ahead(clock: Clock, residual: FloatArray, first: int) -> float:
    """Back-test of a run's last row from its first ones, as :func:`squared`."""
    noise = white_noise(residual[:first])
    mean, variance = ahead(clock.take(slice(0, first)), residual[:first], clock.take(slice(-1, None)), noise)
    return squared(float(residual[-1] - mean[0]), float(variance[0]), noise)
