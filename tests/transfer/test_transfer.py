"""Learning-rate transfer: planted optima, refusals, the shipped sweep, public sweeps, the command and the figure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError, InputError
from scalefit.plots import plot_lr_sensitivity, plot_lr_transfer, save_figure
from scalefit.transfer import optimum
from scalefit.transfer.backtest import backtest_transfer
from scalefit.transfer.drift import drift_line, interval_of
from scalefit.transfer.lr_transfer import lr_transfer
from scalefit.transfer.optimum import best_lr
from scalefit.transfer.sensitivity import lr_sensitivity
from scalefit.transfer.sweeps import read_sweeps
from scalefit.transfer.verdict import Interval, apart, verdict_of

SHIPPED = commands.ROOT / "data" / "lr_width" / "runs.csv"
PUBLIC = Path("../shared/data")
GRID = 2.0 ** np.arange(-12.0, -2.0)


def planted(drift, widths=(64, 128, 256, 512), noise=0.0, seeds=1, tilt=0.15, rng_seed=0, grid=GRID):
    """A sweep whose optimum is 2^-6 at width 64 and moves by ``drift`` octaves per doubling."""
    rng = np.random.default_rng(rng_seed)
    rows = []
    for width in widths:
        for lr in grid:
            z = np.log2(lr) + 6 - drift * np.log2(width / 64)
            bowl = 0.03 * 2 * (np.exp(-tilt * z) - 1 + tilt * z) / tilt**2
            rows += [(width, lr, seed, 2.5 + bowl + noise * rng.standard_normal()) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["width", "lr", "seed", "loss"])


# --- the optimum ------------------------------------------------------------------------------------------------------


def bowl(lr, centre=-6.0, bend=0.03):
    return 2.0 + bend * (np.log2(lr) - centre) ** 2


def test_a_parabola_is_found_exactly_on_any_grid():
    for grid in (GRID, np.geomspace(3e-4, 0.3, 7), GRID * 1.37):
        found = best_lr(grid, np.exp(0.01 * (np.log2(grid) + 6.3) ** 2), np.zeros(len(grid)), draws=40)
        assert found.log2 == pytest.approx(-6.3, abs=0.02)
        assert found.low <= found.lr <= found.high


def test_intervals_hold_the_planted_optimum_and_widen_with_noise_and_flatness():
    inside, widths = 0, {0.002: [], 0.01: []}
    for noise, found in widths.items():
        for rng_seed in range(15):
            rng = np.random.default_rng(rng_seed)
            lr, seed = np.repeat(GRID, 2), np.tile([0, 1], len(GRID))
            best = best_lr(lr, bowl(lr) + noise * rng.standard_normal(len(lr)), seed, draws=80, rng_seed=rng_seed)
            inside += best.low <= 2.0**-6 <= best.high
            found.append(best.octaves)
    assert inside >= 0.8 * 30
    assert np.median(widths[0.01]) > 1.2 * np.median(widths[0.002])
    lr, seed = np.repeat(GRID, 2), np.tile([0, 1], len(GRID))
    flat = [best_lr(lr, 2 + 0.01 * np.random.default_rng(k).standard_normal(len(lr)), seed) for k in range(8)]
    assert np.median([9 if each.refused else each.octaves for each in flat]) > 4


def test_what_a_seed_adds_to_all_its_runs_does_not_count():
    rows = planted(0.0, widths=(64,), noise=0.003, seeds=5)
    lr, loss, seed = (rows[name].to_numpy() for name in ("lr", "loss", "seed"))
    plain, shifted = (best_lr(lr, np.exp(np.log(loss) + shift * seed), seed) for shift in (0.0, 0.1))
    assert shifted.log2 == pytest.approx(plain.log2, abs=1e-6)
    assert (shifted.low, shifted.high) == pytest.approx((plain.low, plain.high), rel=1e-6)
    assert abs(plain.log2 + 6) < 0.4
    # nor does it where the seeds have unlike grids
    some = (seed < 2) | (np.abs(np.log2(lr) + 6) < 2)
    assert abs(best_lr(lr[some], np.exp(np.log(loss) + 0.1 * seed)[some], seed[some]).log2 - plain.log2) < 0.3


#: a lopsided bowl, a steep wall on the right, and a saturating left side; each is least at 0
SHAPES = {
    "tilted": lambda z: 2.5 + 0.5 * (np.exp(0.35 * z) - 1 - 0.35 * z),
    "walled": lambda z: 2.2 + 0.3 * 2 ** (-0.3 * z) + 0.045 * 2 ** (2 * z),
    "saturating": lambda z: 3 - 0.5 * np.exp(-0.1 * z**2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_intervals_hold_the_optimum_of_lopsided_curves(shape, step):
    """The curve is drawn by its own shape: no parabola is forced on it, on coarse grids neither."""
    inside, away = 0, []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        z = np.arange(-5, 5, step) + rng.uniform(-0.5, 0.5) * step
        found = best_lr(
            2.0 ** (z - 8), SHAPES[shape](z) * np.exp(0.003 * rng.standard_normal(len(z))), np.zeros(len(z))
        )
        inside += found.low <= 2.0**-8 <= found.high
        away.append(found.log2 + 8)
    assert inside >= 6
    assert abs(np.median(away)) < 0.35 * step


def test_three_learning_rates_leave_the_interval_of_their_grid():
    found = best_lr(2.0 ** np.array([-9.0, -8.0, -7.0]), np.array([2.1, 2.0, 2.05]), np.zeros(3))
    assert 2.0**-9 <= found.low < 2.0**-8.5
    assert 2.0**-7.5 < found.high <= 2.0**-7
    assert found.how.startswith("the grid")


def test_an_optimum_at_the_edge_of_stability_lies_in_the_gap():
    """Losses fall up to the last stable learning rate: the best one is there, or up to the first that is not."""
    x = np.arange(-12.0, -3.0)
    for seed in range(10):
        loss = (3 - 0.1 * (x + 12)) * np.exp(0.002 * np.random.default_rng(seed).standard_normal(9))
        found = best_lr(2.0**x, np.where(x > -6, np.nan, loss), np.zeros(9))
        assert found.lr == pytest.approx(2.0**-6)
        assert found.high >= 2.0**-5.1
        assert "falls up to the last learning rate that does not diverge" in found.doubts[0]
        assert -5.8 < np.median(found.draws) < -5.2  # anywhere in the gap, not at its end


def test_a_loss_far_from_the_others_is_left_out_by_name():
    lr = GRID
    loss = bowl(lr) + 0.002 * np.random.default_rng(0).standard_normal(len(lr))
    loss[2] = 1.2
    found = best_lr(lr, loss, np.zeros(len(lr)))
    assert "the loss 1.2 at learning rate 0.0009766 lies far from the curve" in found.doubts[0]
    assert abs(found.log2 + 6) < 0.3
    strays = [
        best_lr(lr, bowl(lr) + 0.01 * np.random.default_rng(k).standard_normal(len(lr)), lr * 0) for k in range(20)
    ]
    assert sum(bool(each.doubts) for each in strays) <= 1


def test_a_wrong_loss_at_an_end_is_no_edge_and_a_real_one_is():
    loss = np.exp(bowl(GRID, -7.0))
    for end in (0, -1):
        wrong = loss.copy()
        wrong[end] = 0.3 * loss.min()
        found = best_lr(GRID, wrong, np.zeros(len(GRID)))
        assert not found.refused
        assert abs(found.log2 + 7) < 0.1
        assert "left out" in found.doubts[0]
    late = np.array([5.54, 5.53, 5.5, 5.4, 5.0, 4.0, 3.0, 2.9, 2.8, 2.2])  # only now it learns
    assert best_lr(GRID, late, np.zeros(len(GRID))).refused.startswith("the smallest loss is at the largest")
    alone = np.array([2.5, 6.9, 6.88, 6.87, 6.91, 6.9, 7.0, 6.95, 6.9, 6.92])  # all others diverged
    assert best_lr(GRID, alone, np.zeros(len(GRID))).refused


def test_one_size_amid_the_others_does_not_decide():
    inside = apart({128.0: -7.0, 256.0: -7.0, 1024.0: -7.0}, {512.0: (-np.inf, -10.0)})
    assert inside.octaves == 1.0
    assert apart({128.0: -7.0, 256.0: -7.0}, {512.0: (-np.inf, -10.0)}).octaves == 3.0


def test_a_loss_that_is_left_out_has_no_part_in_the_sensitivity():
    rows = planted(0.0, widths=(64, 128), noise=0.002)
    bad = rows.assign(loss=rows["loss"].where((rows["width"] > 64) | (rows["lr"] != GRID[3]), 1.2))
    good, told = (lr_transfer(each, draws=20).table["lr_sensitivity"] for each in (rows, bad))
    assert told.iloc[0] == pytest.approx(good.iloc[0], rel=0.3)


def test_half_of_the_seeds_lost_is_a_learning_rate_lost():
    rows = planted(0.0, widths=(64,), seeds=4, noise=0.002)
    rows.loc[(rows["lr"] > 2.0**-7) & (rows["seed"] > 0), "loss"] = np.nan
    found = best_lr(*(rows[name].to_numpy() for name in ("lr", "loss", "seed")))
    assert found.lr <= 2.0**-7
    assert any("3 of 4 seeds diverged" in note for note in found.notes)
    assert not any("seeds" in doubt for doubt in found.doubts)


def test_learning_rates_of_single_precision_are_those_of_double():
    grid = GRID * 1.1  # powers of two are the same in either precision
    rows = pd.concat([planted(-1.0, noise=0.003, rng_seed=k, grid=grid).assign(seed=k) for k in range(2)])
    single = rows.assign(lr=np.where(rows["seed"] > 0, rows["lr"].astype("float32").astype(float), rows["lr"]))
    columns = ["lr", "low", "high", "lr_sensitivity"]
    tables = [lr_transfer(each, draws=30).table[columns] for each in (rows, single)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)


def test_a_minimum_at_the_edge_is_refused_by_name():
    falling = best_lr(GRID, 3 - 0.1 * np.log2(GRID / GRID[0]), np.zeros(len(GRID)))
    assert "largest learning rate tried (0.125): add larger" in falling.refused
    assert "smallest" in best_lr(GRID, 2 + GRID, np.zeros(len(GRID))).refused
    assert np.isnan(falling.lr)
    # a cliff of diverged runs is no edge of the grid
    cliff = np.where(GRID > 2.0**-7, np.nan, 3 - 0.1 * np.log2(GRID / GRID[0]))
    assert best_lr(GRID, cliff, np.zeros(len(GRID)), draws=20).log2 == pytest.approx(-7, abs=0.01)


def test_two_learning_rates_have_no_minimum_between_them():
    with pytest.raises(InputError, match="2 learning rates"):
        best_lr(np.array([0.1, 0.2]), np.array([1.0, 2.0]), np.zeros(2))


def test_one_loss_that_stands_alone_is_no_obstacle():
    lr = 2.0 ** np.array([-12.0, -11.0, -10.0, -9.0, -8.0, -3.0])
    for loss in ([2.9, 2.85, 2.87, 2.95, np.nan, 2.9], [2.9, 2.85, 2.87, np.nan, np.nan, 2.8], [9, 8, 7, 2, np.nan, 3]):
        found = best_lr(lr, np.array(loss, dtype=float), np.zeros(6), draws=60)
        assert found.refused or found.low <= found.lr <= found.high
    few = best_lr(lr, np.array([np.nan, np.nan, 2.9, 2.8, np.nan, np.nan]), np.zeros(6))
    assert few.refused.startswith("only 2 of 6 learning rates")
    seeds = np.array([0, 1, 2, 3, 4, 5])  # each learning rate has its own seed: some draws hold fewer than three
    assert np.isfinite(best_lr(lr, bowl(lr, -9.0), seeds, draws=60).draws).all()


@pytest.mark.parametrize("bad", [10.5, 6.0])
@pytest.mark.parametrize("initial", [None, 10.5, 10.4])
def test_a_diverged_run_with_a_finite_loss_acts_as_one_without(bad, initial):
    rows = planted(-0.7, widths=(128, 256, 512), grid=2.0 ** np.arange(-12.0, -4.0))
    over = rows["lr"] * rows["width"] > 2.5
    none, high = rows.assign(loss=rows["loss"].mask(over)), rows.assign(loss=rows["loss"].mask(over, bad))
    wanted, found = (lr_transfer(each, draws=30, initial_loss=initial) for each in (none, high))
    columns = ["lr", "low", "high", "loss"]
    pd.testing.assert_frame_equal(found.table[columns], wanted.table[columns])
    assert over.sum() > 2
    assert any("jump" in note or f"{over.sum()} of 24 runs back at or above" in note for note in found.notes)
    assert not any("far below" in doubt for best in found["all"].optima.values() for doubt in best.doubts)


def test_a_smooth_wall_is_no_cliff():
    for noise in (0.0, 0.01):
        rows = planted(-0.5, noise=noise, seeds=2)
        assert not lr_transfer(rows, draws=5).sweeps.points["loss"].isna().any()
        assert not any("jump" in note for note in lr_transfer(rows, draws=5, initial_loss=9.0).notes)


def test_a_minimum_far_below_every_loss_is_told():
    lr = 2.0 ** np.arange(-11.0, -5.0)
    found = best_lr(lr, np.array([2.9, 2.85, 2.84, 2.86, 3.9, 4.0]), np.zeros(6), draws=10)
    assert any("far below every measured loss" in doubt for doubt in found.doubts) == (found.loss < 2.82)
    assert optimum._too_low(2.70, np.array([2.9, 2.85, 2.87]))
    assert not optimum._too_low(2.849, np.array([2.9, 2.85, 2.87]))


# --- sensitivity ------------------------------------------------------------------------------------------------------


def test_sensitivity_is_the_formula_and_divergence_counts_as_the_initial_loss():
    loss = [3.1, 2.9, 2.7, 2.8, 4.0, 9.0, np.nan, np.inf]
    start = 5.545
    by_hand = (0.4 + 0.2 + 0.0 + 0.1 + 1.3 + 3 * (start - 2.7)) / 8
    assert lr_sensitivity(loss, start) == pytest.approx(by_hand)
    assert lr_sensitivity([5.545] * 4, start) == 0.0
    with pytest.raises(InputError, match="initialisation is not known"):
        lr_sensitivity(loss)
    with pytest.raises(InputError, match="no run of the grid"):
        lr_sensitivity([np.nan, np.inf], start)


def test_sensitivity_does_not_depend_on_the_order_and_uses_the_shared_grid():
    rng = np.random.default_rng(1)
    loss = rng.uniform(2, 4, 9)
    assert lr_sensitivity(loss) == pytest.approx(lr_sensitivity(rng.permutation(loss)))
    rows = planted(0.0, widths=(64, 128))
    rows = rows[(rows["width"] == 64) | (rows["lr"] > GRID[2])]
    found = lr_transfer(rows, draws=5)
    assert any("that all sizes share" in note for note in found.notes)
    assert found.table["lr_sensitivity"].nunique() == 1


def test_diverged_runs_need_the_initial_loss():
    rows = planted(-1.0, widths=(64, 128))
    rows.loc[rows["lr"] > 2.0**-4, "loss"] = np.nan
    without = lr_transfer(rows, draws=5)
    assert without.table["lr_sensitivity"].isna().all()
    assert any("--initial-loss" in note for note in without.notes)
    given = lr_transfer(rows, draws=5, initial_loss=5.5)
    assert given.table["lr_sensitivity"].gt(0.5).all()
    assert lr_transfer(rows.assign(vocab=245), draws=5).sweeps.initial_loss == pytest.approx(np.log(245))


def test_a_seed_that_diverged_beside_one_that_did_not_counts_too():
    grid = [(64, lr, seed, loss) for lr, loss in ((1, 2.2), (2, 2.0), (4, 2.1), (8, 2.4)) for seed in (0, 1)]
    rows = pd.DataFrame(grid, columns=["width", "lr", "seed", "loss"])
    rows.loc[rows.index[-1], "loss"] = np.nan
    without, given = lr_transfer(rows, draws=5), lr_transfer(rows, draws=5, initial_loss=5.0)
    assert without.table["lr_sensitivity"].isna().all()
    assert any("--initial-loss" in note for note in without.notes)
    assert given.table["lr_sensitivity"][0] == pytest.approx((0.2 + 0.1 + (0.4 + 3.0) / 2) / 4)


# --- drift and law ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [-1.0, -0.5, 0.0, 0.5])
def test_the_planted_drift_is_recovered_and_extrapolated(drift):
    grid = 2.0 ** np.arange(-14.0, 1.0)
    found = lr_transfer(planted(drift, noise=0.003, seeds=2, grid=grid), target=2048, draws=120)["all"]
    assert found.drift.low - 0.05 <= drift <= found.drift.high + 0.05
    assert found.drift.value == pytest.approx(drift, abs=0.15)
    at = found.at(2048)
    assert at.low < 2.0 ** (-6 + 5 * drift) < at.high
    assert ("does not transfer" in found.verdict) == (abs(drift) > 0.3)


def test_one_seed_gives_one_answer():
    rows = planted(-1.0, noise=0.003)
    first, again = lr_transfer(rows, draws=30, seed=3), lr_transfer(rows, draws=30, seed=3)
    pd.testing.assert_frame_equal(first.table, again.table)


def test_the_seed_reaches_the_line():
    found = lr_transfer(planted(-0.5, noise=0.003), theory=False, draws=40, seed=3)["all"]
    x = np.log2(np.array(list(found.found)) / found.origin)
    y = np.array([[best.log2, *best.draws] for best in found.found.values()])
    assert np.array_equal(found.slope, drift_line(x, y, 3)[1])
    assert not np.array_equal(found.slope, drift_line(x, y)[1])


def test_verdicts():
    sizes = np.array([64.0, 256.0])
    assert verdict_of("mup", "d_model", Interval(0.1, -0.1, 0.2), sizes).startswith("transfers")
    assert "coordinate check" in verdict_of("mup", "d_model", Interval(-1.0, -1.2, -0.8), sizes)
    assert "train in mup" in verdict_of("sp", "d_model", Interval(-1.0, -1.2, -0.8), sizes)
    assert verdict_of("sp", "d_model", Interval(-0.5, -1.2, 0.4), sizes).startswith("undecided")
    assert "root of the batch" in verdict_of("all", "batch", Interval(0.5, 0.4, 0.6), np.array([1e4, 1e6]))
    assert "one d_model" in verdict_of("sp", "d_model", Interval(np.nan, np.nan, np.nan), sizes[:1])


def test_a_verdict_needs_the_whole_interval():
    four = np.array([64.0, 128.0, 256.0, 512.0])
    assert verdict_of("all", "d_model", Interval(-0.5, -0.6, -0.4), four).startswith("does not transfer")
    assert verdict_of("all", "d_model", Interval(-0.5, -0.6, -0.2), four).startswith("undecided")
    two = np.array([256.0, 512.0])
    fast = verdict_of("all", "d_model", Interval(-0.9, -0.95, -0.85), two)
    assert fast.startswith("undecided")
    assert "sizes further apart" in fast


def test_a_verdict_names_the_factor_of_size_over_which_the_optimum_stays_within_an_octave():
    sizes = np.array([64.0, 128.0, 256.0])
    said = verdict_of("all", "d_model", Interval(0.1, -0.05, 0.25), sizes)  # an octave after four doublings
    assert said.startswith("transfers: the best learning rate rises to 1.15 times its value")
    assert said.endswith("stays within a factor of 2 over a factor of at least 16 in d_model")
    assert "too small to give a limit" in verdict_of("all", "d_model", Interval(0.0, -0.09, 0.09), sizes)


def test_an_optimum_below_the_grid_speaks_against_transfer():
    rows = planted(-1.5, widths=(64, 128, 256, 512), grid=2.0 ** np.arange(-9.0, -2.0))
    found = lr_transfer(rows, draws=60)["all"]
    assert [best.refused != "" for best in found.optima.values()] == [False, False, True, True]
    assert found.verdict.startswith("does not transfer: at 256 the best learning rate lies below")
    none = {256.0: (-np.inf, -6.5)}
    assert (
        verdict_of("all", "d_model", Interval(0.0, -0.1, 0.1), np.array([64.0, 128.0]), apart({64.0: -6.0}, none))[:9]
        == "undecided"
    )


def test_theory_that_the_measurement_contradicts_is_left_out():
    rows = planted(0.3, noise=0.002, seeds=2, widths=(64, 128, 256, 512)).assign(parametrization="sp")
    found = lr_transfer(rows, draws=100)
    assert found["sp"].law_drift == found["sp"].drift
    assert any("contradicts theory's -1 ± 0.4: the law follows the measured one" in note for note in found.notes)


def test_optima_that_stray_from_the_line_widen_its_interval():
    """Optima moved in log space are those of moved sweeps: seven sweeps give as many lines as one likes."""
    held, widths = 0, {0.0: [], 0.3: []}
    for k in range(7):
        arm = lr_transfer(planted(-0.5, noise=0.003, rng_seed=k), draws=100)["all"]
        x = np.log2(np.array(list(arm.found)) / arm.origin)
        y = np.array([[best.log2, *best.draws] for best in arm.found.values()])
        rng = np.random.default_rng(100 + k)
        assert interval_of(drift_line(x, y)[1]) == arm.drift
        for stray in (0.0, 0.3, 0.3, 0.3):
            drift = interval_of(drift_line(x, y + stray * rng.standard_normal((4, 1)))[1])
            held += drift.low <= -0.5 <= drift.high
            widths[stray].append(drift.high - drift.low)
    assert held >= 22  # of 28
    assert np.median(widths[0.3]) > 1.2 * np.median(widths[0.0])


def test_an_irrelevant_run_moves_no_interval():
    rows = planted(-0.5, noise=0.003, grid=2.0 ** np.arange(-16.0, -2.0))
    whole = lr_transfer(rows, draws=150)["all"].drift
    part = lr_transfer(rows[(rows["width"] > 64) | (rows["lr"] > GRID[0] / 10)], draws=150)["all"].drift
    assert part.high - part.low == pytest.approx(whole.high - whole.low, rel=0.35)


def test_theory_helps_the_law_but_not_the_measured_drift():
    rows = planted(-0.4, widths=(64, 128), noise=0.01, seeds=2).assign(parametrization="sp")
    leaning, plain = lr_transfer(rows, draws=60), lr_transfer(rows, draws=60, theory=False)
    assert leaning["sp"].drift == plain["sp"].drift
    assert plain["sp"].law_drift.value == pytest.approx(plain["sp"].drift.value)
    assert leaning["sp"].law_drift.value < plain["sp"].law_drift.value


# --- what may not be mixed --------------------------------------------------------------------------------------------


def test_mixed_settings_are_refused_by_name():
    rows = planted(-1.0, widths=(64, 128))
    mixed = pd.concat([rows.assign(batch=512, schedule="cosine"), rows.assign(batch=1024, schedule="wsd")])
    with pytest.raises(InputError, match=r"batch: 512, 1024; schedule: cosine, wsd.*--where \"batch == 512\""):
        read_sweeps(mixed)
    assert read_sweeps(mixed[mixed["batch"] == 512]).settings["schedule"] == "cosine"


def test_of_a_log_of_epochs_the_last_counts():
    rows = planted(-1.0, widths=(64, 128))
    epochs = pd.concat([rows.assign(epoch=epoch, loss=rows["loss"] + 1 - epoch / 2) for epoch in range(3)])
    found, final = read_sweeps(epochs).points, read_sweeps(rows).points
    pd.testing.assert_frame_equal(found.reset_index(drop=True), final.reset_index(drop=True))


def test_every_answer_names_what_the_log_does_not_hold():
    settings = read_sweeps(planted(0.0)).settings
    assert {settings[name] for name in ("batch", "schedule", "warmup", "weight_decay", "optimizer")} == {
        "not in the log"
    }


def test_what_moves_with_the_size_is_told():
    rows = planted(0.0).assign(n_layer=lambda frame: frame["width"] // 32)
    assert any("n_layer changes with d_model" in note for note in read_sweeps(rows).notes)
    found = lr_transfer(rows, draws=20)
    assert not found.ok and any(each.startswith("n_layer changes with d_model") for each in found.doubts)
    assert lr_transfer(rows.drop(columns="n_layer"), draws=20).ok


def test_at_one_width_the_size_is_the_depth():
    rows = (
        planted(0.0).rename(columns={"width": "n_layer"}).assign(d_model=32, N=lambda frame: 12288 * frame["n_layer"])
    )
    sweeps = read_sweeps(rows)
    assert sweeps.over == "n_layer"
    assert not sweeps.notes
    assert read_sweeps(rows.drop(columns="d_model")).over == "N"
    assert read_sweeps(rows, over="N").over == "N"


def test_one_seed_has_one_loss():
    rows = planted(0.0)
    with pytest.raises(InputError, match="several runs have size 64"):
        read_sweeps(pd.concat([rows, rows]))
    read_sweeps(pd.concat([rows, rows]).drop(columns="seed"))


def test_errors_say_what_is_missing():
    with pytest.raises(InputError, match="no column of size"):
        read_sweeps(pd.DataFrame({"lr": [0.1, 0.2], "loss": [1.0, 2.0]}))
    with pytest.raises(InputError, match='no column "heads"'):
        read_sweeps(planted(0.0), over="heads")
    rising = pd.DataFrame({"width": 64, "lr": GRID, "loss": 2 + GRID})
    with pytest.raises(IdentificationError, match="smallest learning rate tried"):
        lr_transfer(rising)


# --- the shipped sweep ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return sf.read_runs(SHIPPED)


def test_on_the_shipped_sweep_sp_drifts_an_octave_a_doubling_and_mup_transfers(shipped):
    found = lr_transfer(shipped, theory=False)
    sp, mup = found["sp"], found["mup"]
    assert sp.drift.value == pytest.approx(-1, abs=0.3)
    assert sp.drift.high < -0.5
    assert "does not transfer" in sp.verdict
    logs = [best.log2 for best in mup.optima.values()]
    assert max(logs) - min(logs) <= 1
    assert mup.verdict.startswith("transfers")
    # at the base width both are the same runs, sp on a wider grid
    assert sp.optima[32.0].log2 == pytest.approx(mup.optima[32.0].log2, abs=0.2)


def test_every_answer_on_the_shipped_sweep_names_its_settings(shipped):
    settings = read_sweeps(shipped).settings
    assert settings["batch"] == "512"
    assert settings["optimizer"] == "adamw"
    assert "not in the log" not in settings.values()


@pytest.mark.parametrize("theory", [True, False])
def test_regret_at_the_held_out_largest_width(shipped, theory):
    tested = backtest_transfer(shipped, theory=theory).set_index("arm")
    assert tested.loc["sp", "regret"] <= 0.005
    assert tested.loc["mup", "regret"] <= 0.003
    assert (tested["low"] <= tested["least_at"] * 1.1).all()
    assert (tested["least_at"] <= tested["high"] * 1.1).all()


# --- public sweeps ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public data sets are not beside the repository")
def test_mup_mlp_on_cifar():
    rows = pd.read_csv(PUBLIC / "mup_mlp_cifar" / "train_loss_by_epoch.csv")
    rows = rows.rename(columns={"train_loss": "loss", "parameterization": "parametrization"})
    found = lr_transfer(rows[rows["epoch"] == 20], initial_loss=np.log(10), draws=100)
    assert found["muP"].verdict.startswith("transfers")
    assert "does not transfer" in found["SP"].verdict
    assert found["SP"].drift.value == pytest.approx(-0.65, abs=0.15)


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public data sets are not beside the repository")
def test_a_public_sweep_at_one_batch_predicts_the_longest_runs():
    runs = sf.read_runs(PUBLIC / "steplaw" / "dense_lr_bs_sweep.csv", need=())
    with pytest.raises(InputError, match="batch"):
        read_sweeps(runs)
    sweeps = runs.where("batch_seqs in (32, 64, 352, 512, 1024) and N > 2.6e8 and N < 2.7e8")
    tested = backtest_transfer(sweeps, over="D", arms="batch", draws=60)
    assert len(tested) == 5
    assert tested["regret"].mean() <= 0.002
    assert ((tested["low"] <= tested["least_at"]) & (tested["least_at"] <= tested["high"])).sum() >= 4


# --- the command and the figures --------------------------------------------------------------------------------------


def test_the_command_answers_in_text_json_and_csv(tmp_path, monkeypatch):
    commands.once(monkeypatch, "scalefit.transfer.lr_transfer.lr_transfer")
    base = f"scalefit lr-transfer {SHIPPED} --at d_model=256 --draws 40"
    text = commands.run(f"{base} --backtest --plot {tmp_path}/lr.png")
    assert text.exit_code == 0, text.output
    assert (tmp_path / "lr.png").stat().st_size > 10_000
    for words in ("batch 512", "schedule constant", "does not transfer", "predicted from the smaller ones"):
        assert words in text.stdout
    answer = json.loads(commands.run(f"{base} --json").stdout)
    assert {arm["arm"] for arm in answer["arms"]} == {"sp", "mup"}
    assert all(arm["at_target"]["low"] < arm["at_target"]["high"] for arm in answer["arms"])
    assert commands.run(f"{base} --csv").stdout.startswith("arm,size,lr,low,high")


def test_answers_show_the_verdict_and_the_numbers_on_one_screen(shipped):
    rows = planted(-1.5, widths=(64, 128, 256), grid=2.0 ** np.arange(-9.0, -2.0)).assign(parametrization="a<b>")
    found = lr_transfer(rows, target=64000, draws=20)
    lines = repr(found).splitlines()
    assert lines[0].startswith("a<b>: best learning rate at d_model 64000: ")
    assert any(
        line.startswith("no optimum at a<b>, d_model 256: the smallest loss is at the smallest") for line in lines
    )
    assert any(line.startswith("! d_model 64000 lies") for line in lines)
    counted = lr_transfer(rows.assign(loss=rows["loss"].where(rows["lr"] < 0.05)), draws=20)
    told = [line for line in repr(counted).splitlines() if "counted as diverged" in line]
    assert told and not told[0].startswith("!")  # how often, which is no reason to doubt the answer
    assert len(repr(lr_transfer(shipped, draws=20)).splitlines()) < 30
    assert lines[1].startswith("  does not transfer: ")
    assert repr(found["a<b>"]).splitlines() == [f"a<b>: {lines[1].strip()}", lines[2]]
    best = found["a<b>"].optima
    assert re.fullmatch(r"learning rate 0\.0\d+ \[0\.0\d+, 0\.0\d+\], loss 2\.5\d*", repr(best[64.0]))
    assert repr(best[256.0]).startswith("no optimum: the smallest loss")
    assert found._repr_html_().startswith("<div><p><strong>a&lt;b&gt;: best learning rate at d_model")
    assert "<b>" not in found._repr_html_()


def test_the_command_on_a_table_of_three_columns(tmp_path):
    planted(-1.0).drop(columns="seed").to_csv(tmp_path / "mine.csv", index=False)
    for name in ("width", "d_model"):  # the column's own name, and the one it is read as
        result = commands.run(f"scalefit lr-transfer {tmp_path}/mine.csv --at {name}=1024 --draws 20")
        assert result.exit_code == 0, result.output
        assert "-1.0" in result.stdout
    assert commands.run(f"scalefit lr-transfer {tmp_path}/mine.csv --at N=1024").exit_code == 2
    words = result.stdout.splitlines()
    assert words[0].startswith("best learning rate at d_model 1024: ")
    assert words[1].startswith("  does not transfer: the best learning rate falls to 0.125 times")
    assert words[4].startswith("not in the log: batch, schedule, warmup, weight_decay, optimizer; keep them")


@pytest.mark.parametrize("size", ["0", "-5", "nan", "inf"])
@pytest.mark.filterwarnings("error")
def test_an_impossible_target_is_refused(tmp_path, size):
    planted(-1.0).to_csv(tmp_path / "mine.csv", index=False)
    result = commands.run(f"scalefit lr-transfer {tmp_path}/mine.csv --at width={size}")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    with pytest.raises(InputError, match="give a size above 0"):
        lr_transfer(planted(-1.0), target=float(size))


def test_a_target_far_beyond_the_sizes_is_told(tmp_path):
    planted(-1.0).to_csv(tmp_path / "mine.csv", index=False)
    base = f"scalefit lr-transfer {tmp_path}/mine.csv --draws 5 --at width"
    assert commands.run(f"{base}=4096").exit_code == 0  # three octaves beyond sizes that span three
    far = commands.run(f"{base}=8192")
    assert far.exit_code == 1
    assert "\n! d_model 8192 lies a factor of 16 beyond the measured 64 to 512 (a factor of 8)" in far.stdout
    assert json.loads(commands.run(f"{base}=8192 --json").stdout)["arms"][0]["far_beyond"].startswith("d_model 8192")
    assert commands.run(f"{base}=8192 --exit-zero").exit_code == 0


def test_the_command_draws_the_sensitivity(tmp_path):
    planted(-1.0).to_csv(tmp_path / "mine.csv", index=False)
    result = commands.run(f"scalefit lr-transfer {tmp_path}/mine.csv --draws 5 --plot-sensitivity {tmp_path}/s.svg")
    assert result.exit_code == 0, result.output
    assert "LR sensitivity" in (tmp_path / "s.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": "high"}, "row 7, column loss: 'high' is not a number; write it like"),
        ({"lr": "0"}, r"row 7: lr is 0.0, not a number above 0, in 1 of 40 runs; .*--where \"lr > 0\""),
        ({"lr": ""}, "row 7: lr is nan, not a number above 0"),
        ({"width": ""}, "row 7: d_model is nan"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(tmp_path, change, words):
    rows = planted(-1.0).drop(columns="seed").astype(object)
    for name, value in change.items():
        rows.loc[5, name] = value
    rows.to_csv(tmp_path / "mine.csv", index=False)
    result = commands.run(f"scalefit lr-transfer {tmp_path}/mine.csv")
    assert result.exit_code == 2
    assert re.search(words, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_columns_in_another_language_are_listed_and_mapped(tmp_path):
    rows = planted(-1.0).drop(columns="seed").set_axis(["breite", "eta", "verlust"], axis=1)
    rows.to_csv(tmp_path / "mine.csv", index=False)
    base = f"scalefit lr-transfer {tmp_path}/mine.csv --draws 5"
    assert "write --map loss=COLUMN; columns: breite, eta, verlust" in commands.run(base).stderr
    assert "write --map loss=COLUMN; columns: breite" in commands.run(f"{base} --map lr=eta").stderr
    assert "write --map d_model=COLUMN" in commands.run(f"{base} --map lr=eta,loss=verlust").stderr
    mapped = commands.run(f"{base} --map lr=eta,loss=verlust --over breite --at breite=1024")
    assert mapped.exit_code == 0, mapped.stderr
    assert "best learning rate at breite 1024: " in mapped.stdout


def test_diverged_runs_are_counted():
    rows = planted(-1.0, widths=(64, 128, 256))
    rows.loc[(rows["lr"] > 2.0**-4) | (rows["width"] == 256), "loss"] = np.nan
    found = lr_transfer(rows, draws=5)
    assert any("12 of 30 runs without a finite loss" in note for note in found.notes)
    assert found["all"].optima[256.0].refused.startswith("none of 10 learning rates has a finite loss")


PAGE = commands.listed((commands.ROOT / "docs" / "learning_rate.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", [command for command in PAGE if not commands.elsewhere(command)])
def test_the_commands_of_the_page_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(commands.workspace(tmp_path))
    result = commands.run(command)
    assert result.exit_code == commands.wanted_exit(command), result.output


def test_the_numbers_of_the_page_are_those_of_the_shipped_sweep(shipped):
    page = (commands.ROOT / "docs" / "learning_rate.md").read_text(encoding="utf-8")
    found, tested = lr_transfer(shipped), backtest_transfer(shipped).set_index("arm")
    for name in ("sp", "mup"):
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        stated = [float(cell.replace("−", "-").split()[0]) for cell in (row.split("|")[2], row.split("|")[4])]
        assert stated[0] == pytest.approx(found[name].drift.value, abs=0.02)
        assert stated[1] == pytest.approx(100 * tested.loc[name, "regret"], abs=0.05)


def test_figures(shipped, tmp_path):
    import matplotlib.pyplot as plt

    found = lr_transfer(shipped, target=256, draws=20)
    ax = plot_lr_transfer(found)
    panels = ax.figure.axes
    assert [panel.get_title(loc="left").split(":")[0] for panel in panels] == ["mup", "sp"]
    (shared,) = ax.figure.legends
    words = [text.get_text() for text in shared.get_texts()]
    assert words[:-3] == ["16", "32", "64", "128"], "one legend for both panels"
    assert words[-3:] == ["best at 256, by the law", "its 90 % interval", "diverged"]
    diamonds = [line for panel in panels for line in panel.lines if line.get_marker() == "D"]
    assert sorted(round(float(line.get_xdata()[0]), 6) for line in diamonds) == sorted(
        round(best.log2, 6) for arm in found.arms for best in arm.optima.values()
    )
    save_figure(plot_lr_sensitivity(found), tmp_path / "s.svg")
    plt.close("all")
