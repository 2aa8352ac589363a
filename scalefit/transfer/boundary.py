"""The largest learning rate that does not diverge, and its law in size: which runs of a larger sweep will diverge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError
from scalefit.numerics import FloatArray
from scalefit.runs.cliff import lost
from scalefit.transfer.drift import drift_line, interval_of
from scalefit.transfer.sweeps import Sweeps
from scalefit.transfer.verdict import Interval

HALF = 0.5  #: share of the runs at a learning rate that must have diverged for it to count as divergent


@dataclass(frozen=True)
class Judged:
    """Predicted and seen divergence at a held-out size."""

    table: pd.DataFrame  #: arm, lr, predicted, seen
    precision: float  #: share of the learning rates predicted to diverge that did
    recall: float  #: share of the learning rates that diverged that were predicted to


def diverges(cell: pd.DataFrame, initial_loss: float = np.nan) -> pd.Series:
    """By learning rate: whether half of its runs or more diverged, by the rule of :func:`scalefit.runs.cliff.lost`."""
    gone = lost(cell["lr"].to_numpy(float), cell["loss"].to_numpy(float), np.zeros(len(cell)), initial_loss)
    return pd.Series(gone, index=cell.index).groupby(cell["lr"]).mean() >= HALF


def boundary(cell: pd.DataFrame, initial_loss: float = np.nan) -> float:
    """log2 of the learning rate between the largest stable and the smallest divergent one above the optimum.

    NaN where none or all of the runs diverged.

    >>> rows = pd.DataFrame({"lr": [0.25, 0.5, 1.0, 2.0], "loss": [2.5, 2.0, 2.1, np.nan]})
    >>> boundary(rows)
    0.5
    """
    gap = _gap(cell, initial_loss)
    return sum(gap) / 2 if gap else float("nan")


def _gap(cell: pd.DataFrame, initial_loss: float) -> tuple[float, float] | None:
    """log2 of the largest stable and the smallest divergent learning rate above the optimum, or None."""
    high = diverges(cell, initial_loss)
    best = cell.groupby("lr")["loss"].mean().idxmin() if cell["loss"].notna().any() else np.inf
    above = high[high & (high.index > best)]
    if not len(above):
        return None
    first = float(above.index[0])
    stable = float(high.index[high.index < first][-1])
    return float(np.log2(stable)), float(np.log2(first))


@dataclass(frozen=True, eq=False)
class Boundary:
    """The largest stable learning rate over size: a line through the boundaries of several sizes, and its draws."""

    height: FloatArray  #: (1 + draws,) log2 at ``origin``
    slope: FloatArray  #: (1 + draws,) octaves per doubling
    origin: float  #: size
    sizes: tuple[float, ...]  #: with stable and diverged runs

    def at(self, size: float) -> Interval:
        """The largest stable learning rate at a size, with its 90 % interval."""
        return interval_of(self._logs(size), np.exp2)

    def chance(self, size: float, lr: float) -> float:
        """Probability that a learning rate lies above the boundary: the share of the draws, never exactly 0 or 1."""
        logs = self._logs(size)[1:]
        return float((1 + np.sum(logs < np.log2(lr))) / (2 + len(logs)))

    def size_of(self, lr: float) -> float:
        """The size above which a learning rate diverges; inf if the boundary does not fall, NaN below the sizes."""
        if not self.slope[0] < 0:
            return float("inf")
        octaves = (np.log2(lr) - self.height[0]) / self.slope[0]
        size = float(self.origin * 2**octaves) if octaves < 1000 else float("inf")
        return size if size >= min(self.sizes) else float("nan")

    def _logs(self, size: float) -> FloatArray:
        return np.asarray(self.height + self.slope * np.log2(size / self.origin))


def fit_boundary(
    cells: Mapping[float, pd.DataFrame], initial_loss: float = np.nan, draws: int = 400
) -> Boundary | None:
    """The line through the boundaries of several sizes; None where fewer than two have stable and diverged runs.

    ``cells``: columns lr and loss (NaN: diverged) by size. A boundary may lie anywhere in the gap of its grid.
    """
    rng = np.random.default_rng(0)
    places = {}
    for size, cell in sorted(cells.items()):
        gap = _gap(cell, initial_loss)
        if gap:
            places[size] = np.array([sum(gap) / 2, *rng.uniform(*gap, draws)])
    if len(places) < 2:
        return None
    sizes = np.array(list(places))
    origin = float(np.exp2(np.mean(np.log2(sizes))))
    height, slope = drift_line(np.log2(sizes / origin), np.array(list(places.values())))
    return Boundary(height, slope, origin, tuple(places))


def backtest_divergence(sweeps: Sweeps) -> Judged:
    """Which learning rates diverge at the largest size, predicted by a line through the boundaries of smaller ones.

    Raises IdentificationError where no arm has boundaries at two smaller sizes.
    """
    start, rows = sweeps.initial_loss, []
    for arm in sweeps.names:
        *smaller, largest = sweeps.sizes(arm)
        edges = np.array([boundary(sweeps.cell(arm, size), start) for size in smaller])
        known = np.isfinite(edges)
        if known.sum() < 2:
            continue
        slope, height = np.polyfit(np.log2(smaller)[known], edges[known], 1)
        edge = height + slope * np.log2(largest)
        cell = sweeps.cell(arm, largest)
        high = diverges(cell, start)
        least = float(str(cell.groupby("lr")["loss"].mean().idxmin()))
        rows += [
            {"arm": arm, "lr": lr, "predicted": bool(np.log2(lr) > edge), "seen": bool(seen)}
            for lr, seen in zip(high.index.to_numpy(float).tolist(), high, strict=True)
            if lr >= least or not seen  # a loss that stayed high below the optimum is slow, not diverged
        ]
    if not rows:
        why = "no arm has two smaller sizes with both stable and diverged runs"
        raise IdentificationError(why, todo="add larger learning rates")
    table = pd.DataFrame(rows)
    predicted, seen = table["predicted"], table["seen"]
    return Judged(table, float(seen[predicted].mean()), float(predicted[seen].mean()))
