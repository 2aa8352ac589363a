"""Predictions of a fit: their intervals, how far they extrapolate, and their errors on measured runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.diagnosis.image import TODO, floors, no_image
from scalefit.diagnosis.reach import furthest
from scalefit.errors import InputError, all_of, counted
from scalefit.laws.identification import refuse_no_shares
from scalefit.numerics import FloatArray, errors
from scalefit.rows.asked import own_point, read_point, refuse_unread
from scalefit.rows.gather import gather
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, runs_of
from scalefit.runs.quantities import quantity
from scalefit.runs.table import DERIVED
from scalefit.schedules import Schedule, parse_schedule
from scalefit.uncertainty.calibration import EarlierCalibration
from scalefit.uncertainty.ceiling import capped
from scalefit.uncertainty.folds import schedule_states
from scalefit.uncertainty.mixture import Choice, mixed, moved
from scalefit.uncertainty.unlike import states_at

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit

Data = Runs | pd.DataFrame | None
Plan = str | Schedule | None
Point = Mapping[str, Any]

CURVE_POINTS = 200  #: rows of a predicted curve


def predict(
    fit: Fit,
    data: Data = None,
    *,
    schedule: Plan = None,
    every: int | None = None,
    at: Point | None = None,
    level: float = 0.9,
    interval: Literal["observation", "mean"] = "observation",
) -> pd.DataFrame:
    """See :meth:`scalefit.Fit.predict`; without its warnings, for callers that show the cautions themselves."""
    of = _Question(data, schedule, every, level, interval)
    if fit.choice is not None and fit.choice.mixes:
        return _mixture(fit, fit.choice, of, at or {})
    table, outside = _forecast(fit, of, at or {})
    _refuse_nothing(fit, table, outside)
    return table


@dataclass(frozen=True)
class _Question:
    """What is asked of every law of a mixture."""

    data: Data
    schedule: Plan
    every: int | None
    level: float
    interval: Literal["observation", "mean"]


def _forecast(fit: Fit, of: _Question, at: Point) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """The predictions of one law, NaN where it has no value, and the rows of which it has no image."""
    asked = asked_for(fit, of.data, of.schedule, of.every, at)
    table, variables, measured = asked.frame, asked.variables, asked.measured
    for name, column in fit.law.columns.items():
        if column not in table.columns and variables[name].ndim == 1:
            table[column] = variables[name]
    refuse_no_shares(fit.law, variables)
    outside = no_image(fit.law, fit.parameters, variables)
    with np.errstate(all="ignore"):  # what is not finite is refused, or another law's in a mixture
        value = np.where(outside, np.nan, fit.evaluate(variables))
        known = np.isfinite(value)
        table[fit.target] = np.where(known, value, np.nan)
        low, high = ends(fit, asked, of.level, of.interval) if fit.intervals else (np.nan, np.nan)
    after = list(table.columns).index(fit.target) + 1
    table.insert(after, "low", np.where(known, low, np.nan))
    table.insert(after + 1, "high", np.where(known, high, np.nan))
    if measured is not None:
        table["measured"] = measured
        table["relative_error"] = table[fit.target] / measured - 1
        fitted = fit.points.hold(variables, measured)
        table = table.assign(fitted=fitted) if fitted.any() else table
    table["decades_beyond"] = furthest(fit.law.columns, fit.points.variables, variables, fit.ranges)
    table.attrs["no_intervals"] = fit.no_intervals
    return table, outside


def _mixture(fit: Fit, choice: Choice, of: _Question, at: Point) -> pd.DataFrame:
    """The mixture of the forecasts of this fit and the others of its choice; those without a value there drop out, and
    those that read other rows than the first, as a law of N alone reads the last of each run."""
    tables, weights, refusals, outside = list[pd.DataFrame](), list[float](), list[InputError](), np.array(True)
    members = (replace(fit, choice=None), *choice.others)
    refuse_unread([each.law for each in members], at)
    for each, weight in zip(members, choice.weights.values(), strict=True):
        own = at if of.data is not None else own_point(each.law, at)
        forms = choice.forms.get(each.law.spec, ())
        if forms and each.intervals is not None:  # the mixture holds them itself
            each = replace(each, intervals=replace(each.intervals, other=()))
        try:
            made, beyond = _forecast(each, of, own)
        except InputError as error:
            refusals.append(error)
            continue
        if tables and len(made) != len(tables[0]):
            continue
        tables, outside = [*tables, made], outside & beyond
        weights.append(weight * max(1 - sum(form.share for form in forms), 0.0))
        variables = asked_for(each, of.data, of.schedule, of.every, own).variables if forms else {}
        for form in forms:
            estimate = replace(each.estimate, parameters=form.parameters)
            tables.append(moved(made, fit.target, estimate, variables, each.points, of.level))
            weights.append(weight * form.share)
    if not tables:
        raise refusals[0]
    found = mixed(fit.target, weights, tables, fit.settings.residuals == "log")
    _refuse_nothing(fit, found, outside)
    found.attrs["no_intervals"] = fit.no_intervals * (not np.isfinite(found["low"].to_numpy(dtype=float)).any())
    return found


def _refuse_nothing(fit: Fit, table: pd.DataFrame, outside: NDArray[np.bool_]) -> None:
    """Raise where the law has no finite value, naming the first such row, unless it has no image of some rows."""
    if len(table) and outside.all():
        raise InputError(f"the law has no value there: {floors(fit.law, fit.parameters)}", where="predict", todo=TODO)
    bad = ~(outside | np.isfinite(table[fit.target].to_numpy(float)))
    if not bad.any():
        return
    row = table[bad].iloc[0]
    names = [name for name in ("run", "step", *fit.law.columns.values()) if name in table.columns]
    shown = ", ".join(f"{name} = {row[name]:g}" if name != "run" else f"run {row[name]}" for name in names)
    more = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
    todo = "ask for a point at which its formula is defined"
    raise InputError(f"the law has no finite value at {shown}{more}", where="predict", todo=todo)


def ends(
    fit: Fit, asked: Asked, level: float, interval: Literal["observation", "mean"]
) -> tuple[FloatArray, FloatArray]:
    """Both ends of the intervals; the upper ones as far down as the fitted rows allow where the law can only fall."""
    intervals, estimate, variables = fit.intervals, fit.estimate, asked.variables
    assert intervals is not None
    low, high = intervals.at(estimate, variables, level, interval, asked.states)
    if isinstance(intervals.calibration, EarlierCalibration):
        return low, high
    fitted = {name: np.asarray(values) for name, values in fit.points.variables.items()}
    full = {name: values + np.zeros(len(low)) if values.ndim == 1 else values for name, values in variables.items()}

    # a schedule has no way from the fitted ones to itself
    outwards = None if fit.law.is_trajectory else lambda at: intervals.at(estimate, at, level, interval)[1]
    one_run = replace(estimate, sigma=float(np.hypot(estimate.sigma, intervals.between)))  # at another level, too
    return low, capped(one_run, fitted, np.asarray(fit.points.values), full, high, outwards, level)


@dataclass(frozen=True)
class Asked:
    """What a prediction is asked for."""

    frame: pd.DataFrame  #: names the rows
    variables: dict[str, FloatArray]
    measured: FloatArray | None = None
    states: FloatArray | None = None  #: of the schedules of curves


def asked_for(fit: Fit, data: Data, schedule: Plan, every: int | None, at: Point) -> Asked:
    """The rows for which a prediction is asked, the law's variables there, and measured values where known."""
    if data is not None and (at or schedule is not None):
        raise InputError("both a table and single values were given", where="predict", todo="give one of them")
    if data is not None:
        rows = rows_of(fit, data, measured=False)
        found = rows.frame.reset_index(drop=True).copy()
        found["run"] = found["run"].astype(str)
        return Asked(found, dict(rows.variables), rows.values, schedule_states(fit.law, rows))
    if fit.law.is_trajectory:
        return _along_schedule(fit, schedule, every, at)
    variables = _single(fit, at)
    return Asked(pd.DataFrame({fit.law.columns[name]: values for name, values in variables.items()}), variables)


def last_point(fit: Fit, data: Data, *, schedule: Plan, at: Point) -> dict[str, FloatArray]:
    """The law's variables at the last row of what is asked for."""
    return {name: values[-1:] for name, values in asked_for(fit, data, schedule, 0, at).variables.items()}


def rows_of(fit: Fit, data: Runs | pd.DataFrame, measured: bool) -> Rows:
    """The rows of other run logs as this fit's law reads them: every logged row of curves, if those were fitted."""
    logs = runs_of(data)
    every_row = fit.points.steps is not None and logs.curves is not None
    return gather(fit.law, logs, target=fit.target, points="all" if every_row else "auto", measured=measured)


def _single(fit: Fit, at: Point) -> dict[str, FloatArray]:
    """Values given by name, as arrays of one length; one of N, D and C from the others."""
    wanted = fit.law.columns
    known = {*wanted, *wanted.values(), *(name for _, sources in DERIVED.values() for name in sources)}
    given = dict(all_of(lambda item: (item[0], np.atleast_1d(_number(*item))), read_point(at, known).items()))
    for name, (_, sources) in DERIVED.items():
        if name in wanted.values() and name not in given and given.keys() >= set(sources):
            first, second = (given[source] for source in sources)
            given[name] = 6.0 * first * second if name == "C" else first / (6.0 * second)
            given = {key: values for key, values in given.items() if key not in sources or key in wanted.values()}
    missing = [column for name, column in wanted.items() if column not in given and name not in given]
    unknown = [name for name in given if name not in wanted and name not in wanted.values()]
    if missing or unknown:
        named = " or ".join(f'"{name}"' for name in unknown)
        lacking = f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} not given"
        what = f"the law has no variable {named}" if unknown else lacking
        raise InputError(what, where="predict", todo=f"give {', '.join(wanted.values())}")
    found = {name: given[column] if column in given else given[name] for name, column in wanted.items()}
    length = max(len(values) for values in found.values())
    for name, values in found.items():
        if len(values) not in (1, length):
            todo = f"give 1 or {length} values of each variable"
            raise InputError(f"{name} has {len(values)} values, others {length}", where="predict", todo=todo)
        if fit.law.variables[name].positive and not np.all(values > 0):
            raise InputError(f"{name} = {values.min():g} is not positive", where="predict", todo="give a positive one")
    return {name: np.broadcast_to(values, (length,)).astype(np.float64) for name, values in found.items()}


def _number(name: str, value: Any) -> Any:
    """A value of a point, or several of a list: numbers, or texts such as 7B."""
    if isinstance(value, list | tuple):
        return np.array([float(_number(name, each)) for each in value])
    if isinstance(value, str):
        try:
            return quantity(value)
        except ValueError as error:
            raise InputError(f"{value!r} is not a number", where=f"predict, {name}", todo="write 7e9 or 7B") from error
    return np.asarray(value, dtype=np.float64)


def _along_schedule(fit: Fit, schedule: Plan, every: int | None, at: Point) -> Asked:
    """A schedule's steps and the law's variables there: evenly spaced after warmup, the last step among them."""
    if schedule is None:
        what = f"law {fit.law.name} predicts loss curves and needs the learning rate at every step"
        todo = 'give a schedule such as "cosine:peak_lr=3e-4,steps=60000,warmup=1000,final=3e-5", or run logs'
        raise InputError(what, where="predict", todo=todo)
    plan = parse_schedule(schedule) if isinstance(schedule, str) else schedule
    lr = plan.per_step()
    spacing = every or max(1, plan.steps // CURVE_POINTS)
    steps = np.arange(plan.steps, plan.warmup, -spacing)[::-1]
    if not len(steps):
        what = f"the schedule ends with its warmup, at step {plan.warmup}: there is no step to predict"
        raise InputError(what, where="predict", todo="give a schedule that goes on after its warmup")
    marks = {column: _given(column, at) for column in fit.law.path_columns}
    variables = fit.law.at_steps(lr, plan.warmup, steps, **marks)
    for name, column in fit.law.columns.items():
        if name not in variables:
            variables[name] = np.full(len(steps), _given(column, at))
    states = states_at(lr, plan.warmup, steps)
    return Asked(pd.DataFrame({"step": steps, "lr": lr[steps]}), variables, states=states)


def _given(column: str, at: Point) -> float:
    """A number of the run that does not follow from its schedule."""
    if column not in at:
        raise InputError(f"{column} is not given", where="predict", todo=f"give {column}")
    value = np.ravel(_number(column, at[column]))
    if len(value) != 1:
        raise InputError(f"{len(value)} values of {column} for one schedule", where="predict", todo="give one")
    return float(value[0])


def score(fit: Fit, data: Runs | pd.DataFrame) -> pd.DataFrame:
    """See :meth:`scalefit.Fit.score`; one row per run of curves and a last row ``mean``, one row for final losses."""
    rows = rows_of(fit, data, measured=True)
    assert rows.values is not None
    finite = np.isfinite(rows.values)
    rows = rows.keep(finite, f"{counted(int((~finite).sum()), 'row')} without a finite {fit.target} left out")
    if not len(rows):
        raise InputError("no row has a measured value", where="score", todo="give runs with losses")
    assert rows.values is not None
    outside = no_image(fit.law, fit.parameters, rows.variables)
    if outside.all():
        raise InputError(f"the law has no value there: {floors(fit.law, fit.parameters)}", where="score", todo=TODO)
    rows = rows.keep(~outside)
    assert rows.values is not None
    predicted = fit.evaluate(rows.variables) + np.zeros(len(rows))
    if not rows.in_curves:
        return pd.DataFrame([{"run": counted(len(rows), "run"), **errors(predicted, rows.values)}]).set_index("run")
    names = rows.frame["run"].astype(str).to_numpy()
    found = []
    for run in dict.fromkeys(names):
        mine = names == run
        final = float(predicted[mine][-1] / rows.values[mine][-1] - 1)
        found.append({"run": run, **errors(predicted[mine], rows.values[mine]), "final": final})
    table = pd.DataFrame(found).set_index("run")
    if len(table) == 1:
        return table
    mean = table.assign(final=table["final"].abs()).mean().rename("mean").to_frame().T
    return pd.concat([table, mean]).rename_axis("run").astype({"points": int})
