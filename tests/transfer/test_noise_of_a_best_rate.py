"""The standard error between two learning rates, from seeds that ran both, by hand."""

import numpy as np
import pandas as pd
import pytest

from scalefit.transfer.backtest import seed_noise


def test_the_noise_is_what_seeds_leave_after_their_own_offsets_and_those_of_the_rates():
    rng = np.random.default_rng(0)
    rates, seeds = np.array([0.01, 0.02, 0.04]), 4
    loss = (
        2 + np.array([0.02, 0.0, 0.03])[:, None] + 0.1 * rng.standard_normal(seeds) + 0.01 * rng.standard_normal((3, 4))
    )
    cell = pd.DataFrame([{"lr": lr, "seed": j, "loss": loss[i, j]} for i, lr in enumerate(rates) for j in range(seeds)])
    left = loss - loss.mean(axis=1, keepdims=True) - loss.mean(axis=0, keepdims=True) + loss.mean()
    variance = (left**2).sum() / ((3 - 1) * (seeds - 1))
    assert seed_noise(cell) == pytest.approx(np.sqrt(2 * variance / seeds) / loss.mean(axis=1).min())
