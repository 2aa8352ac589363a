"""The learning rate of a run at every step, from its schedule or from the log; and two measures of progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError, listed
from scalefit.numerics import FloatArray
from scalefit.schedules import Schedule, ScheduleTable, parse_schedule, per_step_lr, warmup_end
from scalefit.schedules.areas import guessed_warmup, rises_from_zero
from scalefit.schedules.text import is_schedule_file, read_schedule_table

BLOCK = 1 << 18  #: steps that are summed at a time
FIRST = 1000  #: rows of a run in which a warmup is looked for

ScheduleSource = str | PathLike[str] | Schedule | Mapping[str, "str | PathLike[str] | Schedule"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One run's learning rate.

    `steps`: (n,) int64, the steps of the run's rows in the curves, in order; `lr`: (T+1,) float64, the learning rate of
    steps 0..T with T the largest of `steps`; `warmup`: the step at which the first rise ends; `how`: where the learning
    rate comes from, as text.
    """

    run: str
    steps: NDArray[np.int64]
    lr: NDArray[np.float64]
    warmup: int
    how: str


@dataclass(frozen=True, eq=False)
class LearningRates:
    """Where the learning rates of a set of runs come from: schedules if given, else the logged rows.

    `rows`: frame with run (categorical, sorted by code), step and lr, or None; `given`: schedule by run, or None;
    `missing`: by run, why it has no schedule although schedules were given; `warmup`: steps of a linear warmup.
    """

    rows: pd.DataFrame | None = None
    given: Mapping[str, Schedule] | None = None
    missing: Mapping[str, str] | None = None
    warmup: int | None = None

    def apart(self) -> FloatArray:
        """By how much each logged learning rate differs from the given schedule, (n,), over the peak of the latter."""
        found = [np.zeros(0)]
        for run, schedule in (self.given or {}).items():
            part = rows_of(self.rows, run).dropna(subset=["lr"]) if self.rows is not None else pd.DataFrame()
            if len(part) and schedule.steps >= part["step"].max():
                expected = schedule(part["step"].to_numpy())
                scale = max(float(np.max(expected)), np.finfo(float).tiny)
                found.append(np.abs(part["lr"].to_numpy(float) - expected) / scale)
        return np.concatenate(found)

    def trajectory(self, run: str, steps: NDArray[np.int64]) -> Trajectory:
        """The learning rate of `run` at every step up to the last of `steps`; InputError if it is not known."""
        last, where = int(steps.max()), f"run {run}"
        if self.given is not None:
            return self._scheduled(run, steps, last, self.given)
        logged = rows_of(self.rows, run) if self.rows is not None else pd.DataFrame({"lr": []})
        logged = logged.dropna(subset=["lr"]) if logged["lr"].hasnans else logged
        if logged.empty:
            todo = "pass it: --schedule cosine:peak_lr=...,steps=..., or a CSV with columns (run, step, lr)"
            raise InputError("there is no learning rate in the log", where=where, todo=todo)
        at, logged_lr = logged["step"].to_numpy(), logged["lr"].to_numpy()
        bad = ~(logged_lr >= 0) | np.isinf(logged_lr)
        if bad.any():
            row = int(np.argmax(bad))
            place = f"{where}, row {logged.index[row]}, column lr"
            todo = "correct or remove it, or pass the schedule (--schedule)"
            raise InputError(f"the learning rate is {logged_lr[row]:g}", where=place, todo=todo)
        lr, how = per_step_lr(at, logged_lr, warmup=self.warmup, where=where)
        if last >= lr.size:  # held for at most one logging interval
            if last - at[-1] > np.diff(at).max(initial=0):
                what = f"the learning rate is logged up to step {at[-1]} only, the loss up to step {last}"
                raise InputError(what, where=where, todo="pass the schedule (--schedule)")
            lr = np.concatenate([lr, np.full(last + 1 - lr.size, lr[-1])])
            how += f"; held after its last logged value at step {at[-1]}"
        return Trajectory(run, steps, lr[: last + 1], warmup_end(lr, self.warmup), how)

    def guessed(self) -> dict[str, list[str]]:
        """The runs whose log begins within a warmup, and what is guessed; none where a warmup is given."""
        found: dict[str, list[str]] = {}
        if self.rows is None or self.given is not None or self.warmup is not None:
            return found
        steps, rates = self.rows["step"].to_numpy(), self.rows["lr"].to_numpy(dtype=float)
        for run, start, stop in spans(self.rows):
            head = slice(start, min(stop, start + FIRST))
            known = ~(np.isnan(steps[head]) | np.isnan(rates[head]))
            at, lr = steps[head][known], rates[head][known]
            if len(at) and at[0] > 1 and (rows := rises_from_zero(at, lr)):
                found.setdefault(guessed_warmup(int(at[rows - 1]), rows), []).append(run)
        return found

    def _scheduled(self, run: str, steps: NDArray[np.int64], last: int, given: Mapping[str, Schedule]) -> Trajectory:
        if run not in given:
            reason = (self.missing or {}).get(run, "no schedule was given for it")
            raise InputError(reason, where=f"run {run}", todo="name a schedule for it (--schedule)")
        schedule = given[run]
        if schedule.steps < last:
            what = f"the schedule {schedule.text} ends at step {schedule.steps}, the run's log at step {last}"
            raise InputError(what, where=f"run {run}", todo="give a schedule at least as long as the run")
        how = f"{schedule.how}, " * bool(schedule.how) + f"schedule {schedule.text}"
        return Trajectory(run, steps, schedule.per_step()[: last + 1], min(schedule.warmup, last), how)


def rows_of(frame: pd.DataFrame, run: str) -> pd.DataFrame:
    """The rows of one run, as a view; `run` must be categorical with nondecreasing codes."""
    runs = frame["run"].cat
    if run not in runs.categories:
        return frame.iloc[:0]
    codes = runs.codes.to_numpy()
    code = codes.dtype.type(list(runs.categories).index(run))
    return frame.iloc[np.searchsorted(codes, code) : np.searchsorted(codes, code, side="right")]


def spans(curves: pd.DataFrame) -> list[tuple[str, int, int]]:
    """(run, start, stop) of each run that has rows, in order; `run` is categorical with nondecreasing codes."""
    codes, categories = curves["run"].cat.codes.to_numpy(), curves["run"].cat.categories
    bounds = np.searchsorted(codes, np.arange(len(categories) + 1, dtype=np.int64).astype(codes.dtype))
    bounds[-1] = len(codes)
    limits = zip(categories, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return [(str(run), start, stop) for run, start, stop in limits if stop > start]


def schedules_of(source: ScheduleSource, table: pd.DataFrame, warmup: int | None) -> LearningRates:
    """The learning rates of the runs of a table, each with its schedule.

    `source`: the text form of a schedule, a CSV of (step, lr) for all runs, a CSV with a column schedule or run that
    the table has too, a Schedule, or a mapping from run to one of these. Raises InputError if the CSV's column is not
    in the table, or the mapping names a run that is not there.
    """
    runs = [str(run) for run in table["run"].unique()]
    if isinstance(source, Schedule):
        return LearningRates(given=dict.fromkeys(runs, source), warmup=warmup)
    if isinstance(source, Mapping):
        in_file = _names_in_file(table)
        own = {str(name): item for name, item in source.items()}
        shared = {run: own[name] for run, name in in_file.items() if run not in own and name in own}
        source = {run: item for run, item in own.items() if run in runs or run not in in_file.values()} | shared
        unknown = [str(run) for run in source if str(run) not in runs]
        if unknown:
            todo = f"the runs are {listed(runs, 9)}"
            raise InputError(f"there is no run '{unknown[0]}' to give a schedule to", todo=todo)
        parsed = {
            str(run): item if isinstance(item, Schedule) else parse_schedule(fspath(item), warmup=warmup)
            for run, item in source.items()
        }
        return LearningRates(given=parsed, warmup=warmup)
    if not isinstance(source, str | PathLike):
        what = f"a schedule for all runs is text, a CSV or a Schedule, not a {type(source).__name__}"
        raise InputError(what, todo="write it to a CSV of (run, step, lr), or add a column lr to the log")
    source = fspath(source)
    if is_schedule_file(source) and "#" not in source:
        rows = read_schedule_table(source.removeprefix("csv:"))
        if rows.key:
            return _joined(rows, table, warmup)
    return LearningRates(given=dict.fromkeys(runs, parse_schedule(source, warmup=warmup)), warmup=warmup)


def _names_in_file(table: pd.DataFrame) -> dict[str, str]:
    """The name of each run in its file, which several runs may share."""
    own = table["run"].astype(str)
    named = table["run_in_file"].astype(str) if "run_in_file" in table.columns else own
    return dict(zip(own, named.where(named != "nan", own), strict=True))


def _joined(rows: ScheduleTable, table: pd.DataFrame, warmup: int | None) -> LearningRates:
    if rows.key not in table.columns:
        what = f"the schedules are named by a column {rows.key}, which the runs do not have"
        todo = f"add it to the runs, or choose one schedule for all: csv:{rows.path}#NAME"
        raise InputError(what, where=rows.path, todo=todo)
    names = dict(zip(table["run"].astype(str), table[rows.key].astype(str), strict=True))
    if rows.key == "run":  # one schedule may hold for several runs of a name, such as those of several seeds
        names = {run: run if run in rows.rows else name for run, name in _names_in_file(table).items()}
    known = {name: rows.schedule(name, warmup) for name in dict.fromkeys(names.values()) if name in rows.rows}
    missing = {run: f"{rows.path} has no {rows.key} '{name}'" for run, name in names.items() if name not in known}
    given = {run: known[name] for run, name in names.items() if name in known}
    return LearningRates(given=given, missing=missing, warmup=warmup)


@dataclass(frozen=True)
class Clock:
    """Both at some steps of a run, (n,) each: log area (lr step), and the summed changes after warmup over the peak."""

    area: FloatArray
    fall: FloatArray

    @classmethod
    def of(cls, lr: FloatArray, warmup: int, steps: NDArray[np.int64]) -> Clock:
        """The clocks of a run with this learning rate at every step."""
        area, (fall, risen) = np.zeros(len(steps)), np.zeros((2, len(steps)))
        for first in range(0, len(lr), BLOCK):
            block = lr[first : first + BLOCK]
            ends = np.clip(steps - first, -1, len(block) - 1) + 1  # how many steps of the block precede each row
            change = np.abs(np.diff(block, prepend=lr[max(first - 1, 0)]))
            area += _sums(block)[ends]
            fall += _sums(change)[ends]
            risen += change[: max(warmup + 1 - first, 0)].sum()
        return cls(np.log(area), (fall - risen) / lr.max())

    def take(self, rows: NDArray[np.intp] | slice) -> Clock:
        """The clocks of some rows."""
        return Clock(self.area[rows], self.fall[rows])


def _sums(values: FloatArray) -> FloatArray:
    """Sums of the first 0, 1, ..., n of n values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def clocks_of(paths: Mapping[str, Trajectory], names: NDArray[Any], steps: NDArray[np.int64]) -> Clock:
    """The clocks of rows of several runs."""
    area, fall = np.empty(len(names)), np.empty(len(names))
    for run in dict.fromkeys(names.tolist()):
        rows = names == run
        clock = Clock.of(paths[run].lr, paths[run].warmup, steps[rows])
        area[rows], fall[rows] = clock.area, clock.fall
    return Clock(area, fall)
