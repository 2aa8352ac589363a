"""How well the smaller sizes of a sweep would have predicted the best learning rate of the largest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError
from scalefit.runs import Runs
from scalefit.transfer.boundary import least_at
from scalefit.transfer.lr_transfer import lr_transfer
from scalefit.transfer.sweeps import Sweeps, read_sweeps


def backtest_transfer(runs: Runs | pd.DataFrame | Sweeps, **options: object) -> pd.DataFrame:
    """Back-test: the law of the smaller sizes predicts the best learning rate of the largest; one row per arm.

    ``regret`` is the loss at the predicted learning rate over the smallest loss, minus 1; losses between the measured
    learning rates are interpolated (monotone cubic in log lr, means over seeds). The smallest of several noisy means is
    too low by about ``noise`` (:func:`seed_noise`). ``options`` as in :func:`lr_transfer`.
    """
    asked = {name: options.pop(name) for name in ("over", "arms", "initial_loss", "ignore") if name in options}
    sweeps = runs if isinstance(runs, Sweeps) else read_sweeps(runs, **asked)  # type: ignore[arg-type]
    largest = max(size for name in sweeps.names for size in sweeps.sizes(name))
    if all(len(sweeps.sizes(name)) < 2 for name in sweeps.names):
        raise IdentificationError(f"there is only one {sweeps.over} to predict", todo="add a sweep at another one")
    earlier = lr_transfer(sweeps.below(largest), **options)  # type: ignore[arg-type]
    rows = []
    for arm in earlier.arms:
        held = sweeps.cell(arm.name, largest)
        if not len(held) or not np.isfinite(arm.height[0]):
            continue
        predicted = arm.at(largest)
        rows.append(
            {
                "arm": arm.name, sweeps.over: largest, "lr": predicted.value, "low": predicted.low,
                "high": predicted.high, "regret": regret(held, predicted.value), "noise": seed_noise(held),
                "least_at": least_at(held),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def regret(cell: pd.DataFrame, lr: float) -> float:
    """Loss at a learning rate over the smallest loss of a sweep, minus 1; NaN outside those with a finite loss."""
    from scipy.interpolate import PchipInterpolator

    means = cell.groupby("lr")["loss"].mean().dropna()
    if len(means) < 2:
        return float("nan")
    curve = PchipInterpolator(np.log2(means.index.to_numpy(float)), means.to_numpy(), extrapolate=False)
    return float(curve(np.log2(lr)) / means.min() - 1)


def seed_noise(cell: pd.DataFrame) -> float:
    """Standard error of the difference between the mean losses of two learning rates, relative to the loss.

    From the four best learning rates that all seeds have, without the offset of each seed; NaN for one seed.
    """
    losses = cell.pivot_table(index="lr", columns="seed", values="loss").dropna()
    losses = losses.loc[losses.mean(axis=1).nsmallest(4).index]
    rates, seeds = losses.shape
    if seeds < 2 or rates < 2:
        return float("nan")
    left = losses.sub(losses.mean(axis=1), axis=0) - losses.mean() + losses.to_numpy().mean()
    variance = float((left**2).to_numpy().sum()) / ((rates - 1) * (seeds - 1))
    return float(np.sqrt(2 * variance / seeds) / losses.mean(axis=1).min())
