"""The isoFLOP procedures: the best size and data as powers of compute, without a law of the loss.

Approach 1 takes the run of lowest loss at each compute from whole curves; approach 2 the minimum of a smooth curve
through the final losses of runs of equal compute. Approach 2 is biased wherever size and data have different exponents,
also without noise: :func:`approach2_bias` gives the bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError, listed
from scalefit.numerics import FloatArray
from scalefit.planning.isoflop.curves import EDGES, Budget, Curve, chosen, edge_of, hardly_inside, minimum
from scalefit.planning.optimum.compute_optimal import FLOP_PER, compute_optimal

SAME_BUDGET = 0.03  #: runs belong to one budget if their log compute differs by less
MOST_AT_EDGE = 0.1  #: share of the computes at which the smallest or the largest size may be best unsaid
GRID = 1500  #: compute values that approach 1 compares, as in the source


@dataclass(frozen=True)
class IsoFlop:
    """The best size as a power of compute, and the optima that it was fitted to."""

    optima: pd.DataFrame  #: one row per budget: C, N, D, loss
    exponent: float  #: a of N* ~ C^a; tokens grow as C^(1-a)
    log_factor: float  #: logarithm of N* at C = 1
    left_out: tuple[str, ...]  #: budgets without a minimum inside their sizes, and why
    edges: tuple[str, ...] = ()  #: optima at the edge of what was tried

    def size(self, C: Any) -> FloatArray:
        """The best number of parameters at compute C (FLOP)."""
        return np.asarray(np.exp(self.log_factor + self.exponent * np.log(np.asarray(C, dtype=float))))

    def tokens(self, C: Any) -> FloatArray:
        """The best number of tokens, C/(6 N)."""
        return np.asarray(C, dtype=float) / (FLOP_PER * self.size(C))


def approach1(curves: pd.DataFrame, *, points: int = GRID) -> IsoFlop:
    """The best run at each compute, from whole loss curves.

    ``curves`` has the columns ``run``, ``N``, ``tokens`` and ``loss`` (smoothed), one row per logged point; C = 6 N
    tokens. At ``points`` values of C, even in the logarithm, each run's loss is interpolated in log C; a line in
    log-log is fitted to the runs of lowest loss. A run's curve must end where its learning-rate schedule does, so give
    runs of several lengths for each size.

    Source: arXiv:2203.15556, approach 1. Raises :class:`IdentificationError` if one size is best everywhere.
    """
    require_columns(curves, ("run", "N", "tokens", "loss"))
    return Envelope.of(curves, points).best()


@dataclass(frozen=True)
class Envelope:
    """Loss curves of runs at the same values of compute."""

    log_C: FloatArray  #: (n,)
    losses: FloatArray  #: (runs, n), infinite where a run has none
    sizes: FloatArray  #: (runs,)

    @classmethod
    def of(cls, curves: pd.DataFrame, points: int) -> Envelope:
        """The curves at ``points`` values of C, even in the logarithm."""
        log_C = np.log(FLOP_PER * curves["N"].to_numpy(float) * curves["tokens"].to_numpy(float))
        grid = np.linspace(log_C.min(), log_C.max(), points)
        codes, sizes, losses = (curves[name].to_numpy() for name in ("run", "N", "loss"))
        names = pd.unique(codes)
        found = np.empty((len(names), points))
        for i, run in enumerate(names):
            rows = np.flatnonzero(codes == run)
            rows = rows[np.argsort(log_C[rows], kind="stable")]
            found[i] = np.interp(grid, log_C[rows], losses[rows].astype(float), left=np.inf, right=np.inf)
        return cls(grid, found, np.array([float(sizes[codes == run][0]) for run in names]))

    def best(self, runs: Any = slice(None)) -> IsoFlop:
        """The power law through the best sizes, of some of the runs."""
        losses, sizes = self.losses[runs], self.sizes[runs]
        winner = np.argmin(losses, axis=0)
        least = losses.min(axis=0)
        won = np.isfinite(least)
        best = sizes[winner[won]]
        optima = table_of(np.exp(self.log_C[won]), best, least[won])
        if optima["N"].nunique() < 2:
            why = f"the size {optima['N'].iloc[0]:g} has the lowest loss at every compute"
            todo = "add runs of smaller and of larger models that reach the same compute"
            raise IdentificationError(why, where="isoFLOP approach 1", todo=todo)
        ends = ((sizes.min(), EDGES[0]), (sizes.max(), EDGES[1]))
        shares = ((float(np.mean(best == end)), side) for end, side in ends)
        edges = (
            f"the {side} of all sizes is best at {100 * share:.0f} % of the computes: its optimum may lie beyond"
            for share, side in shares
            if share > MOST_AT_EDGE
        )
        return replace(line(optima, ()), edges=tuple(edges))


def approach2(points: pd.DataFrame, *, curve: Curve = "auto") -> IsoFlop:
    """The best size of each compute budget from a smooth curve through its final losses.

    ``points`` has the columns ``N`` and ``loss`` and either ``C`` or ``D``, one row per run. A budget is the runs whose
    C agrees within 3 %. ``curve``: ``"cubic"`` in log-log through all sizes; ``"akima"``, a spline in log-log through
    all sizes (arXiv:2406.19146), which follows their noise; ``"local"``, a parabola in log-log through those near the
    lowest loss; ``"parabola"``, one parabola of the loss in log N through all of them (the source), which is biased
    where the bowl is wide and lopsided: see :func:`approach2_bias`; ``"auto"``, the cubic, or the spline where cubics
    miss more than the noise. Budgets with fewer than three sizes, or with the minimum at their smallest or largest
    size, are left out and named.

    Source: arXiv:2203.15556, approach 2. Raises :class:`IdentificationError` with fewer than two usable budgets.

    >>> from scalefit.laws import find_law
    >>> symmetric = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.31, "beta": 0.31}
    >>> grid = isoflop_grid(symmetric, [1e18, 1e19, 1e20])
    >>> losses = find_law("chinchilla").evaluate(grid[["N", "D"]], symmetric)
    >>> found = approach2(grid.assign(loss=losses), curve="parabola")
    >>> round(found.exponent, 9), round(float(found.size(1e24) / compute_optimal("chinchilla", symmetric, 1e24).N), 9)
    (0.5, 1.0)
    """
    require_columns(points, ("N", "loss"))
    table = points if "C" in points else points.assign(C=FLOP_PER * points["N"] * points["D"])
    kept, left_out, edges = [], [], []
    groups = budgets_in(table)
    curve = chosen([runs for _, runs in groups]) if curve == "auto" else curve
    for budget, (log_N, loss) in groups:
        found = minimum(log_N, loss, curve)
        if isinstance(found, str):
            left_out.append(f"{budget:.3g} FLOP: {found}")
        else:
            kept.append((budget, np.exp(found[0]), found[1]))
        edge = edge_of(log_N, loss) if isinstance(found, str) else hardly_inside(log_N, found[0])
        edges += [f"{budget:.3g} FLOP: {edge}"] if edge else []
    if len(kept) < 2:
        others = listed(left_out, sep="; ") or "no others"
        why = f"{len(kept)} compute budgets have a minimum inside their sizes ({others})"
        todo = "add sizes on the side where the loss still falls, or budgets"
        raise IdentificationError(why, where="isoFLOP approach 2", todo=todo)
    C, N, least = (np.array(column) for column in zip(*kept, strict=True))
    return replace(line(table_of(C, N, least), tuple(left_out)), edges=tuple(edges))


def isoflop_grid(
    constants: Mapping[str, float], budgets: Sequence[float], *, spread: float = 8.0, sizes: int = 15
) -> pd.DataFrame:
    """Sizes around the optimum of each budget: C, N, D, with N from N*/spread to N* spread, even in the logarithm."""
    best = compute_optimal("chinchilla", constants, np.asarray(budgets, dtype=float))
    N = best.N[:, None] * np.geomspace(1 / spread, spread, sizes)
    C = np.broadcast_to(best.C[:, None], N.shape)
    return pd.DataFrame({"C": C.ravel(), "N": N.ravel(), "D": (C / (FLOP_PER * N)).ravel()})


def approach2_bias(
    constants: Mapping[str, float], points: pd.DataFrame, C: Any, *, curve: Curve = "akima"
) -> FloatArray:
    """Relative error of approach 2's D*(C) on the noise-free additive law at the sizes of ``points``.

    ``constants`` are E, A, B, alpha, beta of ``chinchilla`` fitted to the same runs, ``points`` their ``N`` and ``C``
    or ``D``. It is zero for alpha = beta on centred grids, and grows with the width of the grid.
    Source: arXiv:2603.22339.

    >>> constants = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    >>> grid = isoflop_grid(constants, np.geomspace(1e17, 1e21, 5), spread=8)
    >>> [round(100 * float(approach2_bias(constants, grid, 1e24, curve=curve)), 3) for curve in ("parabola", "akima")]
    [-2.903, 0.17]
    """
    N = points["N"].to_numpy(float)
    budget = points["C"].to_numpy(float) if "C" in points else FLOP_PER * N * points["D"].to_numpy(float)
    size = constants["A"] * N ** -constants["alpha"]
    data = constants["B"] * (budget / FLOP_PER / N) ** -constants["beta"]
    found = approach2(pd.DataFrame({"C": budget, "N": N, "loss": constants["E"] + size + data}), curve=curve)
    return np.asarray(found.tokens(C) / compute_optimal("chinchilla", constants, C).D - 1)


def require_columns(table: pd.DataFrame, columns: Sequence[str], where: str = "isoFLOP") -> None:
    """Raise InputError for the first column that a table lacks."""
    for name in columns:
        if name not in table.columns:
            have = ", ".join(map(str, table.columns))
            raise InputError(f'no column "{name}"', where=where, todo=f"rename one of: {have}")


def budgets_in(points: pd.DataFrame) -> list[tuple[float, Budget]]:
    """The compute of each budget, with the log sizes and losses of its runs."""
    found = []
    for _, rows in points.groupby(budgets_of(points["C"].to_numpy(float))):
        runs = np.log(rows["N"].to_numpy(float)), rows["loss"].to_numpy(float)
        found.append((float(np.exp(np.log(rows["C"].to_numpy(float)).mean())), runs))
    return found


def budgets_of(C: FloatArray) -> np.ndarray:
    """An integer per row, shared by rows whose log C follows within a small gap."""
    order = np.argsort(C, kind="stable")
    codes = np.empty(len(C), dtype=int)
    codes[order] = np.concatenate([[0], np.cumsum(np.diff(np.log(C[order])) > SAME_BUDGET)])
    return codes


def table_of(C: FloatArray, N: FloatArray, loss: FloatArray) -> pd.DataFrame:
    """Optima as a table."""
    return pd.DataFrame({"C": C, "N": N, "D": C / (FLOP_PER * N), "loss": loss})


def line(optima: pd.DataFrame, left_out: tuple[str, ...]) -> IsoFlop:
    """The power law through optima."""
    slope, height = np.polyfit(np.log(optima["C"].to_numpy()), np.log(optima["N"].to_numpy()), 1)
    return IsoFlop(optima, float(slope), float(height), left_out)
