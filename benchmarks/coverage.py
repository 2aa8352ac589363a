"""Do the intervals hold? Back-tests on public data sets, and simulated data with known true parameters.

python benchmarks/coverage.py                 back-tests on the public sets (10 minutes of CPU)
python benchmarks/coverage.py public mpl      one set
python benchmarks/coverage.py public '' FILE  all sets; also writes the targets to FILE (pickle)
python benchmarks/coverage.py tables FILE     the tables of such files, here or of several
python benchmarks/coverage.py peers           the same beside what others do (twice as long)
python benchmarks/coverage.py synthetic       1,000 simulated data sets per law
python benchmarks/coverage.py right           60 runs that follow their law, one 1.5 decades beyond
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from statistics import NormalDist

import lmfit
import numpy as np
import pandas as pd
import planted
from public import Case, cases

import scalefit as sf
from scalefit.errors import InputError
from scalefit.fitting.prediction import rows_of
from scalefit.fitting.prepare import Options, prepare
from scalefit.solver.objective import Objective
from scalefit.uncertainty.bootstrap import bootstrap

DRAWS = 100
PER_RUN = 4  #: targets kept per held-out curve, evenly spaced and including its end
LEVEL = 0.9
SOME = 5  #: targets that a back-test needs for a median error
MANY = 30  #: targets that a data set needs for its coverage to mean something
EDGES = (0.0, 2.0, 5.0, 10.0, np.inf)
DISTANCES = ("up to 2x", "2-5x", "5-10x", "over 10x")
SLOW = ("multi-power-fading",)  #: laws that are too slow for the row bootstrap
BY_LMFIT = ("chinchilla", "annealing", "power-floor:over=D", "power-floor:over=C")
Ends = tuple[np.ndarray, np.ndarray]
NORMAL = NormalDist().inv_cdf(0.5 + LEVEL / 2)


def public(only: str = "", peers: bool = False) -> pd.DataFrame:
    """Every back-test; one row per target and method, those of ``peers`` where they are asked for."""
    found, refused, spent = [], Counter(), Counter()
    done = 0
    for case in cases(only):
        begin = time.process_time()
        try:
            parts = one(case, peers)
        except InputError:
            refused[case.data] += 1
            continue
        finally:
            spent[case.data] += time.process_time() - begin
        if parts is None:  # the forecast itself reports that it has no interval
            refused[case.data] += 1
            continue
        done += 1
        found += [part.assign(data=case.data, part=case.part, law=case.law, case=done) for part in parts]
    print(f"{done} back-tests, {sum(refused.values())} refused, {sum(spent.values()):.0f} s CPU")
    return pd.concat(found, ignore_index=True)


def one(case: Case, peers: bool) -> list[pd.DataFrame] | None:
    """The targets of one back-test by each method: relative error, interval, distance; or None without interval."""
    fit = sf.fit(case.small, case.law, draws=DRAWS, **dict(case.options))
    if fit.intervals is None:
        return None
    table = fit.predict(case.large).assign(end=False)
    reach = case.reach
    if "step" in table.columns and fit.law.is_trajectory:
        table["end"] = table["step"] == table.groupby("run")["step"].transform("max")
        reach = table["step"].to_numpy() / max(fit.points.steps or (1,))
        table, reach = thinned(table, reach)
    columns = {"reach": reach, "measured": table["measured"], "predicted": table[fit.target], "end": table["end"]}
    calibration = fit.intervals.calibration
    sound = fit.ok and not fit.cautions(case.large) if fit.law.is_trajectory else fit.ok
    base = pd.DataFrame(columns).assign(sound=sound, factor=calibration.factor, misfit=calibration.misfit)
    parts = [base.assign(method="scalefit", low=table["low"], high=table["high"])]
    keep = table.index.to_numpy()
    for name, peer in (("row bootstrap", row_bootstrap), ("lmfit covariance", lmfit_covariance)) if peers else ():
        ends = peer(case, fit)
        if ends is not None:
            parts.append(base.assign(method=name, low=ends[0][keep], high=ends[1][keep]))
    return parts


def thinned(table: pd.DataFrame, reach: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """PER_RUN evenly spaced rows of each run."""
    keep = [rows[-1 :: -max(1, len(rows) // PER_RUN)][:PER_RUN] for rows in table.groupby("run").indices.values()]
    at = np.sort(np.concatenate(keep))
    return table.iloc[at], reach[at]


def row_bootstrap(case: Case, fit: sf.Fit) -> Ends | None:
    """Common practice: resample rows, refit (here by our solver), take percentiles of the predictions, add no noise."""
    logs = case.small if isinstance(case.small, sf.Runs) else sf.read_runs(case.small, need=())
    ready = prepare(logs, case.law, Options(**dict(case.options)))
    if case.law in SLOW:
        return None
    rows = len(ready.values)
    theta = np.array([np.log(fit[c.name]) if c.log else fit[c.name] for c in ready.model.coordinates])
    objective = Objective(fit.settings.residuals, fit.settings.loss, fit.delta)
    given = ready.model, objective, ready.values, np.ones(rows), theta, np.arange(rows)
    draws = bootstrap(*given, draws=DRAWS, seed=1, method="pairs", sigma=fit.sigma)
    table = ready.model.vector(draws)
    variables = rows_of(fit, case.large, measured=False).variables
    with np.errstate(all="ignore"):
        made = fit.law.evaluate(variables, {n: table[:, j, None] for j, n in enumerate(fit.law.parameters)})
    low, high = np.nanpercentile(np.where(np.isfinite(made), made, np.nan), [5, 95], axis=0)
    return low, high


def lmfit_covariance(case: Case, fit: sf.Fit) -> Ends | None:
    """Common practice: least squares of log residuals from our optimum, propagated errors, noise added."""
    if case.law not in BY_LMFIT:
        return None
    small = rows_of(fit, case.small, measured=True)
    large = rows_of(fit, case.large, measured=False)
    parameters = fit.to_lmfit()

    def residual(p: lmfit.Parameters) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = np.log(fit.law.evaluate(small.variables, p.valuesdict())) - np.log(small.values)
        return np.nan_to_num(value, nan=1e3, posinf=1e3, neginf=-1e3)

    result = lmfit.minimize(residual, parameters, method="leastsq")
    if result.covar is None:
        return None
    best = result.params.valuesdict()
    centre = np.log(fit.law.evaluate(large.variables, best))
    slopes = []
    for name in result.var_names:
        step = 1e-5 * max(abs(best[name]), 1e-8)
        slopes.append((np.log(fit.law.evaluate(large.variables, {**best, name: best[name] + step})) - centre) / step)
    slope = np.array(slopes)
    wide = NORMAL * np.sqrt(np.maximum(np.einsum("in,ij,jn->n", slope, result.covar, slope), 0) + result.redchi)
    return np.exp(centre - wide), np.exp(centre + wide)


def summarised(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Number of targets, median error, coverage, and interval width over error of each group."""
    rows = rows.assign(
        error=(rows["predicted"] / rows["measured"] - 1).abs(),
        inside=(rows["measured"] >= rows["low"]) & (rows["measured"] <= rows["high"]),
        width=(rows["high"] - rows["low"]) / rows["measured"],
        score=winkler(rows),
    )
    groups = rows.groupby(by, observed=True)
    found = pd.DataFrame(
        {
            "back_tests": groups["case"].nunique(),
            "targets": groups.size(),
            "error_%": 100 * groups["error"].median(),
            "inside_%": 100 * groups["inside"].mean(),
            "score_%": 100 * groups["score"].mean(),
            "width/error": groups["width"].mean() / groups["error"].median(),
            "median_width/error": groups["width"].median() / groups["error"].median(),
        }
    )
    return found.round({"error_%": 2, "inside_%": 1, "score_%": 2, "width/error": 1, "median_width/error": 1})


def winkler(rows: pd.DataFrame) -> pd.Series:
    """The interval score of each target, (width + 2/(1 - level) times the distance outside) over the loss."""
    outside = np.maximum(rows["low"] - rows["measured"], rows["measured"] - rows["high"]).clip(lower=0.0)
    return (rows["high"] - rows["low"] + 2 / (1 - LEVEL) * outside) / rows["measured"]


def widths(rows: pd.DataFrame) -> float:
    """Mean width over median error within a back-test; the median over back-tests with SOME targets or more."""
    each = summarised(rows, ["data", "case"])
    return float(each.loc[each["targets"] >= SOME, "width/error"].median())


def report(rows: pd.DataFrame) -> None:
    rows = rows.assign(distance=pd.cut(rows["reach"], EDGES, labels=DISTANCES))
    ours = rows[rows["method"] == "scalefit"]
    sets = summarised(ours, ["data"])
    for title, by in (
        ("by data set, law and distance", ["data", "law", "distance"]),
        ("by data set and law", ["data", "law"]),
        ("by distance", ["distance"]),
        ("by data set", ["data"]),
    ):
        print(f"\n{title}\n{summarised(ours, by).to_string()}")
    overall(sets, ours)
    print(f"\nends of curves\n{summarised(ours[ours['end']], ['data', 'law']).to_string()}")
    print(summarised(ours[ours["end"]], ["method"]).to_string())
    markdown(ours)
    methods = list(rows["method"].unique())
    for name in methods[1:]:
        print("\ncompared with the practice of others, on the targets of")
        both = rows[
            rows["case"].isin(rows.loc[rows["method"] == name, "case"]) & rows["method"].isin(["scalefit", name])
        ]
        print(summarised(both, ["method"]).to_string())


def markdown(ours: pd.DataFrame) -> None:
    """The tables of docs/intervals.md."""
    shown = ["back_tests", "targets", "error_%", "inside_%", "score_%", "median_width/error"]
    for by in (["data"], ["distance"], ["data", "law"], ["data", "law", "distance"]):
        table = summarised(ours[ours["end"]] if by == ["data", "law"] else ours, by)[shown]
        print(f"\n| {' | '.join([*by, *shown])} |\n|{'---|' * (len(by) + len(shown))}")
        for key, row in table.iterrows():
            names = key if isinstance(key, tuple) else (key,)
            print(f"| {' | '.join([*map(str, names), *(f'{value:g}' for value in row)])} |")


def overall(sets: pd.DataFrame, ours: pd.DataFrame) -> None:
    """The headline numbers: coverage over all targets and by data set, and interval width within a set."""
    inside = (ours["measured"] >= ours["low"]) & (ours["measured"] <= ours["high"])
    many = sets[sets["targets"] >= MANY]
    print(f"\ninside: {100 * inside.mean():.1f} % of {len(ours)} targets; {sets['inside_%'].mean():.1f} % mean of sets")
    print(f"lowest set with {MANY} targets or more: {many['inside_%'].idxmin()} {many['inside_%'].min():.1f} %")
    print(f"mean width over median error: {sets['width/error'].median():.1f} in the median set, {widths(ours):.1f} in")
    print("the median back-test. Only fits without warnings:")
    print(summarised(ours, ["sound"]).to_string())
    sound = ours[ours["sound"]]
    sets = summarised(sound, ["data"])
    print(f"mean width over median error: {sets['width/error'].median():.1f} in the median set, {widths(sound):.1f} in")
    print("the median back-test")


def main(job: str = "public", *arguments: str) -> None:
    if job == "synthetic":
        planted.report(*arguments[:1], *map(int, arguments[1:]))
    elif job == "right":
        planted.right(*map(int, arguments[:1]))
    elif job == "tables":
        found = [pd.read_pickle(file) for file in arguments]
        report(pd.concat([rows.assign(case=i * 1000 + rows["case"]) for i, rows in enumerate(found)]))
    else:
        found = public(*arguments[:1], peers=job == "peers")
        if arguments[1:]:
            found.to_pickle(arguments[1])
        report(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
