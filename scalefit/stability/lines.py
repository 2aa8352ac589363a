"""Polynomials in log size, one a learning rate, with the interval of a new observation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from scalefit.numerics import FloatArray

NEAR = 4.01  #: factor between learning rates whose scatter is pooled


@dataclass(frozen=True, eq=False)
class Line:
    """A polynomial of log(size), fitted by least squares."""

    constants: FloatArray  #: (p,) rising in power of log(size) - centre
    covariance: FloatArray  #: (p, p), in units of the noise's variance
    centre: float
    noise: float  #: standard deviation of one run; NaN where no freedom is left
    freedom: int  #: of the noise
    smallest: float  #: size fitted
    largest: float
    sizes: int  #: distinct sizes fitted

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

    def mixed(self, other: Line, share: float) -> Line:
        """The line a share of the way to another; its noise is the larger, its errors are not made smaller."""
        count = max(len(self.constants), len(other.constants))
        return replace(
            self,
            constants=(1 - share) * _moved(self, self.centre, count) + share * _moved(other, self.centre, count),
            covariance=_padded(self.covariance if share < 0.5 else other.covariance, count),
            noise=max(self.noise, other.noise),
            smallest=max(self.smallest, other.smallest),
            largest=min(self.largest, other.largest),
            sizes=min(self.sizes, other.sizes),
        )


def fit_lines(size: FloatArray, lr: FloatArray, value: FloatArray, degree: int) -> dict[float, Line]:
    """A polynomial at each learning rate that has two or more sizes, by rising learning rate.

    ``size``, ``lr``, ``value``: (n,), values that are not finite are left out. The degree is lowered where the sizes
    do not suffice; the noise is that of all learning rates within a factor of four, as scatter grows with the rate.
    """
    kept = np.isfinite(size) & np.isfinite(value)
    found: dict[float, Line] = {}
    scatter: dict[float, tuple[float, int]] = {}
    for rate in np.unique(lr[kept]):
        rows = kept & (lr == rate)
        distinct = len(np.unique(size[rows]))
        if distinct < 2:
            continue
        centre = float(np.log(size[rows]).mean())
        columns = (np.log(size[rows]) - centre)[:, None] ** np.arange(min(degree, distinct - 1) + 1)
        constants = np.linalg.lstsq(columns, value[rows], rcond=None)[0]
        squares = float(np.sum((value[rows] - columns @ constants) ** 2))
        scatter[float(rate)] = (squares, len(columns) - columns.shape[1])
        inverse = np.linalg.pinv(columns.T @ columns)
        found[float(rate)] = Line(constants, inverse, centre, float("nan"), 0, *_ends(size[rows]), distinct)
    return {rate: _with_noise(line, rate, scatter) for rate, line in found.items()}


def _ends(size: FloatArray) -> tuple[float, float]:
    return float(size.min()), float(size.max())


def _with_noise(line: Line, rate: float, scatter: dict[float, tuple[float, int]]) -> Line:
    """The line with the scatter, (sum of squares, freedom) by learning rate, of those near its own."""
    near = [each for other, each in scatter.items() if 1 / NEAR <= other / rate <= NEAR]
    squares, freedom = sum(each[0] for each in near), sum(each[1] for each in near)
    return replace(line, noise=float(np.sqrt(squares / freedom)) if freedom else float("nan"), freedom=freedom)


def _moved(line: Line, centre: float, count: int) -> FloatArray:
    """The constants of the same polynomial about another centre, at least ``count`` of them."""
    shifted = np.polynomial.Polynomial(line.constants)(np.polynomial.Polynomial([centre - line.centre, 1.0]))
    return np.asarray(np.pad(shifted.coef, (0, max(0, count - len(shifted.coef)))), dtype=float)


def _padded(matrix: FloatArray, count: int) -> FloatArray:
    missing = count - len(matrix)
    return np.pad(matrix, ((0, missing), (0, missing)))
