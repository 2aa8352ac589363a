"""Laws that their sources fit in stages: each stage is an ordinary fit, and the result names the procedure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit
from scalefit.laws.data_constrained import ONCE as ONE_EPOCH
from scalefit.laws.data_constrained import DataConstrained, held_base
from scalefit.laws.loss_to_loss import pair_runs
from scalefit.numerics import FloatArray, robust_sigma
from scalefit.rows.gather import Which

PAPER_DELTA = 1e-3  #: Huber threshold of the sources

Procedure = Literal["stages", "joint"]


@dataclass(frozen=True)
class Staged:
    """The stages of a fit by name, the last one, and a description of the procedure."""

    stages: Mapping[str, Fit]
    last: Fit
    how: str

    def __getitem__(self, stage: str) -> Fit:
        return self.stages[stage]


@dataclass(frozen=True)
class Ladder:
    """Accuracy on a task from N and D, by way of the task's loss."""

    loss: Fit  #: the task's loss in N and D
    accuracy: Fit  #: the accuracy in the task's loss
    how: str  #: description of the procedure
    scatter: float = 0.0  #: of the accuracy of one evaluation about the running mean; its standard deviation

    def predict(self, N: float | FloatArray, D: float | FloatArray) -> FloatArray:
        """The accuracy at N parameters and D tokens, one number or (n,)."""
        return self.accuracy.evaluate({"loss": self.loss.evaluate({"N": np.asarray(N), "D": np.asarray(D)})})


def loss_to_loss(
    source: pd.DataFrame,
    target: pd.DataFrame,
    *,
    procedure: Procedure = "stages",
    on: Sequence[str] = ("N", "D"),
    law: str = "kaplan-floor",
    **settings: Any,
) -> Staged:
    """The map from the losses of one family of runs to those of another: train to train, or test to test.

    Both tables have one row per run with ``N``, ``D`` and ``loss``. ``procedure="stages"`` fits ``law`` to
    each family with the source's threshold, fixes the two floors and fits kappa and K to the runs paired by the columns
    ``on``. The source's own last step is a straight line in log-log,
    :func:`~scalefit.laws.loss_to_loss.line_above_floors`; on its data the two agree within 0.01. ``"joint"`` leaves
    the floors free. ``settings`` go to the last fit.

    Source: arXiv:2411.12925. Raises :class:`~scalefit.errors.IdentificationError` for losses below a floor.
    """
    pairs = pair_runs(source, target, on=on)[["loss_source", "loss"]]
    if procedure == "joint":
        free = fit(pairs, "loss-to-loss", **settings)
        return Staged({"map": free}, free, f"kappa, K and both floors fitted together to {len(pairs)} pairs")
    first, second = (fit(table[["N", "D", "loss"]], law, delta=PAPER_DELTA) for table in (source, target))
    held = {"E0": first[first.law.irreducible], "E1": second[second.law.irreducible]}
    how = f"floors from {law} on {len(source)} and {len(target)} runs, then kappa and K from {len(pairs)} pairs"
    last = fit(pairs, "loss-to-loss", fix=held, **settings)
    return Staged({"source": first, "target": second, "map": last}, last, how)


def data_constrained(
    runs: pd.DataFrame, *, procedure: Procedure = "stages", equal_exponents: bool = True, **settings: Any
) -> Staged:
    """The law for repeated data from runs with ``N``, ``D``, ``U`` and ``loss``.

    ``procedure="stages"``, the source's: the additive law from the runs of one epoch (``equal_exponents`` ties alpha
    and beta), then R_D and R_N from all runs with the rest held. ``"joint"`` fits all seven at once.

    Source: arXiv:2305.16264. Raises :class:`InputError` with too few runs of one epoch.
    """
    table = runs[["N", "D", "U", "loss"]]
    if procedure == "joint":
        free = fit(table, "data-constrained", **settings)
        return Staged({"all": free}, free, f"all seven parameters fitted together to {len(table)} runs")
    once = table[table["D"] <= ONE_EPOCH * table["U"]]
    if len(once) < 5:
        what, todo = f"only {len(once)} runs of one epoch (5 are needed)", "add such runs, or use procedure joint"
        raise InputError(what, where="law data-constrained", todo=todo)
    tie = {"beta": "alpha"} if equal_exponents else None
    base = fit(once[["N", "D", "loss"]], "chinchilla", tie=tie, delta=PAPER_DELTA)
    last = fit(table, DataConstrained(), fix=held_base(base.parameters), **settings)
    how = f"base law from {len(once)} runs of one epoch, then R_D and R_N from {len(table)} runs"
    return Staged({"base": base, "repeats": last}, last, how)


def task_ladder(
    checkpoints: pd.DataFrame,
    *,
    loss: str = "loss",
    accuracy: str = "accuracy",
    average: int = 5,
    skip: float = 0.1,
    ideal: bool = True,
    **settings: Any,
) -> Ladder:
    """Accuracy of a task from size and data, in two steps, from evaluations of checkpoints.

    ``checkpoints`` has one row per evaluation: ``run``, ``N``, ``D`` (tokens so far) and the columns that ``loss`` and
    ``accuracy`` name. Rows in which either is missing are left out; without ``run``, every row is a run of its own.

    1. The additive law in N and D, from the mean loss of the last ``average`` checkpoints of each run (Huber 1e-3).
    2. The sigmoid, from all checkpoints but the first share ``skip`` of each run (rounded up; at least one remains),
       with running means of loss and accuracy over ``average``; ``ideal`` adds the point of loss 0 and accuracy 1.
       Plain least squares.

    ``settings`` (``draws``, ``seed``, ``starts`` ...) go to both fits. The defaults are the source's procedure.
    Source: arXiv:2412.04403 (as in its code). Raises :class:`InputError` for a missing column, or too few runs.

    >>> N, D, part = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9], [1e9, 5e9, 3e10], np.arange(1, 21) / 20))
    >>> table = pd.DataFrame({"run": [f"{n:g}-{d:g}" for n, d in zip(N, D)], "N": N, "D": D * part})
    >>> table["loss"] = 0.3 + 14 * table["N"] ** -0.21 + 35 * table["D"] ** -0.23
    >>> table["accuracy"] = 1 - 0.75 / (1 + np.exp(-9 * (table["loss"] - 0.9)))
    >>> ladder = task_ladder(table)
    >>> ladder.how.partition("; ")[0]
    'loss in N and D from 9 runs, each the mean of its last 5 checkpoints'
    >>> round(float(ladder.predict(1e10, 1e12)), 2)
    0.98
    """
    if not (average >= 1 and 0 <= skip < 1):
        what = f"a mean of {average} checkpoints, {skip:g} of each run left out"
        raise InputError(what, where="task_ladder", todo="average 1 or more, leave out a share from 0 to below 1")
    table = _evaluations(checkpoints, loss, accuracy)
    last = table.groupby("run", sort=False).tail(average).groupby("run", sort=False)
    finals = last.agg({"N": "last", "D": "last", "loss": "mean"}).reset_index()
    size, before = table.groupby("run")["run"].transform("size"), table.groupby("run").cumcount()
    kept = table[before >= np.minimum(np.ceil(skip * size), size - 1)]
    means = kept.groupby("run", sort=False)[["loss", "accuracy"]].rolling(average, min_periods=1).mean()
    points = means.reset_index(level="run")
    if ideal:
        points = pd.concat([points, pd.DataFrame({"run": ["ideal"], "loss": [0.0], "accuracy": [1.0]})])
    points["step"] = points.groupby("run").cumcount()  # the rows of one run are one curve
    first = fit(finals, "chinchilla", **{"delta": PAPER_DELTA, **settings})
    every: Which = "all" if points["step"].any() else "auto"
    second = fit(points.reset_index(drop=True), "task-ladder", points=every, **{"loss": "squared", **settings})
    how = (
        f"loss in N and D from {len(finals)} runs, each the mean of its last {average} checkpoints; accuracy in loss "
        f"from {len(kept)} checkpoints, running means of {average}{', and the ideal point' if ideal else ''}"
    )
    return Ladder(first, second, how, _scatter(kept, average))


def _scatter(kept: pd.DataFrame, average: int) -> float:
    """The standard deviation of one evaluation's accuracy about the mean of ``average``.

    From second differences of neighbours of a run, in which its rise does not count; they have six times the variance.
    """
    runs = kept.groupby("run", sort=False)["accuracy"]
    bends = (runs.diff() - runs.diff().groupby(kept["run"], sort=False).shift(1)).dropna().to_numpy(float)
    return float(robust_sigma(bends) * np.sqrt((1 - 1 / average) / 6)) if len(bends) else 0.0


def _evaluations(checkpoints: pd.DataFrame, loss: str, accuracy: str) -> pd.DataFrame:
    """The checkpoints that have both values, with canonical column names, each run in the order of its tokens."""
    for name in ("N", "D", loss, accuracy):
        if name not in checkpoints.columns:
            todo = f"columns: {', '.join(map(str, checkpoints.columns))}"
            raise InputError(f'no column "{name}"', where="task_ladder", todo=todo)
    run = checkpoints["run"].astype(str) if "run" in checkpoints.columns else checkpoints.index.astype(str)
    table = checkpoints[["N", "D", loss, accuracy]].set_axis(["N", "D", "loss", "accuracy"], axis=1)
    return table.assign(run=run).dropna().sort_values("D", kind="stable")


def mixture(runs: pd.DataFrame, sources: Sequence[str], targets: Sequence[str], **settings: Any) -> dict[str, Fit]:
    """One mixture law per validation domain: ``targets`` are columns of losses, ``sources`` columns of shares.

    ``sources`` names all sources but one; see the law ``mixture``.
    """
    law = f"mixture:over={'+'.join(sources)}"
    return {target: fit(runs[[*sources, target]], law, target=target, **settings) for target in targets}
