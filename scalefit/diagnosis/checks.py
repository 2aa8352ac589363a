"""Warnings about a finished fit: convergence, starts, bounds, domains; and rows that are outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit.diagnosis.undetermined import hardly_known, open_above, undetermined
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows
from scalefit.runs import Runs
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Solution

FAR = 5.0  #: residuals beyond this many sigma are outliers
ALIKE = (
    "N",
    "d_model",
    "n_layer",
    "batch",
    "seq_len",
    "optimizer",
    "parametrization",
)  #: columns that all runs fitted by a law along the schedule must share
CLOSE = 5.0  #: a floor within this many sigma of the least value of its variable is at its bound
NEGLIGIBLE = 1e-9  #: share of the prediction below which a term counts as zero


@dataclass(frozen=True)
class Check:
    """A warning: a short code, and one sentence that says what is wrong, how bad it is and what to do."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Outlier:
    """A row whose residual is more than five times the noise."""

    place: str
    run: str
    sigmas: float  #: residual in units of the noise, positive where the measured value lies above the law


def examine(
    law: Law, model: BoundLaw, solution: Solution, rows: Rows, weights: FloatArray | None = None
) -> list[Check]:
    """Warnings about a finished fit: convergence, starts, bounds, domains, parameters that are not identified."""
    fitted = dict(zip(law.parameters, model.vector(solution.theta[None])[0].tolist(), strict=True))
    found = [Check(*doubt) for doubt in (*law.doubts(rows.paths), *law.doubts_fitted(rows.variables, fitted))]
    if not solution.converged:
        text = f"the solver stopped after {solution.iterations} iterations without reaching an optimum"
        found.append(Check("not-converged", f"{text}; raise --starts, or hold a parameter with --fix"))
    total = len(solution.costs)
    if total > 1 and solution.agree < max(2, total // 2):
        text = f"only {solution.agree} of {total} starts reached this optimum, so that a better one may exist"
        found.append(Check("starts-disagree", f"{text}; raise --starts, or take a law with fewer parameters"))
    assert rows.values is not None
    for name, (bound, gone) in at_bounds(model, solution.theta).items():
        if open_above(model, rows.values, weights, solution, name):
            continue
        meaning, domain = law.parameters[name].meaning, (law.parameters[name].low, law.parameters[name].high)
        own = any(np.isclose(fitted[name], end, rtol=1e-6, atol=0.0) for end in domain)
        if not gone and own:
            text = ", the end of its domain: these runs do not determine it; add runs over a wider range"
        elif not gone:
            text = "; widen its bounds, or add runs over a wider range"
        elif meaning.startswith("irreducible"):
            text = f": these runs show no {meaning}; take a law without it, or add larger runs"
        else:
            text = f": its term ({meaning}) is zero; take a law without that term, or add runs over a wider range"
        found.append(Check("at-bound", f"{name} ended at {bound}{text}"))
    found += near_floors(law, model, solution, rows)
    for name, value in fitted.items():
        low, high = law.parameters[name].low, law.parameters[name].high
        if (name in model.fixed or name in model.ties) and not low <= value <= high:
            text = f"{name} = {value:g} lies outside its domain, {low:g} to {high:g}; give it a value inside"
            found.append(Check("outside-domain", text))
    open_parameters = undetermined(model, rows.values, weights, solution)
    found += [Check("hardly-identified", text) for text in hardly_known(model, rows.values, weights, solution)]
    return [*found, Check("not-identified", open_parameters)] if open_parameters else found


def near_floors(law: Law, model: BoundLaw, solution: Solution, rows: Rows) -> list[Check]:
    """Floors that were searched and ended at the least value of their variable, as far as the noise can tell.

    The power of so small a difference fits that one row whatever it measured, and bends where no row lies.
    """
    found = []
    vector = dict(zip(law.parameters, model.vector(solution.theta[None])[0].tolist(), strict=True))
    searched = {c.name for c in model.coordinates} - at_bounds(model, solution.theta).keys()
    for floor in searched & law.floors.keys():
        column, values = law.columns[law.floors[floor]], rows.variables[law.floors[floor]]
        least = float(np.min(values))
        noise = solution.sigma * (least if solution.objective.space == "log" else 1.0)
        if least - vector[floor] <= CLOSE * noise:
            text = f"{floor} ended at {vector[floor]:.5g}, within {CLOSE:g} sigma of the least {column} ({least:.5g})"
            todo = f"hold it with --fix {floor}=VALUE, or add runs of lower {column}"
            found.append(Check("at-bound", f"{text}: these rows do not determine it, and the law bends there; {todo}"))
    return found


def at_bounds(model: BoundLaw, theta: np.ndarray) -> dict[str, tuple[str, bool]]:
    """The parameters at an end of their domain: which end it is, and whether the parameter's term is zero there."""
    found = {}
    value, jacobian = model.jacobian(theta[None])
    for j, coordinate in enumerate(model.coordinates):
        low, high = coordinate.low, coordinate.high
        near = 1e-7 * min(high - low, max(abs(theta[j]), 1.0))
        lower, upper = theta[j] - low <= near, high - theta[j] <= near
        if coordinate.linear:
            size = np.max(np.abs((theta[j] - low) * jacobian[0, j] / value[0])) if np.isfinite(low) else np.inf
            lower, upper = size < NEGLIGIBLE, theta[j] >= high
        if lower or upper:
            bound = np.exp(low if lower else high) if coordinate.log else low if lower else high
            gone = lower and coordinate.linear and low == 0
            found[coordinate.name] = f"its {'lower' if lower else 'upper'} bound {bound:g}", gone
    return found


def sub_models(model: BoundLaw, solution: Solution) -> dict[str, int]:
    """Where the starts that missed the optimum ended (which terms were zero there), and how many of them."""
    lost: dict[str, int] = {}
    shared = at_bounds(model, solution.theta)
    for end in solution.ends[~solution.agreeing]:
        ended = sorted((name, *how) for name, how in at_bounds(model, end).items() if shared.get(name) != how)
        died = [name for name, _, gone in ended if gone]
        stuck = [f"{name} ended at {bound}" for name, bound, gone in ended if not gone]
        where = f"without {', '.join(died)}" if died else f"where {' and '.join(stuck)}" if stuck else "elsewhere"
        lost[where] = lost.get(where, 0) + 1
    return lost


def find_outliers(rows: Rows, runs: Runs, objective: Objective, residuals: np.ndarray, sigma: float) -> list[Outlier]:
    """Rows whose residual is more than five times the noise, the largest first."""
    if not sigma > 0 or objective.loss == "squared":
        return []
    sigmas = -residuals / sigma
    least = FAR * max(1.0, 1e-12 / sigma)
    order = np.argsort(-np.abs(sigmas))
    names = rows.frame["run"]
    return [
        Outlier(rows.place(runs, int(i)), str(names.iloc[int(i)]), float(sigmas[i]))
        for i in order[: int(np.sum(np.abs(sigmas) > least))]
    ]
