"""How often the planted optimum, and the planted compute for a loss, lie inside the 90 % intervals of a plan.

    python benchmarks/plans.py [--sets 500]

Runs are drawn evenly in log N and log(D/N) under the additive law with the constants of arXiv:2404.10102 and 0.5 % of
noise; the plan is for ten times the compute of the largest run, and for the loss of the optimum there. The results are
in docs/planning.md.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
NOISE = 0.005
SIZES, RATIOS = (7.0, 9.0), (0.7, 2.0)  #: decimal logarithms of N and of D/N
BEYOND = 10.0
DRAWS = 200
COUNTS = (14, 60)


def simulated(count: int, seed: int) -> pd.DataFrame:
    """Runs under the planted law."""
    rng = np.random.default_rng([count, seed])
    N = 10 ** rng.uniform(*SIZES, count)
    D = N * 10 ** rng.uniform(*RATIOS, count)
    loss = find_law("chinchilla").evaluate({"N": N, "D": D}, TRUTH)
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(NOISE * rng.standard_normal(count))})


def judged(count: int, seed: int) -> dict[str, float]:
    """Whether the truth lies inside the intervals of one data set, and how wide they are."""
    runs = simulated(count, seed)
    C = BEYOND * 6 * float((runs["N"] * runs["D"]).max())
    truth = sf.compute_optimal("chinchilla", TRUTH, C)
    fit = sf.fit(runs, "chinchilla", draws=DRAWS, seed=seed, calibrated=False)
    found = fit.plan(compute=C, loss=float(truth.loss)).table
    first, second = found.iloc[0], found.iloc[1]
    row = {"status": fit.status == "converged"}
    for name, value in (("N", float(truth.N)), ("D", float(truth.D))):
        row[name] = first[f"{name}_low"] <= value <= first[f"{name}_high"]
        row[f"{name}_width"] = first[f"{name}_high"] / first[f"{name}_low"]
    if "floor" in found and np.isfinite(second.get("floor", np.nan)):  # the law says that it is never reached
        return row | {"C": second["floor_low"] < float(truth.loss), "C_width": np.inf, "never": 1.0}
    return row | {
        "C": second["C_low"] <= C <= second["C_high"],
        "C_width": second["C_high"] / second["C_low"],
        "never": 0.0,
    }


def main() -> None:
    """Print one line for each number of runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    given = parser.parse_args()
    for count in given.counts:
        begin = time.perf_counter()
        rows = pd.DataFrame([judged(count, seed) for seed in range(given.sets)]).astype(float)
        share, width = rows[["N", "D", "C", "never", "status"]].mean(), rows[["N_width", "C_width"]].median()
        print(
            f"{count} runs, {given.sets} sets: N* inside {100 * share['N']:.1f} %, D* {100 * share['D']:.1f} %, "
            f"compute for the loss {100 * share['C']:.1f} %; median width of N* {width['N_width']:.3g} times, "
            f"of the compute {width['C_width']:.3g} times; loss below the fitted floor in "
            f"{100 * share['never']:.1f} %; converged {100 * share['status']:.0f} %; "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
