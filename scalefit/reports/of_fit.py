"""The report of a fit: what it predicts and the warnings, then all that the prediction rests on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.answers import LEAST_FAR, grouped, interval, rounded
from scalefit.comparison import Backtest, backtest
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError, ScalefitError, counted, listed
from scalefit.fitting.cautions import how_far
from scalefit.fitting.prediction import predict
from scalefit.fitting.result import Fit
from scalefit.fitting.saved import load_fit
from scalefit.fitting.summary import (
    equation_of,
    forecaster,
    formula_with_numbers,
    numbers,
    origin_of_intervals,
    remarks,
    verdict,
)
from scalefit.notices import doubts_of, without_doubts
from scalefit.planning.allocation.targets import budgets_of
from scalefit.reports.asked import Asked
from scalefit.reports.blocks import Block, Figure, Section, Table, Text, brief
from scalefit.reports.page import Report
from scalefit.reports.provenance import citations, provenance
from scalefit.reports.sensitivity import sensitivity_of
from scalefit.runs import Runs, runs_of
from scalefit.schedules import Schedule
from scalefit.selection.automatic import AUTO
from scalefit.selection.automatic import fit as fit_law

DRAWS = 200
FEWEST = 5  #: held-out predictions about as far out from which their error is quoted
FARTHER = 10.0  #: the budget that is planned where no target is given, in units of the largest fitted compute
MOST_RUNS = 3  #: runs that the title names


def report(
    source: Fit | Runs | pd.DataFrame | str | Path,
    *,
    law: str = AUTO,
    held_out: Runs | pd.DataFrame | None = None,
    schedule: str | Schedule | None = None,
    compute: Any = None,
    draws: int = DRAWS,
    seed: int = 0,
    drop_diverged: bool = False,
    command: str = "",
    **at: Any,
) -> Report:
    """One page on a fit: verdict, inputs, law, checks, figures, back-test, sensitivity, plan, provenance.

    Args:
        source: a fit, the file of one, or run logs to which ``law`` is fitted first (with ``draws`` and ``seed``).
        held_out: runs that were not fitted, and on which the prediction is judged.
        schedule, at: the prediction, as for :meth:`scalefit.Fit.predict`: ``N=7e9, D="2T"``, or a schedule.
        compute: FLOP to plan for; by default those of the predicted run, or ten times the largest fitted one.
        drop_diverged: leave out rows without a finite loss, and count them.
        command: the command that makes the page again, shown with its provenance.

    Raises InputError where the logs cannot be read or the law has no such variable.

    ``report("runs.csv", law="chinchilla", N=7e9, D="2T").save("page.html")`` writes the page of a forecast.
    """
    if isinstance(at.get("at"), Mapping):
        at = {**at.pop("at"), **at}
    runs: Runs | None = None
    if isinstance(source, Fit):
        fit = source
    elif isinstance(source, str | Path) and Path(source).suffix == ".json":
        fit = load_fit(source)
    else:
        runs = runs_of(source)
        place = {name: float(value) for name, value in at.items() if isinstance(value, (int, float))}
        fit = fit_law(runs, law, at=place, draws=draws, seed=seed, drop_diverged=drop_diverged)
    if compute is not None:
        _refuse_plan(fit, compute)
    asked = Asked(fit, runs, held_out, schedule, at)
    point = predict(fit, schedule=schedule, at=at) if asked.any else None
    cautions = fit.cautions(schedule=schedule, **at) if asked.any else ()
    tested = _tested(asked, seed)
    sections = [
        _forecast(asked, point),
        _inputs(fit),
        _law(fit),
        _checks(fit, cautions),
        Section("Fit and extrapolation", _figures(asked)),
        _backtest(fit, tested),
        Section("Sensitivity", sensitivity_of(asked)),
        _plan(asked, compute),
        Section("Provenance", provenance(fit, command)),
        Section("How to cite", citations(fit)),
    ]
    names = listed([Path(str(one["path"])).name for one in fit.origin], MOST_RUNS)
    mixed = fit.choice is not None and fit.choice.others
    by = "mixture of " + listed(list(fit.choice.weights)) if fit.choice and mixed else f"law {fit.law.name}"
    title = f"Forecast by the {by}" + (f" from {brief(names, 80)}" if names else "")
    spoken = [check.text for check in (*cautions, *fit.warnings)]
    spoken += [f"read: {text}" for text in grouped(fit.doubts)]
    bounded = fit.intervals is not None if point is None else bool(point["low"].iloc[-1:].notna().all())
    return Report(title, _verdict(asked, point, tested), spoken, [each for each in sections if each.blocks], bounded)


def _verdict(asked: Asked, point: pd.DataFrame | None, tested: Backtest | str) -> str:
    """One sentence: the prediction with its interval, how far it reaches, and the back-test."""
    fit = asked.fit
    if point is None:
        return f"The {forecaster(fit)} {_state(fit)}; {_judged(tested, 0.0)}."
    last = point.iloc[-1]
    value = interval((float(last[fit.target]), float(last["low"]), float(last["high"])), ".4g")
    ends = " (90 % prediction interval)" if last["low"] == last["low"] else " (no interval)"
    far = float(last["decades_beyond"])
    reach = how_far(fit, last)
    head = f"{asked.place[:1].upper()}{asked.place[1:]} the {forecaster(fit)} predicts a {fit.target} of {value}"
    return f"{head}{ends}: {reach}; {_judged(tested, far)}."


def _judged(tested: Backtest | str, far: float) -> str:
    """The median error of the back-test, of predictions that reach about as far where there are some."""
    if not isinstance(tested, Backtest):
        return tested
    overall = f"the median error of a back-test of {tested.law} is {100 * tested.error:.2g} %"
    if far < LEAST_FAR:
        return overall
    out = tested.table["error"].abs()[tested.table["decades"] >= 0.7 * far]
    if len(out) < FEWEST:
        return f"{overall}, nearer to the fitted runs than this"
    return f"the median error of a back-test of {tested.law} so far out is {100 * float(out.median()):.2g} %"


def _state(fit: Fit) -> str:
    noise = f"{100 * fit.sigma:.2g} %" if fit.settings.residuals == "log" else f"{fit.sigma:.2g}"
    return f"fits {counted(fit.rows, 'row')} of {counted(fit.runs, 'run')} to {noise} ({fit.status})"


def _tested(asked: Asked, seed: int) -> Backtest | str:
    """The back-test, or why there is none."""
    data = asked.data
    if data is None:
        return "a back-test needs the run logs: give them instead of the saved fit"
    try:
        return backtest(data, asked.fit.law, seed=seed, **asked.settings)
    except InputError as error:
        return f"no back-test is possible ({error.what})"


def _forecast(asked: Asked, point: pd.DataFrame | None) -> Section:
    """What is asked for, and how well held-out runs are predicted."""
    blocks: list[Block] = []
    if point is not None:
        columns = [name for name in point.columns if name != "run"]
        blocks.append(Table.of("Prediction with its 90 % prediction interval", point[columns].tail(1)))
    if asked.held_out is not None:
        blocks.append(Table.of("Errors on runs that were not fitted", asked.fit.score(asked.held_out)))
    return Section("Forecast", blocks)


def _inputs(fit: Fit) -> Section:
    files = pd.DataFrame([{"file": str(one["path"]), "rows read": int(one["rows"])} for one in fit.origin])
    kept = f"{counted(fit.rows, 'row')} of {counted(fit.runs, 'run')} were fitted."
    if len(fit.points.values) < fit.rows:
        kept += f" The figures show {len(fit.points.values)} of them, evenly thinned."
    ranges = pd.DataFrame(
        [
            {"variable": fit.law.columns[name], "from": low, "to": high, "unit": fit.law.variables[name].unit}
            for name, (low, high) in fit.ranges.items()
        ]
    )
    blocks: list[Block] = [Text([kept])]
    blocks += [Table.of("Files", files)] if len(files) else []
    blocks += [Table.of("Fitted range of each variable", ranges)] if len(ranges) else []
    notes = list(map(brief, grouped(fit.notes)))
    blocks += [Text(["What was read, converted and left out:"]), Text(notes, "notes")] if notes else []
    return Section("Inputs", blocks)


def _law(fit: Fit) -> Section:
    rows = [
        [str(name), rounded(row["value"], row["low"], row["high"]), row["state"], row["unit"], row["meaning"]]
        for name, row in fit.table.iterrows()
    ]
    value = "value ± half of its 90 % interval" if fit.intervals else "value"
    head = ["parameter", value, "state", "unit", "meaning"]
    known = type(fit.law).fails
    return Section(
        "The law",
        [
            Text([equation_of(fit), f"fitted: {formula_with_numbers(fit)}"], "code"),
            Text([line[0].upper() + line[1:] + "." for line in numbers(fit)[2:]]),
            Table("Parameters", head, rows),
            Text([f"{line[0].upper()}{line[1:]}." for line in origin_of_intervals(fit)]),
            *([Text([f"What this law is known to get wrong: {known}."])] if known else []),
        ],
    )


def _checks(fit: Fit, cautions: tuple[Check, ...]) -> Section:
    failed = [*(f"{check.text}" for check in cautions), *(check.text for check in fit.warnings)]
    blocks: list[Block] = [Text([f"{verdict(fit)[0].upper()}{verdict(fit)[1:]}."])]
    blocks.append(Text(failed, "warnings") if failed else Text(["No check failed."]))
    others = without_doubts(remarks(fit))
    return Section("Checks", [*blocks, *([Text(others, "notes")] if others else [])])


def _figures(asked: Asked) -> list[Block]:
    """The fit with its extrapolation, and the residuals."""
    from scalefit.plots import plot_residuals

    fit, held = asked.fit, asked.held_out
    what = f"{counted(fit.rows, 'measured row')} and the fitted law {fit.law.name}"
    asks = f", with the prediction {asked.place}" if asked.any else ""
    at = dict(asked.at) or None
    return [
        Figure.of(
            f"Measured {fit.target} (points) and the fitted law (lines){asks}.",
            f"{what[0].upper()}{what[1:]}{asks}; the fitted numbers are in the table of parameters",
            lambda: fit.plot(held, schedule=asked.schedule, at=at),
        ),
        Figure.of(
            "Residuals: how far each row lies above the law; the grey band is the noise.",
            f"Residuals of {counted(fit.rows, 'row')} around the law, whose noise is {100 * fit.sigma:.2g} %",
            lambda: plot_residuals(fit, held),
        ),
    ]


def _backtest(fit: Fit, tested: Backtest | str) -> Section:
    if isinstance(tested, str):
        return Section("Back-test", [Text([f"{tested[0].upper()}{tested[1:]}."])])
    shown = tested.summary.reset_index().astype({"beyond": str})
    for name in ("median_error", "worst_tenth", "coverage"):
        shown[name] = [f"{100 * value:.3g} %" for value in shown[name]]
    shown = shown.rename(columns={name: name.replace("_", " ") for name in shown.columns})
    said = f"The law is fitted to the smaller runs and predicts the larger ones. {tested.headline}."
    caption = "Error of each held-out prediction against how far beyond the fitted runs it lies."
    alt = f"Errors of {len(tested.table)} predictions of held-out runs, with their intervals; the table has the numbers"
    return Section(
        "Back-test",
        [
            Text([said, *([f"It {fit.one_sided}."] if fit.one_sided else [])]),
            Table.of("By how far beyond the fitted runs", shown),
            Figure.of(caption, alt, tested.plot),
        ],
    )


def _refuse_plan(fit: Fit, compute: Any) -> None:
    """Raise where a budget is none, or where the law has no plan."""
    budgets_of(compute, None, None, None)
    if not _has_plan(fit):
        todo = "leave it out, or take a law of size and data"
        raise InputError(f"law {fit.law.name} plans no size and data", where="compute", todo=todo)


def _has_plan(fit: Fit) -> bool:
    return {"N", "D"} <= set(fit.law.columns.values()) and not fit.law.is_trajectory


def _plan(asked: Asked, compute: Any) -> Section:
    """The best size and data for the compute, for laws that have them; else nothing."""
    from scalefit.planning.allocation.plan import plan

    fit = asked.fit
    if not _has_plan(fit):
        return Section("Plan")
    held = {name: value for name, value in asked.at.items() if name not in ("N", "D", "C")}
    budget = compute or _compute_of(asked)
    try:
        found = plan(fit, compute=budget, **held)
    except ScalefitError as error:
        return Section("Plan", [Text([f"No plan by this law: {error}."])])
    shown, said = without_doubts(found.lines), doubts_of(found.lines)
    alt = "Loss against model size at equal compute, with the path of the optima; the numbers are in the text above"
    caption = "Valleys of equal compute, the path of their lowest points, and the planned run."
    warned = [Text(said, "warnings")] if said else []
    return Section("Plan", [Text(shown, "code"), *warned, Figure.of(caption, alt, found.plot)])


def _compute_of(asked: Asked) -> float:
    """The compute of the predicted run; without one, FARTHER times the largest fitted compute."""
    fit = asked.fit
    if asked.any:
        last = predict(fit, schedule=asked.schedule, at=asked.at).iloc[-1]
        return float(6.0 * last["N"] * last["D"])
    own = {column: np.asarray(fit.points.variables[name]) for name, column in fit.law.columns.items()}
    return float(FARTHER * 6.0 * np.max(own["N"] * own["D"]))
