"""A loss that rises ever faster at the end of the log is diverging; a spike, a shift and noise are not."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf

ROWS = 600


def log(height=0.02, tau=6.0, start=580, norm=True, **more):
    row, rng = np.arange(ROWS), np.random.default_rng(2)
    grown = np.expm1(np.maximum(0, row - start) / tau)
    loss = 2.8 + 8 * (row + 10.0) ** -0.35 + height * grown + 0.005 * rng.standard_normal(ROWS)
    table = pd.DataFrame({"step": 1000 + 10 * row, "loss": loss, **more})
    return table.assign(grad_norm=(1 + 0.5 * grown) * np.exp(0.1 * rng.standard_normal(ROWS))) if norm else table


@pytest.mark.parametrize(
    "shape", [{}, {"tau": 4.0, "start": 588}, {"tau": 30.0, "start": 480, "height": 0.01}], ids=str
)
def test_an_exponential_rise_with_the_gradient_norm_is_diverging(shape):
    seen = sf.watch(log(**shape))
    assert seen.status == "diverging"
    assert "gradient norm with it" in seen.why


def test_without_a_norm_it_takes_more_rows():
    assert sf.watch(log(tau=8.0, start=570, height=0.03, norm=False)).status == "diverging"


def test_spikes_shifts_and_a_rising_learning_rate_are_not():
    calm = log(height=0.0)
    high = 0.8 * np.exp(-np.maximum(0, np.arange(ROWS) - 590) / 3.0) * (np.arange(ROWS) > 590)
    spike = calm.assign(loss=calm["loss"] + high)
    assert sf.watch(spike).status in ("calm", "spikes")
    assert sf.watch(calm.assign(loss=calm["loss"] + 0.3 * (np.arange(ROWS) > 500))).status == "risen"
    warm = log().assign(lr=np.where(np.arange(ROWS) < 585, 1e-4, 1e-3))
    assert sf.watch(warm).status != "diverging"
    assert sf.watch(calm).status == "calm"


def test_the_exit_code_of_a_diverging_run_is_1(tmp_path):
    log().to_csv(tmp_path / "run.csv", index=False)
    told = commands.run(f"scalefit watch {tmp_path}/run.csv")
    assert told.exit_code == 1
    assert "diverging" in told.stdout


@pytest.mark.parametrize("mark", [{"status": "diverged"}, {"diverged": True}], ids=str)
def test_a_run_that_its_log_marks_has_diverged(mark, tmp_path):
    calm = log(height=0.0, norm=False, **mark)
    assert sf.watch(calm).status == "diverged"
    calm.to_csv(tmp_path / "run.csv", index=False)
    assert commands.run(f"scalefit watch {tmp_path}/run.csv").exit_code == 1


@pytest.mark.parametrize(("height", "power", "share"), [(3.0, 2, 0.1), (3.0, 3, 0.3), (5.0, 2, 0.1), (1.5, 2, 0.3)])
def test_a_rise_is_judged_from_where_it_begins_and_by_what_is_lost(height, power, share):
    """A power of the step, which is seen late and then looks straight, or is a nat above its level and rises on."""
    row = np.maximum(0.0, np.arange(ROWS) / (ROWS - 1) - 1 + share) / share
    table = log(height=0.0, norm=False)
    seen = sf.watch(table.assign(loss=table["loss"] + height * row**power))
    assert seen.status == "diverging"
    shift = table.assign(loss=table["loss"] + height * (row > 0.7))
    assert sf.watch(shift).status in ("risen", "diverged", "undecided")  # it does not rise on


def test_a_lost_loss_is_not_explained_by_a_rising_learning_rate():
    row = np.maximum(0.0, np.arange(ROWS) - 540) / 60
    table = log(height=0.0, norm=False, lr=np.where(np.arange(ROWS) < 545, 1e-4, 1e-3))
    assert sf.watch(table.assign(loss=table["loss"] + 2.5 * row**2)).status == "diverging"
    assert sf.watch(table.assign(loss=table["loss"] + 0.5 * row**2)).status != "diverging"
