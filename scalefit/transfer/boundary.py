"""The largest learning rate that does not diverge, and its law in size: which runs of a larger sweep will diverge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError
from scalefit.numerics import FloatArray
from scalefit.runs.cliff import lost
from scalefit.transfer.drift import interval_of
from scalefit.transfer.edges import fit_edges
from scalefit.transfer.sweeps import Sweeps
from scalefit.transfer.verdict import Interval

OTHERS = ("batch", "tokens")  #: what else a boundary may follow
HALF = 0.5  #: share of the runs at a learning rate that must have diverged for it to count as divergent


@dataclass(frozen=True)
class Judged:
    """Predicted and seen divergence at a held-out size."""

    table: pd.DataFrame  #: arm, lr, predicted, seen
    precision: float  #: share of the learning rates predicted to diverge that did
    recall: float  #: share of the learning rates that diverged that were predicted to


def diverges(cell: pd.DataFrame, initial_loss: float) -> pd.Series:
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
    low, high = gap_of(cell, initial_loss)
    return (low, high) if np.isfinite(low) and np.isfinite(high) else None


def least_at(cell: pd.DataFrame) -> float:
    """The learning rate whose mean loss is smallest; NaN where no loss is finite."""
    means = cell.groupby("lr")["loss"].mean().dropna()
    return float(str(means.idxmin())) if len(means) else float("nan")


def gap_of(cell: pd.DataFrame, initial_loss: float) -> tuple[float, float]:
    """log2 of the largest stable learning rate and of the smallest divergent one above the optimum.

    The second is inf where none diverged, the first -inf where none is stable.
    """
    high = diverges(cell, initial_loss)
    if high.all():
        return -np.inf, float(np.log2(high.index[0]))
    above = high.index[high & (high.index > least_at(cell))]
    if not len(above):
        return float(np.log2(high.index[~high].max())), np.inf
    return float(np.log2(high.index[high.index < above[0]][-1])), float(np.log2(above[0]))


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

    ``cells``: columns lr and loss (NaN: diverged) by size, and ``batch`` and ``tokens`` where runs of one size differ
    in these: the line is then that at the geometric means over the largest size. A boundary may lie anywhere in the gap
    of its grid, and a size without a diverged run says that it lies above its grid.
    """
    parts = [(size, _point(size, part), gap_of(part, initial_loss)) for size, cell in sorted(cells.items())
             for part in _parts(cell)]  # fmt: skip
    known = tuple(dict.fromkeys(size for size, _, gap in parts if np.isfinite(gap).all()))
    if len(known) < 2:
        return None
    x = np.array([point for _, point, _ in parts])
    edges = fit_edges([gap for *_, gap in parts], np.zeros(len(parts), dtype=int), x, draws)
    at = x[x[:, 0] == x[:, 0].max()].mean(axis=0)
    at[0] = edges.origin[0]
    return Boundary(edges.at(0, at), edges.slope[:, 0], float(np.exp2(at[0])), known)


def _parts(cell: pd.DataFrame) -> list[pd.DataFrame]:
    """The sweeps of one size: those of one batch and one number of tokens each."""
    names = [name for name in OTHERS if name in cell.columns]
    return [part for _, part in cell.groupby(names)] if names else [cell]


def _point(size: float, part: pd.DataFrame) -> list[float]:
    """log2 of the size of a sweep, and of its batch and tokens where they are known."""
    return [float(np.log2(size)), *(float(np.log2(part[name].iloc[0])) for name in OTHERS if name in part.columns)]


def backtest_divergence(sweeps: Sweeps) -> Judged:
    """Which learning rates diverge at the largest size, predicted by lines through the boundaries of smaller ones.

    The lines of all arms are fitted together, their slopes shrunk to a common one. Raises IdentificationError where no
    arm has boundaries at two smaller sizes.
    """
    start, rows = sweeps.initial_loss, []
    smaller = [(arm, size) for arm in sweeps.names for size in sweeps.sizes(arm)[:-1]]
    gaps = {key: gap_of(sweeps.cell(*key), start) for key in smaller}
    arms = [arm for arm in sweeps.names if sum(np.isfinite(gap).all() for (a, _), gap in gaps.items() if a == arm) > 1]
    fitted = [key for key in smaller if key[0] in arms]
    if fitted:
        x = np.log2([[size] for _, size in fitted])
        edges = fit_edges([gaps[key] for key in fitted], np.array([arms.index(arm) for arm, _ in fitted]), x)
    for number, arm in enumerate(arms):
        largest = sweeps.sizes(arm)[-1]
        edge = float(edges.at(number, np.log2([largest]))[0])
        cell = sweeps.cell(arm, largest)
        high = diverges(cell, start)
        least = least_at(cell)
        rows += [
            {"arm": arm, "lr": lr, "predicted": bool(np.log2(lr) > edge), "seen": bool(seen)}
            for lr, seen in zip(high.index.to_numpy(float).tolist(), high, strict=True)
            if not lr < least or not seen  # a loss that stayed high below the optimum is slow, not diverged
        ]
    if not rows:
        why = "no arm has two smaller sizes with both stable and diverged runs"
        raise IdentificationError(why, todo="add larger learning rates")
    table = pd.DataFrame(rows)
    predicted, seen = table["predicted"], table["seen"]
    return Judged(table, float(seen[predicted].mean()), float(predicted[seen].mean()))
