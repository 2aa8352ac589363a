"""Fits of one law to many sets of rows, made as one batch: what :func:`~scalefit.solver.solve.solve` makes of each.

Every fit has rows of its own, filled up to the same number with rows of weight 0. The starts of all of them are ranked
together and descend together, and each has its own threshold, noise and best start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.laws.law import Law
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
    Solution,
    solve,
)
from scalefit.solver.starts import BLOCK, best_apart, choose_starts, cover, guessed

TOGETHER = 512  #: fits that are made at a time
MOST_ROWS = 1000  #: rows of one fit up to which a batch of several is faster than one after the other


Job = tuple[BoundLaw, FloatArray, FloatArray | None]  #: a law bound to rows, their values and weights


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


def solve_each(
    models: Sequence[BoundLaw],
    values: Sequence[FloatArray],
    weights: Sequence[FloatArray | None],
    settings: Settings,
    each: Callable[[Callable[[Job], Solution | None], Iterable[Job]], Iterable[Solution | None]] = map,
) -> list[Solution | None]:
    """:func:`solve` of one law bound to several sets of rows: as one batch, where these are few rows in the same box.

    ``each`` makes those that are not, one after the other or at the same time. None where no start gives a finite
    prediction for every row, or the rows do not identify the law.
    """
    if _alike(models):
        try:
            return _as_one(models, values, weights, settings)
        except np.linalg.LinAlgError:
            pass  # the rows of one of them, which is found out by itself

    def one(job: Job) -> Solution | None:
        try:
            return solve(*job, settings)
        except (InputError, np.linalg.LinAlgError):
            return None

    return list(each(one, zip(models, values, weights, strict=True)))


def _alike(models: Sequence[BoundLaw]) -> bool:
    """Whether laws are bound in the same box to few rows of one value each."""
    if len(models) < 2 or max(model.size for model in models) > MOST_ROWS:
        return False
    first = models[0]
    if any(variable.many for variable in first.law.variables.values()):
        return False
    return all(
        (model.coordinates, model.fixed, model.ties) == (first.coordinates, first.fixed, first.ties) for model in models
    )


def _as_one(
    models: Sequence[BoundLaw],
    values: Sequence[FloatArray],
    weights: Sequence[FloatArray | None],
    settings: Settings,
) -> list[Solution | None]:
    width = max(model.n for model in models)

    def filled(columns: Sequence[FloatArray]) -> FloatArray:
        return np.stack([np.r_[column, np.full(width - len(column), column[0])] for column in columns])

    own = {name: filled([model.variables[name] for model in models]) for name in models[0].variables}
    rows = np.stack(
        [
            np.r_[np.ones(model.n) if weight is None else weight, np.zeros(width - model.n)]
            for model, weight in zip(models, weights, strict=True)
        ]
    )
    found = solve_many(replace(models[0], variables=own, position=None, own=True), filled(values), rows, settings)
    made: list[Solution | None] = []
    for i, (model, measured) in enumerate(zip(models, values, strict=True)):
        if not np.isfinite(found.cost[i]):
            made.append(None)
            continue
        theta = found.theta[i]
        objective = Objective(settings.residuals, settings.loss, float(found.delta[i]))
        residuals = objective.residuals(model.value(theta[None]), objective.target(measured))[0]
        ends = theta[None], found.cost[[i]], bool(found.converged[i])
        made.append(Solution(theta, float(found.cost[i]), objective, float(found.sigma[i]), residuals, *ends, 0))
    return made


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
    starts = points.shape[1]
    best = _lowest(found, starts)
    if not settled:
        search, found, best = _settled(search, found, best, SMALLEST_DELTA * unit, starts)
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
    """Where each fit begins, (P, starts, p): the best cells of the cover, and of the law's guesses if it makes any."""
    chosen = _best_cells(model, objective, values, weights, count)
    guesses = []
    for i in range(len(values) if type(model.law).guesses is not Law.guesses else 0):
        rows = {name: column[i] for name, column in model.variables.items()}
        own, first = replace(model, variables=rows, own=False), objective.members(slice(i, i + 1))
        cells = guessed(own, values[i])
        if len(cells):
            found = choose_starts(own, first, values[i], weights[i], cells, count)
            guesses.append(found[np.resize(np.arange(len(found)), count)])
    if len(guesses) == len(values):
        chosen = np.concatenate([chosen, np.stack(guesses)], axis=1)
    search = _Search(model, objective, values, weights)
    of = search.members(np.repeat(np.arange(len(values)), chosen.shape[1]))
    points = np.clip(chosen.reshape(-1, chosen.shape[2]), model.low, model.high)
    made = project(of.model, of.objective, of.values, of.weights, points, robust_steps=1)
    return np.asarray(made.reshape(chosen.shape))


def _best_cells(
    model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray, count: int
) -> FloatArray:
    """The best cells of the cover for each fit, (P, count, p)."""
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
    return found


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
