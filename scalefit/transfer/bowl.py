"""A smooth curve through the losses of one sweep, and where its minimum may lie.

    y_ij = a_j + b x_i + c x_i^2 + f(x_i) + e_ij        x: log2 of the learning rate, y: log loss, j: seed

f is a Gaussian process, so that the curve may be lopsided (Matern 5/2) and turn a corner (Matern 3/2); a_j removes what
a seed adds to all its runs. Smoothness, scale and length of f are averaged over a grid, weighted by the restricted
likelihood, in which the trend and the noise are integrated out; draws are of the posterior. Source: universal kriging;
restricted likelihood as in Rasmussen and Williams, Gaussian Processes for Machine Learning, 2.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

import numpy as np

from scalefit.numerics import FloatArray, offsets, symmetric_root

LENGTHS = (0.8, 1.5, 3.0, 6.0)  #: octaves over which f changes
RATIOS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  #: standard deviation of f over that of the noise
FINE = 0.125  #: most octaves between the places at which the curve is evaluated
MOST_PLACES = 121
LIKELY = 1e-3  #: share of the largest likelihood below which a kind of f is left out


@dataclass(frozen=True, eq=False)
class Bowl:
    """The posterior of a curve."""

    places: FloatArray  #: (m,) x at which the curve is evaluated
    mean: FloatArray  #: (m,) of y without the seeds' offsets
    fitted: FloatArray  #: (n,) the curve with its seed's offset at the points
    sigma: float  #: of one run
    freedom: int  #: degrees of freedom of sigma; 0 where none is left
    draws: FloatArray  #: (draws, m)

    @property
    def lowest(self) -> float:
        """Where the mean is smallest."""
        return float(minima(self.places, self.mean[None])[0])


def fit_bowl(
    x: FloatArray, y: FloatArray, seed: FloatArray, ends: tuple[float, float], draws: int, rng: np.random.Generator
) -> Bowl:
    """The curve through points ``x``, ``y``, ``seed`` (n,), evaluated between ``ends``; at least three distinct x.

    >>> x = np.arange(-3.0, 4.0)
    >>> found = fit_bowl(x, 1 + 0.05 * (x - 0.3) ** 2, np.zeros(7), (-3, 3), 10, np.random.default_rng(0))
    >>> round(found.lowest, 2), found.freedom
    (0.3, 4)
    """
    count = int(np.clip(np.ceil((ends[1] - ends[0]) / FINE) + 1, 3, MOST_PLACES))
    places = np.linspace(*ends, count)
    trend, there, freedom = _trends(x, seed, places)
    if freedom <= 0:
        constants = np.linalg.lstsq(trend, y, rcond=None)[0]
        mean = there @ constants
        return Bowl(places, mean, trend @ constants, float("nan"), 0, np.repeat(mean[None], draws, axis=0))
    fits = _fits(x, y, trend, freedom)
    weight, kept = fits.weight, fits.kept
    taken = rng.multinomial(draws, weight)
    curves = dict(zip(kept, fits.curves(x, places, there), strict=True))
    mean = np.sum([weight[i] * curves[i][0] for i in kept], axis=0)
    drawn = [_drawn(*curves[i], fits.variance[i], int(taken[i]), freedom, rng) for i in kept if taken[i]]
    return Bowl(places, mean, fits.fitted(trend), fits.sigma, freedom, rng.permutation(np.concatenate(drawn)))


@dataclass(frozen=True)
class Known:
    """What runs say of one more run of the sweep, its seed's offset aside."""

    value: float  #: of the curve there
    error: float  #: standard deviation of the run around it: of the curve, and of the noise
    freedom: int


def known_at(x: FloatArray, y: FloatArray, seed: FloatArray, place: float) -> Known:
    """The posterior at one place, without draws: its mean and variance are known exactly.

    With s^2 of each kind of f times Student's n/(n - 2), the variance is that of the mixture of the kinds.

    >>> x = np.arange(-3.0, 4.0)
    >>> found = known_at(x, 1 + 0.05 * (x - 0.3) ** 2, np.zeros(7), 0.3)
    >>> round(found.value, 3), found.freedom
    (1.0, 4)
    """
    at = np.array([place])
    trend, there, freedom = _trends(x, seed, at)
    if freedom <= 2:
        return Known(float("nan"), float("inf"), max(freedom, 0))
    fits = _fits(x, y, trend, freedom)
    curves = fits.curves(x, at, there)
    mean, variance = np.array([one[0] for one, _ in curves]), np.array([own[0, 0] for _, own in curves])
    weight = fits.weight[fits.kept]
    value, wider = float(weight @ mean), freedom / (freedom - 2)
    curve = float(weight @ (wider * variance * fits.variance[fits.kept] + (mean - value) ** 2))
    return Known(value, float(np.hypot(np.sqrt(max(curve, 0.0)), fits.sigma)), freedom)


def fitted_to(x: FloatArray, y: FloatArray, seed: FloatArray) -> FloatArray:
    """(n,) the curve with its seed's offset at the points that it is fitted to."""
    trend, _, freedom = _trends(x, seed, x)
    if freedom <= 0:
        return np.asarray(trend @ np.linalg.lstsq(trend, y, rcond=None)[0])
    return _fits(x, y, trend, freedom).fitted(trend)


def _trends(x: FloatArray, seed: FloatArray, places: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """The columns of the trend at the points and at other places, and the degrees of freedom that it leaves."""
    centre, by_seed = float(x.mean()), offsets(seed)
    trend = np.column_stack([np.vander(x - centre, 3, increasing=True), by_seed])
    none = np.zeros((len(places), by_seed.shape[1]))
    there = np.column_stack([np.vander(places - centre, 3, increasing=True), none])
    return trend, there, len(x) - int(np.linalg.matrix_rank(trend))


def minima(places: FloatArray, curves: FloatArray) -> FloatArray:
    """Where each curve (k, m) is smallest, by a parabola through its smallest value and its two neighbours.

    A curve that is smallest at an end of ``places`` (m,) has its minimum there.
    """
    low = np.argmin(curves, axis=1)
    inner = np.clip(low, 1, len(places) - 2)
    rows = np.arange(len(curves))
    left, here, right = (curves[rows, inner + shift] for shift in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    step = places[1] - places[0]
    return np.asarray(np.where(low == inner, places[inner] + np.clip(shift, -1, 1) * step, places[low]))


def _drawn(
    mean: FloatArray, covariance: FloatArray, variance: float, count: int, freedom: int, rng: np.random.Generator
) -> FloatArray:
    """Curves of the posterior, (count, m): the noise's variance is drawn too."""
    sigma = np.sqrt(variance * freedom / rng.chisquare(freedom, count))
    return np.asarray(mean + sigma[:, None] * (rng.standard_normal((count, len(mean))) @ symmetric_root(covariance)))


#: the kinds of f: its standard deviation over that of the noise, the octaves over which it changes, corners or none
KINDS = ((0.0, LENGTHS[0], False), *product(RATIOS, LENGTHS, (False, True)))


def _covariances(distance: FloatArray, kinds: Sequence[int]) -> list[FloatArray]:
    """Covariances of f at some distances, in units of the noise's variance: Matern 5/2, or 3/2 where corners may be."""

    @cache
    def shape(length: float, corners: bool) -> FloatArray:
        r = np.sqrt(3.0 if corners else 5.0) * np.abs(distance) / length
        return np.asarray((1 + r + (0.0 if corners else r**2 / 3)) * np.exp(-r))

    return [np.asarray(ratio**2 * shape(*rest)) for ratio, *rest in (KINDS[kind] for kind in kinds)]


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

    def curves(self, x: FloatArray, places: FloatArray, there: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Of each likely kind the mean (m,) and covariance (m, m), in units of the noise's variance, at places with
        the trend ``there``."""
        between, among = (_covariances(places[:, None] - other, self.kept) for other in (x, places))
        found = []
        for kind, across, own in zip(self.kept, between, among, strict=True):
            half = np.linalg.solve(self.root[kind], across.T)  # (n, m)
            gap = there - half.T @ self.trend[kind]
            mean = there @ self.constants[kind] + half.T @ self.misfit[kind]
            found.append((mean, own - half.T @ half + gap @ self.inverse[kind] @ gap.T))
        return found

    @cached_property
    def weight(self) -> FloatArray:
        """Of each kind, by its likelihood."""
        weight = np.exp(self.likelihood - self.likelihood.max())
        weight[weight < LIKELY] = 0.0
        return np.asarray(weight / weight.sum())

    @cached_property
    def kept(self) -> list[int]:
        """The kinds that are likely enough."""
        return [int(i) for i in np.flatnonzero(self.weight)]

    @property
    def sigma(self) -> float:
        """Of one run."""
        return float(np.sqrt(self.weight @ self.variance))

    def fitted(self, trend: FloatArray) -> FloatArray:
        """The curve at the points, with their seeds' offsets."""
        pulled = {i: self.inside[i] @ np.linalg.solve(self.root[i].T, self.misfit[i]) for i in self.kept}
        each = [self.weight[i] * (trend @ self.constants[i] + pulled[i]) for i in self.kept]
        return np.asarray(np.sum(each, axis=0))


def _fits(x: FloatArray, y: FloatArray, trend: FloatArray, freedom: int) -> _Fits:
    n, p = trend.shape
    inside = np.stack(_covariances(x[:, None] - x, range(len(KINDS))))
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
