"""Which laws a set of runs identifies, and which columns or runs are missing for the others."""

from __future__ import annotations

from dataclasses import dataclass

from scalefit.diagnosis.unread import unread
from scalefit.errors import InputError
from scalefit.laws import Law, find_law, law_names
from scalefit.laws.law import Variable
from scalefit.rows.door import check_identified, check_rows
from scalefit.rows.gather import gather
from scalefit.rows.resolve import resolve, scales_of
from scalefit.runs import Runs
from scalefit.runs.columns import COLUMNS
from scalefit.runs.table import DERIVED
from scalefit.solver.model import bind

OTHERS = ("step", "batch", "peak_lr")  #: targets of laws that do not predict a loss or a score


@dataclass(frozen=True)
class Identified:
    """Whether a law can be fitted to some runs, and why not."""

    law: str
    can: bool
    reason: str
    doubts: tuple[str, ...] = ()  #: warnings, where it can be fitted


def identify(runs: Runs, target: str | None = None) -> list[Identified]:
    """Whether each law of the registry can be fitted to these runs: first those that can, without warnings first.

    A law in one variable is listed once for each column that can be its x. ``target``: the column to explain, where it
    is not the law's own; laws that explain a learning rate, a batch size or steps are then refused.

    >>> import pandas as pd
    >>> from scalefit.runs import read_runs
    >>> runs = read_runs(pd.DataFrame({"N": [1e6, 1e7, 1e8, 1e9], "loss": [4.0, 3.5, 3.1, 2.9]}))
    >>> [found.law for found in identify(runs) if found.can][:2]
    ['power', 'power-floor']
    """
    found = [_one(law, runs, target) for name in law_names() for law in _choices(find_law(name), runs)]
    return sorted(found, key=lambda one: (not one.can, bool(one.doubts)))


def _choices(law: Law, runs: Runs) -> list[Law]:
    """The law; where several columns can be its x, one law for each."""
    try:
        resolve(law, runs)
    except InputError:
        return [type(law)(**{**law.options, "over": name}) for name in scales_of(runs)] or [law]
    return [law]


def _one(law: Law, runs: Runs, target: str | None) -> Identified:
    name = law.spec
    wanted = target or law.target
    if target not in (None, law.target) and (law.target in OTHERS or (law.target != "loss" and "loss" in str(target))):
        return Identified(name, False, f"it explains {law.target}, not {target}")
    lacking = _lacking(law, runs, wanted)
    if lacking:
        return Identified(name, False, lacking)
    try:
        law = resolve(law, runs)
        rows = gather(law, runs, target=target)
        rows = check_rows(law, rows, runs, log_residuals=law.log_residuals, drop_diverged=True)
        check_identified(law, rows, len(bind(law, rows.variables, fix=law.held).coordinates))
    except InputError as error:
        return Identified(name, False, str(error))
    free = len(law.parameters) - len(law.held)
    read = "the schedule" if law.is_trajectory else ", ".join(law.columns.values())
    doubts = (*(text for _, text in law.doubts(rows.paths)), *(check.text for check in unread(law, rows, runs)))
    said = f"{wanted} from {read}: {len(rows)} rows, {free} parameters"
    return Identified(name, True, "; but ".join([said, *doubts]), doubts)


def _lacking(law: Law, runs: Runs, target: str) -> str:
    """The columns that a law reads and these runs lack, with their meaning; empty where none is missing."""
    curves = runs.curves
    if law.is_trajectory and (curves is None or "step" not in curves.columns):
        return "needs loss curves: one row per logged step, with the learning rate (columns run, step, lr)"
    have = {*runs.table.columns, *(curves.columns if curves is not None else ())}
    have |= {name for name, (_, sources) in DERIVED.items() if have.issuperset(sources)}
    read = {name: law.variables[key] for key, name in law.columns.items() if key != "x" or law.options.get("over")}
    missing = [] if law.is_trajectory else [f"{n} ({_described(v)})" for n, v in read.items() if n not in have]
    missing += [f"{n} ({COLUMNS[n].meaning})" for n in law.path_columns if n not in have]
    if target not in have:
        missing.insert(0, f"{target} ({COLUMNS[target].meaning if target in COLUMNS else 'the column to explain'})")
    if not missing:
        return ""
    return f"needs {'the column' if len(missing) == 1 else 'the columns'} {' and '.join(missing)}"


def _described(variable: Variable) -> str:
    """The meaning of a column, with its unit where the meaning does not name it."""
    known = variable.unit in ("1", "any") or variable.unit in variable.meaning
    return variable.meaning if known else f"{variable.meaning}, in {variable.unit}"
