"""How often planted parameters and losses of simulated data sets lie inside their 90 % intervals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.schedules import parse_schedule

DRAWS = 200
CALIBRATED = 20  #: one data set in so many is also fitted with calibration, which costs more
STEPS = np.arange(40, 2001, 20)
SCHEDULES = {
    "constant": "constant:peak_lr=1e-3,steps=2000",
    "cosine": "cosine:peak_lr=1e-3,steps=2000,final=1e-4",
    "wsd": "wsd:peak_lr=1e-3,steps=2000,decay_steps=500,final=1e-5",
    "linear": "linear:peak_lr=1e-3,steps=2000,final=1e-5",
}
LATER = "wsd:peak_lr=1e-3,steps=20000,decay_steps=5000,final=1e-5"  #: ten times the steps


@dataclass(frozen=True)
class Plan:
    """True parameters, the noise of log losses, the simulated runs, and where the loss is to be predicted."""

    law: str
    truth: dict[str, float]
    noise: float
    runs: Callable[[np.random.Generator], dict[str, np.ndarray]]
    target: dict[str, float]  #: ten times the compute of the largest run


def uniform(count: int, **decades: tuple[float, float]) -> Callable[[np.random.Generator], dict[str, np.ndarray]]:
    """Columns drawn uniformly in their decimal logarithms."""
    return lambda rng: {name: 10 ** rng.uniform(*ends, count) for name, ends in decades.items()}


PLANS = (
    Plan("power:over=C", {"A": 30.0, "alpha": 0.05}, 0.01, uniform(30, C=(17, 20)), {"C": 1e21}),
    Plan("power-floor:over=C", {"L_inf": 1.7, "A": 2e3, "alpha": 0.18}, 0.005, uniform(40, C=(16, 20)), {"C": 1e21}),
    Plan(
        "chinchilla",
        {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        0.005,
        uniform(60, N=(7, 9), D=(8.5, 10.5)),
        {"N": 10**9.5, "D": 1e11},
    ),
    Plan(
        "loss-to-loss",
        {"K": 1.01, "E1": 1.1, "E0": 1.4, "kappa": 1.08},
        0.002,
        lambda rng: {"loss_source": rng.uniform(1.7, 3.6, 60)},
        {"loss_source": 1.6},
    ),
    Plan(
        "encoder-decoder",
        {"A": 1.2, "p_enc": 0.2, "p_dec": 0.25, "L_inf": 1.4},
        0.005,
        uniform(40, N_enc=(7, 9), N_dec=(7, 9)),
        {"N_enc": 10**9.5, "N_dec": 10**9.5},
    ),
    Plan("annealing", {"L0": 2.5, "A": 0.5, "C": 0.3, "alpha": 0.5}, 0.003, lambda rng: {}, {}),
)


def simulated(plan: Plan, seed: int) -> sf.Runs:
    """One simulated data set."""
    rng, law = np.random.default_rng(seed), sf.find_law(plan.law)
    if law.is_trajectory:
        logs = []
        for name, text in SCHEDULES.items():
            loss = along(plan, text, STEPS) * np.exp(plan.noise * rng.standard_normal(len(STEPS)))
            logs.append(pd.DataFrame({"run": name, "step": STEPS, "loss": loss}))
        return sf.read_runs(pd.concat(logs), schedule=SCHEDULES)
    columns = plan.runs(rng)
    loss = np.ravel(law.evaluate({name: columns[column] for name, column in law.columns.items()}, plan.truth))
    return sf.read_runs(pd.DataFrame({**columns, "loss": loss * np.exp(plan.noise * rng.standard_normal(len(loss)))}))


def along(plan: Plan, schedule: str, steps: np.ndarray) -> np.ndarray:
    """The true loss along a schedule."""
    law, lr = sf.find_law(plan.law), parse_schedule(schedule)
    return np.ravel(law.evaluate(law.at_steps(lr.per_step(), lr.warmup, steps), plan.truth))


def true_target(plan: Plan) -> float:
    """The planted loss at the target."""
    law = sf.find_law(plan.law)
    if law.is_trajectory:
        return float(along(plan, LATER, np.array([20000]))[0])
    at = {name: np.array([plan.target[column]]) for name, column in law.columns.items()}
    return float(np.ravel(law.evaluate(at, plan.truth))[0])


def judged(plan: Plan, runs: sf.Runs, seed: int, truth: float, calibrated: bool) -> dict[str, float]:
    """Whether each planted number lies inside its interval, and the width of the interval of the mean."""
    fit = sf.fit(runs, plan.law, draws=DRAWS, seed=seed, calibrated=calibrated)
    if fit.intervals is None:
        return {"refused": 1.0}
    asked = {"schedule": LATER} if fit.law.is_trajectory else plan.target
    mean = fit.predict(interval="mean", **asked).iloc[-1]
    kind = "calibrated" if calibrated else "plain"
    found = {
        "refused": 0.0,
        f"loss ({kind})": float(mean["low"] <= truth <= mean["high"]),
        f"width ({kind})": float(np.log(mean["high"] / mean["low"])),
    }
    if not calibrated:
        ends = fit.table
        found |= {n: float(ends.loc[n, "low"] <= value <= ends.loc[n, "high"]) for n, value in plan.truth.items()}
    return found


def coverage(plan: Plan, count: int) -> tuple[pd.Series, float]:
    """How often each planted number lies inside over ``count`` data sets, and CPU seconds."""
    begin, truth, rows = time.process_time(), true_target(plan), []
    for seed in range(count):
        runs = simulated(plan, seed)
        row = judged(plan, runs, seed, truth, False)
        if seed % CALIBRATED == 0:
            row |= judged(plan, runs, seed, truth, True)
        rows.append(row)
    return pd.DataFrame(rows).mean(), time.process_time() - begin


def report(only: str = "", count: int = 1000) -> None:
    """Print the coverage of each law."""
    for plan in PLANS:
        if not plan.law.startswith(only):
            continue
        shares, seconds = coverage(plan, count)
        inside = {name: f"{100 * share:.1f}" for name, share in shares.items() if not name.startswith("width")}
        wide = {name: f"{100 * share:.2g} %" for name, share in shares.items() if name.startswith("width")}
        print(f"{plan.law}: {count} data sets, {seconds:.0f} s CPU", flush=True)
        print("  inside (%): " + ", ".join(f"{name} {share}" for name, share in inside.items()), flush=True)
        print("  " + ", ".join(f"{name} {share}" for name, share in wide.items()), flush=True)


FURTHER = 10**0.75  #: in N and in D: 1.5 decades of compute beyond the largest run
NOISE = 0.01


def sixty(design: str, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sixty runs of the Chinchilla law with noise of 1 %, and one run 1.5 decades of compute beyond them."""
    plan = next(plan for plan in PLANS if plan.law == "chinchilla")
    if design == "at random":
        N, D = 10 ** rng.uniform(7, 9, 60), 10 ** rng.uniform(8.5, 10.5, 60)
    else:
        C = np.repeat(np.geomspace(1e17, 1e20, 6), 10)
        N = (C / 120) ** 0.5 * np.tile(np.geomspace(0.25, 4, 10), 6)
        D = C / 6 / N
    most = 1e20 if design == "isoFLOP" else 6 * 10**19.5
    ratio = 20.0 if design == "isoFLOP" else 10**1.5
    further = (most * FURTHER**2 / 6 / ratio) ** 0.5
    N, D = np.append(N, further), np.append(D, ratio * further)
    loss = np.ravel(sf.find_law(plan.law).evaluate({"N": N, "D": D}, plan.truth))
    table = pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(NOISE * rng.standard_normal(61))})
    return table[:60], table[60:]


def right(count: int = 300) -> None:
    """How often the loss of one further run lies in its interval where the law is right, and how wide that is."""
    for design in ("at random", "isoFLOP"):
        rows = []
        for seed in range(count):
            small, large = sixty(design, np.random.default_rng(seed))
            found = sf.fit(small, "chinchilla", draws=60).predict(large).iloc[0]
            inside = found["low"] <= found["measured"] <= found["high"]
            rows.append((inside, (found["high"] - found["low"]) / found["measured"]))
        held, width = 100 * np.mean(rows, axis=0)
        print(f"60 runs {design}: {held:.1f} % of {count} inside, mean width {width:.2f} % of the loss", flush=True)
