"""``fit_many``: a law fitted to each of many groups of rows (curves, tasks, seeds), all of them as one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.fitting.prepare import Options
from scalefit.laws import Law, find_law
from scalefit.rows.door import check_identified, check_rows
from scalefit.rows.gather import gather
from scalefit.rows.resolve import resolve
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, runs_of
from scalefit.solver.many import Solutions, solve_many
from scalefit.solver.model import BoundLaw, bind
from scalefit.solver.solve import Settings

FAILED = "not-identified"
TOLD = ("residuals", "loss", "delta", "starts", "target", "points", "drop_diverged")  #: keywords that hold for all


@dataclass(frozen=True)
class Group:
    """The rows of one fit: their positions among all, and why they cannot be fitted."""

    name: str
    rows: NDArray[np.intp]
    refused: str = ""


def fit_many(runs: Runs | pd.DataFrame, law: str | Law | type[Law], *, by: str = "run", **options: Any) -> pd.DataFrame:
    """Fit a law to the rows of each value of a column, all fits as one batch: the numbers of single fits, much faster.

    One row a fit: its parameters, ``sigma`` (noise of the residuals), ``delta``, ``cost`` (the objective), ``rows``,
    ``agree`` (starts that end at the optimum), ``status`` (converged, not-converged, at-bound, not-identified) and
    ``reason``, where it could not be fitted; its numbers are then NaN. Of curves, ``runs`` says how many runs each fit
    pools, where ``by`` is another column than ``run``. The checks, intervals and predictions of a fit
    are those of :func:`scalefit.fit` on the rows of that group.

    ``by`` is ``run`` or any column of the runs. ``options``: residuals, loss, delta, starts, target, points and
    drop_diverged, as in :func:`scalefit.fit`; every logged row is read, unless ``points`` says otherwise.

    >>> steps = np.arange(1, 51)
    >>> curves = [pd.DataFrame({"run": f"A={a}", "step": steps, "loss": 2 + a * steps**-0.5}) for a in (1.0, 3.0)]
    >>> fit_many(pd.concat(curves), "power-floor:over=step")[["A", "alpha"]].round(6).values.tolist()
    [[1.0, 0.5], [3.0, 0.5]]
    """
    unknown = [name for name in options if name not in TOLD]
    if unknown:
        todo = f"the options of many fits are {', '.join(TOLD)}"
        raise InputError(f'option "{unknown[0]}"', where="fit_many", todo=todo)
    logs = runs_of(runs)
    asked = Options(**{"points": "all" if logs.curves is not None else "auto", **options})
    chosen = resolve(find_law(law), logs)
    _refuse_of_its_own(chosen)
    residuals = asked.residuals or ("log" if chosen.log_residuals else "linear")
    rows = gather(chosen, logs, target=logs.column(asked.target) if asked.target else None, points=asked.points)
    rows = check_rows(chosen, rows, logs, residuals == "log", asked.drop_diverged)
    settings = Settings(residuals, asked.loss, asked.delta, asked.starts)
    pooled = bind(chosen, rows.variables, fix=chosen.held, position=rows.position)
    groups = list(_groups(chosen, logs, rows, by, len(pooled.coordinates)))
    sound = [group for group in groups if not group.refused]
    table = _table(pooled, groups, sound, _batched(pooled, rows, sound, settings), by)
    if rows.in_curves and by != "run":
        table["runs"] = [rows.frame["run"].iloc[group.rows].nunique() for group in groups]
    return table


def _groups(law: Law, runs: Runs, rows: Rows, by: str, free: int) -> Iterator[Group]:
    """The rows of each value of a column, in the order in which these come first."""
    codes, names = pd.factorize(_column(runs, rows, by))
    if count := int((codes < 0).sum()):
        todo = "write one there, or leave these rows out (--where leaves out rows without a value of its columns)"
        raise InputError(f"{count} rows have no value of {by}", where="fit_many", todo=todo)
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    for name, own in zip(names, np.split(order, cuts), strict=True):
        few = replace(
            rows,
            variables={key: values[own] for key, values in rows.variables.items()},
            values=None if rows.values is None else rows.values[own],
            frame=rows.frame.iloc[own],
            positions=rows.positions[own],
        )
        if rows.paths:
            few = replace(few, paths={run: rows.paths[run] for run in few.frame["run"].astype(str).unique()})
        try:
            check_identified(law, few, free)
        except InputError as error:
            yield Group(str(name), own, str(error))
        else:
            yield Group(str(name), own)


def _column(runs: Runs, rows: Rows, by: str) -> NDArray[Any]:
    """The value of a column of each row."""
    frame, name = runs.curves if rows.in_curves and runs.curves is not None else runs.table, runs.column(by)
    if name in frame.columns:
        return np.asarray(_as_text(frame[name]).to_numpy()[rows.positions])
    if name not in runs.table.columns:
        todo = f"choose one of {', '.join(map(str, runs.table.columns))}"
        raise InputError(f'no column "{by}" to group by', where="fit_many", todo=todo)
    by_run = runs.table.drop_duplicates("run")
    values = dict(zip(by_run["run"].astype(str), _as_text(by_run[name]), strict=True))
    return np.asarray(rows.frame["run"].astype(str).map(values).to_numpy())


def _as_text(column: pd.Series) -> pd.Series:
    """Values as text, empty cells missing; numbers that differ in their last digits are one."""
    text = column.map("{:.10g}".format) if pd.api.types.is_float_dtype(column.dtype) else column.astype(str)
    return text.astype(object).where(column.notna(), None)


def _refuse_of_its_own(law: Law) -> None:
    """Refuse a law whose box or stages depend on the rows of each fit: one batch has the same for all."""
    several = any(variable.many for variable in law.variables.values())
    if several or law.floors or law.base is not None or law.stages:
        what = f"law {law.name} is fitted to each set of rows in another way, not as one batch"
        raise InputError(what, where="fit_many", todo="fit the groups one after the other")


def _batched(pooled: BoundLaw, rows: Rows, groups: list[Group], settings: Settings) -> Solutions:
    """All fits as one batch: rows are filled up with the first of each group, of weight 0."""
    assert rows.values is not None
    if not groups:
        none = np.empty(0)
        return Solutions(np.empty((0, len(pooled.low))), none, none, none, none.astype(np.intp), none.astype(bool))
    width = max(len(group.rows) for group in groups)
    place = np.array([np.r_[group.rows, np.full(width - len(group.rows), group.rows[0])] for group in groups])
    weights = (np.arange(width) < np.array([len(group.rows) for group in groups])[:, None]).astype(np.float64)
    variables = {name: values[place] for name, values in rows.variables.items()}
    model = replace(pooled, variables=variables, position=None, own=True)
    return solve_many(model, rows.values[place], weights, settings)


def _table(pooled: BoundLaw, groups: list[Group], sound: list[Group], made: Solutions, by: str) -> pd.DataFrame:
    """One row a group."""
    vectors = pd.DataFrame(pooled.vector(made.theta), columns=list(pooled.law.parameters))
    table = vectors.assign(sigma=made.sigma, delta=made.delta, cost=made.cost)
    at_end = ((made.theta <= pooled.low) | (made.theta >= pooled.high)).any(axis=1)
    table["rows"], table["agree"] = [len(group.rows) for group in sound], made.agree
    table["status"] = np.where(made.converged, np.where(at_end, "at-bound", "converged"), "not-converged")
    table.index = pd.Index([group.name for group in sound], name=by)
    table = table.reindex([group.name for group in groups])
    table["rows"] = [len(group.rows) for group in groups]
    return table.assign(
        status=[FAILED if group.refused else status for group, status in zip(groups, table["status"], strict=True)],
        reason=[group.refused for group in groups],
    ).rename_axis(by)
