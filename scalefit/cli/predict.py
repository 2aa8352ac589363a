"""What does a saved fit predict for other runs, one point, a schedule never run, or a run in progress?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from scalefit.answers import interval
from scalefit.cli import options
from scalefit.cli.headline import bracketed, forecasts
from scalefit.cli.output import Answer, answering, as_lines, coded, figures, records
from scalefit.errors import InputError, counted
from scalefit.notices import NOTE, Line, Notice, doubted

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.diagnosis.checks import Check
    from scalefit.diagnosis.choices import Sensitivity
    from scalefit.fitting.result import Fit
    from scalefit.runs import Runs

MOST_SHOWN = 12
LAW_FILE = click.option("--law", metavar="FILE.py:LAW", help="The law, where a file of yours defines it.")


@click.command()
@click.argument("fit_file", metavar="[FIT.json]", required=False)
@click.argument("files", nargs=-1)
@options.reading
@options.shared("--at", metavar="N=7B,D=2T")
@click.option("--every", type=int, metavar="STEPS", show_default="for 200 rows", help="Spacing of a predicted curve.")
@LAW_FILE
@click.option("--from-partial", metavar="RUN.csv", help="Predict the final loss of this run in progress.")
@options.shared("--plot")
@answering
def command(
    fit_file: str | None,
    files: tuple[str, ...],
    at: tuple[str, ...],
    every: int | None,
    law: str | None,
    from_partial: str | None,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """Give FILES, --at, --schedule, or --from-partial with the run's --schedule. Where FILES hold measured losses, the
    errors of the prediction are shown as well. A run in progress is predicted from its curve so far: by a saved fit of
    other runs, or, once half of its learning-rate decay is done, by its own curve alone. --plot draws the prediction.

    Exit code 1 where a check of the fit failed, or for a prediction far beyond the data, for another recipe (peak
    learning rate, size, batch size), or one that depends on a single run.

    \b
    Example:
      scalefit predict fit.json --schedule wsd:peak_lr=8e-3,steps=3000,warmup=100,decay_steps=600
    """
    from scalefit.fitting.prediction import predict
    from scalefit.fitting.saved import load_fit

    fit, place = options.together(lambda: load_fit(fit_file, law) if fit_file else None, lambda: options.points(at))
    if from_partial is not None:
        if files or at or every:
            unused = "other logs" if files else "--at" if at else "--every"
            raise InputError(f"{unused} beside --from-partial", where="predict", todo="give the run and its schedule")
        return _in_progress(fit, options.read((from_partial,), **reading), plot)
    if every is not None and every < 1:
        raise InputError(f"{every} steps", where="--every", todo="give a number of steps from 1 on")
    if fit is None:
        raise InputError("no saved fit", where="predict", todo="give FIT.json")
    schedule = reading["schedule"]
    asked: dict[str, Any] = {"schedule": schedule, **place}
    single = [{**asked, **each} for each in options.one_by_one(place) or [{}]]
    scores = runs = None
    if files:
        runs = options.read(files, **reading)
        table, cautions = predict(fit, runs), fit.cautions(runs)
        if "measured" in table.columns and table["measured"].notna().any():
            scores = fit.score(runs)
    else:
        table = predict(fit, schedule=schedule, every=every, at=place)
        cautions = tuple(dict.fromkeys(check for each in single for check in fit.cautions(**each)))
    other = None if files or len(single) > 1 else fit.sensitivity(**asked)
    answer = _answer(fit, table, scores, [*cautions, *fit.warnings], bool(cautions), other)
    drawn = figures(plot, lambda: fit.plot(runs, schedule=None if files else schedule, at=place or None))
    return replace(answer, notes=_completed(runs, schedule), figures=drawn)


def _completed(runs: Runs | None, schedule: str | None) -> list[Notice]:
    """How the logs were read, or which learning rates were interpolated between the rows of a schedule file."""
    if runs is not None:
        return options.told(runs)
    from scalefit.schedules import parse_schedule

    how = parse_schedule(schedule).how if schedule else ""
    return [Notice(f"the learning rate in the schedule file is {how}", NOTE)] if how else []


def _answer(
    fit: Fit,
    table: pd.DataFrame,
    scores: pd.DataFrame | None,
    checks: list[Check],
    failed: bool,
    other: Sensitivity | None,
) -> Answer:
    from scalefit.fitting.summary import forecaster, origin_of_intervals

    content: dict[str, Any] = {"law": fit.law.spec, "status": fit.status, "predictions": records(table)}
    content["warnings"] = coded(checks)
    text: list[Line] = [
        *_first(fit, table),
        f"by the {forecaster(fit)} ({fit.status}), {counted(len(table), 'prediction')}:",
    ]
    shown = table if len(table) <= MOST_SHOWN else _shown(table)
    text.append(as_lines(shown))
    if len(shown) < len(table):
        text.append(f"  ({len(shown)} of {len(table)} rows; --csv prints all)")
    text += [f"  {line}" for line in origin_of_intervals(fit)[-1 if fit.intervals is None else 1 :]]
    if other is not None:
        text.append(f"  {other.text}")
        content["sensitivity"] = {"spread": other.spread, "this": other.predicted, **other.others}
    if scores is not None:
        content["score"] = records(scores)
        text += ["", _errors_on(table), as_lines(scores)]
    text += doubted(check.text for check in checks)
    return Answer(text, content, table, fit.ok and not failed)


def _first(fit: Fit, table: pd.DataFrame) -> list[str]:
    """What is mostly asked for: each point, or the last prediction along one run; nothing for measured runs."""
    if "run" in table.columns:
        return []
    if "step" not in table.columns:
        return forecasts(fit, table)
    last = table.iloc[-1]
    ends = interval((float(last[fit.target]), float(last["low"]), float(last["high"])), ".4g")
    return [f"{fit.target} {ends} at the last step, {last['step']:.0f}", *bracketed(table)]


def _errors_on(table: pd.DataFrame) -> str:
    """What the errors are those of: rows that were fitted say nothing about other runs."""
    known = table["measured"].notna()
    fitted = int(table["fitted"].sum()) if "fitted" in table.columns else 0
    if not fitted:
        return "errors on measured runs:"
    if fitted == known.sum():
        return "errors on the fitted rows (all of these were fitted; nothing was held out):"
    return f"errors on measured runs ({fitted} of {known.sum()} rows were fitted, not held out):"


def _in_progress(fit: Fit | None, run: Runs, plot: str | None) -> Answer:
    """The final loss of a run in progress."""
    from scalefit.progress.forecast import predict_partial

    forecast = predict_partial(run, fit=fit)
    keys = ("run", "step", "steps", "final", "low", "high", "level", "basis", "scale", "forecasts", "among")
    content = {key: getattr(forecast, key) for key in keys}
    content |= {name: records(getattr(forecast, name)) for name in ("curve", "history")}
    content["warnings"] = coded(forecast.warnings)
    drawn = figures(plot, forecast.plot)
    return Answer(forecast.lines, content, forecast.curve, forecast.ok, _completed(run, None), drawn)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run, or a few rows of one curve, its last one among them."""
    if "run" in table.columns and table["run"].nunique() > 1:
        return table.groupby("run", sort=False).tail(1).head(40)
    return table.iloc[:: -1 * -(-len(table) // MOST_SHOWN)].iloc[::-1]
