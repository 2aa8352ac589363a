"""Losses taken as final although their run was not finished: steps are missing, or the learning rate is still high."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from scalefit.errors import InputError, counted, its, listed
from scalefit.runs.table import Runs, axis_of
from scalefit.runs.trajectory import spans

HIGH, LOW = 0.5, 0.2  #: share of the peak above which a learning rate is not annealed, below which it is
COMPLETE = 0.95  #: a run with this share of its declared steps counts as finished
FALLS = 0.8  #: a schedule that ends below this share of the last learning rate has not finished falling


def unfinished(runs: Runs, every_row: bool, fitted: Collection[str] | None = None) -> list[str]:
    """One sentence for each reason to doubt that the losses of these runs are final.

    ``every_row``: all logged rows are used, not only the last of each run; ``fitted``: the runs that count (default:
    all).

    >>> from scalefit.runs import read_runs
    >>> log = pd.DataFrame({"run": list("aabb"), "step": [0, 9, 0, 9], "loss": [4, 3, 4, 3], "steps": [9, 9, 90, 90]})
    >>> unfinished(read_runs(log), every_row=False)[0].partition(":")[0]
    '1 run stopped before its declared end (b at 9 of 90)'
    """
    names = set(runs.names if fitted is None else fitted)
    if runs.curves is None:
        return list(_mixed_ends(_rates_in_table(runs.table[runs.table["run"].astype(str).isin(names)])))
    found = [*_stopped_early(runs, names), *_diverged(runs, names)]
    ends = _learning_rates(runs, names)
    return [*found, *(_along(ends) if every_row else _mixed_ends(ends))]


def falling(runs: Runs) -> list[str]:
    """The runs with curves whose learning rate falls along the run: only their last losses are final.

    >>> from scalefit.runs import read_runs
    >>> log = pd.DataFrame({"run": list("aabb"), "step": [1, 9, 1, 9], "loss": [4, 3, 4, 3], "lr": [0.1, 0.1, 0.1, 0]})
    >>> falling(read_runs(log))
    ['b']
    """
    return _early(_learning_rates(runs, set(runs.names))) if runs.curves is not None else []


def _stopped_early(runs: Runs, names: Collection[str]) -> Iterator[str]:
    """Runs that declare more steps (or tokens) than were logged, or whose learning rate was still to fall."""
    assert runs.curves is not None
    axis = axis_of(runs.curves)
    place = runs.curves[axis].to_numpy()
    by_run = runs.table.drop_duplicates("run").set_index("run")
    declared = "steps" if axis == "step" else "tokens_planned"
    planned = pd.to_numeric(by_run[declared], errors="coerce") if declared in by_run.columns else pd.Series()
    given = (runs.learning_rates.given or {}) if axis == "step" else {}
    short = dict[str, bool]()
    for run, start, stop in spans(runs.curves):
        if run not in names:
            continue
        last, end, schedule = float(place[stop - 1]), float(planned.get(run, np.nan)), given.get(run)
        if last < COMPLETE * end and end - last > 2 * spacing(place[start:stop]):
            short[f"{run} at {last:.0f} of {end:.0f}"] = True
        unfinished = schedule is not None and last < COMPLETE * schedule.steps
        if schedule is not None and unfinished and schedule(schedule.steps) < FALLS * schedule(last):
            short[f"{run} at {last:.0f} of {schedule.steps}"] = True
    if short:
        yield (
            f"{counted(len(short), 'run')} stopped before {its(len(short))} declared end ({listed(short)}): "
            f"{its(len(short))} last loss is not final; leave out such runs with --where, or predict their end "
            "(predict --from-partial)"
        )


def _diverged(runs: Runs, names: Collection[str]) -> Iterator[str]:
    """Runs of curves that end without a finite loss."""
    if "diverged" not in runs.table.columns or runs.table["diverged"].dtype != bool:
        return
    lost = [run for run in runs.table["run"][runs.table["diverged"].to_numpy()].astype(str) if run in names]
    if lost:
        yield (
            f"{counted(len(lost), 'run')} diverged ({listed(lost)}): {its(len(lost))} last finite loss is not final; "
            'leave out such runs with --where "not diverged"'
        )


def spacing(place: np.ndarray) -> float:
    """The usual distance between rows of a run, from their steps or tokens (n,)."""
    return float(np.median(np.diff(place))) if len(place) > 1 else 0.0


def _learning_rates(runs: Runs, names: Collection[str]) -> dict[str, tuple[float, float]]:
    """The lowest and the last learning rate of each run after warmup, over its peak; runs without one are left out."""
    found = {}
    for run in (name for name in runs.names if name in names):
        try:
            path = runs.trajectory(run)
        except InputError:
            continue
        peak = float(path.lr.max())
        if peak > 0:
            found[run] = (float(path.lr[path.warmup :].min()) / peak, float(path.lr[-1]) / peak)
    return found


def _rates_in_table(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """The last learning rate over its peak, if a table of final losses has both."""
    if not {"lr", "peak_lr"} <= set(table.columns):
        return {}
    share = pd.to_numeric(table["lr"], errors="coerce") / pd.to_numeric(table["peak_lr"], errors="coerce")
    return {str(run): (float(value), float(value)) for run, value in zip(table["run"], share, strict=True)}


def _mixed_ends(ends: dict[str, tuple[float, float]]) -> Iterator[str]:
    high = [run for run, (_, last) in ends.items() if last > HIGH]
    low = [run for run, (_, last) in ends.items() if last < LOW]
    if high and low:
        yield (
            f"{counted(len(high), 'run', 'ends', 'end')} at a high learning rate ({listed(high)}), "
            f"{len(low)} at a low one: losses in "
            "mid-schedule are not final; fit one kind at a time, or a law along the schedule (annealing)"
        )


def _along(ends: dict[str, tuple[float, float]]) -> Iterator[str]:
    early = _early(ends)
    if early:
        yield (
            f"every row of {counted(len(early), 'run')} is used although {its(len(early))} learning rate falls "
            f"along the run ({listed(early)}): losses in mid-schedule are not final; use the last row of each run "
            "(--points final), or a law along the schedule (annealing)"
        )


def _early(ends: dict[str, tuple[float, float]]) -> list[str]:
    """The runs whose learning rate falls along the run, so that their earlier losses are not final."""
    return [run for run, (lowest, _) in ends.items() if lowest < HIGH]
