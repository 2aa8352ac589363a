"""Fits of one law to many sets of rows, made as one batch: what :func:`~scalefit.solver.solve.solve` makes of each.

Every fit has rows of its own, filled up to the same number with rows of weight 0. The starts of all of them are ranked
together and descend together, and each has its own threshold, noise and best start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import MAD_TO_SIGMA, FloatArray
from scalefit.solver.descent import Descent, descend
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import HUBER_EFFICIENT, Objective
from scalefit.solver.projection import project
from scalefit.solver.solve import (
    AGREE,
    DELTA_ROUNDS,
    EXACT,
    FEW_STEPS,
    FIRST_DELTA,
    LOOSE,
    ON_THE_WAY,
    SAME_DELTA,
    SETTLED,
    SMALLEST_DELTA,
    Settings,
)
from scalefit.solver.starts import BLOCK, best_apart, cover

TOGETHER = 512  #: fits that are made at a time


@dataclass(frozen=True)
class Solutions:
    """The best point of each of P fits, and what became of its starts."""

    theta: FloatArray  #: coordinates, (P, p)
    cost: FloatArray  #: the objective there, (P,); infinite where no start gives finite predictions
    delta: FloatArray  #: the threshold, (P,)
    sigma: FloatArray  #: noise of the residuals, (P,)
    agree: NDArray[np.intp]  #: how many starts end within 1e-4 of the best objective, (P,)
    converged: NDArray[np.bool_]  #: (P,)


def solve_many(model: BoundLaw, values: FloatArray, weights: FloatArray, settings: Settings) -> Solutions:
    """Fit a law bound to rows of its own for each of P fits, to values and weights (P, n); weight 0: no row."""
    parts = [
        _together(model.members(some), values[some], weights[some], settings)
        for some in (slice(i, i + TOGETHER) for i in range(0, len(values), TOGETHER))
    ]
    columns = ("theta", "cost", "delta", "sigma", "agree", "converged")
    return Solutions(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # cells of the search may overflow: they rank last
def _together(model: BoundLaw, values: FloatArray, weights: FloatArray, settings: Settings) -> Solutions:
    fits, p = len(values), len(model.coordinates)
    unit = np.ones(fits) if settings.residuals == "log" else _middle(np.abs(values), weights)
    first = FIRST_DELTA * unit if settings.delta == "auto" else np.full(fits, float(settings.delta))
    objective = Objective(settings.residuals, settings.loss, own=first[:, None])
    points = _starts(model, objective, values, weights, settings.starts)
    settled = settings.delta != "auto" or settings.loss == "squared"
    search = _Search(model, objective, values, weights)
    found = search.descend(points, tolerance=SETTLED if settled else LOOSE)
    best = _lowest(found, settings.starts)
    if not settled:
        search, found, best = _settled(search, found, best, SMALLEST_DELTA * unit, settings.starts)
    costs = found.objective.reshape(fits, -1)
    nothing = weights.sum(axis=1) * (EXACT * unit) ** 2
    lowest = costs.min(axis=1)
    return Solutions(
        best,
        lowest,
        search.objective.own[:, 0] if search.objective.own is not None else first,
        search.noise(best, p),
        (costs <= (lowest * (1 + AGREE) + nothing)[:, None]).sum(axis=1),
        found.converged.reshape(fits, -1)[np.arange(fits), costs.argmin(axis=1)],
    )


@dataclass(frozen=True)
class _Search:
    """The rows and objectives of the fits; members of a batch come in the order of their fits, as many for each."""

    model: BoundLaw
    objective: Objective
    values: FloatArray
    weights: FloatArray

    def members(self, some: NDArray[np.intp]) -> _Search:
        return _Search(self.model.members(some), self.objective.members(some), self.values[some], self.weights[some])

    def descend(self, points: FloatArray, *, tolerance: float, near: bool = False, iterations: int = 200) -> Descent:
        """The minima below points (P, S, p)."""
        fits, starts, p = points.shape
        of = self.members(np.repeat(np.arange(fits), starts))
        return descend(
            of.model,
            of.objective,
            of.values,
            of.weights,
            points.reshape(-1, p),
            tolerance=tolerance,
            iterations=iterations,
            near=near,
            rivals=starts,
        )

    def noise(self, theta: FloatArray, parameters: int) -> FloatArray:
        """The noise of the residuals at one point (P, p) of each fit, (P,)."""
        residuals = self.objective.residuals(self.model.value(theta), self.objective.target(self.values))
        rows = np.sum(self.weights > 0, axis=1)
        shrunk = rows / np.maximum(rows - parameters, 1)
        return np.asarray(MAD_TO_SIGMA * _middle(np.abs(residuals), self.weights) * np.sqrt(shrunk))


def _settled(
    search: _Search, found: Descent, best: FloatArray, least: FloatArray, starts: int
) -> tuple[_Search, Descent, FloatArray]:
    """Thresholds and fits until they agree, first with the best starts alone, then once more with all of them."""
    p = best.shape[1]
    sigma, open_ = search.noise(best, p), np.arange(len(best))
    assert search.objective.own is not None
    delta = search.objective.own[:, 0].copy()
    for _ in range(DELTA_ROUNDS):
        wanted = np.maximum(HUBER_EFFICIENT * sigma[open_], least[open_])
        moved = np.abs(wanted - delta[open_]) > SAME_DELTA * wanted
        delta[open_] = wanted
        open_ = open_[moved]
        if not len(open_):
            break
        some = replace(search, objective=replace(search.objective, own=delta[:, None])).members(open_)
        one = some.descend(best[open_][:, None], tolerance=ON_THE_WAY, near=True, iterations=FEW_STEPS)
        best[open_], sigma[open_] = one.theta, some.noise(one.theta, p)
    search = replace(search, objective=replace(search.objective, own=delta[:, None]))
    ends = found.theta.reshape(-1, starts, p)
    at = np.arange(len(ends)), found.objective.reshape(-1, starts).argmin(axis=1)
    ends[at] = best  # the settled point stands for the start that it came from
    found = search.descend(ends, tolerance=SETTLED)
    return search, found, _lowest(found, starts)


def _starts(model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray, count: int) -> FloatArray:
    """The best cells of each fit with their linear coordinates projected, (P, count, p)."""
    cells = cover(model)
    found = np.empty((len(values), count, cells.shape[1]))
    together = max(1, BLOCK // (len(cells) * model.n))
    for begin in range(0, len(values), together):
        some = np.arange(begin, min(begin + together, len(values)))
        each = _Search(model, objective, values, weights).members(np.repeat(some, len(cells)))
        given = each.objective, each.values, each.weights
        theta = project(each.model, *given, np.tile(cells, (len(some), 1)))
        missed = np.abs(each.objective.residuals(each.model.value(theta), each.objective.target(each.values)))
        scores = np.sum(np.where(each.weights > 0, missed, 0.0) * each.weights, axis=1).reshape(len(some), -1)
        scores[~np.isfinite(scores)] = np.inf
        theta = theta.reshape(len(some), len(cells), -1)
        for i, (own, score) in enumerate(zip(theta, scores, strict=True)):
            chosen = best_apart(own, score, count)
            found[begin + i] = own[np.resize(chosen, count)]
    of = _Search(model, objective, values, weights).members(np.repeat(np.arange(len(values)), count))
    points = np.clip(found.reshape(-1, cells.shape[1]), model.low, model.high)
    made = project(of.model, of.objective, of.values, of.weights, points, robust_steps=1)
    return np.asarray(made.reshape(found.shape))


def _lowest(found: Descent, starts: int) -> FloatArray:
    """The best end of each fit, (P, p)."""
    best = found.objective.reshape(-1, starts).argmin(axis=1)
    return np.asarray(found.theta.reshape(len(best), starts, -1)[np.arange(len(best)), best])


def _middle(sizes: FloatArray, weights: FloatArray) -> FloatArray:
    """The median of each line of sizes (P, n), over the rows that have a weight."""
    rows = np.sum(weights > 0, axis=1)
    ordered = np.sort(np.where(weights > 0, sizes, np.inf), axis=1)
    line = np.arange(len(rows))
    return np.asarray(0.5 * (ordered[line, (rows - 1) // 2] + ordered[line, rows // 2]))
