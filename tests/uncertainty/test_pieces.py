"""Pieces of curves: as long as their errors last, and the intervals that follow from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.prepare import Options, prepare
from scalefit.solver.solve import solve
from scalefit.uncertainty.bootstrap import FEW_BLOCKS, resampled_as_one
from scalefit.uncertainty.intervals import Resampling, make_intervals
from scalefit.uncertainty.pieces import LONG, piece_length, pieces

RUNS = np.repeat(np.arange(4), 400)


def autoregressive(rho, seed, runs=RUNS):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(len(runs))
    for i in range(1, len(runs)):
        if runs[i] == runs[i - 1]:
            noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def test_independent_errors_make_pieces_of_one_row():
    lengths = [piece_length(autoregressive(0.0, seed), RUNS) for seed in range(20)]
    assert np.median(lengths) == 1 and max(lengths) < 3


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.9])
def test_length_follows_the_correlation_time(rho):
    """An autoregressive noise of coefficient rho has tau = (1 + rho) / (1 - rho)."""
    lengths = [piece_length(autoregressive(rho, seed), RUNS) for seed in range(20)]
    assert np.median(lengths) == pytest.approx(LONG * 2 * rho / (1 - rho), rel=0.3)


def test_an_error_of_the_whole_run_makes_one_piece_a_run():
    offsets = np.array([1.0, -1.2, 0.9, -0.8])[RUNS]
    assert len(set(pieces(offsets + 0.01 * autoregressive(0.0, 0), RUNS))) == 4


def test_pieces_are_neighbours_of_one_run_and_nearly_equal():
    runs = np.repeat([0, 1, 2], [400, 250, 3])
    found = pieces(autoregressive(0.8, 3, runs), runs)
    assert np.all(np.diff(found) >= 0) and np.all(np.diff(found) <= 1)
    for piece in range(found.max() + 1):
        assert len(set(runs[found == piece])) == 1
    sizes = np.bincount(found)[: len(set(found[runs == 0]))]
    assert sizes.max() - sizes.min() <= 1


def test_an_outlier_does_not_set_the_length():
    noise = autoregressive(0.8, 1)
    spiked = noise.copy()
    spiked[100] = 1000.0
    assert piece_length(spiked, RUNS) == pytest.approx(piece_length(noise, RUNS), rel=0.3)
    assert piece_length(np.zeros(8), np.repeat([0, 1], 4)) == 1


def test_what_is_resampled_as_one():
    """Rows of a table and many curves: runs, by the usual methods; few curves: pieces whose residuals change sign."""
    noise = autoregressive(0.0, 0)
    table = np.arange(30)
    assert resampled_as_one(noise[:30], table, "auto") == (pytest.approx(table), "auto")
    many = np.repeat(np.arange(FEW_BLOCKS), 80)
    assert resampled_as_one(noise, many, "auto")[1] == "auto"
    blocks, method = resampled_as_one(noise, RUNS, "auto")
    assert method == "wild" and blocks.max() > 100
    assert resampled_as_one(noise, RUNS, "pairs") == (pytest.approx(RUNS), "pairs")


def curves(rho, seed):
    step = np.tile(np.arange(10, 1010, 10.0), 4)
    runs = np.repeat(np.arange(4), 100)
    noise = 0.004 * autoregressive(rho, seed, runs)
    return pd.DataFrame({"run": runs.astype(str), "step": step, "loss": (2 + 5 * step**-0.5) * np.exp(noise)})


def width(rho, seed):
    fit = sf.fit(curves(rho, seed), "power-floor:over=step", points="all", draws=150, calibrated=False)
    return fit.table.loc["L_inf", "high"] - fit.table.loc["L_inf", "low"]


def test_correlated_errors_widen_the_intervals():
    """By sqrt(tau) = 3 at rho = 0.8, for a parameter that the mean of the errors moves."""
    ratio = np.median([width(0.8, seed) / width(0.0, seed) for seed in range(4)])
    assert 1.8 < ratio < 5


POWER = "power-floor:over=step"


def floor_of(runs):
    """The interval of the floor, without the diagnoses of a fit."""
    ready = prepare(sf.read_runs(runs), POWER, Options(points="all", starts=2))
    found = solve(ready.model, ready.values, ready.weights, ready.settings)
    bound = (ready.law, ready.model, ready.rows, ready.weights, found, ready.settings)
    values = dict(zip(ready.law.parameters, ready.model.vector(found.theta[None])[0], strict=True))
    return make_intervals(*bound, Resampling(60), calibrated=False).parameter_intervals(values)["L_inf"]


def test_planted_floor_of_four_curves():
    """Of 20 sets of four correlated curves, about nine in ten intervals hold the planted floor."""
    inside = 0
    for seed in range(20):
        low, high = floor_of(curves(0.6, seed))
        if seed == 0:
            fit = sf.fit(curves(0.6, 0), POWER, points="all", draws=60, calibrated=False, starts=2)
            assert tuple(fit.table.loc["L_inf", ["low", "high"]]) == pytest.approx((low, high))
        inside += low <= 2 <= high
    assert 15 <= inside <= 20
