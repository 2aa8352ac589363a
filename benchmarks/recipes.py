"""How often the planted difference of two recipes, and its gain in compute, lie inside their 90 % intervals.

    python benchmarks/recipes.py [--sets 500] [--alike]

Two recipes share floor and exponent and differ in size by 7 %, with 0.3 % of noise; half of the runs are of each, drawn
evenly in log C over three decades, and compared at ten times the largest. The structure is chosen anew for each set.
With --alike both recipes have the larger size: then the interval of the difference should hold 0 in 90 % of the sets.
The results are in docs/planning.md.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from scalefit.planning.recipes.compare import _pair
from scalefit.planning.recipes.structure import candidates, chosen_structure, fitted, marked

FLOOR, SIZES, EXPONENT, NOISE = 1.8, (30.0, 28.0), 0.075, 0.003
DECADES, TARGET = (18.0, 21.0), 1e22
DRAWS = 200
COUNTS = (14, 60)


def judged(count: int, seed: int, sizes: tuple[float, float] = SIZES) -> dict[str, object]:
    """Whether the truth lies inside the intervals of one data set."""
    rng = np.random.default_rng([count, seed])
    C, mark = 10 ** rng.uniform(*DECADES, count), np.arange(count) % 2
    loss = (FLOOR + np.take(sizes, mark) * C**-EXPONENT) * np.exp(NOISE * rng.standard_normal(count))
    names = ("old", "new")
    rows = marked(pd.DataFrame({"C": C, "loss": loss, "recipe": np.take(names, mark)}), "recipe", names, "C")
    chosen = chosen_structure(candidates(rows, names, "C", [count // 2] * 2))
    joint = fitted(rows, chosen, names, "C", draws=DRAWS, seed=seed, calibrated=False)
    place = {"C": np.array([TARGET])}
    losses = np.stack([joint.losses(k, place)[:, 0] for k in range(2)], axis=1)
    row = _pair(joint, 1, 0, losses, {"C": TARGET}, rows)
    truth = (sizes[0] - sizes[1]) * TARGET**-EXPONENT
    gain = (sizes[0] / sizes[1]) ** (1 / EXPONENT)
    return {
        "difference": row["difference_low"] <= truth <= row["difference_high"],
        "gain": row["gain_low"] <= gain <= row["gain_high"],
        "chosen": chosen.text,
    }


def main() -> None:
    """Print one line for each number of runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    parser.add_argument("--alike", action="store_true")
    given = parser.parse_args()
    sizes = (SIZES[0], SIZES[0]) if given.alike else SIZES
    for count in given.counts:
        begin = time.perf_counter()
        rows = pd.DataFrame([judged(count, seed, sizes) for seed in range(given.sets)])
        right = (rows["chosen"] == "shared floor and exponents").mean()
        print(
            f"{count} runs, {given.sets} sets: difference inside {100 * rows['difference'].mean():.1f} %, gain "
            f"{100 * rows['gain'].mean():.1f} %; planted structure chosen in {100 * right:.0f} %; "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
