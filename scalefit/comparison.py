"""Which law to use and how far to trust it: back-tests over growing scale, laws compared on held-out runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.identifiable import identify
from scalefit.errors import InputError
from scalefit.fitting.fit import fit
from scalefit.fitting.prepare import Options, prepare
from scalefit.fitting.result import Fit
from scalefit.laws import Law
from scalefit.parallel import each
from scalefit.runs import Runs, runs_of
from scalefit.selection.automatic import compared, records
from scalefit.selection.candidates import candidates_for
from scalefit.uncertainty.calibration import LEVEL, Fold, deviation, factor_of, student
from scalefit.uncertainty.folds import bias_of, folds_of, recentred, walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 6  #: laws that are compared in full where none is named
SAME = 1.1  #: a law whose back-test error is within this factor of the least one counts as good as the best
SHARES = ("median_error", "worst_tenth", "coverage", "backtest_error", "judge_error", "noise")  #: shown in percent


@dataclass(frozen=True)
class Backtest:
    """A back-test: a law is fitted to the smaller runs and predicts the larger ones; one row per prediction.

    ``table`` has the columns fold (the refit), run, fitted (rows), decades (beyond the fitted scale), error (measured
    over predicted, minus one), low and high (90 % interval of the error) and inside (whether the error lies in it).
    """

    law: str
    table: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """By extrapolation factor: median and 90 % quantile of the absolute error, coverage of the intervals."""
        edges = [-0.001, 0.1, 0.3, 0.5, 1.0, 10.0]
        labels = ["within 1.3x", "1.3-2x", "2-3x", "3-10x", "over 10x"]
        band = pd.cut(self.table["decades"], edges, labels=labels)
        grouped = self.table.assign(size=self.table["error"].abs()).groupby(band, observed=True)
        found = grouped.agg(predictions=("size", "size"), median_error=("size", "median"))
        found["worst_tenth"] = grouped["size"].quantile(0.9)
        return found.assign(coverage=grouped["inside"].mean()).rename_axis("beyond")

    @property
    def error(self) -> float:
        """The mean over refits of the median absolute relative error."""
        return float(self.table["error"].abs().groupby(self.table["fold"]).median().mean())

    @property
    def headline(self) -> str:
        """The verdict: the median error on held-out runs, and how often the intervals held the measured value."""
        inside, refits = 100 * float(self.table["inside"].mean()), self.table["fold"].nunique()
        return (
            f"{self.law}: median error {100 * self.error:.3g} % on held-out runs (mean over {refits} refits); the 90 % "
            f"intervals hold {inside:.0f} % of {len(self.table)} predictions"
        )

    def __repr__(self) -> str:
        return f"{self.headline}\n{_in_percent(self.summary).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.headline)}</p>{_in_percent(self.summary).to_html(border=0)}"

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Error against the extrapolation factor."""
        from scalefit.plots import plot_backtest

        return plot_backtest(self, ax=ax)


def backtest(
    runs: Runs | pd.DataFrame, law: str | Law | type[Law], *, seed: int = 0, workers: int | None = None, **options: Any
) -> Backtest:
    """Back-test a law: fit the runs below growing scales and predict those above; for curves, leave each run out once.

    The interval of each prediction is calibrated on the other refits only. ``workers`` refits are made at a time; None
    leaves their number to ``joblib.parallel_config``. Options are those of :func:`scalefit.fit`. Raises
    :class:`InputError` where no part of the runs can be held out.

    >>> N = np.repeat(np.geomspace(1e7, 1e9, 5), 5)
    >>> D = np.tile(np.geomspace(1e9, 1e11, 5), 5)
    >>> runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    >>> backtest(runs, "chinchilla").error < 1e-6
    True
    """
    logs = runs_of(runs)
    ready = prepare(logs, law, Options(**options))
    held = folds_of(ready.law, ready.rows, ready.free)
    folds = walk(ready.law, ready.model, ready.rows, ready.settings, seed, held, workers)
    if not folds:
        what = f"no part of these {len(ready.rows)} rows both identifies the law and leaves runs to predict"
        todo = "add runs at more scales (more schedules for curves)"
        raise InputError(what, where=f"back-test of {ready.law.name}", todo=todo)
    log = ready.settings.residuals == "log"
    names = ready.rows.frame["run"].astype(str).to_numpy()
    parts = []
    for i, fold in enumerate(folds):
        others = _independent(folds, i)
        bias = bias_of(ready.law, others)
        factor, _, _ = factor_of(recentred(others, bias))
        ends = [
            fold.pulled
            + bias * fold.missed
            + side * student(LEVEL, np.inf) * deviation(factor, spread, fold.missed, fold.sigma)
            for side, spread in ((-1, fold.below), (1, fold.above))
        ]
        part = pd.DataFrame({"fold": fold.label, "run": names[fold.rows], "fitted": fold.fitted})
        part["decades"] = fold.distance
        for name, far in zip(("error", "low", "high"), (fold.error, *ends), strict=True):
            part[name] = np.expm1(far) if log else far / np.abs(ready.values[fold.rows])
        parts.append(part.assign(inside=(fold.error >= ends[0]) & (fold.error <= ends[1])))
    return Backtest(ready.law.spec, pd.concat(parts, ignore_index=True))


def _independent(folds: Sequence[Fold], held: int) -> list[Fold]:
    """The refits that may calibrate this one: those fitted to fewer rows; for curves, those without another run."""
    if len({fold.fitted for fold in folds}) == len(folds):
        return [fold for fold in folds if fold.fitted < folds[held].fitted]
    return [fold for i, fold in enumerate(folds) if i != held]


@dataclass(frozen=True)
class Comparison:
    """Several laws fitted to the same runs.

    ``table`` has one row per law, best first; ``fits`` and ``backtests`` hold the laws by name, ``refused`` the reason
    for each law that cannot be fitted or back-tested.
    """

    table: pd.DataFrame
    fits: Mapping[str, Fit]
    backtests: Mapping[str, Backtest]
    refused: Mapping[str, str]
    recommendation: str

    def __repr__(self) -> str:
        refused = [f"not compared: {line}" for line in _reasons(self.refused)]
        return "\n".join([self.recommendation, _in_percent(self.table).to_string(), *refused])

    def _repr_html_(self) -> str:
        tail = "".join(f"<li>not compared: {escape(line)}</li>" for line in _reasons(self.refused))
        return f"<p>{escape(self.recommendation)}</p>{_in_percent(self.table).to_html(border=0)}<ul>{tail}</ul>"

    @property
    def best(self) -> Fit:
        """The recommended fit."""
        return self.fits[str(self.table.index[0])]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The back-test errors of the laws side by side."""
        from scalefit.plots import plot_comparison

        return plot_comparison(self, ax=ax)

    @property
    def alike(self) -> list[str]:
        """The laws whose back-test error is within 10 % of the least one."""
        near = self.table["backtest_error"] <= SAME * self.table["backtest_error"].iloc[0]
        return [str(name) for name in self.table.index[near]]


def compare(
    runs: Runs | pd.DataFrame,
    laws: Sequence[str | Law | type[Law]] = (),
    *,
    judge: Runs | pd.DataFrame | None = None,
    draws: int = 0,
    seed: int = 0,
    workers: int | None = None,
    **options: Any,
) -> Comparison:
    """Fit several laws and compare how well they extrapolate: in a back-test, and on the held-out runs ``judge``.

    The table: error and coverage of the back-test, error on held-out runs, noise within the fitted range, Bayesian
    information criterion of the robust fit, free parameters, rows. Laws that cannot be fitted or back-tested are listed
    in ``refused`` with the reason. Without names, every law that the runs identify is tried quickly, and the best six
    are compared. ``workers`` laws are fitted at a time; None leaves their number to ``joblib.parallel_config``.
    """
    logs = runs_of(runs)
    names, refused = (laws, {}) if laws else _best_of_all(logs, options)
    fits: dict[str, Fit] = {}
    tests: dict[str, Backtest] = {}
    rows = []

    def one(law: str | Law | type[Law]) -> tuple[Fit, Backtest] | str:
        try:
            return fit(logs, law, draws=draws, seed=seed, **options), backtest(logs, law, seed=seed, **options)
        except InputError as error:
            return str(error)

    for law, made in zip(names, each(one, names, workers), strict=True):
        if isinstance(made, str):
            refused[str(getattr(law, "spec", law))] = made
            continue
        found, tested = made
        name = found.law.spec
        fits[name], tests[name] = found, tested
        rows.append({"law": name, **judged(found, tested, judge)})
    if not rows:
        todo = "; ".join(_reasons(refused))
        raise InputError("none of the laws can be fitted and back-tested", where="compare", todo=todo)
    table = pd.DataFrame(rows).set_index("law").sort_values("backtest_error")
    return Comparison(table, fits, tests, refused, _reason(table))


def _best_of_all(runs: Runs, options: Mapping[str, Any]) -> tuple[Sequence[Law], dict[str, str]]:
    """The laws that come closest in a quick trial of all that these runs identify, and why curves have no law."""
    found = candidates_for(runs, options.get("target"))
    trials, refused = compared(runs, found, options, {})
    if not trials:
        reasons = {one.law: one.reason for one in identify(runs, options.get("target"))}
        todo = "; ".join(_reasons({**found.left_out, **refused} or reasons))
        raise InputError("these runs identify no law that explains the target", where="compare", todo=todo)
    order = [str(record["law"]) for record in records(trials)]
    return [trials[name].law for name in order[:MOST]], dict(found.left_out)


def _in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """The table with relative errors and shares as text in percent."""
    return table.assign(**{n: [f"{100 * v:.3g} %" for v in table[n]] for n in SHARES if n in table.columns})


def _reasons(refused: Mapping[str, str]) -> list[str]:
    """Each reason once, after the names of the laws that are refused for it."""
    found: dict[str, list[str]] = {}
    for name, reason in refused.items():
        bare = name.partition(":")[0]  # reasons name a law without its options
        found.setdefault(reason.replace(f" of {bare}:", ":").replace(f"law {bare} ", "the law "), []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]


def judged(found: Fit, tested: Backtest | None, judge: Runs | pd.DataFrame | None) -> dict[str, float]:
    """A law's row in the table of :func:`compare`; NaN where there is no back-test."""
    free = len(found.parameters) - len(found.fixed) - len(found.ties)
    row: dict[str, float] = {
        "backtest_error": tested.error if tested else np.nan,
        "coverage": float(tested.table["inside"].mean()) if tested else np.nan,
    }
    if judge is not None:
        row["judge_error"] = float(found.score(judge)["mean_relative"].iloc[-1])
    return row | {"noise": found.sigma, "bic": _bic(found, free), "parameters": free, "rows": found.rows}


def _bic(found: Fit, free: int) -> float:
    """2 n log sigma + 2 F / sigma^2 + p log n: the Bayesian criterion with the robust objective for the squares."""
    sigma = max(found.sigma, 1e-300)
    return float(2 * found.rows * np.log(sigma) + 2 * found.cost / sigma**2 + free * np.log(found.rows))


def _reason(table: pd.DataFrame) -> str:
    best, error = str(table.index[0]), float(table["backtest_error"].iloc[0])
    near = [str(name) for name in table.index[1:] if table.loc[name, "backtest_error"] <= SAME * error]
    lead = f"{best} extrapolates best" if len(table) > 1 and not near else best
    text = f"{lead}: median error {100 * error:.2g} % in the back-test (mean over refits)"
    if near:
        text += f"; {' and '.join(near)} {'are' if near[1:] else 'is'} as good (within {100 * (SAME - 1):.0f} %)"
    elif len(table) > 1:
        times = f"{table['backtest_error'].iloc[1] / max(error, 1e-300):.2g} times as large"
        text += f"; that of {table.index[1]}, the next best, is {times}"
    return text + _contradicted(table, best)


def _contradicted(table: pd.DataFrame, best: str) -> str:
    """Where another law than the recommended one is better on the held-out runs."""
    judged = table["judge_error"].dropna() if "judge_error" in table.columns else pd.Series(dtype=float)
    if best not in judged.index or judged[best] <= SAME * judged.min():
        return ""
    other = str(judged.idxmin())
    return (
        f"; but on the held-out runs {other} has the smaller error ({100 * judged[other]:.2g} %, {best} "
        f"{100 * judged[best]:.2g} %): compare both"
    )
