"""A dip is no new level: what comes after it is judged by what came before it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.progress.dips import in_dips


def log(rows=400, at=0.55, length=0.025, depth=0.16, noise=0.004, gradual=False, level=2.4, seed=0):
    row, rng = np.arange(rows), np.random.default_rng(seed)
    away = np.exp(-0.5 * ((row - at * rows) / (length * rows / 2.5)) ** 2)
    shape = away if gradual else (row >= at * rows) & (row < (at + length) * rows)
    loss = (level + 0.8 * ((row + rows / 40) / (rows / 40)) ** -0.3) * np.exp(-depth * shape)
    return pd.DataFrame({"step": 10 * row, "loss": loss * np.exp(noise * rng.standard_normal(rows))})


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"length": 0.1},
        {"length": 0.2, "depth": 0.4},
        {"at": 0.3, "depth": 0.05, "noise": 0.001},
        {"at": 0.9, "noise": 0.01},
        {"gradual": True, "length": 0.1},
        {"rows": 60, "length": 0.05, "noise": 0.002},
        {"rows": 5000, "length": 0.004},
        {"level": 0.02, "depth": 0.3},
    ],
    ids=str,
)
def test_a_run_that_comes_back_from_a_dip_is_calm(shape):
    assert sf.watch(log(**shape)).status == "calm"


def test_a_dip_by_a_nat_is_no_divergence_after_it():
    made = log(length=0.2, depth=0.6)
    assert sf.watch(made).status == "calm"
    told = sf.watch(made).warnings
    assert any("dips to" in each.text and abs(each.step - 2200) <= 20 for each in told)


def test_a_rise_above_the_level_before_the_dip_is_told():
    made = log()
    made.loc[made["step"] >= 3200, "loss"] += 0.25
    assert sf.watch(made).status == "risen"


def test_a_fall_that_lasts_and_a_fall_with_the_learning_rate_are_none():
    made = log(at=0.6, length=0.4)
    assert not in_dips(made["loss"].to_numpy()).any()
    back = log(length=0.05)
    lr = np.where(np.arange(400) < 220, 1.0, 0.1)
    assert in_dips(back["loss"].to_numpy()).sum() == 20
    assert not in_dips(back["loss"].to_numpy(), lr).any()


@pytest.mark.parametrize("shift", [0.25, 1.5])
def test_a_shift_without_a_dip_before_it_stays_a_rise(shift):
    made = log(depth=0.0)
    made.loc[made["step"] >= 2400, "loss"] += shift
    assert sf.watch(made).status == ("risen" if shift < 1 else "diverged")


def test_a_steady_fall_that_a_shift_ends_is_no_dip():
    """The running median lags behind a falling loss; a shift of 20 % back to that level is a rise, not its end."""
    rng, row = np.random.default_rng(1), np.arange(1, 801)
    rate = (0.45 * (1 + np.cos(np.pi * row / 800)) + 0.1) * np.minimum(row / 40, 1)
    loss = 2.6 + 8.2 * (1 + np.cumsum(rate) / 2) ** -0.45
    loss -= 0.15 * (1 - rate) * np.minimum(3 * row / 800, 1) * (row > 160)
    loss = loss * np.exp(0.01 * rng.standard_normal(800)) + 0.8 * (row > 240)
    assert sf.watch(pd.DataFrame({"step": row, "loss": loss})).status == "risen"
