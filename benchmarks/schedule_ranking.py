"""Schedules ranked by laws along the run, against the order that was measured: Kendall's tau and regret.

    python benchmarks/schedule_ranking.py ../shared/data [--laws annealing,multi-power]

epfl_schedules (124M parameters, four peaks): the laws are fitted to the constant run up to 25,000 steps, the cosine of
25,000 steps and the linear cooldown over its last fifth, and rank what was measured at 25,000 steps and at longer
lengths that were not fitted. mpl_schedules: fitted to the authors' three curves, they rank the others. The measured
order is that of the full validation loss (of the last logged loss).

    regret   the measured loss of the schedule ranked first, less the least measured
    copy     what needs no law: the schedule that was run last (cosine), or the best of those fitted

The law "back-tested" is the one that scalefit plan --schedules takes from curves. The results are in docs/planning.md.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from public import only

import scalefit as sf
from scalefit.numerics import FloatArray
from scalefit.planning.schedules.final import final_losses

LAWS = ("annealing", "multi-power", "multi-power-fading", "functional")
FITTED_STEPS = 25_000
PEAKS = (1e-4, 5e-4, 1e-3, 2e-3)
SIZE = 123_532_032
COPIED = ("copy the last (cosine)", "copy the best fitted")


@dataclass(frozen=True)
class Group:
    """Schedules of one length to be ranked; the fit that ranks them is that of their family."""

    name: str
    kinds: tuple[str, ...]
    plans: tuple[sf.Schedule, ...]
    measured: FloatArray


@dataclass(frozen=True)
class Family:
    """Curves that are fitted, what they were, and the groups that they rank."""

    name: str
    curves: sf.Runs
    fitted: dict[str, float]  #: kinds of schedule among the fitted ones, with their last loss
    groups: tuple[Group, ...]


def epfl(data: Path) -> Iterator[Family]:
    """One family for each peak."""
    folder = data / "epfl_schedules"
    facts = pd.read_csv(folder / "runs.csv").query(f"group == 'main' and params == {SIZE}")
    facts = facts.assign(kind=[_kind(row) for row in facts.itertuples()])
    runs = sf.read_runs(
        folder / "val_loss.csv.gz", rename={"val_loss": "loss"}, schedule=folder / "lr_schedule.csv.gz", warmup=300
    )
    rates = dict(list(pd.read_csv(folder / "lr_schedule.csv.gz").groupby("run")))
    for peak in PEAKS:
        own = facts[np.isclose(facts["peak_lr"], peak)].drop_duplicates(["kind", "total_steps"])
        short = own[own["total_steps"] == FITTED_STEPS]
        chosen = [*own[own["kind"] == "constant"]["run"][:1]]
        chosen += [*short[short["kind"].isin(["cosine", "linear 0.2"])]["run"]]
        curves = only(runs, chosen).where(f"step <= {FITTED_STEPS}")
        last = own.set_index("run")["final_val_loss"]
        fitted = {str(own.set_index("run")["kind"][run]): float(last[run]) for run in chosen[1:]}
        groups = []
        for steps, rows in own[own["total_steps"] >= FITTED_STEPS].groupby("total_steps"):
            rows = rows[~rows["run"].isin(chosen[1:])]
            if len(rows) >= 3:
                plans = tuple(_logged(rates[run], int(steps)) for run in rows["run"])
                measured = rows["final_val_loss"].to_numpy()
                groups.append(Group(f"{steps} steps", tuple(rows["kind"]), plans, measured))
        yield Family(f"epfl lr {peak:g}", curves, fitted, tuple(groups))


def _kind(row: object) -> str:
    """A schedule in two words."""
    if row.scheduler == "cos":
        return "cosine to 0" if row.cos_final_lr > 0 else "cosine"
    share = float(row.decay_frac)
    return f"{row.decay_type} {share:g}" if share > 0 else "constant"


def _logged(plan: pd.DataFrame, steps: int) -> sf.Schedule:
    """The learning rate as logged."""
    step, lr = np.append(0, plan["step"]), np.append(0.0, plan["lr"])
    return sf.Schedule("as logged", steps, 300, lambda at: np.interp(np.asarray(at, float), step, lr))


def mpl(data: Path) -> Iterator[Family]:
    """The authors' curves to fit and to predict, by size."""
    folder = data / "mpl_schedules"
    rates = dict(list(pd.read_csv(folder / "lr_schedules_per_step.csv.gz").groupby("schedule")))
    for size in ("25M", "100M"):
        path = folder / f"loss_curves_{size}.csv"
        last = pd.read_csv(path).sort_values("step").groupby("schedule").last()
        runs = sf.read_runs(path, schedule=folder / "lr_schedules_per_step.csv.gz")
        chosen = [f"{size}_{name}" for name in last.index[last["split"] == "fit"]]
        groups = []
        for length, rows in last.groupby(np.round(np.log(last["step"]), 1)):
            if len(rows) >= 2 and (rows["split"] == "predict").any():
                plans = tuple(_per_step(rates[name], int(rows["step"][name])) for name in rows.index)
                groups.append(Group(f"{np.exp(length):.0f} steps", tuple(rows.index), plans, rows["loss"].to_numpy()))
        fitted = {name: float(last["loss"][name]) for name in last.index[last["split"] == "fit"]}
        yield Family(f"mpl {size}", only(runs, chosen), fitted, tuple(groups))


def _per_step(plan: pd.DataFrame, steps: int) -> sf.Schedule:
    step, lr = plan["step"].to_numpy(float), plan["lr"].to_numpy(float)
    return sf.Schedule("per step", steps, 2160, lambda at: np.interp(np.asarray(at, float), step, lr))


def kendall(predicted: FloatArray, measured: FloatArray) -> float:
    """Kendall's tau: the share of pairs in the same order less that in the other."""
    first, second = np.triu_indices(len(measured), 1)
    same = np.sign(predicted[first] - predicted[second]) * np.sign(measured[first] - measured[second])
    return float(same.mean())


def copied(family: Family, group: Group) -> dict[str, float]:
    """The regrets of choices without a law, where the group has their schedule."""
    wanted = {COPIED[0]: "cosine", COPIED[1]: min(family.fitted, key=lambda kind: family.fitted[kind])}
    found = {}
    for name, kind in wanted.items():
        places = [
            k for k, each in enumerate(group.kinds) if each == kind or each.startswith(kind.partition("_")[0] + "_")
        ]
        if places:
            found[name] = float(group.measured[places[0]] - group.measured.min())
    return found


def judged(family: Family, laws: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """One row for each group and law."""
    for law in laws:
        begin = time.perf_counter()
        fit = sf.fit(family.curves, law, force=True)
        for group in family.groups:
            predicted = final_losses(fit, group.plans, {})[0]
            regret = float(group.measured[np.argmin(predicted)] - group.measured.min())
            tau = kendall(predicted, group.measured)
            row = {"family": family.name, "group": group.name, "count": len(group.kinds), "law": law}
            yield row | {"tau": tau, "regret": regret, "seconds": time.perf_counter() - begin}
    for group in family.groups:
        spread = float(np.median(group.measured) - group.measured.min())
        row = {"family": family.name, "group": group.name, "count": len(group.kinds), "tau": np.nan}
        yield row | {"law": "any (median)", "regret": spread}
        for name, regret in copied(family, group).items():
            yield row | {"law": name, "regret": regret}


def main() -> None:
    """Print tau and regret by group, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--laws", default=",".join(LAWS))
    given = parser.parse_args()
    warnings.simplefilter("ignore", sf.FitWarning)
    rows = []
    for family in (*epfl(given.data), *mpl(given.data)):
        for row in judged(family, tuple(given.laws.split(","))):
            rows.append(row)
            print(
                "  ".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()),
                flush=True,
            )
    table = pd.DataFrame(rows)
    for source, part in table.groupby(table["family"].str.split(" ").str[0]):
        print(source)
        print(part.groupby("law", sort=False)[["tau", "regret"]].agg(["mean", "max", "count"]).round(4).to_string())


if __name__ == "__main__":
    main()
