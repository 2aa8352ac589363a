"""A run in progress, checked when it is read: one run, its schedule to the end, enough finite losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.diagnosis.checks import ALIKE, Check
from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.progress.events import FASTER
from scalefit.progress.rises import GAP, find_spikes, spikes
from scalefit.runs import Runs, runs_of
from scalefit.runs.divergence import Divergence, divergence
from scalefit.runs.trajectory import Clock
from scalefit.schedules import Schedule, parse_schedule
from scalefit.uncertainty.calibration import Calibration
from scalefit.uncertainty.folds import HIGHEST
from scalefit.uncertainty.unlike import missed_ahead, promised, states_at

FEWEST = 8  #: fewest rows after warmup for a forecast
WRITTEN, MOSTLY = 1e-4, 0.9  #: two runs are the same if their losses agree this well in this share of shared rows
OTHER = 0.2  #: median relative difference above which two runs of one name are different runs
ALONG = 0.05  #: largest difference in the clocks between rows of one schedule
NAMELESS = "DataFrame"  #: the name of the run in a table without names
DIFFERS, OFTEN = 0.05, 0.1  #: refused if off the schedule by this share of the peak in this share of the rows


@dataclass(frozen=True)
class PartialRun:
    """One run so far: logged steps after warmup and losses (n,), its schedule, and its row of the table."""

    name: str
    steps: NDArray[np.int64]
    loss: FloatArray
    plan: Schedule
    facts: pd.Series
    spikes: int = 0  #: losses left out as spikes from which the run came back
    last: float = 0.0  #: relative height of the last loss if it is one of them
    lost: Divergence | None = None  #: the divergence, if the run has diverged

    @property
    def step(self) -> int:
        """The last logged step."""
        return int(self.steps[-1])

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.steps)

    def clock(self, steps: NDArray[np.int64]) -> Clock:
        """The clocks of :mod:`scalefit.progress.drift` at some steps."""
        return Clock.of(self.plan.per_step(), self.plan.warmup, steps)

    def states(self, steps: NDArray[np.int64]) -> FloatArray:
        """The states (n, 5) of its schedule at some steps, see :mod:`scalefit.uncertainty.unlike`."""
        return states_at(self.plan.per_step(), self.plan.warmup, steps)

    def law_at(self, fit: Fit, steps: NDArray[np.int64]) -> FloatArray:
        """The fitted law's loss at some steps of this run."""
        law = fit.law
        marks = {column: self._fact(column) for column in law.path_columns}
        variables = law.at_steps(self.plan.per_step(), self.plan.warmup, steps, **marks)
        for name, column in law.columns.items():
            if name not in variables:
                variables[name] = np.full(len(steps), self._fact(column))
        with np.errstate(all="ignore"):
            value = fit.evaluate(variables) + np.zeros(len(steps))
        if not (np.isfinite(value) & (value > 0)).all():
            why = f"the law {law.spec} gives no positive loss along this schedule"
            raise InputError(why, where=f"run {self.name}", todo="fit runs with more similar schedules")
        return value

    def missed_by(self, fit: Fit, count: int, steps: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """What the law may miss of the rest of the schedule, relative: on either side, and above it alone, (m,) each.

        ``count``: of the rows that are known. The random walk along a run knows the fitted schedules only.
        """
        calibration = fit.intervals.calibration if fit.intervals else _range_of(fit)
        if not isinstance(calibration, Calibration):
            return np.zeros(len(steps)), np.zeros(len(steps))
        states, seen = self.states(steps), self.states(self.steps[:count])
        law, log = self.law_at(fit, steps), fit.settings.residuals == "log"
        unit = 1.0 if log else 1 / law
        above = promised(calibration, np.log(law) if log else law, states, seen)
        return unit * missed_ahead(calibration, states, seen), unit * above

    def recipe(self) -> dict[str, tuple[Any, ...]]:
        """What is known of the run's recipe, in the form of a fit's ``recipe``."""
        found: dict[str, tuple[Any, ...]] = {"peak_lr": (float(self.plan.per_step().max()),)}
        for name in (*ALIKE, "vocab", "tokenizer"):
            value = self.facts.get(name)
            if value is not None and not pd.isna(value):
                found[name] = (value if isinstance(value, str) else float(value),)
        return found

    def among(self, fit: Fit) -> str:
        """A note if the fit has seen later rows of this very run, recognised by its losses or its name."""
        points, seen = fit.points, dict(zip(self.steps.tolist(), self.loss.tolist(), strict=True))
        if points.steps is None:
            return ""
        names, steps, values = np.array(points.runs), np.array(points.steps), np.array(points.values)
        for name in dict.fromkeys(points.runs):
            rows = names == name
            last = int(steps[rows].max())
            own = np.array([seen.get(step, np.nan) for step in steps[rows].tolist()])
            shared = np.isfinite(own)
            off = np.abs(own[shared] / values[rows][shared] - 1)
            same = shared.sum() >= FEWEST // 2 and np.mean(off <= WRITTEN) >= MOSTLY and self._runs_on(fit, rows)
            called = name == self.name != NAMELESS and not (len(off) and np.median(off) > OTHER)
            if last > self.step and (same or called):
                which = "this run" if same else f"a run named {name}"
                which += f" is among the fitted ones{f', as {name}' if same and name != self.name else ''}"
                seen_end = f"{'' if same else 'if it is the same run, '}the forecast has seen its end"
                return f"{which}, up to step {last}: {seen_end}; fit the other runs alone to forecast it"
        return ""

    def _runs_on(self, fit: Fit, rows: NDArray[np.bool_]) -> bool:
        """Whether fitted rows follow this run's schedule to their end: runs branched from one trunk begin alike."""
        points = fit.points
        if points.area is None or points.fall is None or points.steps is None:
            return True
        steps = np.array(points.steps)[rows]
        if steps[-1] > self.plan.steps:
            return False
        clock = self.clock(steps[-1:])
        area, fall = np.array(points.area)[rows][-1], np.array(points.fall)[rows][-1]
        return bool(abs(clock.area[0] - area) < ALONG and abs(clock.fall[0] - fall) < ALONG)

    def doubts(self) -> list[Check]:
        """Warnings if the run has diverged, or if its last loss is a spike from which it may not come back."""
        found = []
        if self.lost:
            text = f"the run has diverged at step {self.lost.step}: {self.lost.why}; no forecast holds for it"
            found.append(Check("diverged", f"{text}: go back to an earlier checkpoint"))
        if self.last:
            text = f"the last loss is {100 * self.last:.0f} % above those before it and is left out"
            found.append(
                Check("spike", f"{text}; whether the run comes back is not known yet: wait for a few more rows")
            )
        return found

    def _fact(self, column: str) -> float:
        if column not in self.facts.index:
            todo = f"add a column {column} to the log"
            raise InputError(f"the law reads {column}, which is not known", where=f"run {self.name}", todo=todo)
        return float(self.facts[column])


def read_partial(run: Runs | pd.DataFrame, schedule: str | Schedule | None, fit: Fit | None) -> PartialRun:
    """Check a log of one run in progress; see :func:`scalefit.predict_partial` for what is refused."""
    logs = runs_of(run)
    where = logs.origin[0].path if logs.origin else "run"
    if fit is not None and not fit.law.is_trajectory:
        why = f"law {fit.law.name} does not follow a learning-rate schedule"
        raise InputError(
            why, where="predict --from-partial", todo="give a fit of a curve law such as annealing, or none"
        )
    if logs.curves is None or "step" not in logs.curves.columns:
        raise InputError("no curve with one row per logged step", where=where, todo="write --map step=COLUMN")
    if len(logs) != 1:
        names = ", ".join(logs.names[:4])
        raise InputError(f"{len(logs)} runs ({names}, ...)", where=where, todo="choose one: --where \"run == '...'\"")
    name = logs.names[0]
    target = fit.target if fit is not None else "loss"
    steps, loss = _measured(logs, target)
    lost = divergence(steps, loss, share=0.0)
    plan = _schedule(logs, schedule, name, int(steps.max()))
    _check_rates(logs, plan, name)
    after = steps > plan.warmup
    steps, loss = steps[after], loss[after]
    lone = spikes(loss) | _came_back(steps, loss, plan)
    count = int((~lone).sum())
    if count < FEWEST:
        raise InputError(f"only {count} rows after warmup", where=f"run {name}", todo=f"wait until there are {FEWEST}")
    last = float(loss[-1] / np.median(loss[~lone][-3:]) - 1) if lone[-1] else 0.0
    return PartialRun(name, steps[~lone], loss[~lone], plan, logs.table.iloc[0], int(lone.sum()), last, lost)


def _came_back(steps: NDArray[np.int64], loss: FloatArray, plan: Schedule) -> NDArray[np.bool_]:
    """Which rows lie in a spike of several rows from which the loss came back, while the learning rate did not rise."""
    rates, found = plan.per_step(), np.zeros(len(loss), dtype=bool)
    for each in find_spikes(steps, loss):
        start = int(np.searchsorted(steps, each.start))
        before, during = max(0, start - GAP), slice(start, start + (each.recovered or 0))
        lr = rates[np.clip(np.r_[steps[before], steps[during]], 0, len(rates) - 1)]
        found[during] = lr.max() <= FASTER * lr[0]
    return found


def _measured(logs: Runs, target: str) -> tuple[NDArray[np.int64], FloatArray]:
    assert logs.curves is not None
    curves = logs.curves
    if target not in curves.columns:
        others = ", ".join(str(name) for name in curves.columns if name != "run")
        todo = f"write --map {target}=COLUMN with one of: {others}"
        raise InputError(f'no column "{target}"', where=logs.origin[0].path, todo=todo)
    if "split" in curves.columns and curves["split"].nunique() > 1:
        kinds = ", ".join(map(str, curves["split"].unique()[:4]))
        raise InputError(f"losses of several splits ({kinds})", todo="choose one: --where \"split == '...'\"")
    steps, loss = curves["step"].to_numpy(dtype=np.int64), curves[target].to_numpy(dtype=np.float64)
    lost = divergence(steps, loss, share=0.0)
    if lost and not np.isfinite(loss[-1]):
        why = f"the run has diverged at step {lost.step}: its {target} is not finite from there to its last row"
        todo = f'go back to an earlier checkpoint, or forecast from before: --where "step < {lost.step}"'
        raise InputError(why, where=f"run {logs.names[0]}", todo=todo)
    bad = ~(np.isfinite(loss) & (loss > 0))
    if bad.any():
        first = int(np.argmax(bad))
        why = f"{target} is {loss[first]:g}" + f" (and {int(bad.sum()) - 1} more rows)" * bool(bad.sum() > 1)
        todo = f'leave such rows out: --where "{target} > 0"'
        raise InputError(why, where=f"{logs.place(first)}, column {target}", todo=todo)
    return steps, loss


def _range_of(fit: Fit) -> Calibration | None:
    """What a fit without intervals explained of its rows, and under which schedules; None of one that kept none."""
    if fit.points.states is None:
        return None
    made = fit.evaluate({name: np.array(values) for name, values in fit.points.variables.items()})
    made = np.log(made) if fit.settings.residuals == "log" else np.asarray(made)
    change, lowest = float(np.quantile(made, HIGHEST) - made.min()), float(made.min())
    return Calibration(1.0, 0, 0, 0.0, 0.0, change=change, states=fit.points.states, lowest=lowest)


def _schedule(logs: Runs, schedule: str | Schedule | None, name: str, last: int) -> Schedule:
    given, where = (logs.learning_rates.given or {}).get(name) if schedule is None else schedule, f"run {name}"
    if given is None:
        why = f"the schedule of the learning rate after step {last} is not known"
        example = '--schedule "cosine:peak_lr=3e-4,steps=60000,warmup=1000,final=3e-5"'
        raise InputError(why, where=where, todo=f"give it: {example}, or a CSV of (step, lr)")
    plan = parse_schedule(given) if isinstance(given, str) else given
    if last > plan.steps:
        why = f"the run is at step {last}, but its schedule ends at step {plan.steps}"
        raise InputError(why, where=where, todo="give the schedule that it follows")
    if last == plan.steps:
        why = f"the run is finished: step {last} of {plan.steps}"
        raise InputError(why, where=where, todo="its last loss is the final one")
    return plan


def _check_rates(logs: Runs, plan: Schedule, name: str) -> None:
    """Refuse a schedule that differs from the log's learning rates."""
    rows = logs.learning_rates.rows
    if rows is None or "lr" not in rows.columns:
        return
    rows = rows[(rows["run"].astype(str) == name) & rows["lr"].notna() & (rows["step"] > plan.warmup)]
    step, lr = rows["step"].to_numpy(dtype=np.int64), rows["lr"].to_numpy(dtype=np.float64)
    expected = plan(np.minimum(step, plan.steps))
    far = np.abs(lr - expected) > DIFFERS * float(np.max(plan.per_step()))
    if far.sum() > OFTEN * len(far):
        first = int(np.argmax(far))
        why = (
            f"learning rate {lr[first]:g} at step {step[first]} of the log, {float(expected[first]):g} by the schedule"
        )
        raise InputError(why, where=f"run {name}", todo="give the schedule that the run follows")
