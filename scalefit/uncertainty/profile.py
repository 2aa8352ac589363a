"""Profile intervals: how far a parameter can be moved, the others re-optimised, before the objective rises too far.

    interval = { v : 2 (F(v) - F) / s^2 <= t^2 },  F(v) = min over the other parameters at the value v

with s^2 = n / (n - p) mean(psi^2) / mean(psi'), which makes the left side chi-squared with one degree of freedom for
a robust loss (the variance of r where the loss is quadratic), and t Student's. It does not need a quadratic objective
and stays inside the domain, so it suits a parameter at or near an end of its domain. Rows are taken as independent;
curves are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.solver.descent import descend
from scalefit.solver.model import BoundLaw
from scalefit.solver.projection import project
from scalefit.solver.solve import Solution
from scalefit.uncertainty.calibration import student

FIRST = 0.02  #: first step outwards, relative; steps double
MOST_STEPS = 40
HALVINGS = 18  #: an end is found to the last step over two to this power


@dataclass
class Search:
    """The profile of one coordinate; it keeps the other coordinates of the last point as the next start."""

    model: BoundLaw
    values: FloatArray
    own_weights: FloatArray | None
    solution: Solution
    j: int

    def __post_init__(self) -> None:
        model, objective = self.model, self.solution.objective
        self.weights = np.ones(model.n) if self.own_weights is None else self.own_weights
        r = self.solution.residuals
        spread = float(np.mean(self.weights * objective.psi(r) ** 2))
        bend = float(np.mean(self.weights * objective.curvature(r)))
        free = model.n - len(model.coordinates)
        self.unit = model.n / max(free, 1) * spread / max(bend, 1e-300)
        self.others: FloatArray = np.delete(self.solution.theta, self.j)

    def without(self, value: float) -> BoundLaw:
        """The law with the coordinate fixed."""
        model, mine = self.model, self.model.coordinates[self.j]
        kept = tuple(c for i, c in enumerate(model.coordinates) if i != self.j)
        fixed = {**model.fixed, mine.name: float(np.exp(value)) if mine.log else value}
        return replace(model, coordinates=kept, fixed=fixed)

    def deviance(self, value: float, enough: float = -np.inf) -> float:
        """2 (F(v) - F) / s^2, or any value below ``enough`` where it lies below that, found sooner."""
        objective, values = self.solution.objective, self.values
        model = self.without(value)
        if not model.coordinates:
            residual = objective.residuals(model.value(np.zeros((1, 0)))[0], objective.target(values))
            return 2 * float(self.weights @ objective.rho(residual) - self.solution.cost) / self.unit
        begin = np.vstack([self.others, np.delete(self.solution.theta, self.j)])
        begin = np.unique(np.vstack([begin, project(model, objective, values, self.weights, begin)]), axis=0)
        below = self.solution.cost + 0.5 * enough * self.unit
        found = descend(model, objective, values, self.weights, begin, enough=below)
        best = int(np.argmin(found.objective))
        self.others = found.theta[best]
        return 2 * (float(found.objective[best]) - self.solution.cost) / self.unit


def interval(search: Search, level: float) -> dict[str, Any]:
    """Value, low and high of one parameter, and at which side the domain ends first (``open``)."""
    model, theta = search.model, search.solution.theta
    coordinate = model.coordinates[search.j]
    freedom = model.n - len(theta)
    most = student(level, max(freedom, 1)) ** 2
    ends, reached = [], []
    for side, end in ((-1, coordinate.low), (1, coordinate.high)):
        search.others = np.delete(theta, search.j)
        value, open_end = _outwards(search, float(theta[search.j]), side, float(end), most)
        ends.append(value)
        reached.append(open_end)
    low, centre, high = (float(np.exp(v)) if coordinate.log else float(v) for v in (ends[0], theta[search.j], ends[1]))
    side_of_domain = ("", "low", "high", "both")[reached[0] + 2 * reached[1]]
    return {"parameter": coordinate.name, "value": centre, "low": low, "high": high, "open": side_of_domain}


def _outwards(search: Search, begin: float, side: int, end: float, most: float) -> tuple[float, bool]:
    """Where the deviance reaches ``most`` on one side, and whether the domain ends first."""
    from scipy.optimize import brentq  # slow to load, and needed by few fits

    inside, step = begin, FIRST * max(abs(begin), 0.1)
    for _ in range(MOST_STEPS):
        outside = begin + side * step
        outside = max(outside, end) if side < 0 else min(outside, end)
        if search.deviance(outside) > most:
            near = 2.0**-HALVINGS * abs(outside - inside)
            return float(brentq(lambda value: search.deviance(value) - most, inside, outside, xtol=near)), False
        if outside == end:
            return end, True
        inside, step = outside, 2 * step
    return inside, True
