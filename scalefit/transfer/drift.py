"""The line through the optima of several sizes, with or without what theory expects of its slope.

    log2 lr*(size) = a + drift log2(size)

by least squares, each optimum weighted by its interval and by how far optima stray from any line. Where theory gives
the drift (over width, in a known parametrisation), it counts as one more measurement of the drift, unless the measured
optima contradict it.
"""

from __future__ import annotations

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.transfer.optimum import LEVEL
from scalefit.transfer.verdict import Interval

#: (arm, size): the drift in octaves per doubling that theory expects for Adam, and how far measured drifts stray
EXPECTED = {
    ("sp", "d_model"): (-1.0, 0.4),
    ("mup", "d_model"): (0.0, 0.2),
    ("depth-mup", "d_model"): (0.0, 0.2),
    ("completep", "d_model"): (0.0, 0.2),
}
LEAST_ERROR = 0.02  #: octaves: smallest standard error of an optimum
STRAY, STRAY_WORTH = 0.15, 3.0  #: prior of the octaves by which optima stray from a line, and its weight in optima
TAUS = np.geomspace(0.02, 1.5, 40)  #: octaves: the values of that stray which are weighed
NO_OPTIMA = np.empty((0, 3))
BEYOND = 10  #: doublings beyond the largest size over which theory must stay within the measured line's interval
APART = 2.0  #: joint standard deviations between measured and expected drift above which theory is left out


def drift_line(x: FloatArray, y: FloatArray, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Height and slope (octaves per doubling) of the line through each column of ``y``, (1 + draws,) each.

    ``x``: (n,) octaves of the sizes, ``y``: (n, 1 + draws) log2 of the optima, the first column the fit. Besides the
    error of its own draws, each optimum strays from any line by tau, whose posterior combines a scaled inverse
    chi-squared prior (0.15 octaves, worth three measurements) with the restricted likelihood of the optima; each draw
    has its own tau. The slope of a single optimum is NaN.

    >>> x, rng = np.array([0.0, 1.0, 2.0]), np.random.default_rng(0)
    >>> height, slope = drift_line(x, np.array([[-6.0], [-7.0], [-8.0]]) + 0.01 * rng.standard_normal((3, 400)))
    >>> round(float(slope[0]), 1), bool(0.03 < slope[1:].std() < 0.3)
    (-1.0, True)
    """
    if len(x) < 2:
        return y[0], np.full(y.shape[1], np.nan)
    rng = np.random.default_rng([seed, 2])
    variance = np.maximum(y[:, 1:].var(axis=1), LEAST_ERROR**2)
    weight = _stray_weights(x, y[:, 0], variance)
    usual = float(np.sqrt(weight @ TAUS**2))
    taken = rng.choice(len(TAUS), y.shape[1] - 1, p=weight)
    solved = np.empty((2, y.shape[1]))
    solved[:, 0] = _weighted(x, y[:, :1], variance + usual**2)[:, 0]
    for i in np.unique(taken):
        drawn = np.flatnonzero(taken == i)
        strayed = y[:, 1 + drawn] + TAUS[i] * rng.standard_normal((len(x), len(drawn)))
        solved[:, 1 + drawn] = _weighted(x, strayed, variance + TAUS[i] ** 2)
    return solved[0], solved[1]


def _stray_weights(x: FloatArray, y: FloatArray, variance: FloatArray) -> FloatArray:
    """Posterior probability of each of ``TAUS``."""
    columns = np.stack([np.ones_like(x), x], axis=1)
    each = 1 / (variance + TAUS[:, None] ** 2)  # (taus, n)
    precision = columns.T @ (each[:, :, None] * columns)
    line = np.linalg.solve(precision, ((each * y) @ columns)[:, :, None])[:, :, 0]
    left = y - line @ columns.T
    likelihood = 0.5 * (np.log(each) - each * left**2).sum(axis=1) - 0.5 * np.linalg.slogdet(precision)[1]
    log = likelihood - STRAY_WORTH * (np.log(TAUS) + 0.5 * (STRAY / TAUS) ** 2)  # on a grid even in log tau
    weight = np.exp(log - log.max())
    return np.asarray(weight / weight.sum())


def _weighted(x: FloatArray, y: FloatArray, variance: FloatArray) -> FloatArray:
    """Height and slope of each column of ``y``, (2, columns), by weighted least squares."""
    root = 1 / np.sqrt(variance)
    return np.asarray(np.linalg.lstsq(np.stack([root, root * x], axis=1), y * root[:, None], rcond=None)[0])


def with_theory(
    height: FloatArray,
    slope: FloatArray,
    expected: tuple[float, float] | None,
    seed: int,
    optima: FloatArray = NO_OPTIMA,
) -> tuple[FloatArray, FloatArray, str]:
    """The line with theory's slope as one more measurement, and why theory was left out, or "".

    Measured and expected slope are weighted by inverse variance; the height follows by its covariance with the slope.
    Theory only narrows what was measured: it is left out where it would move the drift, or the line at one of the
    ``optima`` (n, 3: octaves of the size, ends of the interval) or beyond them, out of what the measurement allows.
    """
    if expected is None:
        return height, slope, ""
    mean, spread = expected
    if len(height) < 2 or np.isnan(slope[0]):  # one optimum: the slope is theory's alone
        return height, mean + spread * _normal(len(height), seed), ""
    covariance = np.cov(slope[1:], height[1:])
    variance = float(covariance[0, 0])
    away = abs(float(slope[0]) - mean)
    apart = away > APART * np.hypot(spread, np.sqrt(variance))
    share = variance / (variance + spread**2)  # of theory
    moved = (1 - share) * slope + share * (mean + spread * _normal(len(slope), seed))
    raised = height + float(covariance[0, 1]) / max(variance, 1e-300) * (moved - slope)
    said = f"the measured drift, {slope[0]:+.2f} octaves per doubling,"
    if apart:
        return height, slope, f"{said} contradicts theory's {mean:+g} ± {spread:g}: the law follows the measured one"
    if _pushed_out(height, slope, raised[0], moved[0], optima):
        why = f"does not go with theory's {mean:+g} ± {spread:g}, which would move the law out of what was measured"
        return height, slope, f"{said} {why}: the law follows the measured one"
    return raised, moved, ""


def _pushed_out(height: FloatArray, slope: FloatArray, raised: float, moved: float, optima: FloatArray) -> bool:
    """Whether a line leaves the interval of the measured ones in its slope, at a size or up to ten doublings beyond, or
    leaves the interval of an optimum in which the measured line lies."""
    x = optima[:, 0]
    far = np.concatenate([x, x.max() + np.arange(1, BEYOND + 1)]) if len(x) else x
    pairs = [(moved, interval_of(slope)), *((raised + moved * at, interval_of(height + slope * at)) for at in far)]
    for at, low, high in optima:
        if low <= height[0] + slope[0] * at <= high:
            pairs.append((raised + moved * at, Interval(np.nan, low, high)))
    return any(not each.low <= line <= each.high for line, each in pairs)


def _normal(count: int, seed: int) -> FloatArray:
    """A 0, which stands for the fit itself, and then standard normal draws."""
    return np.concatenate([[0.0], np.random.default_rng([seed, 1]).standard_normal(count - 1)])


def interval_of(draws: FloatArray, scale: np.ufunc | None = None) -> Interval:
    """The first of the draws as the value, and the interval of the others."""
    low, high = np.quantile(draws[1:] if len(draws) > 1 else draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ends = np.array([draws[0], min(low, draws[0]), max(high, draws[0])])
    return Interval(*(float(end) for end in (ends if scale is None else scale(ends))))
