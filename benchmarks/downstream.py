"""How often a measured loss on another data set, or accuracy on a task, lies inside the interval of its forecast.

    python benchmarks/downstream.py [--sets 500]
    python benchmarks/downstream.py --public ../shared/data

translate: two families of runs, of which the second has the losses of the first by the map of arXiv:2411.12925 to
ProofPile 2, 24 pairs of runs with .4 % of noise on either loss. Three truths: kaplan-floor with that source's
constants and chinchilla (arXiv:2404.10102), for a target that costs seven times the largest run, and over-training
(arXiv:2403.08540, C4) for a target of 15 times the data at a third of the size.
task-ladder: twelve runs of twenty checkpoints, .3 % of noise on the task's loss and .005 on the accuracy; the target
costs thirty times the largest run. The measured value is the planted one with the noise of one run.

--public: each task of the ladder of arXiv:2412.04403; its runs below 1e9 parameters, of all lengths and of the short
ones, predict the last evaluation of the 1.3B runs. The results are in docs/planning.md.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law

SOURCE = {"E": 1.96690513, "A": 66798878.459, "B": 889955656.432, "alpha": 0.41289807, "beta": 0.4555813}
K, KAPPA, E1 = 0.6048867, 1.066258, 1.3191056
PAIRED = 0.004  #: noise of a loss, relative
TARGET = {"N": 3.3e9, "D": 5e10}
#: law and constants of the source's losses, and the target: larger, or trained for 750 tokens per parameter
TRUTHS = {
    "kaplan-floor": ("kaplan-floor", SOURCE, TARGET),
    "chinchilla": ("chinchilla", {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}, TARGET),
    "over-trained": ("over-training", {"E": 1.5083, "a": 141.3, "b": 189.5, "eta": 0.12124}, {"N": 4e8, "D": 3e11}),
}
STEP, SCATTER = 0.003, 0.005  #: noise of a checkpoint's loss (relative) and of its accuracy
LADDER = {"N": 7e9, "D": 1e12}
DRAWS = 100
LARGEST = 1e9  #: parameters above which runs of the public ladder are forecast


def translated(seed: int, truth: str = "kaplan-floor") -> pd.DataFrame:
    """Of the source loss, the translated loss and the forecast by the target's own runs: inside, width, error."""
    rng = np.random.default_rng([1, seed])
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(3e7, 1.2e9, 6), np.geomspace(1e9, 2e10, 4)))
    name, constants, goal = TRUTHS[truth]

    def losses(N: object, D: object) -> tuple[np.ndarray, np.ndarray]:
        first = np.asarray(find_law(name).evaluate({"N": N, "D": D}, constants))
        return first, E1 + K * (first - constants["E"]) ** KAPPA

    families = [
        pd.DataFrame({"N": N, "D": D, "loss": each * np.exp(PAIRED * rng.standard_normal(len(N)))})
        for each in losses(N, D)
    ]
    found = sf.translate(*families, draws=DRAWS, seed=seed, **goal)
    source, target = (float(each) * np.exp(PAIRED * rng.standard_normal()) for each in losses(**goal))
    assert found.direct is not None
    made = {"source": (found.on_the_way, source), "translated": (found.reached, target), "own": (found.direct, target)}
    return pd.DataFrame(
        {
            what: {"inside": low <= measured <= high, "width": (high - low) / measured, "error": value / measured - 1}
            for what, ((value, low, high), measured) in made.items()
        }
    ).T.astype(float)


def climbed(seed: int) -> tuple[bool, float]:
    """Whether the measured accuracy lies inside, and the width of the interval."""
    rng = np.random.default_rng([2, seed])
    N, D, part = (x.ravel() for x in np.meshgrid(np.geomspace(1e8, 1e9, 4), [2e9, 1e10, 4e10], np.arange(1, 21) / 20))

    def task(N: object, D: object) -> tuple[np.ndarray, np.ndarray]:
        bits = np.asarray(0.3 + 14 * np.asarray(N) ** -0.21 + 35 * np.asarray(D) ** -0.23)
        return bits, 1 - 0.75 / (1 + np.exp(-9 * (bits - 0.9)))

    bits, accuracy = task(N, D * part)
    table = pd.DataFrame({"run": [f"{n:g}-{d:g}" for n, d in zip(N, D, strict=True)], "N": N, "D": D * part})
    table["loss"] = bits * np.exp(STEP * rng.standard_normal(len(N)))
    table["accuracy"] = accuracy + SCATTER * rng.standard_normal(len(N))
    found = sf.task_ladder(table, draws=DRAWS, seed=seed, **LADDER)
    measured = float(task(**LADDER)[1] + SCATTER * rng.standard_normal())
    _, low, high = found.reached
    return low <= measured <= high, high - low


def measured(data: Path) -> pd.DataFrame:
    """Forecast and measured accuracies of the largest runs of a public ladder, one row for each task and run."""
    table = pd.read_csv(data / "olmo_ladder" / "eval_curves.csv").query("not run.str.endswith('rerun')")
    horizon = table["run"].str.extract(r"-([\d.]+)xC")[0].astype(float)
    found = []
    for task in [name.removeprefix("acc_") for name in table if f"bpb_{name.removeprefix('acc_')}" in table]:
        names = {"params": "N", "tokens": "D", f"bpb_{task}": "loss", f"acc_{task}": "accuracy"}
        rows = table[["run", *names]].rename(columns=names).assign(horizon=horizon).dropna()
        for lengths, most in (("all", np.inf), ("short", 2.0)):
            small = rows[(rows["N"] < LARGEST) & (rows["horizon"] <= most)]
            for _, last in rows[(rows["N"] > LARGEST) & (rows["horizon"] >= 1)].groupby("run"):
                end = last.sort_values("D").iloc[-1]
                forecast = sf.task_ladder(small, draws=DRAWS, N=float(end["N"]), D=float(end["D"]))
                value, low, high = forecast.reached
                row = {"task": task, "lengths": lengths, "measured": end["accuracy"], "forecast": value}
                found.append(row | {"low": low, "high": high})
    return pd.DataFrame(found)


def public(data: Path) -> None:
    """Print what part of the public accuracies lies inside, for each choice of lengths."""
    for lengths, rows in measured(data).groupby("lengths"):
        outside = np.maximum(rows["low"] - rows["measured"], 0) + np.maximum(rows["measured"] - rows["high"], 0)
        width = rows["high"] - rows["low"]
        score = float(np.mean(width + 20 * outside))
        print(f"{lengths} lengths: {100 * (outside == 0).mean():.1f} % of {len(rows)} inside, median width "
              f"{width.median():.3g}, interval score {score:.3g}", flush=True)  # fmt: skip


def main() -> None:
    """Print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--public", type=Path, help="the folder of the public data")
    given = parser.parse_args()
    warnings.simplefilter("ignore", sf.FitWarning)
    if given.public:
        public(given.public)
        return
    begin = time.perf_counter()
    rows = np.array([climbed(seed) for seed in range(given.sets)], dtype=float)
    inside, width = f"{100 * rows[:, 0].mean():.1f} % of {given.sets} inside", np.median(rows[:, 1])
    print(f"task-ladder: {inside}, median width {width:.3g}; {time.perf_counter() - begin:.0f} s", flush=True)
    for truth in TRUTHS:
        begin = time.perf_counter()
        every = pd.concat([translated(seed, truth) for seed in range(given.sets)])
        print(f"translate, {truth}, {given.sets} sets: {time.perf_counter() - begin:.0f} s", flush=True)
        for what, each in every.groupby(level=0, sort=False):
            error, width = float(np.sqrt(np.mean(each["error"] ** 2))), each["width"].median()
            inside = f"{100 * each['inside'].mean():.1f} % inside"
            print(f"  {what}: {inside}, median width {width:.3g}, error {error:.2g}", flush=True)


if __name__ == "__main__":
    main()
