"""What is said of curves: sound ones of many kinds, and ones with a fault in their first steps, decay or schedule.

Used by ``python benchmarks/diagnostics.py SETS curves``, which writes two tables of docs/diagnostics.md: what a fit and
a forecast say, and how often ``skip="auto"`` leaves first steps out, which it should do for planted ones alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from sound import CURVES, LONGER, SCHEDULES, Along, Rng

import scalefit as sf
from scalefit.schedules import parse_schedule

Factor = Callable[[pd.DataFrame, Rng], np.ndarray]  #: by what the losses of a table of (run, step) are multiplied
SKIPPED = "skipped by auto"
ANNEALING = CURVES["annealing, 3 schedules"]
DENSE = replace(ANNEALING, every=10)
OTHERS = {
    **SCHEDULES,
    "linear": "linear:peak_lr=1e-3,steps=4000,warmup=100,final=0",
    "short": "wsd:peak_lr=1e-3,steps=3000,warmup=100,decay_steps=300,final=0",
}


def nothing(table: pd.DataFrame, rng: Rng) -> np.ndarray:
    """No change."""
    return np.ones(len(table))


def wandering(size: float) -> Factor:
    """Errors that are correlated along each run, over 10 rows, as logged losses of one order of data are."""

    def factor(table: pd.DataFrame, rng: Rng) -> np.ndarray:
        found = np.ones(len(table))
        for rows in table.groupby("run").indices.values():
            drawn, held = rng.standard_normal(len(rows)), np.empty(len(rows))
            held[0] = drawn[0]
            for i in range(1, len(rows)):
                held[i] = 0.9 * held[i - 1] + 0.19**0.5 * drawn[i]
            found[rows] = np.exp(size * held)
        return found

    return factor


def noisier_at_first(table: pd.DataFrame, rng: Rng) -> np.ndarray:
    """Noise that is three times as large over the first rows and falls to nothing, as losses of single batches are."""
    step = table["step"].to_numpy()
    return np.exp(0.01 * np.exp(-step / 600) * rng.standard_normal(len(step)))


def spiked(table: pd.DataFrame, rng: Rng) -> np.ndarray:
    """One row of a hundred 3 to 30 % too high."""
    hit = rng.random(len(table)) < 0.01
    return np.where(hit, 1 + 10 ** rng.uniform(-1.5, -0.5, len(table)), 1.0)


def high_at_first(by: float, until: float, runs: tuple[str, ...] = ()) -> Factor:
    """First steps that lie above the law, by ``by`` at the first row, a twentieth of that at step ``until``."""

    def factor(table: pd.DataFrame, rng: Rng) -> np.ndarray:
        step = table["step"].to_numpy()
        mine, begun = table["run"].isin(runs) if runs else np.ones(len(table), dtype=bool), float(step.min())
        return np.where(mine, 1 + by * np.exp(-3 * (step - begun) / (until - begun)), 1.0)

    return factor


def low_in_decay(by: float) -> Factor:
    """A cooldown that gains more than the law has it, in proportion to the fall."""

    def factor(table: pd.DataFrame, rng: Rng) -> np.ndarray:
        fallen = 1 - parse_schedule(SCHEDULES["wsd"]).per_step()[table["step"].to_numpy()] / 1e-3
        return 1 - by * np.where((table["run"] == "wsd") & (table["step"] > 100), fallen, 0.0)

    return factor


def curves(rng: Rng, plan: Along, by: Factor) -> sf.Runs:
    """Curves of a plan, their losses multiplied."""
    logs = plan.made(rng).curves
    assert logs is not None
    table = logs.drop(columns=[name for name in logs.columns if name not in ("run", "step", "loss", "N")])
    table = table.astype({"run": str}).reset_index(drop=True)
    return sf.read_runs(table.assign(loss=table["loss"] * by(table, rng)), schedule=dict(plan.plans))


SOUND: dict[str, tuple[Along, Factor]] = {
    "annealing, 3 schedules": (ANNEALING, nothing),
    "annealing, a row every 10 steps": (DENSE, nothing),
    "annealing, noise .05 %": (replace(ANNEALING, noise=0.0005), nothing),
    "annealing, noise 2 %, a row every 10 steps": (replace(DENSE, noise=0.02), nothing),
    "annealing, 5 schedules": (replace(ANNEALING, plans=OTHERS), nothing),
    "annealing, 4 sizes": (CURVES["annealing-size, 4 sizes"], nothing),
    "annealing, 3 peaks": (CURVES["annealing-transfer, 3 peaks"], nothing),
    "errors of .3 % that last 10 rows": (DENSE, wandering(0.003)),
    "errors of 1 % that last 10 rows": (DENSE, wandering(0.01)),
    "noise that falls from 1 to .3 %": (DENSE, noisier_at_first),
    "one row of a hundred a spike": (DENSE, spiked),
}
FAULTS: dict[str, tuple[str, Along, Factor]] = {
    "first 300 steps up to 40 % high": ("transient", DENSE, high_at_first(0.4, 300)),
    "first 400 steps up to 10 % high": ("transient", DENSE, high_at_first(0.1, 400)),
    "first 800 steps up to 5 % high": ("transient", DENSE, high_at_first(0.05, 800)),
    "first 800 steps up to 5 % high, a row every 40": ("transient", ANNEALING, high_at_first(0.05, 800)),
    "first 800 steps up to 5 % low": ("transient", DENSE, high_at_first(-0.05, 800)),
    "first 400 steps of one of three runs up to 20 % high": ("transient", DENSE, high_at_first(0.2, 400, ("wsd",))),
    "a cooldown 3 % lower": ("stray-phase", ANNEALING, low_in_decay(0.03)),
    "a cooldown 1 % lower": ("stray-phase", replace(ANNEALING, noise=0.001), low_in_decay(0.01)),
}


def said(rng: Rng, plan: Along, by: Factor) -> set[str]:
    """The codes of a fit, of a forecast of the first of its schedules made twice as long, and what is skipped."""
    runs = curves(rng, plan, by)
    fit, at = sf.fit(runs, plan.law), next(iter(plan.facts.values()), {})
    codes = {check.code for check in (*fit.warnings, *fit.cautions(schedule=LONGER, **at))}
    codes |= {"any"} if codes else set()
    return codes | ({SKIPPED} if left_out(runs, plan.law) else set())


def left_out(runs: sf.Runs, law: str) -> bool:
    """Whether ``skip="auto"`` leaves first steps out."""
    assert runs.curves is not None
    points = sf.fit(runs, law, skip="auto").points
    return min(points.steps or (0,)) > int(runs.curves["step"].min())


def counted(sets: int, first: int, plan: Along, by: Factor) -> Counter[str]:
    """In how many sets each code was said."""
    return Counter(code for seed in range(first, first + sets) for code in said(np.random.default_rng(seed), plan, by))
