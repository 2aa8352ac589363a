"""The checks before a fit: rows that cannot be used, and rows that cannot identify the law."""

from __future__ import annotations

import numpy as np

from scalefit.errors import IdentificationError, InputError, all_of, counted, listed
from scalefit.escaping import quoted
from scalefit.laws.law import Law
from scalefit.rows.gather import ALL_ROWS
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, Trajectory
from scalefit.runs.table import DERIVED

FEWEST_PARAMETERS, FEWEST_TOKENS = 1e4, 1e5  #: no model and no training is smaller than both
FEWEST_FLOP = 1e6  #: no training takes fewer operations
MODELS, MOST_PARAMETERS = 1e12, 1e14  #: beside a model of fewer than the former none has more than the latter
#: a smaller count beside large ones lacks its unit; the smallest model of a published law has 768 parameters
FEWEST_BESIDE = {"N": 5e2, "N_total": 5e2, "D": 1e3}
COUNTED = (1e-2, 1e4)  #: where the largest of a column lies that is counted in millions or billions
ENOUGH = {"N": 1e6, "D": 1e8}  #: from which on the other column is a plain count
PROGRESS = ("step", "epoch", "tokens", "D", "C")  #: columns of curves that are 0 before training
LARGEST = 1e9  #: a measured value this many times the median is a fault of the log
SAME = 1e-9  #: a variable with less relative spread is constant
FLAT = 1e-6  #: learning rates with a smaller relative difference are equal
SCHEDULE_POINTS = 100_000  #: learning rates by which two schedules are compared at most


def check_rows(law: Law, rows: Rows, runs: Runs, log_residuals: bool, drop_diverged: bool) -> Rows:
    """The rows, without those of no finite loss if ``drop_diverged`` (with a note).

    Raises InputError that names the first row of each kind that cannot be fitted: a loss or variable that is not
    finite, a value that must be positive and is not (with ``log_residuals`` also the loss).
    """
    assert rows.values is not None
    rows = _after_the_start(law, rows)
    finite = np.isfinite(np.asarray(rows.values))
    if drop_diverged and not finite.all():
        bad = np.flatnonzero(~finite)
        names = listed([rows.place(runs, int(i)) for i in bad[:3]], count=len(bad))
        rows = rows.keep(finite, f"{counted(len(bad), 'row')} without a finite {law.target} left out ({names})")
    measured = np.asarray(rows.values)
    todo = (
        f'leave such rows out (--where "abs({quoted(law.target)}) < 1e299", or --drop-diverged where a command has it)'
    )
    known = np.isfinite(measured)
    wrong = [(~known, law.target, measured, todo)]
    usual = float(np.median(np.abs(measured[known]))) if known.any() else 0.0
    far = known & (np.abs(measured) > (LARGEST * usual if usual > 0 else np.inf))
    if far.any():
        limit = f"abs({quoted(law.target)}) < {LARGEST * usual:.2g}"
        todo = f'mend it, or leave it out (--where "{limit}")'
        wrong.append((far, law.target, measured, f"that is {LARGEST:g} times the usual value or more: {todo}"))
    if log_residuals:
        todo = f'leave such rows out (--where "{law.target} > 0"), or use --residuals linear if it may be negative'
        wrong.append((known & (measured <= 0), law.target, measured, todo))
    for name, variable in law.variables.items():
        values, column = rows.variables[name], law.columns[name]
        name_of = quoted(column)
        tests = [(~np.isfinite(values), f"abs({name_of}) < 1e299", "finite")]
        tests += [(np.isfinite(values) & (values <= 0), f"{name_of} > 0", "positive")] if variable.positive else []
        for failed, test, must in tests:
            several = values.ndim > 1  # values a row
            bad = np.asarray(failed.any(axis=1) if several else failed)
            shown = values.min(axis=1, initial=np.inf) if several else values
            select = "select rows with --where" if law.is_trajectory else f'leave such rows out (--where "{test}")'
            wrong.append((bad, column, shown, f"{variable.meaning} must be {must}: {select}"))
    all_of(lambda each: _refuse(rows, runs, *each), wrong)
    refuse_units(law, rows)
    _refuse_mixed_units(law, rows, runs)
    if not len(rows):
        raise InputError("there is no row to fit", where=f"law {law.name}", todo="hold out fewer runs, or select more")
    return rows


def _after_the_start(law: Law, rows: Rows) -> Rows:
    """The rows of curves without those at step, epoch or token 0, of which no power is taken (with a note)."""
    assert rows.values is not None
    names = [name for name, each in law.variables.items() if each.positive and law.columns[name] in PROGRESS]
    for name in names if rows.in_curves and not law.is_trajectory else ():
        begun = rows.variables[name] != 0
        if begun.any() and not begun.all():
            count = int((~begun).sum())
            note = f"{counted(count, 'row')} at {law.columns[name]} 0, before any training, left out"
            rows = rows.keep(begun, note)
    return rows


def refuse_units(law: Law, rows: Rows) -> None:
    """Refuse sizes, amounts of data and of compute that are counted in larger units without saying so."""
    scales = [
        name
        for name, unit in law.variables.items()
        if law.columns[name] == "C" and (unit.unit == "FLOP" or name != "C")
    ]
    compute = max((float(rows.variables[name].max(initial=0)) for name in scales), default=0.0)
    if 0 < compute < FEWEST_FLOP:
        what = f"C is at most {compute:g}: no amount of compute in FLOP"
        todo = "write the unit into the name of the column, such as C (EFLOPs) or compute (PF-days), or multiply"
        raise InputError(what, where=f"law {law.name}", todo=todo)
    counted = [name for name, variable in law.variables.items() if variable.unit in ("parameters", "tokens")]
    largest = {law.columns[name]: float(rows.variables[name].max(initial=0)) for name in counted}
    size = next((column for column in ("N", "N_total") if column in largest), None)
    if not size or "D" not in largest or not len(rows):
        return
    _refuse_derived(law, rows, largest)
    few = largest[size] < FEWEST_PARAMETERS and largest["D"] < FEWEST_TOKENS
    low, high = COUNTED
    one = (low <= largest["D"] < high and largest[size] >= ENOUGH["N"]) or (
        low <= largest[size] < high and largest["D"] >= ENOUGH["D"]
    )
    if few or one:
        raise InputError(
            f"{size} is at most {largest[size]:g} and D at most {largest['D']:g}: no numbers of parameters and tokens",
            where=f"law {law.name}",
            todo="write the unit into the names of the columns, such as params_M and tokens_B, or multiply",
        )


def _refuse_derived(law: Law, rows: Rows, largest: dict[str, float]) -> None:
    """Refuse parameters or tokens that follow from a compute that cannot be counted in FLOP."""
    for name, (formula, _) in DERIVED.items():
        if name in largest and formula in rows.notes and largest[name] < COUNTED[1]:
            what = f"{formula} is at most {largest[name]:.3g}: C, its source, is no amount of compute in FLOP"
            todo = "write the unit into the name of the column, such as C (EFLOPs) or compute (PF-days), or multiply"
            raise InputError(what, where=f"law {law.name}", todo=todo)


def _refuse_mixed_units(law: Law, rows: Rows, runs: Runs) -> None:
    """Refuse a size that no model has, and a row that lacks the unit which the other rows of its column have."""
    for name, column in law.columns.items():
        values = rows.variables[name]
        if column not in FEWEST_BESIDE or values.ndim > 1 or not len(rows):
            continue
        if column != "D":
            todo = "no model is so large: mend it, or check whether the unit in the column's name holds here"
            beyond = (values > MOST_PARAMETERS) & (values.min() < MODELS)
            _refuse(rows, runs, beyond, column, values, todo)
        if not rows.in_curves and float(values.max()) >= ENOUGH["D" if column == "D" else "N"]:
            todo = f"others are up to {float(values.max()):.3g}: write the unit beside this number, or mend it"
            _refuse(rows, runs, values < FEWEST_BESIDE[column], column, values, todo)


def _refuse(rows: Rows, runs: Runs, bad: np.ndarray, column: str, values: np.ndarray, todo: str) -> None:
    if bad.any():
        first, more = (
            int(np.argmax(bad)),
            f" (and in {counted(int(bad.sum()) - 1, 'other row')})" if bad.sum() > 1 else "",
        )
        where = f"{rows.place(runs, first)}, column {column}"
        raise InputError(f"{column} is {values[first]:g}{more}", where=where, todo=todo)


def check_identified(law: Law, rows: Rows, free: int) -> None:
    """Raise :class:`IdentificationError` if these rows cannot identify the law, saying which run would."""
    where = f"law {law.name}"
    if len(rows) <= free:
        all_rows = f"use every logged row ({ALL_ROWS}), " * any(ALL_ROWS in note for note in rows.notes)
        todo = f"{all_rows}add runs, or fix parameters with --fix; needs: {law.needs or 'more rows than parameters'}"
        raise InputError(f"{counted(len(rows), 'row')} for {counted(free, 'free parameter')}", where=where, todo=todo)
    if law.is_trajectory and law.schedules_needed > distinct_schedules(list(rows.paths.values())):
        what = f"{len(rows.paths)} run{'s' * (len(rows.paths) > 1)} under one single schedule"
        todo = "add a run whose learning rate follows another schedule (a constant one beside a decaying one)"
        raise IdentificationError(f"{what}; the law needs {law.schedules_needed}", where=where, todo=todo)
    for name, variable in law.variables.items():
        values = rows.variables[name]
        if variable.may_be_constant:
            continue
        first = float(values.flat[0]) if values.size else 0.0
        if not values.size or np.ptp(values) <= SAME * max(abs(first), 1e-300):
            column = law.columns[name]
            what = f"all {len(rows)} rows have {column} = {first:g}: its terms cannot be separated from a constant"
            todo = f"add runs at another {column} (needs: {law.needs or 'rows that vary in it'})"
            raise IdentificationError(what, where=where, todo=todo)
    law.check(rows.variables)
    if rows.values is not None:
        first = float(rows.values[0])
        if np.ptp(rows.values) <= SAME * abs(first):
            what = f"all {len(rows)} rows have the same {law.target}, {first:g}: there is nothing to explain"
            todo = f"add runs whose {law.target} differs (needs: {law.needs or 'values that differ'})"
            raise IdentificationError(what, where=where, todo=todo)
        law.check_target(rows.variables, rows.values)


def distinct_schedules(paths: list[Trajectory]) -> int:
    """How many different schedules the runs follow; one that is constant beyond the end of another is the same."""
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
