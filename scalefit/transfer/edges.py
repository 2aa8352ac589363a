"""The boundaries of many sweeps, fitted together: one line over size, batch and tokens for each group of sweeps.

    y = h_g + (b + d_g) log2 size + c log2 batch + ... + e,    y inside the gap of its sweep

Each sweep only says between which two learning rates its boundary y lies; one without a diverged run says that it lies
above all, one without a stable run below. The slopes d_g of the groups are shrunk to the common one. Draws are of the
posterior, by Gibbs sampling of the y within their gaps. Source: data augmentation for interval-censored regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs
from scipy.special import ndtr, ndtri

from scalefit.numerics import FloatArray
from scalefit.transfer.drift import STRAY, STRAY_WORTH

HEIGHT, SLOPE, OTHER, APART = 10.0, 1.5, 1.0, 0.3  #: prior spreads of h (octaves), of b, of c, and of d_g
BURN, THIN = 200, 4  #: steps before the first draw, and from one draw to the next
LEAST_MASS = 1e-9  #: smallest share of a normal distribution from which is drawn


@dataclass(frozen=True, eq=False)
class Edges:
    """The lines through the middles of the gaps, and their draws, (1 + draws, ...); slopes in octaves per doubling."""

    height: FloatArray  #: (1 + draws, groups) at ``origin``
    slope: FloatArray  #: (1 + draws, groups) over the first variable
    others: FloatArray  #: (1 + draws, k - 1) over the other variables
    origin: FloatArray  #: (k,) log2 of the variables

    def at(self, group: int, point: FloatArray) -> FloatArray:
        """(1 + draws,) log2 of the boundary of a group at log2 of the variables, (k,)."""
        away = np.asarray(point, dtype=float) - self.origin
        return np.asarray(self.height[:, group] + self.slope[:, group] * away[0] + self.others @ away[1:])


def fit_edges(
    gaps: Sequence[tuple[float, float]], group: NDArray[np.intp], x: FloatArray, draws: int = 400, seed: int = 0
) -> Edges:
    """The lines through boundaries that lie in ``gaps`` (n) of log2 learning rates; an end may be infinite.

    ``group``: (n,) from 0; ``x``: (n, k) log2 of the variables, the size first.

    >>> x = np.arange(6.0, 11.0)[:, None]
    >>> gaps = [(-float(size) - 0.25, -float(size) + 0.25) for size in x[:, 0]]
    >>> found = fit_edges(gaps, np.zeros(5, dtype=int), x)
    >>> round(float(np.median(found.slope)), 1), round(float(np.median(found.at(0, np.array([12.0])))), 1)
    (-1.0, -12.0)
    """
    low, high = np.array(gaps, dtype=float).T
    rng, groups, origin = np.random.default_rng(seed), int(group.max()) + 1, x.mean(axis=0)
    own = np.eye(groups)[group]
    away = x - origin
    columns = np.column_stack([own, away[:, :1], own * away[:, :1], away[:, 1:]])
    spread = np.r_[[HEIGHT] * groups, SLOPE, [APART] * groups, [OTHER] * (x.shape[1] - 1)]
    y = np.where(np.isfinite(low) & np.isfinite(high), (low + high) / 2, np.where(np.isfinite(low), low, high))
    start = np.r_[[y.mean()] * groups, np.zeros(len(spread) - groups)]
    both = np.isfinite(low) & np.isfinite(high)
    middle = columns[both].T @ columns[both] / STRAY**2 + np.diag(spread**-2.0)
    kept = [np.linalg.solve(middle, columns[both].T @ y[both] / STRAY**2 + start / spread**2)]
    ends, variance = _Ends.of(low, high), STRAY**2
    gram, prior, mean = columns.T @ columns, np.diag(spread**-2.0), start / spread**2
    for step in range(BURN + THIN * draws):
        root, _ = dpotrf(gram / variance + prior, lower=1)
        centre, _ = dpotrs(root, columns.T @ y / variance + mean, lower=1)
        away_from_it, _ = dtrtrs(root, rng.standard_normal(len(mean)), lower=1, trans=1)
        constants = centre + away_from_it
        line = columns @ constants
        y = ends.drawn(line, float(np.sqrt(variance)), rng)
        left = float(np.add.reduce((y - line) ** 2))
        variance = (STRAY_WORTH * STRAY**2 + left) / rng.chisquare(STRAY_WORTH + len(y))
        if step >= BURN and (step - BURN) % THIN == 0:
            kept.append(constants)
    found = np.array(kept)
    slope = found[:, groups : groups + 1] + found[:, groups + 1 : 2 * groups + 1]
    return Edges(found[:, :groups], slope, found[:, 2 * groups + 1 :], origin)


@dataclass(frozen=True, eq=False)
class _Ends:
    """The gaps (n,), and which of their ends are finite."""

    low: FloatArray
    high: FloatArray
    from_below: NDArray[np.bool_]
    from_above: NDArray[np.bool_]

    @classmethod
    def of(cls, low: FloatArray, high: FloatArray) -> _Ends:
        return cls(low, high, np.isfinite(low), np.isfinite(high))

    def drawn(self, mean: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
        """One draw of each normal distribution inside its gap; uniform in a gap that lies too far out."""
        below, above = ndtr((self.low - mean) / sigma), ndtr((self.high - mean) / sigma)
        share, mass = rng.uniform(size=len(mean)), above - below
        quantile = np.minimum(np.maximum(below + share * mass, LEAST_MASS), 1 - LEAST_MASS)
        drawn = np.minimum(np.maximum(mean + sigma * ndtri(quantile), self.low), self.high)
        far = mass < LEAST_MASS
        if not far.any():
            return np.asarray(drawn)
        first = np.where(self.from_below, self.low, self.high - sigma)
        last = np.where(self.from_above, self.high, self.low + sigma)
        return np.asarray(np.where(far, first + share * (last - first), drawn))
