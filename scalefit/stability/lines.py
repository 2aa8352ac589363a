"""Polynomials in log size, one per learning rate, with the prediction interval of a new run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from scalefit.numerics import FloatArray

NEAR = 4.01  #: factor up to which learning rates share their scatter
SAME = 1.01  #: factor up to which a learning rate of the sweep counts as the one asked for
GAP = 16.0  #: factor between two learning rates above which nothing is interpolated between them
MISFIT = 0.05  #: p-value of an F-test below which the means of the sizes scatter more than seeds explain


@dataclass(frozen=True, eq=False)
class Line:
    """A polynomial of log(size), fitted by least squares."""

    constants: FloatArray  #: (p,) rising in power of log(size) - centre
    covariance: FloatArray  #: (p, p), in units of the noise's variance
    centre: float
    noise: float  #: standard deviation of one run; NaN without degrees of freedom, or with too few sizes for the degree
    freedom: int  #: degrees of freedom of the noise
    smallest: float  #: size fitted
    largest: float
    sizes: int  #: distinct sizes fitted
    lowered: bool = False  #: whether the degree was lowered because there are too few sizes
    between: bool = False  #: whether values were interpolated between learning rates

    def at(self, size: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value, and standard deviation of a new run around it, at sizes (n,)."""
        x = np.log(size) - self.centre
        columns = x[:, None] ** np.arange(len(self.constants))
        spread = np.einsum("ni,ij,nj->n", columns, self.covariance, columns)
        return columns @ self.constants, self.noise * np.sqrt(1 + spread)

    def quantile(self, share: float) -> float:
        """Student's quantile for this fit's degrees of freedom."""
        return float(stdtrit(self.freedom, share)) if self.freedom else float("nan")

    def band(self, size: FloatArray, level: float) -> FloatArray:
        """Value and the ends of the prediction interval of a new run at sizes (n,): (3, n)."""
        mean, error = self.at(size)
        reach = self.quantile((1 + level) / 2) * error
        return np.stack([mean, mean - reach, mean + reach])

    def chance(self, size: FloatArray, limit: float, sign: float = 1.0) -> FloatArray:
        """Probability that a new run lies beyond a limit: above it for sign 1, below it for -1."""
        mean, error = self.at(size)
        if not self.freedom:
            return np.full(len(mean), np.nan)
        gap = sign * (mean - limit)
        return np.asarray(stdtr(self.freedom, gap / np.maximum(error, 1e-12)))


class Scatter(NamedTuple):
    """Sums of squares and degrees of freedom: of seeds around the mean of a size, of these means around a line."""

    seeds: float
    seeds_freedom: int
    means: float  #: each weighted by its number of runs
    means_freedom: int


@dataclass(frozen=True, eq=False)
class Lines:
    """Values of a probe over sizes and learning rates, (n,) each; those that are not finite are left out."""

    size: FloatArray
    lr: FloatArray
    value: FloatArray
    degree: int

    def at(self, rate: float) -> Line | None:
        """The polynomial at a learning rate, or None where fewer than two sizes have values there.

        For a size without a run at this rate, the value is interpolated over log lr between its two nearest rates. With
        too few sizes the degree is lowered, and there is no interval. The noise is pooled over learning rates within a
        factor of four, because scatter grows with the rate; where the means of the sizes scatter more than seeds
        explain (an F-test), it is the noise of the means.
        """
        found = self._fitted(rate)
        if found is None or found[0].lowered:
            return found[0] if found else None
        rates = np.unique(self.lr[np.isfinite(self.value)])
        near = [each for each in rates if 1 / NEAR <= each / rate <= NEAR]
        scatter = [fitted[1] for each in near if (fitted := self._fitted(each)) and not fitted[0].lowered]
        noise, freedom = _noise(scatter)
        return replace(found[0], noise=noise, freedom=freedom)

    def mean(self, rate: float, size: float) -> float:
        """The value at a learning rate and size; NaN where fewer than two sizes have values at the rate."""
        found = self._fitted(rate)
        return float(found[0].at(np.array([size]))[0][0]) if found else float("nan")

    def _fitted(self, rate: float) -> tuple[Line, Scatter] | None:
        size, value, between = self._values(rate)
        distinct, place = np.unique(size, return_inverse=True)
        if len(distinct) < 2:
            return None
        degree = min(self.degree, len(distinct) - 1)
        centre = float(np.log(size).mean())
        columns = (np.log(size) - centre)[:, None] ** np.arange(degree + 1)
        constants = np.asarray(np.linalg.lstsq(columns, value, rcond=None)[0], dtype=float)
        inverse = np.asarray(np.linalg.pinv(columns.T @ columns), dtype=float)
        means = (np.bincount(place, value) / np.bincount(place))[place]
        seeds, off = float(np.sum((value - means) ** 2)), float(np.sum((means - columns @ constants) ** 2))
        scatter = Scatter(seeds, len(size) - len(distinct), off, len(distinct) - degree - 1)
        line = Line(
            constants, inverse, centre, float("nan"), 0, float(distinct[0]),
            float(distinct[-1]), len(distinct), degree < self.degree, between,
        )  # fmt: skip
        return line, scatter

    def _values(self, rate: float) -> tuple[FloatArray, FloatArray, bool]:
        """Sizes and values at a rate, and whether any is interpolated."""
        kept = np.isfinite(self.size) & np.isfinite(self.value)
        sizes: list[float] = []
        values: list[float] = []
        between = False
        for each in np.unique(self.size[kept]):
            rows = kept & (self.size == each)
            here = rows & (self.lr / rate <= SAME) & (rate / self.lr <= SAME)
            found = self.value[here].tolist() if here.any() else self._interpolated(rows, rate)
            between |= bool(found) and not here.any()
            values += found
            sizes += [float(each)] * len(found)
        return np.array(sizes), np.array(values), between

    def _interpolated(self, rows: np.ndarray, rate: float) -> list[float]:
        """The value of one size, interpolated between the two nearest rates; empty where one is missing or far."""
        rates = np.unique(self.lr[rows])
        above = int(np.searchsorted(rates, rate))
        if above in (0, len(rates)) or rates[above] / rates[above - 1] > GAP:
            return []
        low, high = float(rates[above - 1]), float(rates[above])
        share = float(np.log(rate / low) / np.log(high / low))
        before, after = (float(self.value[rows & (self.lr == each)].mean()) for each in (low, high))
        return [(1 - share) * before + share * after]


def _noise(scatter: list[Scatter]) -> tuple[float, int]:
    """Standard deviation of one run and its degrees of freedom, from the scatter at several learning rates."""
    seeds, means = sum(each.seeds for each in scatter), sum(each.means for each in scatter)
    f_seeds, f_means = sum(each.seeds_freedom for each in scatter), sum(each.means_freedom for each in scatter)
    if not f_seeds + f_means:
        return float("nan"), 0
    uneven = f_means and f_seeds and fdtrc(f_means, f_seeds, (means / f_means) / max(seeds / f_seeds, 1e-300)) < MISFIT
    if uneven:
        return float(np.sqrt(means / f_means)), int(f_means)
    return float(np.sqrt((seeds + means) / (f_seeds + f_means))), int(f_seeds + f_means)
