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
    fits = _fits(x, y, trend, int(freedom))
    weight = np.exp(fits.likelihood - fits.likelihood.max())
    weight[weight < LIKELY] = 0.0
    weight /= weight.sum()
    kept = [int(i) for i in np.flatnonzero(weight)]
    taken = rng.multinomial(draws, weight)
    curves = {i: fits.curve(i, x, places, there, covariance=bool(taken[i])) for i in kept}
    mean = np.sum([weight[i] * curve.mean for i, curve in curves.items()], axis=0)
    fitted = np.sum([weight[i] * fits.fitted(i, trend) for i in kept], axis=0)
    drawn = [curves[i].draw(int(taken[i]), int(freedom), rng) for i in kept if taken[i]]
    sigma = float(np.sqrt(weight @ fits.variance))
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
class _Curve:
    """The posterior of the curve where f is of one kind."""

    mean: FloatArray  #: (m,)
    covariance: FloatArray  #: (m, m) in units of the noise's variance; empty where it was not asked for
    variance: float  #: of the noise

    def draw(self, count: int, freedom: int, rng: np.random.Generator) -> FloatArray:
        """Curves of the posterior, (count, m): the noise's variance is drawn too."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        sigma = np.sqrt(self.variance * freedom / rng.chisquare(freedom, count))
        return np.asarray(self.mean + sigma[:, None] * (rng.standard_normal((count, len(root))) @ root.T))


#: what f may be like: its standard deviation over that of the noise, the octaves over which it changes, corners or none
KINDS = ((0.0, LENGTHS[0], False), *product(RATIOS, LENGTHS, (False, True)))


def _covariance(distance: FloatArray, kind: int) -> FloatArray:
    """Of f at some distances, in units of the noise's variance."""
    ratio, length, corners = KINDS[kind]
    return ratio**2 * _correlation(distance, length, corners)


@dataclass(frozen=True, eq=False)
class _Fits:
    """Kriging with a trend for every kind of f at once, each array (kinds, ...).

    V = I + K, b = (X'V^-1 X)^-1 X'V^-1 y, s^2 = r'V^-1 r/(n - p); ``trend`` and ``misfit`` are X and r times V^-1/2.
    """

    likelihood: FloatArray  #: restricted, its logarithm
    variance: FloatArray  #: of the noise
    inside: FloatArray  #: K
    root: FloatArray  #: Cholesky's of V
    trend: FloatArray
    inverse: FloatArray
    constants: FloatArray
    misfit: FloatArray

    def curve(self, kind: int, x: FloatArray, places: FloatArray, there: FloatArray, covariance: bool) -> _Curve:
        """The curve at places, whose trend is ``there``."""
        half = np.linalg.solve(self.root[kind], _covariance(places[:, None] - x, kind).T)  # (n, m)
        mean = there @ self.constants[kind] + half.T @ self.misfit[kind]
        if not covariance:
            return _Curve(mean, np.empty((0, 0)), float(self.variance[kind]))
        gap = there - half.T @ self.trend[kind]
        own = _covariance(places[:, None] - places, kind)
        return _Curve(mean, own - half.T @ half + gap @ self.inverse[kind] @ gap.T, float(self.variance[kind]))

    def fitted(self, kind: int, trend: FloatArray) -> FloatArray:
        """The curve at the points, with their seeds' offsets."""
        pulled = self.inside[kind] @ np.linalg.solve(self.root[kind].T, self.misfit[kind])
        return np.asarray(trend @ self.constants[kind] + pulled)


def _fits(x: FloatArray, y: FloatArray, trend: FloatArray, freedom: int) -> _Fits:
    n, p = trend.shape
    inside = np.stack([_covariance(x[:, None] - x, kind) for kind in range(len(KINDS))])
    root = np.asarray(np.linalg.cholesky(np.eye(n) + inside), dtype=float)
    both = np.linalg.solve(root, np.broadcast_to(np.column_stack([trend, y]), (len(KINDS), n, p + 1)))
    X, Y = both[..., :p], both[..., p]
    gram = X.swapaxes(1, 2) @ X
    inverse = np.linalg.pinv(gram, hermitian=True)
    constants = np.einsum("kij,klj,kl->ki", inverse, X, Y)
    misfit = Y - np.einsum("kni,ki->kn", X, constants)
    variance = np.maximum((misfit**2).sum(axis=1) / freedom, 1e-16 * float(np.mean(y**2)) + 1e-300)
    size = np.linalg.slogdet(gram + 1e-12 * np.eye(p))[1]
    spread = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    likelihood = -spread - 0.5 * size - 0.5 * freedom * np.log(variance)
    return _Fits(likelihood, variance, inside, root, X, inverse, constants, misfit)


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
