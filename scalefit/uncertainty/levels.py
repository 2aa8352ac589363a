"""Residuals that cluster by the levels of a column: runs of one size, budget or batch that err alike.

On a grid the runs of one level share what the law misses there, and the law misses something else at the next level.
Then the rows are not independent, and a run at a level that was not fitted errs by another draw of the scatter between
the levels. With M the projection that takes out what the parameters can change, G the indicators of the levels and r
the residuals, the levels explain

    B = (M r)' M G (G' M G)^+ G' M r

with q = rank(M G) degrees of freedom, and leave W = |M r|^2 - B with w. Of independent normal noise B w / (W q) follows
the F distribution exactly (to first order in the parameters). The scatter between levels beyond the noise is, by
moments, t^2 = (B - q W / w) / trace(G' M G). Differences between levels that the parameters take up nearly whole tell
nothing of the scatter; they count neither as between nor as within.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtrc

from scalefit.numerics import CLIP, FLAT, FloatArray, spanned
from scalefit.rows.rows import Rows
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.pieces import independent

SIGNIFICANT = 1e-3  #: chance of so much scatter between levels in independent noise, over all columns tried
FEWEST_BETWEEN, FEWEST = 2, 3  #: degrees of freedom between the levels, and within them
TAKEN_UP = 0.9  #: share of a difference between levels that the parameters may take up
PER_LEVEL = 2  #: points of the law's variables a level, on average, from which on a column has levels
MOST_LEVELS = 200
SAME = 1e-3  #: relative difference below which two neighbouring values are one level


@dataclass(frozen=True)
class Levels:
    """The column by whose levels the residuals cluster."""

    column: str
    codes: NDArray[np.intp]  #: the level of each row, (n,)
    count: int  #: levels
    between: float  #: standard deviation of the errors of levels, beyond the noise
    within: float  #: and of the runs of a level
    chance: float  #: that independent noise would scatter as much, over all columns tried

    @property
    def dominate(self) -> bool:
        """Whether the levels scatter more than the runs of a level, so that a level counts rather than a run."""
        return self.between > self.within


def clustered(
    model: BoundLaw, rows: Rows, solution: Solution, columns: Mapping[str, pd.Series | FloatArray]
) -> Levels | None:
    """The column of which the levels explain most of the residuals, if more than chance does; None for curves' laws."""
    if model.law.is_trajectory or not solution.sigma > 0:
        return None
    runs = independent(rows)
    tried = _partitions(columns, runs, _places(rows, runs))
    if not tried:
        return None
    residual, slope = _by_run(model, solution, runs)
    found = [(each, *_explained(residual, slope, solution.sigma, codes)) for each, codes in tried.items()]
    name, chance, between, within = min(found, key=lambda each: each[1])
    chance = min(1.0, chance * len(tried))
    if not (chance < SIGNIFICANT and between > 0):
        return None
    codes = tried[name]
    return Levels(name, codes[runs], int(codes.max()) + 1, between, within, chance)


def _places(rows: Rows, runs: NDArray[np.intp]) -> int:
    """At how many points of the law's variables there are runs: seeds of one point are no levels."""
    first = np.unique(runs, return_index=True)[1]
    ordinary = [_levels(pd.Series(values[first])) for values in rows.variables.values() if values.ndim == 1]
    return len(np.unique(np.column_stack(ordinary), axis=0)) if ordinary else 0


def _partitions(
    columns: Mapping[str, pd.Series | FloatArray], runs: NDArray[np.intp], places: int
) -> dict[str, NDArray[np.intp]]:
    """The levels of each run by column, where a column has few; of columns that tell the same runs apart the first."""
    first = np.unique(runs, return_index=True)[1]
    found: dict[str, NDArray[np.intp]] = {}
    seen = set()
    for name, column in columns.items():
        values = pd.Series(np.asarray(column)[first])
        if values.isna().any():
            continue
        codes = pd.factorize(pd.Series(_levels(values)))[0]
        count = int(codes.max()) + 1
        if not 2 <= count <= min(places / PER_LEVEL, MOST_LEVELS) or codes.tobytes() in seen:
            continue
        seen.add(codes.tobytes())
        found[name] = codes.astype(np.intp)
    return found


def _levels(values: pd.Series) -> NDArray[np.intp]:
    """Numbers of the levels: neighbouring numbers that hardly differ are one level."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return np.asarray(pd.factorize(values.astype(str))[0])
    numbers = values.to_numpy(dtype=float)
    order = np.argsort(numbers, kind="stable")
    near = np.diff(numbers[order]) <= SAME * np.abs(numbers[order][:-1])
    codes = np.empty(len(numbers), dtype=np.intp)
    codes[order] = np.concatenate([[0], np.cumsum(~near)])
    return codes


def _by_run(model: BoundLaw, solution: Solution, runs: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """The mean residual of each run (m,) and its mean derivatives by the coordinates (m, p)."""
    value, slope = (found[0] for found in model.jacobian(solution.theta[None]))
    slope = np.nan_to_num(solution.objective.slopes(value, slope).T)
    total = np.zeros((int(runs.max()) + 1, 1 + slope.shape[1]))
    np.add.at(total, runs, np.column_stack([solution.residuals, slope]))
    mean = total / np.bincount(runs)[:, None]
    return mean[:, 0], mean[:, 1:]


def _explained(
    residual: FloatArray, slope: FloatArray, sigma: float, codes: NDArray[np.intp]
) -> tuple[float, float, float]:
    """The chance of so much scatter between levels in noise, the scatter between, and that within."""
    directions, count = spanned(slope)
    taken = directions[:, :count]
    levels = np.eye(int(codes.max()) + 1)[codes]
    across = taken.T @ levels
    spread, axes = np.linalg.eigh(np.diag(levels.sum(axis=0)) - across.T @ across)
    rank, kept = spread > FLAT * len(codes), spread > (1 - TAKEN_UP) * len(codes) / len(spread)
    q, freedom = int(kept.sum()), len(codes) - taken.shape[1] - int(rank.sum())
    if q < FEWEST_BETWEEN or freedom < FEWEST:
        return 1.0, 0.0, 0.0

    def parts(values: FloatArray) -> tuple[float, float]:
        left = values - taken @ (taken.T @ values)
        squares = (axes.T[rank] @ (levels.T @ left)) ** 2 / spread[rank]
        return float(squares[kept[rank]].sum()), max(float(left @ left - squares.sum()), 0.0)

    between, within = parts(np.clip(residual, -CLIP * sigma, CLIP * sigma))
    if not within > 0:
        return 1.0, 0.0, 0.0
    chance = float(fdtrc(q, freedom, between / q * freedom / within))
    between, within = parts(residual)
    scatter = max(between - q * within / freedom, 0.0) / float(spread[kept].sum())
    return chance, float(np.sqrt(scatter)), float(np.sqrt(within / freedom))
