"""Which law, and how far to trust it: back-tests over growing scale, laws compared on one hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.identifiable import identify
from scalefit.errors import InputError
from scalefit.fitting.fit import fit
from scalefit.fitting.options import Options
from scalefit.fitting.prepare import prepare
from scalefit.fitting.result import Fit
from scalefit.laws import Law, find_law
from scalefit.runs import Runs, read_runs
from scalefit.uncertainty.calibration import LEVEL, Fold, calibrate, deviation, folds_of, student, walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CANDIDATES = ("chinchilla", "kaplan-floor", "power-floor", "power", "annealing", "annealing-size")
ONE_VARIABLE = ("power-floor", "power")
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
    ready = prepare(logs, law, Options(**options))
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
            side * student(LEVEL, np.inf) * deviation(others.factor, spread, fold.distance, fold.sigma, unit)
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
    if not names:
        reasons = {found.law: found.reason for found in identify(logs) if found.law in CANDIDATES}
        todo = "; ".join(f"{', '.join(group)}: {why}" for why, group in _grouped(reasons).items())
        raise InputError("these runs identify none of the usual laws", where="compare", todo=todo)
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
        rows.append({"law": name, **judged(found, tested, judge)})
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


def judged(found: Fit, tested: Backtest | None, judge: Runs | pd.DataFrame | None) -> dict[str, float]:
    """A law's row of the table of :func:`compare`; NaN for the back-test where there is none."""
    free = len(found.parameters) - len(found.fixed) - len(found.ties)
    row: dict[str, float] = {
        "backtest_error": tested.error if tested else np.nan,
        "coverage": float(tested.table["inside"].mean()) if tested else np.nan,
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
    text = f"{best}: predicts larger runs from smaller ones with a median error of {100 * error:.2g} % (mean over fits)"
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
    """The usual laws that these runs can identify, without those in doubt where others are not.

    Curves that identify a law of schedules are of schedules that differ, and so of no law in one variable.
    """
    return _usual(runs)[0]


def left_out(runs: Runs) -> dict[str, str]:
    """Why no law along a schedule can be fitted to curves; empty where one can, or where there are no curves."""
    return _usual(runs)[1]


def _usual(runs: Runs) -> tuple[list[str], dict[str, str]]:
    known = [found for found in identify(runs) if found.law in CANDIDATES]
    able = [found for found in known if found.can]
    names = [found.law for found in able if not found.doubts] or [found.law for found in able]
    if any(find_law(name).is_trajectory for name in names):
        return sorted((name for name in names if name not in ONE_VARIABLE), key=CANDIDATES.index), {}
    along = {found.law: found.reason for found in known if not found.can and find_law(found.law).is_trajectory}
    return sorted(names, key=CANDIDATES.index), along if runs.curves is not None else {}
