"""Simulated runs that follow their law, of many kinds, in the designs and with the noise of real studies.

Each plan says which law holds, its constants, the fitted runs, and where a prediction is asked for: no further beyond
the runs than they span, and of the same recipe. Whatever is said of such a fit is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.schedules import parse_schedule

Columns = dict[str, np.ndarray]
Rng = np.random.Generator


@dataclass(frozen=True)
class Sound:
    """A law, its constants, noise of the logarithm (of the value where ``plain``), runs, and the point asked for."""

    law: str
    truth: Mapping[str, float]
    noise: float
    runs: Callable[[Rng], Columns]
    at: Mapping[str, float]
    plain: bool = False

    def made(self, rng: Rng) -> pd.DataFrame:
        """One table of runs."""
        law, columns = sf.find_law(self.law), self.runs(rng)
        value = np.ravel(law.evaluate({name: columns[c] for name, c in law.columns.items()}, self.truth))
        z = self.noise * rng.standard_normal(len(value))
        table = pd.DataFrame({**columns, law.target: value + z if self.plain else value * np.exp(z)})
        return table.assign(run=[f"r{i}" for i in range(len(table))])

    def fit(self, rng: Rng, draws: int) -> tuple[sf.Fit, dict[str, object]]:
        """The fit of one table, and the point at which its prediction is judged."""
        return sf.fit(self.made(rng), self.law, draws=draws), dict(self.at)


@dataclass(frozen=True)
class Along:
    """A law along the schedule: its curves under some schedules, and one that is asked for."""

    law: str
    truth: Mapping[str, float]
    noise: float
    plans: Mapping[str, str]
    asked: str
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  #: columns of each run
    every: int = 40

    def made(self, rng: Rng) -> sf.Runs:
        """Curves from the end of the warmup on."""
        law, logs = sf.find_law(self.law), []
        for name, text in self.plans.items():
            plan, facts = parse_schedule(text), self.facts.get(name, {})
            step = np.arange(plan.warmup + 10 * self.every, plan.steps + 1, self.every)
            at = law.at_steps(plan.per_step(), plan.warmup, step)
            at |= {v: np.full(len(step), facts[c]) for v, c in law.columns.items() if c in facts}
            loss = np.ravel(law.evaluate(at, self.truth)) * np.exp(self.noise * rng.standard_normal(len(step)))
            logs.append(pd.DataFrame({"run": name, "step": step, "loss": loss, **facts}))
        return sf.read_runs(pd.concat(logs), schedule=dict(self.plans))

    def fit(self, rng: Rng, draws: int) -> tuple[sf.Fit, dict[str, object]]:
        """The fit of one set of curves, and the schedule for which a prediction is judged."""
        facts = next(iter(self.facts.values()), {})
        return sf.fit(self.made(rng), self.law, draws=draws), {"schedule": self.asked, **facts}


def crossed(**ends: tuple[float, float, int]) -> Callable[[Rng], Columns]:
    """Every value of each column with every value of the others, evenly spaced in the logarithm."""
    grids = np.meshgrid(*(np.geomspace(*end) for end in ends.values()), indexing="ij")
    return lambda rng: {name: grid.ravel() for name, grid in zip(ends, grids, strict=True)}


def even(name: str, low: float, high: float, count: int, log: bool = True) -> Callable[[Rng], Columns]:
    """One column, evenly spaced."""
    return lambda rng: {name: np.geomspace(low, high, count) if log else np.linspace(low, high, count)}


def chosen(values: Mapping[str, tuple[float, ...]]) -> Callable[[Rng], Columns]:
    """Every combination of some values."""
    grids = np.meshgrid(*values.values(), indexing="ij")
    return lambda rng: {name: np.asarray(grid.ravel(), float) for name, grid in zip(values, grids, strict=True)}


def repeated(rng: Rng) -> Columns:
    """Five sizes, three amounts of unique tokens, one to 32 epochs."""
    made = chosen({"N": (2e7, 7e7, 2e8, 6e8, 2e9), "U": (5e8, 2e9, 8e9), "epochs": (1, 2, 4, 8, 16, 32)})(rng)
    return {"N": made["N"], "D": made["U"] * made.pop("epochs"), "U": made["U"]}


def two_losses(rng: Rng) -> Columns:
    """The loss on one data set of a grid of sizes and lengths; that on another follows from it."""
    at = crossed(N=(2e7, 2e9, 7), D=(5e8, 5e10, 7))(rng)
    source = {"E": 1.97, "A": 6.7e7, "B": 8.9e8, "alpha": 0.41, "beta": 0.46}
    return {**at, "loss_source": np.ravel(sf.find_law("kaplan-floor").evaluate(at, source))}


GRID = crossed(N=(1e7, 1e9, 7), D=(5e8, 5e10, 7))
BEYOND = {"N": 3e9, "D": 1.5e11}
ADDITIVE = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
TABLES = {
    "power, 12 sizes": Sound("power:over=N", {"A": 11.5, "alpha": 0.076}, 0.005, even("N", 1e6, 1e9, 12), {"N": 5e9}),
    "power-floor, 12 sizes": Sound(
        "power-floor:over=N", {"L_inf": 1.9, "A": 40.0, "alpha": 0.25}, 0.003, even("N", 1e6, 1e9, 12), {"N": 5e9}
    ),
    "chinchilla, grid 5 x 5, 1 %": Sound(
        "chinchilla", ADDITIVE, 0.01, crossed(N=(1e7, 1e9, 5), D=(5e8, 5e10, 5)), BEYOND
    ),
    "kaplan, grid": Sound(
        "kaplan", {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}, 0.005, GRID, BEYOND
    ),
    "kaplan-floor, grid": Sound(
        "kaplan-floor", {"E": 1.97, "A": 6.7e7, "B": 8.9e8, "alpha": 0.41, "beta": 0.46}, 0.005, GRID, BEYOND
    ),
    "skaling, grid": Sound(
        "skaling", {"E": 1.7, "A": 406.0, "B": 1.0, "alpha": 0.34, "beta": 0.28, "k": 0.5}, 0.003, GRID, BEYOND
    ),
    "over-training, grid": Sound(
        "over-training", {"E": 1.84, "a": 212.2, "b": 366.7, "eta": 0.136}, 0.005, GRID, BEYOND
    ),
    "data-constrained, 90 runs": Sound(
        "data-constrained",
        {"E": 1.87, "A": 520.8, "alpha": 0.353, "beta": 0.353, "N_opt": 5.1e8, "R_D": 15.4, "R_N": 5.3},
        0.005,
        repeated,
        {"N": 4e9, "D": 4e11, "U": 2e10},
    ),
    "moe, 4 granularities": Sound(
        "moe",
        {"c": 0.47, "a": 18.1, "b": 30.8, "g": 2.1, "alpha": 0.115, "beta": 0.147, "gamma": 0.58},
        0.003,
        chosen(
            {
                "N_total": tuple(np.geomspace(1e8, 1e10, 5)),
                "D": tuple(np.geomspace(2e9, 1e11, 5)),
                "granularity": (1, 2, 4, 8),
            }
        ),
        {"N_total": 3e10, "D": 3e11, "granularity": 8},
    ),
    "encoder-decoder, grid": Sound(
        "encoder-decoder",
        {"A": 1.2, "p_enc": 0.2, "p_dec": 0.25, "L_inf": 1.4},
        0.005,
        crossed(N_enc=(1e7, 1e9, 5), N_dec=(1e7, 1e9, 5)),
        {"N_enc": 3e9, "N_dec": 3e9},
    ),
    "parallel streams": Sound(
        "parallel",
        {"E": 1.3, "A": 5e2, "alpha": 0.34, "k": 0.35},
        0.003,
        chosen({"N": tuple(np.geomspace(1e8, 4e9, 6)), "streams": (1, 2, 4, 8)}),
        {"N": 1e10, "streams": 8},
    ),
    "mixing-domains": Sound(
        "mixing-domains",
        {"C": 1.6, "B": 60.0, "alpha": 0.08, "beta": 0.25},
        0.005,
        chosen({"domain_share": (0.05, 0.1, 0.2, 0.4, 0.8), "D": tuple(np.geomspace(1e9, 1e11, 6))}),
        {"domain_share": 0.3, "D": 3e11},
    ),
    "vocabulary": Sound(
        "vocabulary",
        {"E": 5.533, "A1": 880.4, "A2": 2080.9, "B": 22395.2, "alpha1": 0.447, "alpha2": 0.671},
        0.01,
        chosen(
            {
                "N": tuple(np.geomspace(3e7, 1e9, 5)),
                "N_vocab": tuple(np.geomspace(2e6, 5e7, 4)),
                "D": tuple(np.geomspace(1e9, 3e10, 4)),
            }
        ),
        {"N": 3e9, "N_vocab": 1e8, "D": 1e11},
        plain=True,
    ),
    "precision of weights": Sound(
        "precision",
        {**ADDITIVE, "gamma_w": 2.7, "gamma_a": 2.2, "gamma_kv": 0.96},
        0.005,
        lambda rng: {
            "N": 10 ** rng.uniform(7.5, 9, 80),
            "D": 10 ** rng.uniform(9, 10.5, 80),
            **{f"precision_{part}": rng.choice([3.0, 4.0, 6.0, 8.0, 12.0], 80) for part in ("w", "a", "kv")},
        },
        {"N": 3e9, "D": 1e11, "precision_w": 8.0, "precision_a": 8.0, "precision_kv": 8.0},
    ),
    "broken, 30 amounts of data": Sound(
        "broken:over=D",
        {"a": 0.4, "b": 3.0, "c0": 0.03, "c1": 0.4, "d1": 1e5, "f1": 0.3},
        0.005,
        even("D", 1e3, 1e8, 30),
        {"D": 1e9},
    ),
    "loss-to-loss, grid of runs": Sound(
        "loss-to-loss:floors_of=none",
        {"K": 1.05, "kappa": 0.98, "E0": 0.0, "E1": 0.0},
        0.002,
        two_losses,
        {"loss_source": 2.15},
    ),
    "loss-to-loss, floors of another law": Sound(
        "loss-to-loss", {"K": 1.01, "kappa": 1.05, "E0": 1.97, "E1": 2.17}, 0.003, two_losses, {"loss_source": 2.15}
    ),
    "downstream-error": Sound(
        "downstream-error",
        {"eps": 0.85, "k": 2.08, "gamma": 0.756},
        0.01,
        even("loss", 2.3, 4.0, 30, False),
        {"loss": 2.1},
    ),
    "task-ladder": Sound(
        "task-ladder",
        {"b": 0.95, "a": 0.7, "k": 6.0, "L_mid": 0.9},
        0.01,
        even("loss", 0.6, 1.4, 24, False),
        {"loss": 0.55},
        plain=True,
    ),
    "fine-tuning": Sound(
        "fine-tuning",
        {"E": 1.5, "B": 20.0, "D_l": 30.0, "beta": 0.5},
        0.005,
        even("examples", 200, 1e6, 14),
        {"examples": 4e6},
    ),
    "reward of reinforcement learning": Sound(
        "reinforcement",
        {"R0": 0.2, "A": 0.65, "B": 1.6, "C_mid": 2500.0},
        0.005,
        even("C", 200, 6e4, 60),
        {"C": 1e5},
        plain=True,
    ),
}

SCHEDULES = {
    "constant": "constant:peak_lr=1e-3,steps=4000,warmup=100",
    "cosine": "cosine:peak_lr=1e-3,steps=4000,warmup=100,final=1e-4",
    "wsd": "wsd:peak_lr=1e-3,steps=4000,warmup=100,decay_steps=800,final=0",
}
LONGER = "cosine:peak_lr=1e-3,steps=8000,warmup=100,final=1e-4"
MULTI = {"L0": 2.8, "A": 0.52, "alpha": 0.5, "B": 250.0, "C": 2.0, "beta": 0.58, "gamma": 0.64}
PEAKS = {
    f"{name} at {peak:g}": text.replace("1e-3", f"{peak:g}")
    for peak in (5e-4, 1e-3, 2e-3)
    for name, text in SCHEDULES.items()
}
SIZES = {f"{N:.0e}": N for N in (2e7, 6e7, 2e8, 6e8)}
CURVES = {
    "annealing, 3 schedules": Along(
        "annealing", {"L0": 2.6, "A": 0.43, "C": 0.3, "alpha": 0.5}, 0.003, SCHEDULES, LONGER
    ),
    "multi-power, 3 schedules": Along("multi-power", MULTI, 0.003, SCHEDULES, LONGER),
    "annealing-transfer, 3 peaks": Along(
        "annealing-transfer", {"L0": 2.5, "A": 1.5, "C": 6.0, "alpha": 0.4}, 0.003, PEAKS, LONGER
    ),
    "annealing-size, 4 sizes": Along(
        "annealing-size",
        {"L0": 1.83, "A": 0.504, "alpha": 0.537, "C": 0.09, "gamma": 0.235, "F": 3.07, "beta": 0.195},
        0.003,
        {f"{size} {name}": text for size in SIZES for name, text in SCHEDULES.items()},
        LONGER,
        {f"{size} {name}": {"N": N} for size, N in SIZES.items() for name in SCHEDULES},
    ),
}
