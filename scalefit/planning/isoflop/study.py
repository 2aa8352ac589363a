"""Approaches 1, 2 and 3 side by side: exponents of the best size and data, with intervals over the runs.

Approach 1 is the lower envelope of the sizes' curves, approach 2 the minima of isoFLOP curves, approach 3 a fitted law.
Intervals resample runs: of approach 1 whole sizes or curves, of approach 2 the runs of each budget, of approach 3 as
fits do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError
from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit
from scalefit.laws import find_law
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.spread import constants_of
from scalefit.planning.allocation.targets import above_zero, compute_of
from scalefit.planning.isoflop.answer import Found, IsoFlopStudy
from scalefit.planning.isoflop.approaches import (
    GRID,
    Envelope,
    IsoFlop,
    approach2,
    approach2_bias,
    budgets_in,
    budgets_of,
    line,
    table_of,
)
from scalefit.planning.isoflop.curves import CURVES, FEWEST, Budget, Curve, chosen, fitted_losses, minimum, used
from scalefit.planning.optimum.compute_optimal import CLOSED_FORMS, FLOP_PER, compute_optimal
from scalefit.runs import Runs, runs_of
from scalefit.runs.settings import FOLLOW, is_setting
from scalefit.uncertainty.intervals import Resampling

DRAWS = 200
LAW = "chinchilla"
ENOUGH = 0.5  #: share of the draws that must have a result for an interval
SAME_C = 0.03  #: relative difference up to which a column C is 6 N D


def isoflop(
    runs: Runs | pd.DataFrame, *, curve: Curve = "auto", compute: Any = None, draws: int = DRAWS, seed: int = 0
) -> IsoFlopStudy:
    """The exponents of the best size and data by three approaches, with 90 % intervals.

    ``runs``: final losses with N and D (or C), or curves (run, N, tokens, loss) of runs of several lengths. ``curve``:
    how a budget's minimum is found, see :func:`scalefit.approach2`. ``compute``: FLOP at which the best size is
    predicted (default: ten times the largest budget). What an approach lacks is named; raises InputError where none
    is left.

    >>> from scalefit.laws import find_law
    >>> from scalefit.planning.isoflop.approaches import isoflop_grid
    >>> law = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    >>> grid = isoflop_grid(law, [1e18, 1e19, 1e20], sizes=9)
    >>> found = isoflop(grid.assign(loss=find_law("chinchilla").evaluate(grid[["N", "D"]], law)), draws=20)
    >>> [round(float(a), 3) for a in found.table["exponent_N"]]
    [0.452, 0.452]
    """
    known = runs_of(runs)
    if curve not in CURVES:
        raise InputError(f'no curve "{curve}"', where="isoflop", todo=f"choose one of {', '.join(CURVES)}")
    Resampling(draws, seed)  # refuses too few draws
    points = _points(known)
    target = _target(compute, points)
    sizes = _each_size(known, points)
    curve = chosen([each for _, each in budgets_in(sizes)]) if curve == "auto" else curve
    rng = np.random.default_rng(seed)
    missing: dict[str, str] = {}
    first = _tried("approach 1", missing, lambda: _first(known, points, draws, rng))
    second = _tried("approach 2", missing, lambda: _second(sizes, curve, draws, rng))
    third, law = _third(known, points, draws, seed, missing)
    found = {
        name: each for name, each in (("approach 1", first), ("approach 2", second), ("approach 3", third)) if each
    }
    if not found:
        raise IdentificationError("; ".join(missing.values()), where="isoflop", todo="add sizes and budgets")
    bias = _bias(sizes, law, curve, target) if second and law else None
    return IsoFlopStudy(found, points, sizes, curve, target, law, bias, missing)


def _points(runs: Runs) -> pd.DataFrame:
    """N, D, C and the final loss of each run that has them."""
    table = runs.table
    size = next((name for name in ("N", "N_total") if name in table.columns), None)
    if size is None or not {"D", "C"} & set(table.columns) or "loss" not in table.columns:
        have = ", ".join(map(str, table.columns))
        todo = f"write --map N=COLUMN, --map D=COLUMN (or C); the log has {have}"
        raise InputError("isoFLOP curves need N, D or C, and the loss", where="isoflop", todo=todo)
    above_zero(table, "isoflop")
    N = table[size].astype(float)
    C = table["C"].astype(float) if "C" in table.columns else FLOP_PER * N * table["D"].astype(float)
    D = table["D"].astype(float) if "D" in table.columns else C / (FLOP_PER * N)
    points = pd.DataFrame({"N": N, "D": D, "C": C, "loss": table["loss"].astype(float)})
    usable = np.flatnonzero(((points > 0) & (points < np.inf)).all(axis=1))
    kept: pd.DataFrame = points.iloc[usable]
    if not len(kept):
        raise InputError("no run has a size, data and a final loss", where="isoflop", todo="see scalefit inspect FILE")
    return kept


def _each_size(runs: Runs, points: pd.DataFrame) -> pd.DataFrame:
    """The points with one row a size and budget: the mean of seeds, or the lowest where runs differ in a setting."""
    own = {"N", "N_total", "D", "C", "loss", "params", "flops"}
    table = runs.table.loc[points.index]
    given = [name for name in table.columns if name not in own and _is_tuned(str(name), table[name])]
    same = [budgets_of(points["C"].to_numpy(float)), points["N"]]
    tuned = any(table[name].groupby(same).nunique(dropna=False).gt(1).any() for name in given)
    logs: pd.DataFrame = points.transform(np.log)
    found = logs.groupby(same).agg({"N": "mean", "D": "mean", "C": "mean", "loss": "min" if tuned else "mean"})
    each: pd.DataFrame = found.transform(np.exp).reset_index(drop=True)
    return each


def _is_tuned(name: str, column: pd.Series) -> bool:
    """Whether a column is a setting, of which the best value counts."""
    return name in ("lr", "peak_lr") or (name not in FOLLOW and is_setting(name, column))


def _target(compute: Any, points: pd.DataFrame) -> float:
    return compute_of(compute, "isoflop")[0] if compute is not None else 10 * float(points["C"].max())


def _tried(name: str, missing: dict[str, str], approach: Callable[[], Found]) -> Found | None:
    """An approach's result, or None and the reason why there is none."""
    try:
        return approach()
    except InputError as error:
        missing[name] = str(error)
        return None


def _first(runs: Runs, points: pd.DataFrame, draws: int, rng: np.random.Generator) -> Found:
    """The envelope of the curves, or of the final losses of each size."""
    size = "N" if "N" in runs.table.columns else "N_total"
    if runs.curves is not None and {"tokens", "loss"} <= set(runs.curves.columns):
        sizes = runs.table.set_index(runs.table["run"].astype(str))[size].astype(float)
        names = runs.curves["run"].astype(str)
        curves = pd.DataFrame({"run": names, "N": names.map(sizes), "tokens": runs.curves["tokens"].astype(float)})
        curves = curves.assign(loss=runs.curves["loss"].astype(float)).dropna()
        what = "the envelope of the loss curves (each must end with its schedule)"
    else:
        curves = points.rename(columns={"D": "tokens"}).assign(run=points["N"])
        curves = curves[curves.groupby("run")["tokens"].transform("nunique") > 1]
        what = "the envelope of the final losses of each size"
    if curves["run"].nunique() < FEWEST:
        count = curves["run"].nunique()
        having = {0: "no size has", 1: "only 1 size has"}.get(count, f"only {count} sizes have")
        why = f"{having} losses at several amounts of data"
        raise IdentificationError(why, todo="add runs of other lengths at each size")
    envelope = Envelope.of(curves, GRID)

    def drawn() -> IsoFlop:
        chosen = rng.integers(0, len(envelope.sizes), len(envelope.sizes))
        return envelope.best(np.unique(chosen))

    return _with_draws(envelope.best(), what, drawn, draws)


def _second(points: pd.DataFrame, curve: Curve, draws: int, rng: np.random.Generator) -> Found:
    """The minima of the budgets."""
    own = approach2(points, curve=curve)
    with_minimum = [each for each in budgets_in(points) if np.isclose(own.optima["C"], each[0], rtol=1e-9).any()]
    again = _noise_anew([runs for _, runs in with_minimum], curve, rng)

    def drawn() -> IsoFlop:
        kept = []
        for (C, _), (log_N, loss) in zip(with_minimum, again(), strict=True):
            found = minimum(log_N, loss, curve)
            if not isinstance(found, str):
                kept.append((C, np.exp(found[0]), found[1]))
        if len(kept) < 2:
            raise IdentificationError("fewer than two budgets with a minimum in a draw")
        return line(table_of(*(np.array(column) for column in zip(*kept, strict=True))), ())

    how = used(curve, [log_N for _, (log_N, _) in with_minimum])
    return _with_draws(own, f"minima of {len(own.optima)} budgets, by {how}", drawn, draws)


def _noise_anew(budgets: list[Budget], curve: Curve, rng: np.random.Generator) -> Callable[[], list[Budget]]:
    """Draws of the budgets: a polynomial with the noise that all of them show, or for other curves resampled runs.

    The noise is drawn with each draw (chi squared), so that few degrees of freedom widen the interval as Student's t.
    """
    if curve not in ("cubic", "parabola"):
        return lambda: [_resampled(runs, rng) for runs in budgets]
    known = [fitted_losses(*each, curve) for each in budgets]
    residuals = [np.log(loss / fit) for (_, loss), (fit, _) in zip(budgets, known, strict=True)]
    freedom = sum(len(each) - count for each, (_, count) in zip(residuals, known, strict=True))
    squares = sum(float(np.sum(each**2)) for each in residuals)

    def drawn() -> list[Budget]:
        if not freedom:
            raise IdentificationError("as many constants as runs")
        noise = np.sqrt(squares / rng.chisquare(freedom))
        made = [fit * np.exp(noise * rng.standard_normal(len(fit))) for fit, _ in known]
        return [(log_N, losses) for (log_N, _), losses in zip(budgets, made, strict=True)]

    return drawn


def _resampled(runs: Budget, rng: np.random.Generator) -> Budget:
    """As many of the runs, drawn with replacement."""
    rows = rng.integers(0, len(runs[0]), len(runs[0]))
    return runs[0][rows], runs[1][rows]


def _with_draws(own: IsoFlop, what: str, drawn: Callable[[], IsoFlop], draws: int) -> Found:
    """An approach's result with those of its draws; draws without a result are left out."""
    made = []
    for _ in range(draws):
        try:
            made.append(drawn())
        except IdentificationError:
            continue
    if draws and len(made) < ENOUGH * draws:
        made = []
    lines = np.array([[each.exponent, each.log_factor] for each in made]).reshape(-1, 2)
    sizes = np.full((len(made), len(own.optima)), np.nan)
    for i, each in enumerate(made):
        place = {float(C): N for C, N in zip(each.optima["C"], each.optima["N"], strict=True)}
        sizes[i] = [place.get(float(C), np.nan) for C in own.optima["C"]]
    return Found(what, own.exponent, own.log_factor, lines, own.optima, sizes, own.left_out, own.edges)


def _third(
    runs: Runs, points: pd.DataFrame, draws: int, seed: int, missing: dict[str, str]
) -> tuple[Found | None, Fit | None]:
    """The law's exponents."""
    off = np.abs(points["C"] / (FLOP_PER * points["N"] * points["D"]) - 1).max()
    if off > SAME_C:
        missing["approach 3"] = (
            f"C is not 6 N D in these runs (off by up to {100 * off:.0f} %): see scalefit plan --cost"
        )
        return None, None
    try:
        law = fit(points[["N", "D", "loss"]], LAW, draws=draws, seed=seed, calibrated=False)
    except InputError as error:
        missing["approach 3"] = str(error)
        return None, None

    lines = _straight(constants_of(law))
    few = law.intervals.few if law.intervals else 1.0
    own, lines = lines[0], lines[0] + few * (lines[1:] - lines[0])
    return Found(f"the law {LAW} ({law.status})", float(own[0]), float(own[1]), lines), law


def _straight(table: FloatArray) -> FloatArray:
    """Exponent and log factor of N*, (B, 2), for a table of the law's constants (B, P)."""
    constants = dict(zip(find_law(LAW).parameters, table.T, strict=True))
    with np.errstate(all="ignore"):  # an exponent of 0 has no optimum
        first, last = (np.log(CLOSED_FORMS[LAW](constants, np.array(C))) for C in (1.0, np.e))
        return np.stack([last - first, first], axis=1)


def _bias(points: pd.DataFrame, law: Fit, curve: Curve, target: float) -> dict[str, float] | None:
    """What approach 2 would find at these sizes if the law were exact: errors of the exponent, of N* and of D*."""
    constants = law.parameters
    try:
        error = float(approach2_bias(constants, points, target, curve=curve))
        exact = constants["E"] + constants["A"] * points["N"] ** -constants["alpha"]
        exact += constants["B"] * (points["C"] / FLOP_PER / points["N"]) ** -constants["beta"]
        found = approach2(points.assign(loss=exact), curve=curve)
    except InputError:
        return None
    best = float(compute_optimal(LAW, constants, target).N)
    slope = constants["beta"] / (constants["alpha"] + constants["beta"])
    return {"exponent": found.exponent - slope, "N": float(found.size(target)) / best - 1, "D": error}
