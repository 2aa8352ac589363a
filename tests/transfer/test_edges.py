"""Boundaries of many sweeps together: planted lines, censored sweeps, a slope that groups share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.transfer.boundary import fit_boundary
from scalefit.transfer.edges import fit_edges


def gaps(edge, grid=0.5, low=-12.0, high=0.0):
    """The gap of a sweep with this grid and these ends, around each boundary."""
    found = []
    for place in edge:
        stable = low + grid * np.floor((place - low) / grid)
        found.append((-np.inf if place < low else min(stable, high), np.inf if place > high else stable + grid))
    return found


def test_lines_over_size_batch_and_tokens_are_recovered():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(6, 10, 40), rng.uniform(4, 10, 40), rng.uniform(20, 30, 40)])
    edge = -6 - 0.8 * (x[:, 0] - 8) + 0.5 * (x[:, 1] - 7) - 0.2 * (x[:, 2] - 25)
    found = fit_edges(gaps(edge), np.zeros(40, dtype=int), x)
    for draws, planted in ((found.slope[:, 0], -0.8), (found.others[:, 0], 0.5), (found.others[:, 1], -0.2)):
        low, high = np.quantile(draws[1:], [0.05, 0.95])
        assert low - 0.03 < planted < high + 0.03
        assert high - low < 0.3
    ahead = found.at(0, np.array([12.0, 7.0, 25.0]))
    assert ahead[0] == pytest.approx(-6 - 0.8 * 4, abs=0.4)


def test_a_sweep_without_a_diverged_run_raises_the_line():
    x = np.array([[6.0], [7.0], [8.0]])
    closed = fit_edges([(-4.5, -4.0), (-5.5, -5.0)], np.zeros(2, dtype=int), x[:2])
    opened = fit_edges([(-4.5, -4.0), (-5.5, -5.0), (-5.2, np.inf)], np.zeros(3, dtype=int), x)
    point = np.array([8.0])
    assert np.median(opened.at(0, point)[1:]) > np.median(closed.at(0, point)[1:]) + 0.3
    assert (opened.at(0, point)[1:] > -5.8).mean() > 0.9


def test_a_group_with_one_sweep_takes_the_common_slope():
    x = np.array([[6.0], [7.0], [8.0], [9.0], [7.0]])
    edges = [(-float(size) - 0.25, -float(size) + 0.25) for size in x[:4, 0]] + [(-3.25, -2.75)]
    found = fit_edges(edges, np.array([0, 0, 0, 0, 1]), x)
    assert np.median(found.slope[1:, 1]) == pytest.approx(-1.0, abs=0.15)
    assert np.median(found.at(1, np.array([9.0]))[1:]) == pytest.approx(-5.0, abs=0.5)


def sweep(width, batch, edge):
    lr = 2.0 ** np.arange(-12.0, 3.0, 0.5)
    k = np.log2(lr)
    return pd.DataFrame(
        {"d_model": width, "batch": batch, "lr": lr, "loss": np.where(k < edge, 2 + 0.02 * (k - edge + 2) ** 2, np.nan)}
    )


def test_stability_follows_a_boundary_over_size_and_batch():
    runs = pd.concat(
        [
            sweep(width, batch, -4 - np.log2(width / 64) + 0.5 * np.log2(batch / 64e3))
            for width in (64, 128, 256, 512)
            for batch in (16e3, 64e3, 256e3)
        ],
        ignore_index=True,
    )
    found = sf.forecast(runs, 2048, 2.0**-8)
    stable = found.boundary.at(2048)
    assert stable.low < 2.0**-9 < stable.high  # at the geometric mean batch, 64 thousand
    assert np.log2(stable.high / stable.low) < 2
    assert any("follows d_model and batch together" in note for note in found.notes)
    alone = fit_boundary({64.0: sweep(64, 1, -4), 128.0: sweep(128, 1, -5)})
    assert alone is not None
    assert alone.slope[0] == pytest.approx(-1.0, abs=0.05)


def test_equal_losses_are_not_advised_to_try_smaller_rates():
    rows = pd.DataFrame({"d_model": np.repeat([64, 128], 5), "lr": np.tile(2.0 ** np.arange(-9, -4), 2), "loss": 3.0})
    with pytest.raises(sf.InputError, match="all 5 learning rates have the same loss, 3") as caught:
        sf.lr_transfer(rows)
    assert "add smaller ones" not in str(caught.value)


def with_one_loss(value, lr):
    """Three seeds at two widths, of which one run has another loss."""
    rng = np.random.default_rng(4)
    rows = [
        (width, rate, seed, 3 + 0.02 * (np.log2(rate) + 6) ** 2 + 0.004 * rng.standard_normal())
        for width in (64, 128)
        for rate in 2.0 ** np.arange(-12, -2)
        for seed in range(3)
    ]
    table = pd.DataFrame(rows, columns=["d_model", "lr", "seed", "loss"])
    at = (table["d_model"] == 64) & (table["lr"] == lr) & (table["seed"] == 1)
    return table.assign(loss=table["loss"].mask(at, value))


def test_one_absurd_loss_takes_no_other_run_of_its_seed_with_it():
    """The loss shifts the level of its seed, so that it is found first and the seeds are levelled again."""
    found = sf.lr_transfer(with_one_loss(1e9, 2.0**-9), draws=60)
    said = [note for note in found.notes if "d_model 64" in note]
    assert said == [
        "all, d_model 64: the loss 1e+09 at learning rate 0.001953 lies far from the curve through the others: left out"
    ]


def test_a_loss_of_zero_among_others_is_no_minimum():
    with pytest.raises(sf.InputError, match=r"loss is 0 in .* \(1 of 60 runs\)"):
        sf.lr_transfer(with_one_loss(0.0, 0.125), draws=20)
