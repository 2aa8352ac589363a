"""Predict with a saved fit: other run logs, one point, or a schedule that was never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli.options import pairs, read, reading
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.diagnosis.checks import Check
    from scalefit.fitting.result import Fit
    from scalefit.runs import Runs

MOST_SHOWN = 12


@click.command()
@click.argument("fit_file", metavar="[FIT.json]", required=False)
@click.argument("files", nargs=-1)
@reading
@click.option("--at", multiple=True, metavar="N=7B,D=2T", help="Predict at this point.")
@click.option("--every", type=int, metavar="STEPS", help="Spacing of a predicted curve.")
@click.option("--law", metavar="FILE.py:LAW", help="The law, where it lives in a file of yours.")
@click.option("--from-partial", metavar="RUN.csv", help="A run in progress: its final loss, with --schedule.")
@click.option("--plot", metavar="FILE", help="Write the figure of a run in progress (png, pdf, svg).")
@answering
def command(
    fit_file: str | None,
    files: tuple[str, ...],
    map_: tuple[str, ...],
    where: str | None,
    schedule: str | None,
    warmup: int | None,
    at: tuple[str, ...],
    every: int | None,
    law: str | None,
    from_partial: str | None,
    plot: str | None,
) -> Answer:
    """Predict with a saved fit: other run logs, one point, or a schedule that was never run.

    Where the logs hold measured losses, the errors of the prediction are shown as well. With --from-partial, the final
    loss of a run in progress from its curve so far and its schedule: by a saved fit of other runs, or, once half of its
    learning rate's fall is done, by its own curve alone.

    \b
    Exit code 1 where a check of the fit failed, or for a prediction far beyond the data, for another recipe (peak
    learning rate, size, batch), or one that hangs on a single run.

    \b
    Example:
      scalefit predict fit.json --schedule wsd:peak_lr=8e-3,steps=3000,warmup=100,decay_steps=600
    """
    from scalefit.fitting.saved import load_fit

    check_writable(plot)
    fit = load_fit(fit_file, law) if fit_file else None
    if from_partial is not None:
        if files or at or every:
            unused = "other logs" if files else "--at" if at else "--every"
            raise InputError(f"{unused} beside --from-partial", where="predict", todo="give the run and its schedule")
        return _in_progress(fit, read((from_partial,), map_, where, schedule, warmup), plot)
    if every is not None and every < 1:
        raise InputError(f"{every} steps", where="--every", todo="give a number of steps from 1 on")
    if fit is None or plot:
        what = "no saved fit" if fit is None else "--plot without --from-partial"
        raise InputError(what, where="predict", todo="give FIT.json, and see scalefit plot for its figure")
    asked: dict[str, Any] = {"schedule": schedule, **pairs(at, "--at")}
    scores = runs = None
    if files:
        runs = read(files, map_, where, schedule, warmup)
        table, cautions = fit.predict(runs), fit.cautions(runs)
        if "measured" in table.columns and table["measured"].notna().any():
            scores = fit.score(runs)
    else:
        table, cautions = fit.predict(every=every, **asked), fit.cautions(**asked)
    answer = _answer(fit, table, scores, [*cautions, *fit.warnings], bool(cautions))
    return replace(answer, notes=_completed(runs, schedule))


def _completed(runs: Runs | None, schedule: str | None) -> list[str]:
    """What was not in a schedule file and was interpolated."""
    if runs is not None:
        return [f"read: {note.text}" for note in runs.notes if "the schedule file:" in note.text]
    from scalefit.schedules import parse_schedule

    how = parse_schedule(schedule).how if schedule else ""
    return [f"read: the learning rate in the schedule file is {how}"] if how else []


def _answer(fit: Fit, table: pd.DataFrame, scores: pd.DataFrame | None, checks: list[Check], failed: bool) -> Answer:
    content: dict[str, Any] = {"law": fit.law.spec, "status": fit.status, "predictions": records(table)}
    content["warnings"] = _checks(checks)
    text = [f"{fit.law.spec} ({fit.status}): {len(table)} prediction{'s' * (len(table) > 1)}"]
    shown = table if len(table) <= MOST_SHOWN else _shown(table)
    text.append(as_lines(shown))
    if len(shown) < len(table):
        text.append(f"  ({len(shown)} of {len(table)} rows; --csv prints all)")
    if scores is not None:
        content["score"] = records(scores)
        text += ["", "errors on measured runs:", as_lines(scores)]
    text += [f"! {check.text}" for check in checks]
    return Answer("\n".join(text), content, table, fit.ok and not failed)


def _in_progress(fit: Fit | None, run: Runs, plot: str | None) -> Answer:
    """The final loss of a run in progress."""
    from scalefit.progress.forecast import predict_partial

    forecast = predict_partial(run, fit=fit)
    text = [str(forecast)]
    if plot:
        from scalefit.plots import save_figure

        save_figure(forecast.plot(), plot)
        text += ["", f"wrote {plot}"]
    keys = ("run", "step", "steps", "final", "low", "high", "level", "basis", "scale", "forecasts", "among")
    content = {key: getattr(forecast, key) for key in keys}
    content |= {name: records(getattr(forecast, name)) for name in ("curve", "history")}
    content["warnings"] = _checks(forecast.warnings)
    return Answer("\n".join(text), content, forecast.curve, forecast.ok, _completed(run, None))


def _checks(checks: Sequence[Check]) -> list[dict[str, str]]:
    return [{"code": check.code, "text": check.text} for check in checks]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run, or a few rows of one curve, its last one among them."""
    if "run" in table.columns and table["run"].nunique() > 1:
        return table.groupby("run", sort=False).tail(1).head(40)
    return table.iloc[:: -1 * -(-len(table) // MOST_SHOWN)].iloc[::-1]
