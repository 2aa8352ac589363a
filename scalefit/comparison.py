"""Which law, and how far to trust it: back-tests over growing scale, laws compared on one hold-out, a law chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.calibration import Fold, calibrate, deviation, folds_of, walk
from scalefit.fitting.fit import fit
from scalefit.fitting.identify import identify
from scalefit.fitting.prepare import prepare
from scalefit.fitting.result import Fit
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, read_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NORMAL_90 = 1.6448536269514722
CANDIDATES = ("chinchilla", "kaplan-floor", "power-floor", "power", "annealing", "annealing-size")
SAME = 1.1  #: laws whose back-test error is within this factor of the best cannot be told apart


@dataclass(frozen=True)
class Backtest:
    """The errors of a law when fitted to the smaller runs and asked for the larger ones, one row a prediction.

    ``table`` has the columns fold, run, fitted (rows), decades (beyond the fitted scale), error (measured over
    predicted, minus one), low and high (of the error, at 90 %) and inside.
    """

    law: str
    table: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Median and 90 % quantile of the absolute error, and coverage, by distance."""
        edges = [-0.001, 0.1, 0.3, 0.5, 1.0, 10.0]
        labels = ["within 1.3x", "1.3-2x", "2-3x", "3-10x", "over 10x"]
        band = pd.cut(self.table["decades"], edges, labels=labels)
        grouped = self.table.assign(size=self.table["error"].abs()).groupby(band, observed=True)
        found = grouped.agg(predictions=("size", "size"), median_error=("size", "median"), coverage=("inside", "mean"))
        found["worst_tenth"] = grouped["size"].quantile(0.9)
        return found.rename_axis("beyond")[["predictions", "median_error", "worst_tenth", "coverage"]]

    @property
    def error(self) -> float:
        """The mean over folds of the median absolute relative error."""
        return float(self.table.assign(size=self.table["error"].abs()).groupby("fold")["size"].median().mean())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Error against how far one extrapolates."""
        from scalefit.plots import plot_backtest

        return plot_backtest(self, ax=ax)


def backtest(runs: Runs | pd.DataFrame, law: str | Law | type[Law], *, seed: int = 0, **options: Any) -> Backtest:
    """Fit to the runs below growing scales and predict the ones above; for curves, leave out each run.

    The interval of each prediction is calibrated on the other folds only. Options are those of
    :func:`scalefit.fit`. Raises :class:`InputError` where the runs allow no fold.

    >>> N = np.repeat(np.geomspace(1e7, 1e9, 5), 5)
    >>> D = np.tile(np.geomspace(1e9, 1e11, 5), 5)
    >>> runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    >>> backtest(runs, "chinchilla").error < 1e-6
    True
    """
    logs = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    ready = prepare(logs, law, **options)
    folds = walk(ready.law, ready.model, ready.rows, ready.settings, seed, folds_of(ready.law, ready.rows, ready.free))
    if not folds:
        raise InputError(
            f"no part of these {len(ready.rows)} rows identifies the law and leaves runs to predict",
            where=f"back-test of {ready.law.name}",
            todo="add runs at more scales (more schedules for curves)",
        )
    log = ready.settings.residuals == "log"
    unit = 1.0 if log else float(np.median(np.abs(ready.values)))
    names = ready.rows.frame["run"].astype(str).to_numpy()
    parts = []
    for i, fold in enumerate(folds):
        others = calibrate(ready.law, ready.rows, _independent(folds, i), unit)
        ends = [
            side * NORMAL_90 * deviation(others.factor, spread, fold.distance, fold.sigma, unit)
            for side, spread in ((-1, fold.below), (1, fold.above))
        ]
        error, low, high = (
            np.expm1(far) if log else far / np.abs(ready.values[fold.rows]) for far in (fold.error, *ends)
        )
        parts.append(
            pd.DataFrame(
                {
                    "fold": fold.label,
                    "run": names[fold.rows],
                    "fitted": fold.fitted,
                    "decades": fold.distance,
                    "error": error,
                    "low": low,
                    "high": high,
                    "inside": (fold.error >= ends[0]) & (fold.error <= ends[1]),
                }
            )
        )
    return Backtest(ready.law.spec, pd.concat(parts, ignore_index=True))


def _independent(folds: Sequence[Fold], held: int) -> list[Fold]:
    """The folds that a forecaster at this fold would have known: those fitted to fewer rows, or the other runs."""
    if len({fold.fitted for fold in folds}) == len(folds):
        return [fold for fold in folds if fold.fitted < folds[held].fitted]
    return [fold for i, fold in enumerate(folds) if i != held]


@dataclass(frozen=True)
class Comparison:
    """Several laws on the same runs: ``table`` has one row a law, best first; ``fits`` the fitted laws by name."""

    table: pd.DataFrame
    fits: Mapping[str, Fit]
    backtests: Mapping[str, Backtest]
    refused: Mapping[str, str]
    recommendation: str

    @property
    def best(self) -> Fit:
        """The recommended fit."""
        return self.fits[str(self.table.index[0])]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Each law's errors side by side."""
        from scalefit.plots import plot_comparison

        return plot_comparison(self, ax=ax)

    @property
    def alike(self) -> list[str]:
        """The laws that the back-test cannot tell from the best one."""
        near = self.table["backtest_error"] <= SAME * self.table["backtest_error"].iloc[0]
        return [str(name) for name in self.table.index[near]]


def compare(
    runs: Runs | pd.DataFrame,
    laws: Sequence[str | Law | type[Law]] = (),
    *,
    judge: Runs | pd.DataFrame | None = None,
    draws: int = 0,
    seed: int = 0,
    **options: Any,
) -> Comparison:
    """Fit several laws and judge each by extrapolation: on ``judge`` where it is given, and by back-test on the runs.

    The table: error and coverage of the back-test, error on the judge's runs, noise within the fitted range, the
    Bayesian information criterion of the robust fit, parameters and rows. Laws that the runs cannot identify are
    listed in ``refused`` with the reason. Without names, the usual laws for such runs are tried.
    """
    logs = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    names: Sequence[str | Law | type[Law]] = laws or candidates(logs)
    fits: dict[str, Fit] = {}
    tests: dict[str, Backtest] = {}
    refused: dict[str, str] = {}
    rows = []
    for law in names:
        try:
            found = fit(logs, law, draws=draws, seed=seed, **options)
            tested = backtest(logs, law, seed=seed, **options)
        except InputError as error:
            refused[str(law)] = str(error)
            continue
        name = found.law.spec
        fits[name], tests[name] = found, tested
        rows.append({"law": name, **_judged(found, tested, judge)})
    if not rows:
        raise InputError(
            "none of the laws can be fitted and back-tested",
            where="compare",
            todo="; ".join([f"{', '.join(names)}: {reason}" for reason, names in _grouped(refused).items()][:3]),
        )
    table = pd.DataFrame(rows).set_index("law").sort_values("backtest_error")
    return Comparison(table, fits, tests, refused, _reason(table))


def _grouped(refused: Mapping[str, str]) -> dict[str, list[str]]:
    """The laws by the reason for which they are refused, once each."""
    found: dict[str, list[str]] = {}
    for name, reason in refused.items():
        found.setdefault(reason.replace(f" of {name}:", ":"), []).append(name)
    return found


def _judged(found: Fit, tested: Backtest, judge: Runs | pd.DataFrame | None) -> dict[str, float]:
    free = len(found.parameters) - len(found.fixed) - len(found.ties)
    row: dict[str, float] = {
        "backtest_error": tested.error,
        "coverage": float(tested.table["inside"].mean()),
    }
    if judge is not None:
        row["judge_error"] = float(found.score(judge)["mean_relative"].iloc[-1])
    row |= {
        "noise": found.sigma,
        "bic": _bic(found, free),
        "parameters": free,
        "rows": found.rows,
    }
    return row


def _bic(found: Fit, free: int) -> float:
    """2 n log sigma + 2 F / sigma^2 + p log n: the Bayesian criterion with the robust objective for the squares."""
    sigma = max(found.sigma, 1e-300)
    return float(2 * found.rows * np.log(sigma) + 2 * found.cost / sigma**2 + free * np.log(found.rows))


def _reason(table: pd.DataFrame) -> str:
    best, error = str(table.index[0]), float(table["backtest_error"].iloc[0])
    near = [str(name) for name in table.index[1:] if table.loc[name, "backtest_error"] <= SAME * error]
    text = f"{best}: predicts larger runs from smaller ones with a median error of {100 * error:.2g} %"
    if near:
        text += f"; {' and '.join(near)} cannot be told from it (within {100 * (SAME - 1):.0f} %)"
    elif len(table) > 1:
        text += f", {table['backtest_error'].iloc[1] / max(error, 1e-300):.2g} times less than {table.index[1]}"
    return text + _contradicted(table, best)


def _contradicted(table: pd.DataFrame, best: str) -> str:
    """Where the judge's runs speak for another law than the back-test."""
    judged = table["judge_error"].dropna() if "judge_error" in table.columns else pd.Series(dtype=float)
    if best not in judged.index or judged[best] <= SAME * judged.min():
        return ""
    other = str(judged.idxmin())
    return (
        f"; but on the held-out runs {other} errs less ({100 * judged[other]:.2g} %, {best} "
        f"{100 * judged[best]:.2g} %): look at both"
    )


def candidates(runs: Runs) -> list[str]:
    """The usual laws that these runs can identify."""
    able = [found.law for found in identify(runs) if found.can and found.law in CANDIDATES]
    return sorted(able, key=CANDIDATES.index)


@dataclass(frozen=True)
class Automatic:
    """A law chosen by back-test, or the average of those that cannot be told apart."""

    comparison: Comparison
    weights: Mapping[str, float]

    @property
    def text(self) -> str:
        """What was chosen and why."""
        shares = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in self.weights.items())
        return f"{self.comparison.recommendation}; predictions: {shares}"

    def predict(self, data: Runs | pd.DataFrame | None = None, **options: Any) -> pd.DataFrame:
        """The weighted average of the chosen laws' predictions, with the widest of their intervals."""
        tables = {name: self.comparison.fits[name].predict(data, **options) for name in self.weights}
        first = next(iter(tables.values())).copy()
        target = self.comparison.best.target
        first[target] = sum(weight * tables[name][target] for name, weight in self.weights.items())
        if "low" in first.columns:
            first["low"] = np.min([table["low"] for table in tables.values()], axis=0)
            first["high"] = np.max([table["high"] for table in tables.values()], axis=0)
        if "measured" in first.columns:
            first["relative_error"] = first[target] / first["measured"] - 1
        return first


def automatic(
    runs: Runs | pd.DataFrame,
    laws: Sequence[str | Law | type[Law]] = (),
    *,
    draws: int = 0,
    seed: int = 0,
    **options: Any,
) -> Automatic:
    """Choose a law by back-test among those that the runs can identify; average those that cannot be told apart.

    Weights are inverse to the squared back-test error. Intervals are made for the chosen laws only.
    """
    logs = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    compared = compare(logs, laws, seed=seed, **options)
    error = compared.table["backtest_error"].loc[compared.alike].to_numpy()
    share: FloatArray = 1 / np.maximum(error, 1e-12) ** 2
    if draws:
        chosen = {
            name: fit(logs, compared.fits[name].law, draws=draws, seed=seed, **options) for name in compared.alike
        }
        compared = replace(compared, fits={**compared.fits, **chosen})
    return Automatic(compared, dict(zip(compared.alike, (share / share.sum()).tolist(), strict=True)))
