"""Forecasts of runs in progress from their own curve, where steps are epochs: simulated curves with a late fall.

python benchmarks/epochs.py             tables by shape and by cut (a minute)
python benchmarks/epochs.py 300         with 300 curves

    L(s) = L0 + A s^-alpha + G (lr/peak)^gamma, times noise

gamma 1/2 and below are falls that come at the end. The constants of the method were chosen on curves of another seed.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.errors import InputError

SEED, COUNT = 20, 150
OUTSIDE = 20.0  #: what a relative distance outside a 90 % interval costs (Winkler)


def curve(rng: np.random.Generator) -> tuple[pd.DataFrame, str, float]:
    """A log so far, its schedule and the final loss, with the exponent and the cut in ``attrs``."""
    steps, shape = int(rng.uniform(60, 300)), rng.choice(["cosine", "linear"])
    gamma, cut = float(rng.choice([0.4, 0.5, 0.6, 0.75, 1.0])), rng.uniform(0.55, 0.92)
    plan = f"{shape}:peak_lr=0.1,steps={steps},final=0"
    lr = sf.parse_schedule(plan).per_step()
    step = np.arange(steps + 1)
    fall = rng.uniform(0.3, 0.6) * np.maximum(step, 1.0) ** -rng.uniform(0.3, 0.9)
    loss = rng.uniform(0.15, 0.6) + fall + rng.uniform(0.1, 0.35) * (lr / lr.max()) ** gamma
    loss *= np.exp(10 ** rng.uniform(-3.3, -2.2) * rng.standard_normal(steps + 1))
    seen = slice(1, int(cut * steps) + 1)
    log = pd.DataFrame({"step": step[seen], "loss": loss[seen]})
    log.attrs = {"gamma": gamma, "cut": "to 70 %" if cut < 0.7 else "70 to 92 %"}
    return log, plan, float(loss[-1])


def forecasts(seed: int, count: int) -> pd.DataFrame:
    """One row per forecast: shape, cut, relative error, half width, whether it is inside, Winkler's score."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(count):
        log, plan, final = curve(rng)
        try:
            made = sf.predict_partial(log, schedule=plan)
        except InputError:
            continue  # less than half of the fall is over
        outside = max(made.low - final, final - made.high, 0.0)
        rows.append(
            {
                **log.attrs,
                "error": abs(made.final / final - 1),
                "half": (made.high - made.low) / 2 / final,
                "inside": outside == 0,
                "winkler": (made.high - made.low + OUTSIDE * outside) / final,
            }
        )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Number, median error and half width, coverage and mean score, in percent."""
    found = table.groupby(by).agg(
        forecasts=("error", "size"),
        median_error=("error", "median"),
        half_width=("half", "median"),
        inside=("inside", "mean"),
        winkler=("winkler", "mean"),
    )
    return found.assign(**{name: (100 * found[name]).round(1) for name in found.columns[1:]})


if __name__ == "__main__":
    made = forecasts(SEED, int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
    for by in ("gamma", "cut"):
        print(summary(made, by).to_string(), "\n")
