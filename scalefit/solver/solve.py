"""Batched bounded multi-start robust least squares: arrays in, a :class:`Solution` out. It knows no law.

Global stage: an even cover of the non-linear coordinates, linear ones projected out, ranked. Local stage: the best
cells descend together. With ``delta="auto"`` the robust threshold is set to 1.345 sigma, sigma from the median
absolute residual, and the descent repeated until the two agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray, robust_sigma
from scalefit.solver.descent import Descent, descend
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import HUBER_EFFICIENT, Objective
from scalefit.solver.projection import project
from scalefit.solver.refine import refine
from scalefit.solver.starts import choose_starts, cover, cover_around, distinct, guessed

AGREE = 1e-4  #: starts whose objective is within this fraction of the best one agree
SMALLEST_DELTA = 1e-9  #: the threshold on data without noise, relative to the residuals' unit
NEARBY = 0.1  #: decades around the end of a given start from which it is tried again
ROUNDING = 1e-14  #: residuals smaller than this fraction of their unit are rounding
FIRST_DELTA = 1e-2  #: in log residuals, before any noise is known
EXACT = 1e-7  #: starts that leave smaller residuals than this fraction of their unit agree: both explain every row
NOTHING = 1e-10  #: residuals smaller than this fraction of their unit do not tell two minima apart
DELTA_ROUNDS = 30
SAME_DELTA = 1e-3  #: share by which two thresholds may differ that count as one
SEARCHED_ROWS = 250  #: with which the search begins where each row is a sum over many values
MANY_ROWS, FEW_ROWS = 10_000, 2_000  #: rows from which on the starts descend first on a sample, and of the sample
#: while the threshold is not settled: share of the objective that a step may still gain, and steps in a flat valley,
#: along which neither the objective nor the noise changes
ON_THE_WAY, FEW_STEPS = 1e-10, 40
LOOSE, SETTLED = 1e-6, 1e-13  #: the same of all starts, before and after


@dataclass(frozen=True)
class Settings:
    """How to fit: residual space, loss, threshold ("auto": from the noise), number of starts."""

    residuals: Literal["log", "linear"] = "log"
    loss: Literal["huber", "squared", "soft_l1"] = "huber"
    delta: float | Literal["auto"] = "auto"
    starts: int = 8

    def __post_init__(self) -> None:
        if self.delta != "auto" and not isinstance(self.delta, int | float):
            raise InputError(f"delta {self.delta!r} is not a number", todo='give a positive number or "auto"')
        if not isinstance(self.starts, int) or self.starts < 1:
            raise InputError(f"{self.starts!r} starts", todo="give a whole number of at least 1")


@dataclass(frozen=True)
class Solution:
    """The best point, and what became of every start."""

    theta: FloatArray  #: coordinates of the best point, (p,)
    cost: float  #: the objective there
    objective: Objective  #: with the threshold that was used
    sigma: float  #: noise of the residuals, from their median absolute value
    residuals: FloatArray  #: (n,), in the objective's space
    ends: FloatArray  #: where each start ended, (B, p)
    costs: FloatArray  #: the objective there, (B,)
    converged: bool  #: whether the best point satisfies the optimality conditions
    iterations: int
    nothing: float = 0.0  #: objectives that differ by less are equal

    @property
    def agreeing(self) -> NDArray[np.bool_]:
        """Which starts ended within 1e-4 relative of the best objective, (B,)."""
        return np.asarray(self.costs <= self.cost * (1 + AGREE) + self.nothing)

    @property
    def agree(self) -> int:
        """How many starts ended within 1e-4 relative of the best objective."""
        return int(np.sum(self.agreeing))


@dataclass(frozen=True)
class Starts:
    """What became of the starts: how many there were, how many reached the optimum, where the others ended."""

    count: int
    agree: int
    lost: Mapping[str, int] = field(default_factory=dict)
    iterations: int = 0


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # cells of the search may overflow: they rank last
def solve(
    model: BoundLaw,
    values: FloatArray,
    weights: FloatArray | None = None,
    settings: Settings | None = None,
    start: FloatArray | None = None,
) -> Solution:
    """Fit a bound law to values (n,).

    Without ``start`` the search covers the start ranges of the law, and as many starts again come from its own guesses
    where it makes some. One given start (1, p) is itself advanced, and the search covers two decades around it; several
    (B, p) are advanced as they are. The linear coordinates of any start are replaced by their projection. Among equal
    minima the one nearest to a single given start is returned.
    """
    settings = settings or Settings()
    weights = np.ones(model.n) if weights is None else weights
    exact, model = model, model.condensed
    objective = _first_objective(settings, values)
    rough, some = _thinned(exact)
    points = _points(rough, objective, values[some], weights[some], start, settings.starts)
    settled = settings.delta != "auto" or settings.loss == "squared"
    if model.n > MANY_ROWS:  # a sample shows which starts lead to the same minimum
        few = np.linspace(0, model.n - 1, FEW_ROWS).astype(np.intp)
        points = descend(model.take(few), objective, values[few], weights[few], points, tolerance=LOOSE).theta
    beside = start is None and (points == points[0]).all()  # all cells lead to one: its minimum is next to it
    found = descend(model, objective, values, weights, points, tolerance=SETTLED if settled else LOOSE, near=beside)
    if not np.isfinite(found.objective).any():
        raise InputError(
            "no start gives a finite prediction for every row",
            where=f"law {model.law.name}",
            todo="check the formula and its columns, or give --bounds and a start",
        )
    if not settled:
        least = SMALLEST_DELTA * objective_unit(settings, values)
        objective, found = _settle_delta(model, objective, values, weights, found, least)
    best = _best(found, start, len(values) * (NOTHING * objective_unit(settings, values)) ** 2)
    if model is not exact and (model.between is None or exact.condensed_at(found.theta[best]) is exact):
        model = exact
        end = descend(model, objective, values, weights, found.theta[[best]], near=True)
        found.theta[best], found.objective[best], found.converged[best] = end.theta, end.objective[0], end.converged[0]
    theta = found.theta[best]
    cost, residuals = _ended(model, objective, values, weights, theta)
    nothing = float(np.sum(weights)) * (ROUNDING * objective_unit(settings, values)) ** 2
    finer = refine(model, objective, values, weights, theta, residuals)
    if finer is not theta:
        least, left = _ended(model, objective, values, weights, finer)
        if least <= cost * (1 + 1e-9) + nothing:
            theta, cost, residuals = finer, least, left
    return Solution(
        _arranged(model, theta),
        cost,
        objective,
        robust_sigma(residuals, len(theta)),
        residuals,
        found.theta,
        found.objective,
        bool(found.converged[best]),
        found.iterations,
        float(np.sum(weights)) * (EXACT * objective_unit(settings, values)) ** 2,
    )


def _thinned(exact: BoundLaw) -> tuple[BoundLaw, slice]:
    """The law with which the search begins, and its rows: few where each row is a sum over many values."""
    if exact.condensed.between is None:
        return exact.condensed, slice(None)
    some = slice(None, None, max(1, exact.n // SEARCHED_ROWS))
    if exact.between is not None:  # its rows hold no values of their own
        return exact.take(some), some
    few = {name: values[some] for name, values in exact.variables.items()}
    return replace(exact, variables=few, position=None).condensed, some


def _points(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    start: FloatArray | None,
    count: int,
) -> FloatArray:
    if start is None:
        points = choose_starts(model, objective, values, weights, cover(model), count, grid=True)
        cells = guessed(model, values)
        if len(cells):
            points = np.vstack([points, choose_starts(model, objective, values, weights, cells, count)])
    elif len(start) == 1:
        nearby = choose_starts(model, objective, values, weights, cover_around(model, start[0]), count, grid=True)
        end = descend(model, objective, values, weights, project(model, objective, values, weights, start)).theta
        hops = cover_around(model, end[0], NEARBY)  # two terms may have merged: hop apart
        points = np.vstack([start, hops[:: max(1, len(hops) // count)], nearby])
    else:
        points = start
    points = np.clip(points, model.low, model.high)
    different, of = distinct(points)
    solved = start is None and len(different) == 1  # of several that are in a flat valley each goes its own way
    return project(model, objective, values, weights, points[different], robust_steps=1, solved=solved)[of]


def _best(found: Descent, start: FloatArray | None, nothing: float) -> int:
    """The lowest end; among equal ones (a sum of like terms has several) the nearest to a single given start."""
    lowest = int(np.argmin(found.objective))
    if start is None or len(start) != 1:
        return lowest
    equal = np.flatnonzero(found.objective <= found.objective[lowest] * (1 + AGREE) + nothing)
    distance = np.sum(((found.theta[equal] - start) / (np.abs(start) + 1e-12)) ** 2, axis=1)
    return int(equal[np.argmin(distance)])


def _ended(
    model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray, theta: FloatArray
) -> tuple[float, FloatArray]:
    """The objective at a point (p,), and the residuals (n,) there."""
    residuals = objective.residuals(model.value(theta[None]), objective.target(values))[0]
    return float(weights @ objective.rho(residuals)), residuals


def _arranged(model: BoundLaw, theta: FloatArray) -> FloatArray:
    """The same curve with the law's interchangeable parts in order, where no setting of the user forbids it."""
    if type(model.law).arranged is Law.arranged:
        return theta
    old = dict(zip(model.law.parameters, model.vector(theta[None])[0].tolist(), strict=True))
    new = model.law.arranged(old)
    moved = {name for name in old if new[name] != old[name]}
    if not moved or moved & {*model.fixed, *model.ties}:
        return theta
    plain = np.array([new[coordinate.name] for coordinate in model.coordinates])
    found = np.where(model.log, np.log(np.where(model.log, plain, 1.0)), plain)
    return found if np.all((found >= model.low) & (found <= model.high)) else theta


def objective_unit(settings: Settings, values: FloatArray) -> float:
    """The natural size of a residual: 1 for logarithms, the median value otherwise."""
    return 1.0 if settings.residuals == "log" else float(np.median(np.abs(values))) or 1.0


def _first_objective(settings: Settings, values: FloatArray) -> Objective:
    if settings.delta == "auto":
        return Objective(settings.residuals, settings.loss, FIRST_DELTA * objective_unit(settings, values))
    return Objective(settings.residuals, settings.loss, settings.delta)


def _noise(model: BoundLaw, objective: Objective, values: FloatArray, found: Descent) -> float:
    best = found.theta[int(np.argmin(found.objective))]
    return robust_sigma(objective.residuals(model.value(best[None]), objective.target(values))[0], len(best))


def _settle_delta(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    found: Descent,
    least: float,
) -> tuple[Objective, Descent]:
    """Threshold and fit until they agree, first with the best start alone, then once more with all of them."""
    sigma = _noise(model, objective, values, found)
    best = found.theta[[int(np.argmin(found.objective))]]
    for _ in range(DELTA_ROUNDS):
        delta = max(HUBER_EFFICIENT * sigma, least)
        settled = abs(delta - objective.delta) <= SAME_DELTA * delta
        objective = objective.with_delta(delta)
        if settled:
            break
        one = descend(model, objective, values, weights, best, near=True, tolerance=ON_THE_WAY, iterations=FEW_STEPS)
        best, sigma = one.theta, _noise(model, objective, values, one)
    found = descend(model, objective, values, weights, np.vstack([best, found.theta]))
    costs = found.objective[1:].copy()
    if found.objective[0] < costs.min():  # the settled point stands for the start that it came from
        first = int(np.argmin(costs))
        ends = found.theta[1:].copy()
        ends[first], costs[first] = found.theta[0], found.objective[0]
        done = found.converged[1:].copy()
        done[first] = found.converged[0]
        return objective, Descent(ends, costs, done, found.iterations)
    return objective, Descent(found.theta[1:], costs, found.converged[1:], found.iterations)
