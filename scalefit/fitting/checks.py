"""What is checked at the door of a fit (bad rows, laws that cannot be identified) and at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalefit.errors import IdentificationError, InputError
from scalefit.fitting.identification import undetermined
from scalefit.fitting.model import BoundLaw
from scalefit.fitting.objective import Objective
from scalefit.fitting.rows import LAST_ROWS, Rows
from scalefit.laws.law import Law
from scalefit.runs import Runs, Trajectory

if TYPE_CHECKING:
    from scalefit.fitting.solver import Solution

FAR = 5.0  #: residuals beyond this many sigma are outliers
SAME = 1e-9  #: relative spread below which a variable does not vary
FLAT = 1e-6  #: relative change of the learning rate below which a schedule is constant
SCHEDULE_POINTS = 100_000  #: learning rates that suffice to tell two schedules apart
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


def check_rows(law: Law, rows: Rows, runs: Runs, log_residuals: bool, drop_diverged: bool) -> Rows:
    """Refuse rows that cannot enter a fit, naming the first; or leave out diverged ones and say so."""
    assert rows.values is not None
    finite = np.isfinite(rows.values)
    if drop_diverged and not finite.all():
        names = ", ".join(rows.place(runs, int(i)) for i in np.flatnonzero(~finite)[:3])
        rows = rows.keep(finite, f"{int((~finite).sum())} rows without a finite {law.target} left out ({names} ...)")
        finite = np.isfinite(rows.values)  # type: ignore[arg-type]
    measured = rows.values
    _refuse(rows, runs, ~finite, law.target, measured, "pass --drop-diverged to leave such rows out, counted")
    if log_residuals:
        todo = f'leave such rows out (--where "{law.target} > 0"), or use --residuals linear where it may be negative'
        _refuse(rows, runs, np.asarray(measured) <= 0, law.target, measured, todo)
    for name, variable in law.variables.items():
        values, column = rows.variables[name], law.columns[name]
        bad = ~np.isfinite(values)
        if variable.positive:
            bad |= values <= 0
        if values.ndim > 1:  # several values a row
            bad, values = np.asarray(bad.any(axis=1)), values.min(axis=1, initial=np.inf)
        select = "select rows with --where" if law.is_trajectory else f'leave such rows out (--where "{column} > 0")'
        _refuse(rows, runs, bad, column, values, f"{variable.meaning} must be positive: {select}")
    if not len(rows):
        raise InputError("there is no row to fit", where=f"law {law.name}", todo="hold out fewer runs, or select more")
    return rows


def _refuse(rows: Rows, runs: Runs, bad: np.ndarray, column: str, values: np.ndarray | None, todo: str) -> None:
    if not bad.any() or values is None:
        return
    first = int(np.argmax(bad))
    more = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
    raise InputError(
        f"{column} is {values[first]:g}{more}", where=f"{rows.place(runs, first)}, column {column}", todo=todo
    )


def check_identified(law: Law, rows: Rows, free: int) -> None:
    """Raise :class:`IdentificationError` where these rows cannot identify the law, saying which run would."""
    if len(rows) <= free:
        ends = [note for note in rows.notes if LAST_ROWS in note]
        raise InputError(
            f"{len(rows)} rows for {free} free parameters",
            where=f"law {law.name}",
            todo=f"{'add runs' if not ends else f'take every logged row ({LAST_ROWS}), add runs'}, or hold parameters "
            f"with --fix; needs: {law.needs or 'more rows than parameters'}",
        )
    if law.is_trajectory and law.schedules_needed > 1:
        kinds = distinct_schedules(list(rows.paths.values()))
        if kinds < law.schedules_needed:
            count = f"{len(rows.paths)} run{'s' if len(rows.paths) > 1 else ''}"
            raise IdentificationError(
                f"{count} under one single schedule; the law needs {law.schedules_needed}",
                where=f"law {law.name}",
                todo="add a run whose learning rate follows another schedule (a constant one beside a decaying one)",
            )
    for name, variable in law.variables.items():
        values = rows.variables[name]
        if variable.may_be_constant:
            continue
        first = float(values.flat[0]) if values.size else 0.0
        if not values.size or np.ptp(values) <= SAME * max(abs(first), 1e-300):
            column = law.columns[name]
            raise IdentificationError(
                f"all {len(rows)} rows have {column} = {first:g}: its terms cannot be told from a constant",
                where=f"law {law.name}",
                todo=f"add runs at another {column} (needs: {law.needs or 'rows that vary in it'})",
            )
    law.check(rows.variables)
    if rows.values is not None:
        _refuse_constant(law, rows.values)
        law.check_target(rows.variables, rows.values)


def _refuse_constant(law: Law, values: np.ndarray) -> None:
    first = float(values[0])
    if np.ptp(values) <= SAME * abs(first):
        raise IdentificationError(
            f"all {len(values)} rows have the {law.target} {first:g}: there is nothing to explain",
            where=f"law {law.name}",
            todo=f"add runs whose {law.target} differs (needs: {law.needs or 'values that differ'})",
        )


def distinct_schedules(paths: list[Trajectory]) -> int:
    """How many different schedules the runs follow; a longer run of a constant schedule is the same one."""
    shapes: list[np.ndarray] = []
    for path in sorted(paths, key=lambda path: len(path.lr)):
        if not any(_same_schedule(path.lr, other) for other in shapes):
            shapes.append(path.lr)
    return len(shapes)


def _same_schedule(longer: np.ndarray, shorter: np.ndarray) -> bool:
    stride = max(1, len(longer) // SCHEDULE_POINTS)
    longer, shorter = longer[::stride], shorter[::stride]
    rest = longer[len(shorter) - 1 :]
    scale = FLAT * float(longer.max())
    return bool(np.all(np.abs(longer[: len(shorter)] - shorter) <= scale) and np.ptp(rest) <= scale)


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
