"""How often the intervals of lr-transfer contain the planted value: python benchmarks/learning_rates.py [REPEATS].

The optimum of one sweep: five shapes of loss against learning rate; grids of half an octave, one and two octaves at
random offsets; one and four seeds. The drift over three sizes, whose optima stray from the line by a stated amount.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pandas as pd

from scalefit.transfer.lr_transfer import Arm, lr_transfer
from scalefit.transfer.optimum import Optimum, best_lr

Shape = Callable[[np.ndarray], np.ndarray]
NOISE = 0.003  #: of the log loss
#: loss as a function of octaves from the best learning rate, smallest at 0
SHAPES: dict[str, Shape] = {
    "parabola": lambda z: 2.5 * np.exp(0.02 * z**2),
    "tilted": lambda z: 2.5 + 0.5 * (np.exp(0.35 * z) - 1 - 0.35 * z),
    "walled": lambda z: 2.2 + 0.3 * 2 ** (-0.3 * z) + 0.045 * 2 ** (2 * z),
    "saturating": lambda z: 3 - 0.5 * np.exp(-0.1 * z**2),
    "kinked": lambda z: 2.5 + np.where(z < 0, 0.03, 0.3) * z**2,
}


def sweep(name: str, step: float, seeds: int, k: int) -> Optimum:
    """The optimum found in one sweep of a shape, whose own is at 2^-8."""
    rng = np.random.default_rng(k)
    z = np.repeat(np.arange(-5, 5, step) + rng.uniform(-0.5, 0.5) * step, seeds)
    loss = SHAPES[name](z) * np.exp(NOISE * rng.standard_normal(len(z)))
    return best_lr(2.0 ** (z - 8), loss, np.tile(np.arange(seeds), len(z) // seeds), rng_seed=k)


def swept(drift: float, stray: float, k: int) -> Arm:
    """What is found of three widths whose optima stray from a line."""
    rng, rows = np.random.default_rng(k), []
    for i in range(3):
        away = stray * rng.standard_normal()
        z = np.arange(-5, 5, 0.5)
        loss = SHAPES["tilted"](z - drift * (i - 1) - away) * np.exp(NOISE * rng.standard_normal(len(z)))
        rows.append(pd.DataFrame({"width": 64 * 2**i, "lr": 2.0 ** (z - 8), "loss": loss}))
    (arm,) = lr_transfer(pd.concat(rows), seed=k).arms
    return arm


def optima(repeats: int) -> Iterator[dict[str, object]]:
    """Coverage of the optimum's interval, and its root mean square error and width in octaves."""
    for name, step, seeds in product(SHAPES, (0.5, 1.0, 2.0), (1, 4)):
        known = [each for k in range(repeats) if not (each := sweep(name, step, seeds, k)).refused]
        off = [each.log2 + 8 for each in known]
        yield {
            "shape": name, "step": step, "seeds": seeds, "held": np.mean([e.low <= 2.0**-8 <= e.high for e in known]),
            "rms_error": float(np.sqrt(np.mean(np.square(off)))), "width": np.median([e.octaves for e in known]),
        }  # fmt: skip


def drifts(repeats: int) -> Iterator[dict[str, object]]:
    """Coverage of the drift over three widths and of the law at twice the largest width, and the verdicts."""
    for drift, stray in product((-1.0, -0.5, 0.0), (0.0, 0.15, 0.3)):
        held, law, words = [], [], []
        for k in range(repeats):
            arm = swept(drift, stray, k)
            at = arm.at(512)
            held.append(arm.drift.low <= drift <= arm.drift.high)
            law.append(at.low <= 2.0 ** (-8 + 2 * drift) <= at.high)
            words.append(arm.verdict.split(":")[0])
        counted = pd.Series(words).value_counts(normalize=True).to_dict()
        yield {"drift": drift, "stray": stray, "held": np.mean(held), "law_held": np.mean(law), **counted}


def main() -> None:
    """Both tables."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    for rows in (optima(repeats), drifts(repeats)):
        sys.stdout.write(pd.DataFrame(rows).round(3).to_string(index=False) + "\n\n")


if __name__ == "__main__":
    main()
