"""What is checked at the door of a fit (bad rows, laws that cannot be identified) and at its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit.diagnosis.undetermined import undetermined
from scalefit.laws.law import Law
from scalefit.rows.rows import Rows
from scalefit.runs import Runs
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Solution

FAR = 5.0  #: residuals beyond this many sigma are outliers
ALIKE = ("N", "d_model", "n_layer", "batch", "seq_len", "optimizer", "parametrization")  #: runs of one law share these
NEGLIGIBLE = 1e-9  #: share of the prediction below which a term is not there


@dataclass(frozen=True)
class Check:
    """Something about a fit that deserves attention: a short code and one sentence."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Outlier:
    """A row that ended far beyond the robust threshold."""

    place: str
    run: str
    sigmas: float  #: residual in units of the noise, positive where the measured value lies above the law


def examine(law: Law, model: BoundLaw, solution: Solution, rows: Rows) -> list[Check]:
    """Everything about a finished fit that a user must know."""
    found = [Check(code, text) for code, text in law.doubts(rows.paths)]
    if not solution.converged:
        found.append(
            Check("not-converged", f"the solver stopped after {solution.iterations} iterations short of an optimum")
        )
    total = len(solution.costs)
    if total > 1 and solution.agree < max(2, total // 2):
        found.append(Check("starts-disagree", f"only {solution.agree} of {total} starts found this optimum"))
    found += [Check("at-bound", text) for text in at_bounds(model, solution.theta)]
    found += [Check("outside-domain", text) for text in outside_domain(law, model, solution)]
    left_open = undetermined(model, solution)
    if left_open:
        found.append(Check("not-identified", left_open))
    return found


def outside_domain(law: Law, model: BoundLaw, solution: Solution) -> list[str]:
    """One sentence for each fixed or tied parameter whose value the law does not allow."""
    found = []
    for name, value in zip(law.parameters, model.vector(solution.theta[None])[0], strict=True):
        low, high = law.parameters[name].low, law.parameters[name].high
        if (name in model.fixed or name in model.ties) and not low <= value <= high:
            found.append(f"{name} = {value:g} lies outside its domain, {low:g} to {high:g}")
    return found


def at_bounds(model: BoundLaw, theta: np.ndarray) -> list[str]:
    """One sentence for each parameter that ended at an end of its domain, or whose term vanished."""
    found = []
    value, jacobian = model.jacobian(theta[None])
    for j, coordinate in enumerate(model.coordinates):
        low, high = coordinate.low, coordinate.high
        width = min(high - low, max(abs(theta[j]), 1.0))
        if coordinate.linear:
            size = np.max(np.abs((theta[j] - low) * jacobian[0, j] / value[0])) if np.isfinite(low) else np.inf
            if size < NEGLIGIBLE:
                found.append(f"{coordinate.name} ended at its lower bound {low:g}: {_vanished(model, coordinate.name)}")
            elif theta[j] >= high:
                found.append(f"{coordinate.name} ended at its upper bound {high:g}")
            continue
        if theta[j] - low <= 1e-7 * width:
            found.append(f"{coordinate.name} ended at its lower bound {_shown(coordinate.low, coordinate.log):g}")
        elif high - theta[j] <= 1e-7 * width:
            found.append(f"{coordinate.name} ended at its upper bound {_shown(coordinate.high, coordinate.log):g}")
    return found


def _vanished(model: BoundLaw, name: str) -> str:
    meaning = model.law.parameters[name].meaning
    return f"the data ask for no {meaning}" if meaning.startswith("irreducible") else f"its term ({meaning}) vanished"


def _shown(value: float, log: bool) -> float:
    return float(np.exp(value)) if log else value


def sub_models(model: BoundLaw, solution: Solution) -> dict[str, int]:
    """Where the starts that did not reach the optimum ended: the terms that died there, and how many starts."""
    lost: dict[str, int] = {}
    shared = set(at_bounds(model, solution.theta))
    for end in solution.ends[~solution.agreeing]:
        ended = sorted(set(at_bounds(model, end)) - shared)
        died = [text.split(" ended")[0] for text in ended if ": " in text]
        stuck = [text.split(":")[0] for text in ended if ": " not in text]
        name = f"without {', '.join(died)}" if died else f"where {' and '.join(stuck)}" if stuck else "elsewhere"
        lost[name] = lost.get(name, 0) + 1
    return lost


def find_outliers(rows: Rows, runs: Runs, objective: Objective, residuals: np.ndarray, sigma: float) -> list[Outlier]:
    """Rows whose residual lies more than five sigma out, furthest first."""
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
