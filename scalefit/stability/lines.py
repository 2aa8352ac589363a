"""Polynomials in log size, one a learning rate, with the interval of a new observation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from scalefit.numerics import FloatArray

NEAR = 4.01  #: factor between learning rates whose scatter is pooled
SAME = 1.01  #: factor up to which a learning rate of the sweep is the one asked for
GAP = 16.0  #: factor between two learning rates of one size beyond which nothing is interpolated between them
MISFIT = 0.05  #: chance of so uneven means, if only seeds scattered, below which the means are taken for uneven


@dataclass(frozen=True, eq=False)
class Line:
    """A polynomial of log(size), fitted by least squares."""

    constants: FloatArray  #: (p,) rising in power of log(size) - centre
    covariance: FloatArray  #: (p, p), in units of the noise's variance
    centre: float
    noise: float  #: standard deviation of one run; NaN where no freedom is left, or too few sizes for the degree
    freedom: int  #: of the noise
    smallest: float  #: size fitted
    largest: float
    sizes: int  #: distinct sizes fitted
    lowered: bool = False  #: whether the sizes were too few for the degree that was asked for
    between: bool = False  #: whether values were interpolated between learning rates

    def at(self, size: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and standard error of a new observation at sizes (n,)."""
        x = np.log(size) - self.centre
        columns = x[:, None] ** np.arange(len(self.constants))
        spread = np.einsum("ni,ij,nj->n", columns, self.covariance, columns)
        return columns @ self.constants, self.noise * np.sqrt(1 + spread)

    def quantile(self, share: float) -> float:
        """Student's quantile for this fit's freedom."""
        return float(stdtrit(self.freedom, share)) if self.freedom else float("nan")

    def chance(self, size: FloatArray, limit: float, sign: float = 1.0) -> FloatArray:
        """Probability that a new observation lies beyond a limit: above it for sign 1, below it for -1."""
        mean, error = self.at(size)
        if not self.freedom:
            return np.full(len(mean), np.nan)
        gap = sign * (mean - limit)
        return np.asarray(stdtr(self.freedom, gap / np.maximum(error, 1e-12)))


class Scatter(NamedTuple):
    """Sums of squares and their degrees of freedom: round the means of each size, and of these means round a line."""

    seeds: float
    seeds_freedom: int
    means: float  #: each counted by its runs
    means_freedom: int


@dataclass(frozen=True, eq=False)
class Lines:
    """Values of a probe over sizes and learning rates, (n,) each; those that are not finite are left out."""

    size: FloatArray
    lr: FloatArray
    value: FloatArray
    degree: int

    def at(self, rate: float) -> Line | None:
        """The polynomial at a learning rate, or None where fewer than two sizes tell of it.

        A size that has no run at the rate has its value interpolated over log lr between the two rates beside it. The
        degree is lowered where the sizes do not suffice, and then no interval is claimed. The noise is that of all
        learning rates within a factor of four, as scatter grows with the rate; where the means of the sizes lie less
        evenly than seeds scatter (an F-test), it is that of the means.
        """
        found = self._fitted(rate)
        if found is None:
            return None
        line, _ = found
        if line.lowered:
            return line
        rates = np.unique(self.lr[np.isfinite(self.value)])
        near = [each for each in rates if 1 / NEAR <= each / rate <= NEAR]
        scatter = [fitted[1] for each in near if (fitted := self._fitted(each)) and not fitted[0].lowered]
        noise, freedom = _noise(scatter)
        return replace(line, noise=noise, freedom=freedom)

    def mean(self, rate: float, size: float) -> float:
        """The value at a learning rate and size; NaN where fewer than two sizes tell of the rate."""
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
        """The value of one size between the learning rates beside a rate; nothing where one is missing or far."""
        rates = np.unique(self.lr[rows])
        above = int(np.searchsorted(rates, rate))
        if above in (0, len(rates)) or rates[above] / rates[above - 1] > GAP:
            return []
        low, high = float(rates[above - 1]), float(rates[above])
        share = float(np.log(rate / low) / np.log(high / low))
        ends = [float(self.value[rows & (self.lr == each)].mean()) for each in (low, high)]
        return [(1 - share) * ends[0] + share * ends[1]]


def _noise(scatter: list[Scatter]) -> tuple[float, int]:
    """Noise of one run and its degrees of freedom, from the scatter at several learning rates."""
    seeds, means = sum(each.seeds for each in scatter), sum(each.means for each in scatter)
    f_seeds, f_means = sum(each.seeds_freedom for each in scatter), sum(each.means_freedom for each in scatter)
    if not f_seeds + f_means:
        return float("nan"), 0
    uneven = f_means and f_seeds and fdtrc(f_means, f_seeds, (means / f_means) / max(seeds / f_seeds, 1e-300)) < MISFIT
    if uneven:
        return float(np.sqrt(means / f_means)), int(f_means)
    return float(np.sqrt((seeds + means) / (f_seeds + f_means))), int(f_seeds + f_means)
