"""Losses that are taken as final although the run was not at its end: a learning rate still high, steps missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.table import Runs

HIGH, LOW = 0.5, 0.2  #: share of the peak above which a learning rate is not annealed, below which it is
COMPLETE = 0.95  #: share of the declared steps from which a run counts as finished
FALLS = 0.8  #: a planned learning rate below this share of the last one has still to fall
SHOWN = 3


def unfinished(runs: Runs, every_row: bool) -> list[str]:
    """One sentence for each reason to doubt that the losses of these runs are final ones.

    ``every_row``: all logged rows are used, not only the last of each run.

    >>> from scalefit.runs import read_runs
    >>> log = pd.DataFrame({"run": list("aabb"), "step": [0, 9, 0, 9], "loss": [4, 3, 4, 3], "steps": [9, 9, 90, 90]})
    >>> unfinished(read_runs(log), every_row=False)[0].partition(":")[0]
    '1 runs stopped before their declared end (b at 9 of 90)'
    """
    if runs.curves is None:
        return list(_mixed_ends(_rates_in_table(runs.table)))
    found = [*_stopped_early(runs), *_diverged(runs)]
    ends = _learning_rates(runs)
    return [*found, *(_along(ends) if every_row else _mixed_ends(ends))]


def _stopped_early(runs: Runs) -> Iterator[str]:
    """Runs that declare more steps (or tokens) than they were logged for, or whose schedule goes on to fall."""
    assert runs.curves is not None
    axis = "step" if "step" in runs.curves.columns else "tokens"
    last = runs.curves.groupby(runs.curves["run"].astype(str), sort=False)[axis].max()
    by_run = runs.table.drop_duplicates("run").set_index(runs.table.drop_duplicates("run")["run"].astype(str))
    declared = "steps" if axis == "step" else "tokens_planned"
    short = []
    if declared in by_run.columns:
        planned = pd.to_numeric(by_run[declared], errors="coerce").reindex(last.index)
        spacing = runs.curves.groupby(runs.curves["run"].astype(str), sort=False)[axis].apply(_spacing)
        missing = (last < COMPLETE * planned) & (planned - last > 2 * spacing)
        short = [f"{run} at {last[run]:.0f} of {planned[run]:.0f}" for run in last.index[missing]]
    given = runs.learning_rates.given or {}
    for run, schedule in given.items():
        if run not in last.index or axis != "step" or last[run] >= COMPLETE * schedule.steps:
            continue
        here, end = float(schedule(last[run])), float(schedule(schedule.steps))
        if end < FALLS * here:
            short.append(f"{run} at {last[run]:.0f} of {schedule.steps}")
    if short:
        yield (
            f"{len(set(short))} runs stopped before their declared end ({_listed(list(dict.fromkeys(short)))}): their "
            "last loss is not final; leave them out with --where, or predict their end (predict --from-partial)"
        )


def _diverged(runs: Runs) -> Iterator[str]:
    """Runs of curves that end without a finite loss."""
    if "diverged" not in runs.table.columns or runs.table["diverged"].dtype != bool:
        return
    lost = runs.table["run"][runs.table["diverged"].to_numpy()].astype(str).tolist()
    if lost:
        yield (
            f"{len(lost)} runs diverged ({_listed(lost)}): their last finite loss is not final; leave them out with "
            '--where "not diverged"'
        )


def _spacing(values: pd.Series) -> float:
    return float(np.median(np.diff(values))) if len(values) > 1 else 0.0


def _learning_rates(runs: Runs) -> dict[str, tuple[float, float]]:
    """The lowest and the last learning rate after warm-up of each run, over its peak; only where it is known."""
    found = {}
    for run in runs.names:
        try:
            path = runs.trajectory(run)
        except InputError:
            continue
        peak = float(path.lr.max())
        if peak > 0:
            found[run] = (float(path.lr[path.warmup :].min()) / peak, float(path.lr[-1]) / peak)
    return found


def _rates_in_table(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """The last learning rate over its peak, where a table of final losses holds both."""
    if not {"lr", "peak_lr"} <= set(table.columns):
        return {}
    share = pd.to_numeric(table["lr"], errors="coerce") / pd.to_numeric(table["peak_lr"], errors="coerce")
    return {str(run): (float(value), float(value)) for run, value in zip(table["run"], share, strict=True)}


def _mixed_ends(ends: dict[str, tuple[float, float]]) -> Iterator[str]:
    high = [run for run, (_, last) in ends.items() if last > HIGH]
    low = [run for run, (_, last) in ends.items() if last < LOW]
    if high and low:
        yield (
            f"{len(high)} runs end at a high learning rate ({_listed(high)}), {len(low)} at a low one: losses in "
            "mid-schedule count as final ones; fit one kind at a time, or a law along the schedule (annealing)"
        )


def _along(ends: dict[str, tuple[float, float]]) -> Iterator[str]:
    falling = [run for run, (lowest, _) in ends.items() if lowest < HIGH]
    if falling:
        yield (
            f"every row of {len(falling)} runs counts although their learning rate falls along the run "
            f"({_listed(falling)}): rows in mid-schedule are not final losses; use the last of each run (--points "
            "final), or a law along the schedule (annealing)"
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
