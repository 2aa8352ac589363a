"""One planted fault for each check that needs more than a table of final losses: what is fitted, and what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from sound import ADDITIVE, BEYOND, CURVES, SCHEDULES, TABLES, Along, Rng, Sound, chosen, even

import scalefit as sf
from scalefit.diagnosis.checks import Check

Said = Callable[[Rng], Iterable[Check]]
SIZES = TABLES["chinchilla, grid 5 x 5, 1 %"]
EPOCHS = TABLES["data-constrained, 90 runs"]


def of(plan: Sound | Along, law: str = "") -> Said:
    """What the fit of a plan says, by its own law or another."""
    return lambda rng: sf.fit(plan.made(rng), law or plan.law).warnings


def asked(plan: Sound, at: Mapping[str, object], draws: int = 0, **columns: object) -> Said:
    """What is said of a prediction: at a point, or for a table of one run where settings were fitted."""

    def said(rng: Rng) -> Iterable[Check]:
        fit = sf.fit(plan.made(rng).assign(**columns), plan.law, draws=draws)
        return fit.cautions(pd.DataFrame([at])) if columns else fit.cautions(**at)

    return said


def epochs(*times: float) -> Sound:
    """Repeated data with these numbers of epochs."""
    made = chosen({"N": (2e7, 7e7, 2e8, 6e8, 2e9), "U": (5e8, 2e9, 8e9), "epochs": times})

    def runs(rng: Rng) -> dict[str, np.ndarray]:
        columns = made(rng)
        return {"N": columns["N"], "D": columns["U"] * columns["epochs"], "U": columns["U"]}

    return replace(EPOCHS, runs=runs)


def unread(rng: Rng) -> Iterable[Check]:
    """A table of experts by a law of sizes that does not read them."""
    table = SIZES.made(rng)
    experts = rng.choice([1, 4, 16], len(table))
    return sf.fit(table.assign(experts=experts, loss=table["loss"] * experts**-0.02), "chinchilla").warnings


def unread_by_all(rng: Rng) -> Iterable[Check]:
    """The same without a law, where the setting is one that no law reads."""
    table = SIZES.made(rng)
    blend = rng.choice([0.0, 0.3, 0.6], len(table))
    return sf.fit(table.assign(code_share=blend, loss=table["loss"] * (1 + 0.05 * blend))).warnings


def logarithm(rng: Rng) -> Iterable[Check]:
    """A straight line in ln N, by a power law with a floor that may lie anywhere."""
    N = np.geomspace(1e6, 1e9, 20)
    loss = 6 - 0.2 * np.log(N) + 0.003 * rng.standard_normal(20)
    return sf.fit(pd.DataFrame({"N": N, "loss": loss}), "power-floor:over=N", bounds={"L_inf": (-1e4, None)}).warnings


def bent(rng: Rng, by: Callable[[pd.DataFrame], np.ndarray], plan: Along = CURVES["annealing, 3 schedules"]) -> sf.Runs:
    """Curves of the annealing law, changed by a factor that depends on run and step."""
    logs = plan.made(rng).curves
    assert logs is not None
    table = logs[["run", "step", "loss"]].astype({"run": str})
    return sf.read_runs(table.assign(loss=table["loss"] * by(table)), schedule=SCHEDULES)


def strayed(rng: Rng) -> Iterable[Check]:
    """The decay of one run lies 3 % lower than the law has it."""
    late = bent(rng, lambda t: np.where((t["run"] == "wsd") & (t["step"] > 3300), 0.97, 1.0))
    return sf.fit(late, "annealing").warnings


def transient(rng: Rng) -> Iterable[Check]:
    """The first 200 steps of every run lie above the law."""
    close = replace(CURVES["annealing, 3 schedules"], every=10)
    return sf.fit(bent(rng, lambda t: 1 + 0.4 * np.exp((200.0 - t["step"]) / 100), close), "annealing").warnings


def peaks(rng: Rng) -> Iterable[Check]:
    """Two peaks under a law of raw areas."""
    plan = CURVES["annealing-transfer, 3 peaks"]
    return sf.fit(plan.made(rng), "annealing").warnings


def overridden(rng: Rng) -> Iterable[Check]:
    """A cosine given for runs that logged other learning rates."""
    runs = CURVES["annealing, 3 schedules"].made(rng)
    assert runs.curves is not None
    table = runs.curves[["run", "step", "loss"]].astype({"run": str})
    rate = [runs.trajectory(run).lr[step] for run, step in zip(table["run"], table["step"], strict=True)]
    wrong = {**SCHEDULES, "wsd": SCHEDULES["cosine"]}
    return sf.fit(sf.read_runs(table.assign(lr=rate), schedule=wrong), "annealing").warnings


def tied(rng: Rng) -> Iterable[Check]:
    """Runs of 20 tokens a parameter, and a prediction at 200."""
    N = np.geomspace(1e7, 2e9, 12)
    loss = (1.8 + 300 * N**-0.32) * np.exp(0.003 * rng.standard_normal(12))
    return sf.fit(pd.DataFrame({"N": N, "D": 20 * N, "loss": loss})).cautions(N=5e9, D=1e12)


def largest(rng: Rng) -> Iterable[Check]:
    """The largest of 25 runs 4 % high."""
    table = replace(SIZES, noise=0.005).made(rng)
    table.loc[(table["N"] * table["D"]).idxmax(), "loss"] *= 1.04
    return sf.fit(table, "chinchilla").warnings


PLAIN = Sound("power:over=N", {"A": 11.5, "alpha": 0.076}, 0.003, even("N", 1e6, 1e9, 20), {"N": 5e9})
FEW = Sound(
    "chinchilla", ADDITIVE, 0.05, lambda rng: {"N": 10 ** rng.uniform(7, 8, 8), "D": 10 ** rng.uniform(9, 10, 8)}, {}
)
REWARD = TABLES["reward of reinforcement learning"]
PLANTED: dict[str, tuple[str, Said]] = {
    "epochs up to 4 only": ("hardly-identified", of(epochs(1, 2, 4))),
    "a third of the runs of 64 and 128 epochs": ("too-many-epochs", of(epochs(1, 4, 16, 64, 128))),
    "rewards up to a third of C_mid": ("bend-not-reached", of(replace(REWARD, runs=even("C", 200, 800, 60)))),
    "8 runs of 5 % noise over one decade, asked two decades beyond": (
        "wide-interval",
        asked(FEW, {"N": 1e10, "D": 1e12}, 40),
    ),
    "another optimiser": ("another-recipe", asked(SIZES, {**BEYOND, "optimizer": "muon"}, optimizer="adamw")),
    "twice the peak": ("another-recipe", asked(SIZES, {**BEYOND, "peak_lr": 2e-3}, peak_lr=1e-3)),
    "models three times as deep": (
        "another-recipe",
        asked(SIZES, {**BEYOND, "d_model": 512, "n_layer": 24}, d_model=512, n_layer=8),
    ),
    "experts, by chinchilla": ("unread", unread),
    "a share of code that no law reads, without a law": ("unread", unread_by_all),
    "a straight line in ln N": ("degenerate", logarithm),
    "one decay 3 % lower": ("stray-phase", strayed),
    "first 200 steps up to 40 % higher": ("transient", transient),
    "three peaks, by annealing": ("peak-lr-mixed", peaks),
    "three sizes, by annealing": ("mixed-runs", of(CURVES["annealing-size, 4 sizes"], "annealing")),
    "a given schedule against the log": ("schedule-overrides", overridden),
    "D = 20 N, asked at D = 200 N": ("tied-scales", tied),
    "the largest of 25 runs 4 % high": ("largest-run", largest),
    "no floor, by a law that has one": ("at-bound", of(PLAIN, "power-floor:over=N")),
    "no break, by a law that has one": ("not-identified", of(PLAIN, "broken:over=N")),
    "three decades beyond": ("far-beyond", asked(SIZES, {"N": 1e12, "D": 5e13})),
}
