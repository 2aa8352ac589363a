"""Which recipe is better at a target, by how much, and how much compute that is worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.reach import furthest, side, unsupported
from scalefit.errors import InputError, counted, listed
from scalefit.fitting.prediction import predict
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.spread import difference_ends, ends
from scalefit.planning.allocation.targets import above_zero, fixed_of
from scalefit.planning.recipes.answer import RecipeComparison
from scalefit.planning.recipes.gain import factor_to, kind_of, scaled
from scalefit.planning.recipes.structure import (
    MARK,
    STRUCTURES,
    Joint,
    candidates,
    chosen_structure,
    fitted,
    marked,
)
from scalefit.runs import Runs, runs_of

DRAWS = 200
WHERE = "compare_recipes"
AROUND = 10.0  #: crossings are looked for from this factor below the runs to this factor above the target
GRID = 400
RIVAL = 10.0  #: structures whose criterion is worse by less than this are shown beside the chosen one


def compare_recipes(
    runs: Runs | pd.DataFrame,
    by: str,
    *,
    reference: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> RecipeComparison:
    """Recipes (the values of column ``by``) at a target, from one joint fit of their runs.

    ``at``: ``C=1e23``, or ``N=7e9, D=2e12``. Floor and exponents are shared unless the Bayesian criterion
    is strongly for a difference. Each recipe is compared with the ``reference`` (default: the best at the target):
    difference of the losses, chance that the reference is better, compute-equivalent gain, and where the curves cross,
    with 90 % intervals from the draws; then the same under other structures and pinned floors.

    Raises InputError for a missing column, a single recipe, or too few runs.
    """
    known = runs_of(runs)
    target = fixed_of(at, WHERE)
    kind = kind_of(target)
    table, left_out = _table(known, by, kind)
    names = list(dict.fromkeys(table[by].astype(str)))
    counts = [int((table[by].astype(str) == name).sum()) for name in names]
    if len(names) < 2:
        raise InputError(f"column {by} holds one recipe ({names[0]})", where=WHERE, todo="give runs of two or more")
    if reference is not None and reference not in names:
        raise InputError(f'no recipe "{reference}"', where=WHERE, todo=f"recipes: {listed(names, 9)}")
    rows = marked(table, by, names, kind)
    tried = candidates(rows, names, kind, counts)
    structure = chosen_structure(tried)
    chosen = fitted(rows, structure, names, kind, draws=draws, seed=seed)
    place = {name: np.array([value]) for name, value in target.items()}
    losses = np.stack([chosen.losses(k, place)[:, 0] for k in range(len(names))], axis=1)
    first = names.index(reference) if reference is not None else int(np.argmin(losses[0]))
    pairs = pd.DataFrame([_pair(chosen, first, k, losses, target, rows) for k in range(len(names)) if k != first])
    each = _each(chosen, target, rows)
    sensitivity = _sensitivity(rows, chosen, tried, first, target)
    alike = tried[0][1].structure is STRUCTURES[0] and not told_apart(pairs)
    cautions = chosen.fit.cautions(**_point(chosen, first, target)) or _alone(rows, names, target)
    shown = rows.assign(recipe=table[by].astype(str).to_numpy())
    return RecipeComparison(
        chosen, by, target, shown, each, pairs, names[first], sensitivity, alike, cautions, left_out
    )


def told_apart(pairs: pd.DataFrame) -> bool:
    """Whether the interval of a difference excludes 0.

    >>> told_apart(pd.DataFrame({"difference_low": [-0.01, 0.003], "difference_high": [0.02, 0.037]}))
    True
    """
    return bool(((pairs["difference_low"] > 0) | (pairs["difference_high"] < 0)).any())


def _table(runs: Runs, by: str, kind: str) -> tuple[pd.DataFrame, str]:
    """The runs that can be compared, and how many others there are, with what they lack."""
    table = runs.table if "C" in runs.table.columns or kind == "ND" else runs.with_compute().table
    for name in (by, "loss", *(("C",) if kind == "C" else ("N", "D"))):
        if name not in table.columns:
            have = ", ".join(map(str, table.columns))
            raise InputError(f'no column "{name}"', where="compare_recipes", todo=f"name one of: {have}")
    above_zero(table, WHERE)
    columns = ["C"] if kind == "C" else ["N", "D"]
    lacking = {
        f"recipe (column {by})": table[by].isna().to_numpy(),
        "finite loss": ~np.isfinite(table["loss"].to_numpy(dtype=float)),
        " and ".join(columns): ~(table[columns].to_numpy(dtype=float) > 0).all(axis=1),
    }
    usable = ~np.logical_or.reduce([*lacking.values()])
    kept: pd.DataFrame = table.iloc[np.flatnonzero(usable)].reset_index(drop=True)
    if not len(kept):
        raise InputError("no run has a recipe and a final loss", where="compare_recipes", todo="see scalefit inspect")
    if kept["loss"].nunique() == 1:
        what = f"all {len(kept)} runs have the same loss, {float(kept['loss'].iloc[0]):g}: there is nothing to compare"
        raise InputError(what, where="compare_recipes", todo="give final losses")
    told = [f"{int(each.sum())} without a {name}" for name, each in lacking.items() if each.any()]
    text = f"{counted(int((~usable).sum()), 'run')} of {len(usable)} left out: {', '.join(told)}"
    return kept, text if told else ""


def _point(joint: Joint, recipe: int, target: dict[str, float]) -> dict[str, Any]:
    """The target as the joint law reads it."""
    marks = {MARK.format(k): float(k == recipe) for k in range(len(joint.names))}
    return {name: {**marks, **target}[name] for name in joint.fit.law.variables}


def _each(joint: Joint, target: dict[str, float], runs: pd.DataFrame) -> pd.DataFrame:
    """The predicted loss of each recipe at the target, with its prediction interval."""
    rows = []
    for k, name in enumerate(joint.names):
        found = predict(joint.fit, at=_point(joint, k, target)).iloc[0]
        row = {"recipe": name, "loss": found["loss"], "low": found["low"], "high": found["high"]}
        own = _own(runs, k, target)
        rows.append(row | {"decades_beyond": float(furthest(*own)[0]), "side": side(*own)})
    return pd.DataFrame(rows).sort_values("loss", kind="stable").reset_index(drop=True)


def _own(runs: pd.DataFrame, recipe: int, target: dict[str, float]) -> tuple[Any, Any, Any]:
    """The columns of the target, the runs of one recipe, and the target, as distances are told from them."""
    own = runs[runs[MARK.format(recipe)] > 0]
    fitted = {name: tuple(own[name].tolist()) for name in target}
    return {name: name for name in target}, fitted, {name: np.array([value]) for name, value in target.items()}


def _alone(runs: pd.DataFrame, names: list[str], target: dict[str, float]) -> tuple[Check, ...]:
    """A warning for each recipe whose own runs are too far from the target, though those of all may reach it."""
    texts = [unsupported(*_own(runs, k, target), runs=f"the runs of {name}") for k, name in enumerate(names)]
    what = "its loss there rests on what the recipes are taken to share; add runs of it nearer to the target"
    return tuple(Check("far-beyond", f"{text}: {what}") for text in texts if text)


def _gain(joint: Joint, first: int, other: int, losses: FloatArray, target: dict[str, float]) -> FloatArray:
    """(1 + draws,) the factor of compute at which ``other`` has the loss of ``first``; infinite where it never has."""
    aim, count = losses[:, first], len(losses)

    def line(x: FloatArray) -> FloatArray:
        return np.asarray(joint.losses(other, scaled(target, x)) - aim[:, None])

    return factor_to(line, count)


def _pair(
    joint: Joint, first: int, other: int, losses: FloatArray, target: dict[str, float], rows: pd.DataFrame
) -> dict[str, Any]:
    few = joint.fit.intervals.few if joint.fit.intervals else 1.0
    apart = losses[:, other] - losses[:, first]
    low, high = difference_ends(apart, few)
    gain = _gain(joint, first, other, losses, target)
    gain_low, gain_high = ends(gain, few)
    made = apart[1:]
    crossing = float(_compute(target)) * _crossings(joint, first, other, target, rows)
    cross_low, cross_high = ends(crossing, few)
    return {
        "recipe": joint.names[other],
        "difference": float(apart[0]),
        "difference_low": low,
        "difference_high": high,
        "chance": float(np.mean(apart[0] + few * (made - apart[0]) > 0)) if len(made) else np.nan,
        "gain": float(gain[0]),
        "gain_low": gain_low,
        "gain_high": gain_high,
        "crossing": float(crossing[0]),
        "crossing_low": cross_low,
        "crossing_high": cross_high,
        "cross_share": float(np.mean(np.isfinite(crossing[1:]))) if len(crossing) > 1 else 0.0,
    }


def _compute(values: Any) -> Any:
    return values["C"] if "C" in values else 6.0 * values["N"] * values["D"]


def _crossings(joint: Joint, first: int, other: int, target: dict[str, float], rows: pd.DataFrame) -> FloatArray:
    """(1 + draws,) where two curves cross, as a factor of the target's compute; NaN where they do not.

    Of several crossings the one nearest to the target counts.
    """
    own, goal = _compute(rows), _compute(target)
    low, high = np.log(min(own.min(), goal) / AROUND / goal), np.log(max(own.max(), goal) * AROUND / goal)
    grid = np.linspace(low, high, GRID)
    apart = joint.losses(other, scaled(target, grid)) - joint.losses(first, scaled(target, grid))
    found = np.full(len(apart), np.nan)
    for i, line in enumerate(apart):
        changes = np.flatnonzero(np.sign(line[1:]) * np.sign(line[:-1]) < 0)
        if len(changes):
            places = grid[changes] + np.diff(grid)[changes] * line[changes] / (line[changes] - line[changes + 1])
            found[i] = np.exp(places[np.argmin(np.abs(places))])
    return found


def _sensitivity(
    rows: pd.DataFrame, chosen: Joint, tried: list[tuple[float, Joint]], first: int, target: dict[str, float]
) -> pd.DataFrame:
    """Difference and gain of each recipe under rival structures, and with a shared floor pinned at its interval."""
    place = {name: np.array([value]) for name, value in target.items()}
    found = []

    def add(text: str, joint: Joint, criterion: float) -> None:
        own = [joint.losses(k, place)[:1, 0] for k in range(len(joint.names))]
        losses = np.stack(own, axis=1)
        single = replace(joint, fit=replace(joint.fit, intervals=None))
        for k, name in enumerate(joint.names):
            if k != first:
                gain = float(_gain(single, first, k, losses, target)[0])
                row = {"structure": text, "recipe": name, "criterion": criterion}
                found.append(row | {"difference": float(losses[0, k] - losses[0, first]), "gain": gain})

    for bic, joint in tried:
        if bic - tried[0][0] < RIVAL:
            add(joint.structure.text, joint, bic - tried[0][0])
    if "E" in chosen.fit.parameters:
        for value in chosen.fit.table.loc["E", ["low", "high"]].to_numpy(float).tolist():
            if np.isfinite(value) and value < rows["loss"].min():
                pinned = fitted(rows, chosen.structure, chosen.names, chosen.kind, fix={"E": value})
                add(f"floor pinned at {value:.4g}", pinned, np.nan)
    return pd.DataFrame(found, columns=["structure", "recipe", "criterion", "difference", "gain"])
