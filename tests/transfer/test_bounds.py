"""A size without an optimum bounds the line: by rejection sampling, in the answer, in the exit code, in back-tests."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.transfer.bounds import BROKEN, WRONG, held_in
from scalefit.transfer.drift import STRAY


def sweep(last: dict[float, float], slope: float = -0.5) -> pd.DataFrame:
    """Widths 64 to 256 with optima at 2^-4 falling by ``slope`` per doubling, and the losses given at width 512."""
    grid = 2.0 ** np.arange(-9, 1)
    rows = [
        {"d_model": width, "lr": lr, "loss": 3 * np.exp(0.01 * (np.log2(lr) + 4 - slope * np.log2(width / 64)) ** 2)}
        for width in (64, 128, 256)
        for lr in grid
    ]
    return pd.DataFrame([*rows, *({"d_model": 512, "lr": lr, "loss": loss} for lr, loss in last.items())])


def test_lines_held_in_gaps_are_those_of_rejection_sampling():
    rng = np.random.default_rng(1)
    height, slope = rng.normal(-6, 0.2, 40_001), rng.normal(-0.5, 0.3, 40_001)
    height[0], slope[0] = -6.0, -0.5  # the fit
    x, gaps = np.array([3.0, -2.0]), np.array([[-np.inf, -8.0], [-5.5, -4.0]])
    found, steep, broken = held_in(height, slope, x, gaps)
    strayed = height[1:] + slope[1:] * x[:, None] + STRAY * rng.standard_normal((2, 40_000))
    passes = (strayed > gaps[:, :1]) & (strayed < gaps[:, 1:]) | (rng.uniform(size=(2, 40_000)) < WRONG)
    kept = passes.all(axis=0)
    assert not broken.any()
    for ours, drawn in ((found, height), (steep, slope)):
        assert ours[1:].mean() == pytest.approx(drawn[1:][kept].mean(), abs=0.01)
        assert ours[1:].std() == pytest.approx(drawn[1:][kept].std(), rel=0.05)
        assert ours[0] - drawn[0] == pytest.approx(ours[1:].mean() - drawn[1:].mean(), abs=0.005)


def test_a_gap_through_which_no_line_passes_moves_none():
    rng = np.random.default_rng(0)
    height, slope = rng.normal(-6, 0.1, 500), rng.normal(-0.5, 0.1, 500)
    found, steep, broken = held_in(height, slope, np.array([2.0]), np.array([[-np.inf, -9.0]]))
    assert broken.tolist() == [True] and 0.0 < BROKEN < 0.5
    assert sorted(set(found[1:])) == sorted(set(height[1:])) and found[0] == height[0] and steep[0] == slope[0]


def test_gaps_that_no_line_passes_together_are_told_though_each_alone_is_passed():
    """One size wants a rising line, the next a falling one: the fit lies outside of the gaps it does not pass."""
    rng = np.random.default_rng(0)
    height, slope = np.r_[-7, rng.normal(-7, 0.1, 400)], np.r_[0.0, rng.normal(0, 0.5, 400)]
    x, gaps = np.array([3.0, 4.0]), np.array([[-5.0, np.inf], [-np.inf, -9.0]])
    for alone in (0, 1):
        assert not held_in(height, slope, x[[alone]], gaps[[alone]])[2].any()
    found, steep, broken = held_in(height, slope, x, gaps)
    missed = [not low < found[0] + steep[0] * at < high for at, (low, high) in zip(x, gaps, strict=True)]
    assert broken.tolist() == missed and any(missed)


def test_a_minimum_at_the_edge_of_the_largest_grid_moves_the_forecast():
    falls = {lr: 3 + 0.02 * (np.log2(lr) + 7) for lr in 2.0 ** np.arange(-6, -1)}  # its best lies below 2^-5
    plain, held = (sf.lr_transfer(sweep(last), target=1024)["all"] for last in ({}, falls))
    assert plain.at(512).value == pytest.approx(2**-5.5, rel=0.02)
    assert not held.broken and held.at(512).high < plain.at(512).high


@pytest.mark.parametrize("alive", [0, 1, 2])
def test_a_size_that_lost_most_of_its_rates_speaks_against_the_law(tmp_path, alive):
    """At width 512 nothing above 2^-8 survived, where the law of the others says 2^-5.5: that is no forecast."""
    last = {lr: 3.2 + i / 10 if i < alive else np.nan for i, lr in enumerate(2.0 ** np.arange(-9, 1))}
    found = sf.lr_transfer(sweep(last), target=1024)
    assert found["all"].broken == (512.0,) and not found.ok
    assert "at d_model 512, where the best one lies below 0.0" in str(found)
    path = tmp_path / "sweep.csv"
    sweep(last).to_csv(path, index=False, na_rep="nan")
    done = commands.run(f"scalefit lr-transfer {path} --at d_model=1024 --json")
    assert done.exit_code == 1 and "extend the learning rates there" in done.stdout
    assert np.isnan(sf.backtest_transfer(sweep(last))["regret"].iloc[0])


def test_divergence_is_back_tested_where_the_largest_size_is_lost():
    rows = sweep(dict.fromkeys(2.0 ** np.arange(-9, 1), np.nan))
    rows.loc[rows["lr"] > 2.0**-2 * (64 / rows["d_model"]), "loss"] = np.nan
    judged = sf.backtest_divergence(sf.read_sweeps(rows))
    assert judged.table["seen"].all() and len(judged.table) == 10
    assert judged.recall == pytest.approx(judged.table["predicted"].mean())


def test_a_size_of_which_no_run_is_left_is_named(tmp_path):
    """`to_csv` writes NaN as an empty cell: the largest size left the answer without its name."""
    path = tmp_path / "sweep.csv"
    sweep(dict.fromkeys(2.0 ** np.arange(-9, 1), np.nan)).to_csv(path, index=False)
    found = sf.lr_transfer(sf.read_runs(path, need=()), target=1024)
    assert any(note.startswith("no run is left at d_model 512; if these diverged, write nan") for note in found.notes)
    assert not any("no run is left" in note for note in sf.lr_transfer(sweep({})).notes)
