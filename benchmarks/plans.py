"""How often the planted optimum, and the planted compute for a loss, lie inside the 90 % intervals of a plan.

    python benchmarks/plans.py [--sets 500]

Runs are drawn evenly in log N and log(D/N) under the additive law with the constants of arXiv:2404.10102 and 0.5 % of
noise; the plan is for ten times the compute of the largest run, and for the loss of the optimum there. All sets are
fitted as one batch, which gives what fit.plan gives of each (--check compares some of them). The results are in
docs/planning.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law
from scalefit.planning.allocation.cost import cost_of
from scalefit.planning.allocation.spread import ends, plain_ends
from scalefit.planning.allocation.surface import surface_of
from scalefit.solver.many import solve_many
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Settings
from scalefit.uncertainty.bootstrap import FEW_BLOCKS, bootstrap
from scalefit.uncertainty.calibration import small_sample

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
NOISE = 0.005
SIZES, RATIOS = (7.0, 9.0), (0.7, 2.0)  #: decimal logarithms of N and of D/N
BEYOND = 10.0
DRAWS = 200
COUNTS = (14, 60)
LAW = find_law("chinchilla")


def simulated(count: int, seed: int) -> pd.DataFrame:
    """Runs under the planted law."""
    rng = np.random.default_rng([count, seed])
    N = 10 ** rng.uniform(*SIZES, count)
    D = N * 10 ** rng.uniform(*RATIOS, count)
    loss = LAW.evaluate({"N": N, "D": D}, TRUTH)
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(NOISE * rng.standard_normal(count))})


def truth_of(runs: pd.DataFrame) -> tuple[float, Any]:
    """The budget that is planned, and its planted optimum."""
    C = BEYOND * 6 * float((runs["N"] * runs["D"]).max())
    return C, sf.compute_optimal("chinchilla", TRUTH, C)


def judged(planned: dict[str, tuple[float, float]], runs: pd.DataFrame) -> dict[str, float]:
    """Whether the truth lies inside the intervals of one data set, and how wide they are."""
    C, truth = truth_of(runs)
    row = {}
    for name, value in (("N", float(truth.N)), ("D", float(truth.D)), ("C", C)):
        low, high = planned[name]
        row |= {name: low <= value <= high, f"{name}_width": high / low, f"{name}_above": value > high}
    return row


def alone(runs: pd.DataFrame, seed: int) -> dict[str, tuple[float, float]]:
    """The intervals that fit.plan gives of one data set; those of a loss below the fitted floor have no end."""
    C, truth = truth_of(runs)
    fit = sf.fit(runs, "chinchilla", draws=DRAWS, seed=seed, calibrated=False)
    first, second = (row for _, row in fit.plan(compute=C, loss=float(truth.loss)).table.iterrows())
    planned = {name: (first[f"{name}_low"], first[f"{name}_high"]) for name in ("N", "D")}
    if np.isfinite(second.get("floor", np.nan)):  # the law says that it is never reached
        return planned | {"C": (0.0 if second["floor_low"] < float(truth.loss) else np.inf, np.inf)}
    return planned | {"C": (second["C_low"], second["C_high"])}


def together(sets: list[pd.DataFrame]) -> list[dict[str, tuple[float, float]]]:
    """The same of each of many sets of as many runs; the seed of its draws is a set's number."""
    own = {name: np.stack([runs[name].to_numpy() for runs in sets]) for name in ("N", "D")}
    values, n = np.stack([runs["loss"].to_numpy() for runs in sets]), len(sets[0])
    models = [bind(LAW, {name: column[i] for name, column in own.items()}) for i in range(len(sets))]
    every = replace(models[0], variables=own, position=None, own=True)
    found = solve_many(every, values, np.ones_like(values), Settings())
    answers = []
    for i, (runs, model) in enumerate(zip(sets, models, strict=True)):
        theta, objective = found.theta[i], Objective("log", "huber", float(found.delta[i]))
        given = model, objective, values[i], np.ones(n), theta, np.arange(n)
        method = "pairs" if n >= FEW_BLOCKS else "bayesian"
        draws = bootstrap(*given, draws=DRAWS, seed=i, method=method, sigma=float(found.sigma[i]))
        few = small_sample(n, n, len(model.coordinates), method)
        table = model.vector(np.concatenate([theta[None], draws]))
        surface = surface_of(LAW, table, cost_of(None, ("N", "D"), None, {}), {})
        C, truth = truth_of(runs)
        planned = {name: ends(place, few) for name, place in surface.optimum(C).items()}
        floor, loss = surface.floor(), float(truth.loss)
        if floor[0] < loss:
            answers.append(planned | {"C": ends(surface.budget_for(loss), few)})
        else:
            answers.append(planned | {"C": (0.0 if plain_ends(floor, few)[0] < loss else np.inf, np.inf)})
    return answers


def main() -> None:
    """Print one line for each number of runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    parser.add_argument("--check", type=int, default=0, help="how many sets are fitted one by one as well")
    given = parser.parse_args()
    for count in given.counts:
        begin = time.perf_counter()
        sets = [simulated(count, seed) for seed in range(given.sets)]
        planned = together(sets)
        for seed in range(given.check):
            print(planned[seed], alone(sets[seed], seed), sep="\n")
        rows = pd.DataFrame([judged(*each) for each in zip(planned, sets, strict=True)]).astype(float)
        share, width = 100 * rows.mean(), rows[["N_width", "C_width"]].median()
        print(
            f"{count} runs, {given.sets} sets: N* inside {share['N']:.1f} % ({share['N_above']:.1f} % above), D* "
            f"{share['D']:.1f} %, compute for the loss {share['C']:.1f} % ({share['C_above']:.1f} % above); median "
            f"width of N* {width['N_width']:.3g} times, of the compute {width['C_width']:.3g} times; "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
