"""What is checked before a fit: rows that cannot enter one, and rows that cannot identify the law."""

from __future__ import annotations

import numpy as np

from scalefit.errors import IdentificationError, InputError
from scalefit.laws.law import Law
from scalefit.rows.gather import LAST_ROWS
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, Trajectory

SAME = 1e-9  #: relative spread below which a variable does not vary
FLAT = 1e-6  #: relative change of the learning rate below which a schedule is constant
SCHEDULE_POINTS = 100_000  #: learning rates that suffice to tell two schedules apart


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
