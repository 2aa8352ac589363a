"""Forecasts of runs in progress: public curves are cut at 20 to 90 % of their steps, and their ends predicted.

python benchmarks/partial.py            tables by data set and cut (ten minutes)
python benchmarks/partial.py olmo       one set

The forecast uses a law fitted to other runs of the same model and peak learning rate (all others where they are few,
and two, three and five chosen at random), or the run's own curve alone. The method's scales were chosen on ours, mpl,
epfl and olmo; supercollapse was examined afterwards, and one rule changed then (the tables are in docs/partial.md).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from public import PUBLIC, olmo_cosines, only

import scalefit as sf
from scalefit.errors import InputError

CUTS = (0.2, 0.4, 0.6, 0.8, 0.9)
MOST_TARGETS = 12  #: runs of a family whose ends are predicted
FEW = 8  #: other runs, at most, that are all fitted together
TAKEN = (2, 3, 5)  #: numbers of other runs chosen at random
Family = tuple[str, sf.Runs, str]


def ours() -> Iterator[Family]:
    runs = sf.load("schedules")
    for width in (32, 64, 96):
        yield f"ours/{width}", runs.where(f"d_model == {width}"), "annealing:decay=0.99"


def mpl() -> Iterator[Family]:
    folder = PUBLIC / "mpl_schedules"
    for size in ("25M", "100M"):
        runs = sf.read_runs(folder / f"loss_curves_{size}.csv", schedule=folder / "lr_schedules_per_step.csv.gz")
        yield f"mpl/{size}", runs, "annealing"


def epfl() -> Iterator[Family]:
    """Runs whose cooldowns branch off a constant run; the part of that run before the branch precedes theirs."""
    folder = PUBLIC / "epfl_schedules"
    facts = pd.read_csv(folder / "runs.csv").query("group == 'main'")
    losses = pd.read_csv(folder / "val_loss.csv.gz").rename(columns={"val_loss": "loss"})[["run", "step", "loss"]]
    curves = dict(list(losses.groupby("run")))
    plans = dict(list(pd.read_csv(folder / "lr_schedule.csv.gz").groupby("run")))
    for (size, peak), group in facts.groupby(["params", "peak_lr"]):
        logs, rates = [], {}
        for row in group.itertuples():
            curve = curves[row.run]
            if row.resume_step > 0 and row.parent_run in curves:
                parent = curves[row.parent_run]
                curve = pd.concat([parent[parent["step"] < curve["step"].min()], curve])
            if curve["step"].min() > 1000:
                continue
            logs.append(curve.assign(run=row.run))
            rates[row.run] = _interpolated(plans[row.run])
        if len(logs) > 2:
            runs = sf.read_runs(pd.concat(logs, ignore_index=True), schedule=rates)
            yield f"epfl/{size / 1e6:.0f}M lr {peak:g}", runs, "annealing"


def _interpolated(plan: pd.DataFrame) -> sf.Schedule:
    step, lr = np.append(0, plan["step"]), np.append(0.0, plan["lr"])
    last = int(step[-1])
    return sf.Schedule("as logged", last, 300, lambda at: np.interp(np.asarray(at, float), step, lr))


def olmo() -> Iterator[Family]:
    for size, runs in olmo_cosines(2):
        yield f"olmo/{size}", runs, "annealing"


def supercollapse() -> Iterator[Family]:
    """Networks on a regression task, whose squared error differs in size and shape from a cross-entropy."""
    folder = PUBLIC / "supercollapse_mlp"
    facts = pd.read_csv(folder / "mlp_schedules_runs.csv")
    curves = pd.read_csv(folder / "mlp_schedules_curves.csv.gz")
    curves = curves.rename(columns={"test_loss": "loss"})[["run", "step", "lr", "loss"]]
    for width, group in facts.groupby("width"):
        some = curves[curves["run"].isin(group["run"]) & (curves["step"] > 0)]
        rates = {run: _interpolated_from_one(rows) for run, rows in some.groupby("run")}
        late = some[some["step"] >= 200][["run", "step", "loss"]].reset_index(drop=True)
        yield f"supercollapse/{width}", sf.read_runs(late, schedule=rates), "annealing:decay=0.9999"


def _interpolated_from_one(plan: pd.DataFrame) -> sf.Schedule:
    step, lr = plan["step"].to_numpy(float), plan["lr"].to_numpy(float)
    return sf.Schedule("as logged", int(step[-1]), 1, lambda at: np.interp(np.asarray(at, float), step, lr))


SETS = {"ours": ours, "mpl": mpl, "epfl": epfl, "olmo": olmo, "supercollapse": supercollapse}


def forecasts(wanted: str = "") -> pd.DataFrame:
    """One row per forecast: set, family, run, how (others or alone), cut, error, low and high (relative), inside."""
    found = []
    for name, families in SETS.items():
        if wanted in ("", name):
            for family in families():
                found += _of_family(name, *family)
    return pd.DataFrame(found)


def _of_family(data: str, family: str, runs: sf.Runs, law: str) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng(0)
    names = list(runs.names)
    targets = names if len(names) <= MOST_TARGETS else list(rng.choice(names, MOST_TARGETS, replace=False))
    for target in targets:
        others = [name for name in names if name != target]
        chosen = [others] if len(others) <= FEW else []
        chosen += [list(rng.choice(others, count, replace=False)) for count in TAKEN if len(others) > count]
        yield from _cut(data, family, runs, target, None)
        for some in chosen:
            try:
                fit = sf.fit(only(runs, some), law)
            except InputError:
                continue  # these few runs follow one schedule
            yield from _cut(data, family, runs, target, fit)


def _cut(data: str, family: str, runs: sf.Runs, target: str, fit: sf.Fit | None) -> Iterator[dict[str, object]]:
    curves = runs.curves[runs.curves["run"].astype(str) == target]
    last = int(curves["step"].iloc[-1])
    plan = replace(runs.learning_rates.given[target], steps=last)
    measured = float(curves["loss"].iloc[-1])
    for cut in CUTS:
        part = curves[curves["step"] <= cut * last][["step", "loss"]]
        try:
            made = sf.predict_partial(part, schedule=plan, fit=fit)
        except InputError:
            continue  # too short, or its decay has not begun
        yield {
            "set": data,
            "family": family,
            "run": target,
            "how": "alone" if fit is None else "others",
            "cut": cut,
            "error": measured / made.final - 1,
            "half": (made.high - made.low) / 2 / made.final,
            "inside": made.low <= measured <= made.high,
            "now": float(part["loss"].iloc[-1]) / measured - 1,
            "scale": made.scale,
        }


def summary(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Number of forecasts, median error, median half width and coverage."""
    grouped = table.assign(size=table["error"].abs()).groupby(by)
    found = grouped.agg(
        forecasts=("size", "size"),
        median_error=("size", "median"),
        half_width=("half", "median"),
        coverage=("inside", "mean"),
    )
    return found.assign(**{name: (100 * found[name]).round(2) for name in found.columns[1:]})


def main() -> None:
    table = forecasts(sys.argv[1] if len(sys.argv) > 1 else "")
    for by in (["how", "cut"], ["how", "set"], ["how", "set", "cut"]):
        print(summary(table, by).to_string(), "\n")


if __name__ == "__main__":
    main()
