"""The loss on another data set at a target, from the runs of two families of models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError, counted
from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit
from scalefit.fitting.stages import Procedure, loss_to_loss
from scalefit.laws import Law, find_law
from scalefit.laws.loss_to_loss import WITHOUT_LAW, pair_runs, refuse_below_floor, with_a_floor
from scalefit.memory import remembering
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.source import DRAWS
from scalefit.planning.allocation.spread import constants_of, plain_ends
from scalefit.planning.allocation.targets import fixed_of
from scalefit.planning.downstream.answer import Downstream, ends_of, through, without_draws
from scalefit.planning.downstream.chain import Ends
from scalefit.runs import Runs, runs_of
from scalefit.selection.automatic import AUTO, automatic
from scalefit.selection.automatic import fit as chosen
from scalefit.selection.candidates import candidates_for

SIZE_AND_DATA = {"N", "D"}
FEW = 7  #: pairs below which the floor of the target is fitted with the map: two more than most laws have constants
BELOW = 0.999  #: of the least loss: where a floor of a draw lies higher, this is taken

Table = Runs | pd.DataFrame | str | Path


@dataclass(frozen=True)
class Map:
    """The map from loss to loss, the law of size and data of each family, and the procedure."""

    fit: Fit
    source: Fit
    target: Fit | None  #: None where the floor of the target is fitted with the map
    pairs: pd.DataFrame
    how: str


def translate(
    source: Table,
    target: Table,
    *,
    loss: str = "loss",
    law: str | Law = AUTO,
    procedure: Procedure = "stages",
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> Downstream:
    """The loss of the family ``target`` at a size and data, by way of that of the family ``source``.

    Both have one row per run with ``N``, ``D`` and their loss (of ``target``: the column ``loss``); runs of equal N and
    D are pairs. ``at``: ``N=7e9, D=2e12``, or ``loss_source=2.33``, a source loss that was measured.

    The procedure is that of the source: a law of size and data gives the source loss and the floors, which are held
    while K and kappa are fitted to the pairs. ``law``: its name (the source's is ``kaplan-floor``), fitted to each
    family, or ``"auto"``: the source loss is the forecast that the laws with an irreducible loss make together, weighed
    by held-out runs of ``source`` as :func:`scalefit.fit` weighs them, and the first of them gives the floors. Where a
    source loss is given, the floors are those that predict held-out pairs best, as in ``fit(pairs, "loss-to-loss")``.
    With fewer than 7 pairs the floor of the source is that of a law and the other is fitted with the map; ``"joint"``
    fits both floors with the map. In the interval each draw of the laws has its own loss at the target, its own floors
    and its own map.

    Source: arXiv:2411.12925. Raises InputError for missing columns and families without pairs,
    :class:`~scalefit.errors.IdentificationError` for losses below a floor.

    >>> N, D = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9, 3e9], [2e9, 8e9, 3e10, 1e11]))
    >>> runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + ((9e7 / N) ** 0.6 + 8e8 / D) ** 0.5})
    >>> other = runs.assign(loss=1.3 + 0.6 * (runs["loss"] - 1.7))
    >>> found = translate(runs, other, law="kaplan-floor", loss_source=1.9, draws=0)
    >>> round(found.reached[0], 4), round(1.3 + 0.6 * 0.2, 4)
    (1.42, 1.42)
    """
    goal = fixed_of(at, "translate")
    if set(goal) not in ({"N", "D"}, {"loss_source"}):
        todo = "give N=7e9, D=2e12 (--at N=7B,D=2T), or loss_source=2.33, a source loss that was measured"
        raise InputError(f"a target in {', '.join(goal) or 'nothing'}", where="translate", todo=todo)
    first, second = _family(source, "loss"), _family(target, loss)
    named = None if law == AUTO else _named(law)
    settings: dict[str, Any] = {"draws": draws, "seed": seed}
    made = _mapped(first, second, named, procedure, goal, settings)
    way: Ends = (goal["loss_source"], np.nan, np.nan) if "loss_source" in goal else ends_of(made.source, goal)
    if way[0] <= made.fit["E0"]:
        what = f"a source loss of {way[0]:.4g} is not above the floor of the source, {made.fit['E0']:.4g}"
        raise IdentificationError(what, where="translate", todo="give a loss that the source family can reach")
    cautions = [*made.fit.cautions(loss_source=way[0])]
    cautions += made.source.cautions(**goal) if "N" in goal else []  # type: ignore[arg-type]
    direct = ends_of(made.target, goal) if made.target is not None and "N" in goal else None
    missed = ends_of(without_draws(made.source), goal, "mean") if "N" in goal else way
    reached = through(missed, without_draws(made.fit, _noise(made) if "N" in goal else None), _spread(made, goal))
    return Downstream(made.source, made.fit, made.how, goal, way, reached, direct, tuple(cautions))


def _named(law: str | Law) -> Law:
    """The law of size and data with this name; refuses one without a floor."""
    known = find_law(law)
    if not known.irreducible or set(known.columns.values()) != SIZE_AND_DATA:
        todo = "name a law of N and D with an irreducible loss, such as chinchilla"
        raise InputError(f"law {known.spec} gives no floor", where="translate", todo=todo)
    return known


def _forecaster(runs: pd.DataFrame, law: Law | None, at: dict[str, float], settings: dict[str, Any]) -> Fit:
    """A law of size and data with an irreducible loss, or the mixture of those that predict held-out runs best."""
    if law:
        return fit(runs, law, **settings)
    logs = runs_of(runs)
    found = with_a_floor([forms[0] for forms in candidates_for(logs).laws])
    found = [each for each in found if set(each.columns.values()) == SIZE_AND_DATA]
    if len(found) < 2:
        return fit(runs, found[0] if found else "chinchilla", **settings)  # which says what these runs lack
    return automatic(logs, found, at=at, **settings)


@remembering()
def _mapped(
    first: pd.DataFrame,
    second: pd.DataFrame,
    law: Law | None,
    procedure: Procedure,
    goal: dict[str, float],
    settings: dict[str, Any],
) -> Map:
    """The map from loss to loss and the law of each family; for draws of floors alone no back-test is needed.

    A target in size and data is reached through a law of the source's runs, or the mixture of laws that predict
    held-out ones best, and the map has the floors of the first of them; with a source loss that is given the map alone
    counts, and its floors are chosen by held-out pairs.
    """
    asked, sized = {**settings, "calibrated": "N" in goal}, {} if "loss_source" in goal else goal
    pairs = pair_runs(first, second)[["N", "D", "loss_source", "loss"]]
    few = len(pairs) < FEW or procedure == "joint"
    if law is None and not sized and not few:
        last = chosen(pairs, "loss-to-loss", **settings)
        base = _forecaster(first, _whose(last), sized, asked)
        how = f"floors of both losses, then kappa and K, from {len(pairs)} pairs: {last.choice}"
        return Map(last, base, fit(second, base.law, **asked), pairs, how)
    if law and not few:  # the procedure of the source, with its threshold for the floors
        staged = loss_to_loss(first, second, law=law.spec, **settings)
        return Map(staged.last, fit(first, law, **asked), fit(second, law, **asked), pairs, staged.how)
    base = _forecaster(first, law, sized, asked)
    target = None if few else fit(second, base.law, **asked)
    floors = {} if procedure == "joint" else {"E0": base[base.law.irreducible]}
    refuse_below_floor(pairs["loss_source"], floors.get("E0", 0.0))
    if target is not None and target[target.law.irreducible] < pairs["loss"].min():
        floors["E1"] = target[target.law.irreducible]
    last = fit(pairs, "loss-to-loss:floors_of=free", fix=floors, **settings)
    if not floors:
        how = f"kappa, K and both floors fitted together to {len(pairs)} pairs"
    elif "E1" in floors:
        runs = f"{len(first)} and {len(second)} runs"
        how = f"floors from {base.law.spec} on {runs}, then kappa and K from {len(pairs)} pairs"
    else:
        runs = f"{len(first)} runs"
        how = f"floor of the source from {base.law.spec} on {runs}, then K, kappa and E1 from {len(pairs)} pairs"
    return Map(last, base, target, pairs, how + (f"; source loss by {base.choice}" if base.choice and sized else ""))


def _whose(last: Fit) -> Law | None:
    """The law whose floors the map has, or that with the largest weight where the chosen ones are of no law."""
    names = [
        last.law.options["floors_of"],
        *(each.law.options["floors_of"] for each in (last.choice.others if last.choice else ())),
    ]
    return next((find_law(name) for name in names if name not in WITHOUT_LAW), None)


def _noise(made: Map) -> float:
    """The noise of a run of the target: that of its law, at least half of the square of the map's scatter.

    The scatter of the map is that of pairs, a run of the source and one of the target.
    """
    return max(made.target.sigma if made.target is not None else 0.0, made.fit.sigma / 2**0.5)


def _spread(made: Map, goal: dict[str, float]) -> tuple[float, float]:
    """How far the 90 % interval reaches below and above through draws of the laws: of loss, floors and map together.

    Draws of one number are of the same runs where both families have been trained on one grid, whose order is the same.
    """
    base, floor = made.source, made.source.law.irreducible
    if base.intervals is None:
        return 0.0, 0.0
    table, names = constants_of(base), list(base.law.parameters)
    constants = {name: table[:, j] for j, name in enumerate(names)}
    at = {name: goal.get(column, np.nan) for name, column in base.law.columns.items()}
    losses = np.asarray(base.law.evaluate(at, constants)) if "N" in goal else np.full(len(table), goal["loss_source"])
    E0, E1 = (np.full(len(table), made.fit[name]) for name in ("E0", "E1"))
    if made.fit["E0"] > 0 and "E0" in made.fit.fixed:
        E0 = E0 + constants[floor] - constants[floor][0]
    if made.fit["E1"] > 0 and "E1" in made.fit.fixed and made.target is not None and made.target.intervals is not None:
        drawn = constants_of(made.target)[:, names.index(floor)]
        E1 = E1 + drawn - drawn[0]
    images = _with_floors(made, losses, E0, E1)
    if made.fit.intervals is not None:
        maps = dict(zip(made.fit.law.parameters, constants_of(made.fit).T, strict=True))
        drawn = np.asarray(made.fit.law.evaluate({"loss_source": np.array(losses[0])}, maps))
        images = images + drawn - drawn[0]
    low, high = plain_ends(images, base.intervals.few)
    return float(images[0] - low), float(high - images[0])


def _with_floors(made: Map, losses: FloatArray, E0: FloatArray, E1: FloatArray) -> FloatArray:
    """(n,) the images of losses (n,) by maps with floors (n,), each the closest to the fitted map over the pairs."""
    x = made.pairs["loss_source"].to_numpy(dtype=float)
    y = np.asarray(made.fit.evaluate({"loss_source": x}))
    E0, E1 = np.minimum(E0, BELOW * x.min())[:, None], np.minimum(E1, BELOW * y.min())[:, None]
    weights = ((y - E1) / y) ** 2  # a step of log(y - E1) is that much of a step of log y
    run, rise = np.log(x - E0), np.log(y - E1)
    middle, level = (np.average(each, axis=1, weights=weights)[:, None] for each in (run, rise))
    kappa = np.sum(weights * (run - middle) * (rise - level), 1) / np.sum(weights * (run - middle) ** 2, 1)
    above = np.log(np.maximum(losses - E0[:, 0], 1e-300))
    return np.asarray(E1[:, 0] + np.exp(level[:, 0] + kappa * (above - middle[:, 0])))


def _family(runs: Table, loss: str) -> pd.DataFrame:
    """N, D and loss of runs, one row a run; refuses tables without them."""
    logs = runs_of(runs)
    column = logs.column(loss)
    for name in ("N", "D", column):
        if name not in logs.table.columns:
            todo = f"columns: {', '.join(map(str, logs.table.columns))}"
            raise InputError(f'no column "{name}"', where="translate", todo=todo)
    table = logs.table[["N", "D", column]].set_axis(["N", "D", "loss"], axis=1).dropna()
    if not len(table):
        raise InputError(f"{counted(len(logs.table), 'run')} without {column}", where="translate", todo="add runs")
    return table.groupby(["N", "D"])["loss"].mean().reset_index()  # in one order, so that a draw resamples pairs
