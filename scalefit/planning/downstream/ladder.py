"""The accuracy on a task at a target, from evaluated checkpoints of small runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError, counted, listed
from scalefit.fitting.stages import task_ladder as staged
from scalefit.planning.allocation.source import DRAWS
from scalefit.planning.allocation.targets import fixed_of
from scalefit.planning.downstream.answer import Downstream, ends_of, through
from scalefit.planning.downstream.chain import TAIL
from scalefit.runs import Runs, runs_of

#: checks of loss curves by step; the points of the second stage are numbered in their order, but the law has no steps
OF_STEPS = ("transient", "stray-phase")
EARLY = 0.5  #: share of a run's tokens before which no checkpoint belongs to the mean that stands for its final loss


def task_ladder(
    checkpoints: Runs | pd.DataFrame | str | Path,
    *,
    loss: str = "loss",
    accuracy: str = "accuracy",
    average: int = 5,
    skip: float = 0.1,
    ideal: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> Downstream:
    """The accuracy on a task at N and D (``N=13e9, D=5e12``), by way of the task's loss, with a 90 % interval.

    ``checkpoints`` has one row per evaluation: ``run``, ``N``, ``D`` (tokens so far) and the columns that ``loss`` and
    ``accuracy`` name. The procedure, with ``average``, ``skip`` and ``ideal``, is that of
    :func:`scalefit.fitting.stages.task_ladder`. The interval is that of one evaluation: it joins the prediction
    intervals of both steps and the scatter of single evaluations about their running mean.

    Source: arXiv:2412.04403. Raises InputError for a missing column, a target without N and D, or too few runs.
    """
    goal = fixed_of(at, "task-ladder")
    if set(goal) != {"N", "D"}:
        todo = "give N=13e9, D=5e12 (--at N=13B,D=5T)"
        raise InputError(f"a target in {', '.join(goal) or 'nothing'}", where="task-ladder", todo=todo)
    given = {"loss": loss, "accuracy": accuracy}
    table = checkpoints if isinstance(checkpoints, pd.DataFrame) else _table(checkpoints, given)
    made = staged(table, **given, average=average, skip=skip, ideal=ideal, draws=draws, seed=seed)
    kept = tuple(check for check in made.accuracy.warnings if check.code not in OF_STEPS)
    sigmoid = replace(made.accuracy, warnings=kept)
    way = ends_of(made.loss, goal)
    scatter = TAIL * made.scatter
    reached = through(way, sigmoid, (scatter, scatter), most=1.0)
    early = _early(table, given, average)
    cautions = (*early, *made.loss.cautions(**goal), *sigmoid.cautions(loss=way[0]))  # type: ignore[arg-type]
    return Downstream(made.loss, sigmoid, made.how, goal, way, reached, None, cautions)


def _early(table: pd.DataFrame, names: dict[str, str], average: int) -> list[Check]:
    """A doubt where the mean that stands for a final loss reaches far back into a run."""
    if "run" not in table.columns:
        return []
    kept = table[["run", "D", *names.values()]].dropna().sort_values("D", kind="stable")
    last = kept.groupby("run", sort=False)["D"].apply(lambda tokens: tokens.iloc[-average:].iloc[0] / tokens.iloc[-1])
    far = last.index[last < EARLY]
    if not len(far):
        return []
    text = (
        f"the mean of the last {average} checkpoints reaches back to {last.min():.0%} of a run's tokens in "
        f"{counted(len(far), 'run')} ({listed(far, 2)}) and is no final loss: average fewer (--average 1)"
    )
    return [Check("early-checkpoints", text)]


def _table(checkpoints: Runs | str | Path, names: dict[str, str]) -> pd.DataFrame:
    """Every logged row of run logs, with the size of its run."""
    logs = runs_of(checkpoints)
    names |= {key: logs.column(name) for key, name in names.items()}
    if logs.curves is None:
        return logs.table
    lacking = [name for name in logs.table.columns if name not in logs.curves.columns]
    table = logs.curves.merge(logs.table[["run", *lacking]], on="run")
    return table.drop(columns="D", errors="ignore").rename(columns={"tokens": "D"}) if "tokens" in table else table
