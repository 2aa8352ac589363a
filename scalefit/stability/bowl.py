"""A smooth curve through the losses of one sweep, and where its minimum may lie.

    y_ij = a_j + b x_i + c x_i^2 + f(x_i) + e_ij        x: log2 of the learning rate, y: log loss, j: seed

f is a Gaussian process, so that a bowl may be lopsided (Matern 5/2) and turn a corner (Matern 3/2); a_j takes out what
a seed adds to all its runs. Smoothness, scale and length of f have no one value: each of a grid counts by its
restricted likelihood, in which the trend and the noise are integrated out; draws are of the posterior. Source:
universal kriging; restricted likelihood as in Rasmussen and Williams, Gaussian Processes for Machine Learning, 2.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from scalefit.numerics import FloatArray

LENGTHS = (0.8, 1.5, 3.0, 6.0)  #: octaves over which f changes
RATIOS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  #: standard deviation of f over that of the noise
FINE = 0.125  #: octaves between the places at which the curve is followed, at most
MOST_PLACES = 121
LIKELY = 1e-3  #: share of the likelihood below which a scale and length are left out


@dataclass(frozen=True, eq=False)
class Bowl:
    """The posterior of a curve."""

    places: FloatArray  #: (m,) x at which the curve is followed
    mean: FloatArray  #: (m,) of y without the seeds' offsets
    fitted: FloatArray  #: (n,) the curve with its seed's offset at the points
    sigma: float  #: of one run
    freedom: int  #: of sigma; 0 where nothing is left to judge by
    draws: FloatArray  #: (draws, m)

    @property
    def lowest(self) -> float:
        """Where the mean is least."""
        return float(minima(self.places, self.mean[None])[0])


def fit_bowl(
    x: FloatArray, y: FloatArray, seed: FloatArray, ends: tuple[float, float], draws: int, rng: np.random.Generator
) -> Bowl:
    """The curve through points ``x``, ``y``, ``seed`` (n,), followed between ``ends``; at least three distinct x.

    >>> x = np.arange(-3.0, 4.0)
    >>> found = fit_bowl(x, 1 + 0.05 * (x - 0.3) ** 2, np.zeros(7), (-3, 3), 10, np.random.default_rng(0))
    >>> round(found.lowest, 2), found.freedom
    (0.3, 4)
    """
    count = int(np.clip(np.ceil((ends[1] - ends[0]) / FINE) + 1, 3, MOST_PLACES))
    places = np.linspace(*ends, count)
    centre, by_seed = float(x.mean()), offsets(seed)
    trend = np.column_stack([np.ones_like(x), x - centre, (x - centre) ** 2, by_seed])
    there = np.column_stack(
        [np.ones(count), places - centre, (places - centre) ** 2, np.zeros((count, by_seed.shape[1]))]
    )
    freedom = len(x) - np.linalg.matrix_rank(trend)
    if freedom <= 0:
        constants = np.linalg.lstsq(trend, y, rcond=None)[0]
        mean = there @ constants
        return Bowl(places, mean, trend @ constants, float("nan"), 0, np.repeat(mean[None], draws, axis=0))
    models = [_model(x, y, trend, places, there, kind) for kind in KINDS]
    weight = np.exp(np.array([each.likelihood for each in models]) - max(each.likelihood for each in models))
    weight[weight < LIKELY] = 0.0
    weight /= weight.sum()
    mean = np.sum([w * each.mean for w, each in zip(weight, models, strict=True) if w], axis=0)
    fitted = np.sum([w * each.fitted for w, each in zip(weight, models, strict=True) if w], axis=0)
    sigma = float(np.sqrt(sum(w * each.variance for w, each in zip(weight, models, strict=True) if w)))
    taken = rng.multinomial(draws, weight)
    drawn = [each.draw(int(n), freedom, rng) for n, each in zip(taken, models, strict=True) if n]
    return Bowl(places, mean, fitted, sigma, int(freedom), rng.permutation(np.concatenate(drawn)))


def minima(places: FloatArray, curves: FloatArray) -> FloatArray:
    """Where each curve (k, m) is least, by a parabola through its least value and the two beside; ends stay ends."""
    low = np.argmin(curves, axis=1)
    inner = np.clip(low, 1, len(places) - 2)
    rows = np.arange(len(curves))
    left, here, right = (curves[rows, inner + shift] for shift in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    step = places[1] - places[0]
    return np.asarray(np.where(low == inner, places[inner] + np.clip(shift, -1, 1) * step, places[low]))


@dataclass(frozen=True, eq=False)
class _Model:
    """The posterior at one scale and length of f."""

    likelihood: float  #: logarithm
    variance: float  #: of the noise
    mean: FloatArray
    fitted: FloatArray
    covariance: FloatArray  #: of the curve, in units of the noise's variance

    def draw(self, count: int, freedom: int, rng: np.random.Generator) -> FloatArray:
        """Curves of the posterior, (count, m): the noise's variance is drawn too."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        sigma = np.sqrt(self.variance * freedom / rng.chisquare(freedom, count))
        return np.asarray(self.mean + sigma[:, None] * (rng.standard_normal((count, len(root))) @ root.T))


class _Kind(NamedTuple):
    """What f is like."""

    ratio: float  #: its standard deviation over that of the noise
    length: float  #: octaves
    corners: bool

    def covariance(self, distance: FloatArray) -> FloatArray:
        """In units of the noise's variance."""
        return self.ratio**2 * _correlation(distance, self.length, self.corners)


KINDS = (
    _Kind(0.0, LENGTHS[0], False),
    *(_Kind(*each) for each in product(RATIOS, LENGTHS, (False, True))),
)


def _model(
    x: FloatArray, y: FloatArray, trend: FloatArray, places: FloatArray, there: FloatArray, kind: _Kind
) -> _Model:
    """Kriging with a trend: V = I + K, b = (X'V^-1 X)^-1 X'V^-1 y, s^2 = r'V^-1 r/(n - p)."""
    n, p = trend.shape
    inside = kind.covariance(x[:, None] - x)
    root = np.linalg.cholesky(np.eye(n) + inside)
    X, Y = np.linalg.solve(root, trend), np.linalg.solve(root, y)
    inverse = np.linalg.pinv(X.T @ X)
    constants = inverse @ X.T @ Y
    rank = np.linalg.matrix_rank(X)
    misfit = Y - X @ constants
    variance = max(float(misfit @ misfit) / (n - rank), 1e-16 * float(np.mean(y**2)) + 1e-300)
    _, size = np.linalg.slogdet(X.T @ X + 1e-12 * np.eye(p))
    likelihood = -np.log(np.diag(root)).sum() - 0.5 * size - 0.5 * (n - rank) * np.log(variance)
    across = kind.covariance(places[:, None] - x)
    half = np.linalg.solve(root, across.T)  # (n, m)
    mean = there @ constants + half.T @ misfit
    gap = there - half.T @ X
    covariance = kind.covariance(places[:, None] - places) - half.T @ half + gap @ inverse @ gap.T
    fitted = trend @ constants + inside @ np.linalg.solve(root.T, misfit)
    return _Model(float(likelihood), variance, mean, fitted, covariance)


def _correlation(distance: FloatArray, length: float, corners: bool) -> FloatArray:
    """At a distance: Matern 5/2, or 3/2 for curves that have a slope everywhere but no curvature."""
    r = np.sqrt(3.0 if corners else 5.0) * np.abs(distance) / length
    return np.asarray((1 + r + (0.0 if corners else r**2 / 3)) * np.exp(-r))


def offsets(seed: FloatArray) -> FloatArray:
    """A column for each seed but one, +1 and -1: offsets that sum to zero over the seeds. (n, seeds - 1)."""
    names, place = np.unique(seed, return_inverse=True)
    counts = np.bincount(place)
    if len(names) < 2 or counts.min() < 2:  # a seed with one run: its offset would hide the run
        return np.zeros((len(seed), 0))
    columns = np.eye(len(names))[place][:, 1:]
    columns[place == 0] = -1.0
    return columns
