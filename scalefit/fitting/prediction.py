"""What a fit says of other runs: predictions, the distance they reach, and their errors where runs were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.fitting.recipe import another_recipe, asked_recipe
from scalefit.numerics import LEAST_BEYOND, MOST_BEYOND, FloatArray
from scalefit.rows.gather import gather
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, read_runs
from scalefit.runs.quantities import quantity
from scalefit.runs.table import DERIVED

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit
    from scalefit.schedules import Schedule

CURVE_POINTS = 200  #: rows of a predicted curve when no spacing is asked for


def predict(
    fit: Fit,
    data: Runs | pd.DataFrame | None,
    *,
    schedule: str | Schedule | None,
    every: int | None,
    at: Mapping[str, Any],
    level: float = 0.9,
    interval: Literal["observation", "mean"] = "observation",
) -> pd.DataFrame:
    """See :meth:`scalefit.Fit.predict`."""
    found, variables, measured = _asked(fit, data, schedule, every, at)
    table = _predicted(fit, found, variables, measured)
    if fit.intervals is not None:
        ends = fit.intervals.at(fit.estimate, variables, level, interval)
        after = list(table.columns).index(fit.target) + 1
        table.insert(after, "low", ends[0])
        table.insert(after + 1, "high", ends[1])
    return table


def _asked(
    fit: Fit,
    data: Runs | pd.DataFrame | None,
    schedule: str | Schedule | None,
    every: int | None,
    at: Mapping[str, Any],
) -> tuple[pd.DataFrame, dict[str, FloatArray], FloatArray | None]:
    """What is asked for: a frame that names the rows, the law's variables there, and measured values where known."""
    if data is not None and (at or schedule is not None):
        raise InputError("both a table and single values were given", where="predict", todo="give one of them")
    if data is not None:
        rows = rows_of(fit, data, measured=False)
        found = rows.frame.reset_index(drop=True).copy()
        found["run"] = found["run"].astype(str)
        return found, dict(rows.variables), rows.values
    if fit.law.is_trajectory:
        return *_along_schedule(fit, schedule, every, at), None
    variables = _single(fit, at)
    return pd.DataFrame({fit.law.columns[name]: values for name, values in variables.items()}), variables, None


def last_point(
    fit: Fit, data: Runs | pd.DataFrame | None, *, schedule: str | Schedule | None, at: Mapping[str, Any]
) -> dict[str, FloatArray]:
    """The law's variables at the last row of what is asked for."""
    return {name: values[-1:] for name, values in _asked(fit, data, schedule, 0, at)[1].items()}


def cautions(
    fit: Fit, data: Runs | pd.DataFrame | None, *, schedule: str | Schedule | None, at: Mapping[str, Any]
) -> tuple[Check, ...]:
    """See :meth:`scalefit.Fit.cautions`."""
    variables = _asked(fit, data, schedule, None, at)[1]
    asked = asked_recipe(fit.law, data, schedule, at)
    found = [*far_beyond(fit, variables), *another_recipe(fit.law, fit.recipe, asked)]
    if data is None:
        found += fit.left_out.checks({name: values[-1:] for name, values in variables.items()})
    known = {check.text for check in fit.warnings}
    return tuple(check for check in found if check.text not in known)


def far_beyond(fit: Fit, variables: Mapping[str, FloatArray]) -> list[Check]:
    """One sentence where a variable lies further beyond the fitted range than that range is wide, or two decades."""
    worst: tuple[float, str] = (0.0, "")
    for name, values in variables.items():
        low, high = fit.ranges.get(name, (0.0, 0.0))
        if values.ndim != 1 or high <= 0:
            continue
        with np.errstate(divide="ignore"):
            above = float(np.max(np.log10(np.maximum(values, 1e-300) / high)))
            below = float(np.max(np.log10(low / np.maximum(values, 1e-300)))) if low > 0 else 0.0
        span = float(np.log10(high / low)) if low > 0 else MOST_BEYOND
        beyond = max(above, below)
        if beyond > min(max(span, LEAST_BEYOND), MOST_BEYOND) and beyond > worst[0]:
            fitted = f"the fitted runs span {span:.2g}" if low > 0 else "the fitted runs begin at 0"
            shown = f"{beyond:.2g}"
            far = "1 decade" if shown == "1" else f"{shown} decades"
            worst = (
                beyond,
                f"{fit.law.columns[name]} lies {far} beyond the fitted runs; {fitted}: further than the "
                "data can vouch for; add larger runs, and see scalefit backtest",
            )
    return [Check("far-beyond", worst[1])] if worst[1] else []


def rows_of(fit: Fit, data: Runs | pd.DataFrame, measured: bool) -> Rows:
    """The rows of other run logs, as this fit's law reads them."""
    logs = data if isinstance(data, Runs) else read_runs(data, need=())
    in_curves = fit.points.steps is not None
    return gather(fit.law, logs, target=fit.target, points="all" if in_curves else "auto", measured=measured)


def _predicted(
    fit: Fit, frame: pd.DataFrame, variables: Mapping[str, FloatArray], measured: FloatArray | None
) -> pd.DataFrame:
    for name, column in fit.law.columns.items():
        if column not in frame.columns and variables[name].ndim == 1:
            frame[column] = variables[name]
    frame[fit.target] = fit.evaluate(variables) + np.zeros(len(frame))
    if measured is not None:
        frame["measured"] = measured
        frame["relative_error"] = frame[fit.target] / measured - 1
    frame["decades_beyond"] = decades_beyond(fit, variables)
    return frame


def decades_beyond(fit: Fit, variables: Mapping[str, FloatArray]) -> FloatArray:
    """How far each row lies outside the fitted range, in decades of the variable that is furthest out."""
    furthest = np.zeros(len(next(iter(variables.values()))))
    for name, values in variables.items():
        if name not in fit.ranges:
            continue
        low, high = fit.ranges[name]
        if high > 0:
            with np.errstate(divide="ignore"):
                furthest = np.maximum(furthest, np.log10(np.maximum(values, 0.0) / high))
        if low > 0:  # a variable that is zero in the fit (no annealing yet) reaches no lower
            with np.errstate(divide="ignore"):
                furthest = np.maximum(furthest, np.log10(low / np.maximum(values, 0.0)))
    return furthest


def _single(fit: Fit, at: Mapping[str, Any]) -> dict[str, FloatArray]:
    """Values given by name, as arrays of one length; one of N, D and C from the others."""
    given = {name: np.atleast_1d(_number(name, value)) for name, value in at.items()}
    wanted = fit.law.columns
    for name, (_, sources) in DERIVED.items():
        if name in wanted.values() and name not in given and given.keys() >= set(sources):
            first, second = (given[source] for source in sources)
            given[name] = 6.0 * first * second if name == "C" else first / (6.0 * second)
            given = {key: values for key, values in given.items() if key not in sources or key in wanted.values()}
    missing = [column for name, column in wanted.items() if column not in given and name not in given]
    unknown = [name for name in given if name not in wanted and name not in wanted.values()]
    if missing or unknown:
        what = f"{missing[0]} is not given" if missing else f'the law has no variable "{unknown[0]}"'
        raise InputError(what, where="predict", todo=f"give {', '.join(wanted.values())}")
    found = {name: given[column] if column in given else given[name] for name, column in wanted.items()}
    length = max(len(values) for values in found.values())
    for name, values in found.items():
        if len(values) not in (1, length):
            raise InputError(f"{name} has {len(values)} values, others {length}", where="predict")
        if fit.law.variables[name].positive and not np.all(values > 0):
            raise InputError(f"{name} = {values.min():g} is not positive", where="predict", todo="give a positive one")
    return {name: np.broadcast_to(values, (length,)).astype(np.float64) for name, values in found.items()}


def _number(name: str, value: Any) -> Any:
    if isinstance(value, str):
        try:
            return quantity(value)
        except ValueError as error:
            raise InputError(f"{value!r} is not a number", where=f"predict, {name}", todo="write 7e9 or 7B") from error
    return np.asarray(value, dtype=np.float64)


def _along_schedule(
    fit: Fit, schedule: str | Schedule | None, every: int | None, at: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, FloatArray]]:
    """A schedule's steps and the law's variables there: evenly spaced after warm-up, with the last step."""
    from scalefit.schedules import parse_schedule

    if schedule is None:
        raise InputError(
            f"law {fit.law.name} predicts curves: which learning rate?",
            where="predict",
            todo='give a schedule such as "cosine:peak_lr=3e-4,steps=60000,warmup=1000,final=3e-5", or run logs',
        )
    plan = parse_schedule(schedule) if isinstance(schedule, str) else schedule
    lr = plan.per_step()
    spacing = every or max(1, plan.steps // CURVE_POINTS)
    steps = np.arange(plan.steps, plan.warmup, -spacing)[::-1]
    marks = {column: _given(column, at) for column in fit.law.path_columns}
    variables = fit.law.at_steps(lr, plan.warmup, steps, **marks)
    for name, column in fit.law.columns.items():
        if name not in variables:
            variables[name] = np.full(len(steps), _given(column, at))
    return pd.DataFrame({"step": steps, "lr": lr[steps]}), variables


def _given(column: str, at: Mapping[str, Any]) -> float:
    """A number of the run that the schedule does not tell."""
    if column not in at:
        raise InputError(f"{column} is not given", where="predict", todo=f"give {column}")
    return float(_number(column, at[column]))


def score(fit: Fit, data: Runs | pd.DataFrame) -> pd.DataFrame:
    """See :meth:`scalefit.Fit.score`; one row a run for curves and a last row ``mean``, one row for final losses."""
    rows = rows_of(fit, data, measured=True)
    assert rows.values is not None
    finite = np.isfinite(rows.values)
    rows = rows.keep(finite, f"{int((~finite).sum())} rows without a finite {fit.target} not scored")
    if not len(rows):
        raise InputError("there is no row with a measured value", where="score", todo="give runs with losses")
    assert rows.values is not None
    predicted = fit.evaluate(rows.variables) + np.zeros(len(rows))
    if not rows.in_curves:
        return pd.DataFrame([{"run": f"{len(rows)} runs", **errors(predicted, rows.values)}]).set_index("run")
    names = rows.frame["run"].astype(str).to_numpy()
    found = []
    for run in dict.fromkeys(names):
        mine = names == run
        final = float(predicted[mine][-1] / rows.values[mine][-1] - 1)
        found.append({"run": run, **errors(predicted[mine], rows.values[mine]), "final": final})
    table = pd.DataFrame(found).set_index("run")
    if len(table) > 1:
        mean = table.mean()
        mean["final"] = table["final"].abs().mean()
        table = table.astype({"points": float})
        table.loc["mean"] = mean
        table = table.astype({"points": int})
    return table


def errors(predicted: FloatArray, measured: FloatArray) -> dict[str, float]:
    """Agreement of predictions with measurements.

    r2 = 1 - sum (p - m)^2 / sum (m - mean m)^2; mae and rmse in the unit of the loss; mean_relative and
    worst_relative of |p / m - 1|.

    >>> errors(np.array([2.0, 3.0]), np.array([2.0, 4.0]))["worst_relative"]
    0.25
    """
    difference = predicted - measured
    spread = float(np.sum((measured - measured.mean()) ** 2))
    relative = np.abs(difference / measured)
    return {
        "points": len(measured),
        "r2": 1 - float(np.sum(difference**2)) / spread if spread > 0 else float("nan"),
        "mae": float(np.mean(np.abs(difference))),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "mean_relative": float(relative.mean()),
        "worst_relative": float(relative.max()),
    }
