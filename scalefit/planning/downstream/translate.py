"""The loss on another data set at a target, from the runs of two families of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError, counted
from scalefit.fitting.fit import fit
from scalefit.fitting.prepare import Options, prepare
from scalefit.fitting.result import Fit
from scalefit.fitting.stages import PAPER_DELTA, Procedure, Staged, loss_to_loss
from scalefit.laws.loss_to_loss import pair_runs, refuse_below_floor
from scalefit.planning.allocation.source import DRAWS
from scalefit.planning.allocation.targets import fixed_of
from scalefit.planning.downstream.answer import Downstream, ends_of, through
from scalefit.planning.downstream.chain import TAIL, Ends
from scalefit.runs import Runs, read_runs
from scalefit.solver.solve import solve

LAW = "kaplan-floor"
FEW = 7  #: runs of the target below which its floor is fitted with the map: two more than the law has constants
FLOOR_DRAWS = 40  #: pairs of floors for which the map is fitted again

Table = Runs | pd.DataFrame | str | Path


def translate(
    source: Table,
    target: Table,
    *,
    loss: str = "loss",
    procedure: Procedure = "stages",
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> Downstream:
    """The loss of the family ``target`` at a size and data, by way of that of the family ``source``.

    Both have one row per run with ``N``, ``D`` and their loss (of ``target``: the column ``loss``); runs of equal N and
    D are pairs. ``at``: ``N=7e9, D=2e12``, or ``loss_source=2.33``, a source loss that was measured.

    The procedure is that of the source: ``kaplan-floor`` fitted to each family gives the floors, which are held while
    K and kappa are fitted to the pairs (:func:`scalefit.loss_to_loss`). With fewer than 7 runs of the target its floor
    is fitted with the map. ``"joint"`` fits both floors with the map. Intervals join those of the source's law, of the
    map, and of its floors.

    Source: arXiv:2411.12925. Raises InputError for missing columns and families without pairs,
    :class:`~scalefit.errors.IdentificationError` for losses below a floor.

    >>> N, D = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9, 3e9], [2e9, 8e9, 3e10, 1e11]))
    >>> runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + ((9e7 / N) ** 0.6 + 8e8 / D) ** 0.5})
    >>> other = runs.assign(loss=1.3 + 0.6 * (runs["loss"] - 1.7))
    >>> found = translate(runs, other, loss_source=1.9, draws=0)
    >>> round(found.reached[0], 4), round(1.3 + 0.6 * 0.2, 4)
    (1.42, 1.42)
    """
    goal = fixed_of(at, "translate")
    if set(goal) not in ({"N", "D"}, {"loss_source"}):
        todo = "give N=7e9, D=2e12 (--at N=7B,D=2T), or loss_source=2.33, a source loss that was measured"
        raise InputError(f"a target in {', '.join(goal) or 'nothing'}", where="translate", todo=todo)
    first, second = _family(source, "loss"), _family(target, loss)
    settings: dict[str, Any] = {"draws": draws, "seed": seed}
    staged = _staged(first, second, procedure, settings)
    asked = {**settings, "calibrated": "N" in goal}  # for the draws of the floors alone no back-test is needed
    law = fit(first, LAW, **asked)
    way: Ends = (goal["loss_source"], np.nan, np.nan) if "loss_source" in goal else ends_of(law, goal)
    if way[0] <= staged.last["E0"]:
        what = f"a source loss of {way[0]:.4g} is not above the floor of the source, {staged.last['E0']:.4g}"
        raise IdentificationError(what, where="translate", todo="give a loss that the source family can reach")
    own = fit(second, LAW, **asked) if "target" in staged.stages else None
    extra = 0.0 if own is None or not draws else _of_floors(law, own, staged.last, pair_runs(first, second), way[0])
    point = {"loss_source": way[0]}
    cautions = [*staged.last.cautions(**point), *(law.cautions(**goal) if "N" in goal else ())]  # type: ignore[arg-type]
    direct = ends_of(own, goal) if own is not None and "N" in goal else None
    reached = through(way, staged.last, extra)
    return Downstream(law, staged.last, staged.how, goal, way, reached, direct, tuple(cautions))


def _staged(first: pd.DataFrame, second: pd.DataFrame, procedure: Procedure, settings: dict[str, Any]) -> Staged:
    """The procedure asked for; with few runs of the target its floor is fitted with the map."""
    if procedure != "stages" or len(second) >= FEW:
        return loss_to_loss(first, second, procedure=procedure, **settings)
    pairs = pair_runs(first, second)[["loss_source", "loss"]]
    base = fit(first, LAW, delta=PAPER_DELTA)
    refuse_below_floor(pairs["loss_source"], base["E"])
    last = fit(pairs, "loss-to-loss:floors_of=free", fix={"E0": base["E"]}, **settings)
    how = f"floor of the source from {LAW} on {len(first)} runs, then K, kappa and E1 from {len(pairs)} pairs"
    return Staged({"source": base, "map": last}, last, how)


def _of_floors(first: Fit, second: Fit, mapped: Fit, pairs: pd.DataFrame, loss: float) -> float:
    """The 90 % half width at a source loss that comes from the floors: the map fitted again with those of draws."""
    if first.intervals is None or second.intervals is None:
        return 0.0
    columns: Sequence[str] = ("loss_source", "loss")
    logs, made = read_runs(pairs[list(columns)], need=()), []
    for E0, E1 in zip(first.draws["E"][:FLOOR_DRAWS], second.draws["E"][:FLOOR_DRAWS], strict=True):
        E0, E1 = min(E0, 0.999 * pairs["loss_source"].min()), min(E1, 0.999 * pairs["loss"].min())
        ready = prepare(logs, "loss-to-loss", Options(fix={"E0": E0, "E1": E1}, starts=1))
        solution = solve(ready.model, ready.values, None, ready.settings)
        constants = dict(zip(ready.law.parameters, ready.model.vector(solution.theta[None])[0], strict=True))
        made.append(float(mapped.law.evaluate({"loss_source": loss}, constants)))
    return TAIL * float(np.std(made))


def _family(runs: Table, loss: str) -> pd.DataFrame:
    """N, D and loss of runs, one row a run; refuses tables without them."""
    logs = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    column = logs.column(loss)
    for name in ("N", "D", column):
        if name not in logs.table.columns:
            todo = f"columns: {', '.join(map(str, logs.table.columns))}"
            raise InputError(f'no column "{name}"', where="translate", todo=todo)
    table = logs.table[["N", "D", column]].set_axis(["N", "D", "loss"], axis=1).dropna()
    if not len(table):
        raise InputError(f"{counted(len(logs.table), 'run')} without {column}", where="translate", todo="add runs")
    return table.groupby(["N", "D"], sort=False)["loss"].mean().reset_index()
