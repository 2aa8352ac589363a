"""Forecasts of what breaks: planted growth, crossings, probabilities, missing probes; divergence boundaries."""

from __future__ import annotations

import json
from pathlib import Path

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError, InputError
from scalefit.plots import plot_forecast, plot_sharpness, save_figure
from scalefit.stability import forecast, sharpness_threshold, shortest_warmup
from scalefit.stability.lines import Lines
from scalefit.stability.probes import probes
from scalefit.stability.stable import boundary_of
from scalefit.transfer.boundary import backtest_divergence, boundary
from scalefit.transfer.sweeps import read_sweeps

PUBLIC = Path("../shared/data")
SHIPPED = commands.ROOT / "data" / "lr_width" / "runs.csv"
SIZES = (1e6, 3e6, 1e7, 3e7, 1e8)


def planted(noise=0.0, rng_seed=0, rates=(0.003, 0.01, 0.03), sizes=SIZES):
    """Probes with a known size at which each limit is crossed, at learning rate 0.01."""
    rng = np.random.default_rng(rng_seed)
    rows = []
    for lr in rates:
        for N in sizes:
            x, up = np.log(N / 1e6), np.log(lr / 0.01)
            draw = noise * rng.standard_normal(3)
            rows.append(
                {
                    "N": N,
                    "lr": lr,
                    "loss": 3.0,
                    "attention_logit_max": np.exp(3 + up + 0.1 * x + 0.08 * x**2 + draw[0]),
                    "rms_grad/0.mlp_in": np.exp(-8 - up - 0.5 * x + draw[1]),
                    "sharpness_preconditioned": np.exp(0.1 * x + draw[2]) * 20 / lr,
                    "output_logit_logsumexp": -(4 + 2 * x),
                }
            )
    return pd.DataFrame(rows)


def by_name(found):
    return {each.name: each for each in found.found}


def test_each_crossing_lies_where_it_was_planted():
    found = by_name(forecast(planted(), 1e10, 0.01))
    logit = found["largest attention logit"]
    x = np.log(1e10 / 1e6)
    assert logit.value.value == pytest.approx(np.exp(3 + 0.1 * x + 0.08 * x**2), rel=1e-6)
    root = (-0.1 + np.sqrt(0.01 + 4 * 0.08 * (np.log(1e4) - 3))) / 0.16
    assert logit.crossing.value == pytest.approx(1e6 * np.exp(root), rel=0.02)
    grad = found["gradient RMS"]
    assert grad.crossing.value == pytest.approx(1e6 * np.exp((-8 - np.log(1e-7)) / 0.5), rel=0.02)
    assert found["sharpness times lr"].crossing.value == pytest.approx(1e6 * np.exp(np.log(38 / 20) / 0.1), rel=0.02)
    assert found["log Z"].crossing.value == pytest.approx(1e6 * np.exp(23), rel=0.02)


def test_the_learning_rate_of_the_crossing():
    size = 1e8
    x = np.log(size / 1e6)
    logit = by_name(forecast(planted(rates=(0.01, 0.1, 1.0, 10.0)), size, 0.01))["largest attention logit"]
    assert logit.lr_limit == pytest.approx(0.01 * 1e4 / np.exp(3 + 0.1 * x + 0.08 * x**2), rel=0.02)


def test_intervals_hold_a_held_out_size_as_often_as_they_say():
    inside = 0
    for rng_seed in range(50):
        rows = planted(noise=0.3, rng_seed=rng_seed, sizes=(*SIZES, 1e9))[["N", "lr", "attention_logit_max"]]
        small, held = rows[rows["N"] < 5e8], rows[(rows["N"] > 5e8) & (rows["lr"] == 0.01)]
        logit = by_name(forecast(small, 1e9, 0.01))["largest attention logit"]
        inside += logit.value.low <= held["attention_logit_max"].item() <= logit.value.high
    assert 0.8 <= inside / 50 <= 0.98


def test_the_interval_is_that_of_a_new_run_by_hand_and_by_coverage():
    """Value -/+ t s sqrt(1 + 1/n + (x - mean)^2/Sxx): the 1 is the new run's own noise."""
    rng = np.random.default_rng(0)
    size, inside = np.repeat(np.array(SIZES), 4), 0
    x = np.log(size)
    for _ in range(200):
        value = 2 + 0.3 * x + 0.5 * rng.standard_normal(len(x))
        line = Lines(size, np.full(len(x), 0.01), value, 1).at(0.01)
        mean, error = line.at(np.array([1e7]))
        inside += abs(2 + 0.3 * np.log(1e7) + 0.5 * rng.standard_normal() - mean[0]) < line.quantile(0.95) * error[0]
    assert 0.84 <= inside / 200 <= 0.96
    slope, height = np.polyfit(x, value, 1)
    s = np.sqrt(np.sum((value - height - slope * x) ** 2) / 18)
    for target in (1e7, 1e9):
        off = np.log(target) - x.mean()
        by_hand = s * np.sqrt(1 + 1 / 20 + off**2 / np.sum((x - x.mean()) ** 2))
        assert line.at(np.array([target]))[1][0] == pytest.approx(by_hand, rel=1e-6)


def test_answers_show_the_verdict_and_the_numbers_on_one_screen():
    found = forecast(planted(noise=0.05), 1e11, 0.01)
    lines = repr(found).splitlines()
    assert lines[0].endswith(f"learning rate 0.01: {', '.join(found.likely)}")
    assert len(found.likely) == 2
    assert len(lines) < 20
    far = [line for line in lines if "beyond the measured" in line]
    assert far == ["! largest attention logit, log Z, gradient RMS, sharpness times lr: " + found.found[0].far]
    assert found._repr_html_().startswith("<div><p><strong>2 limits are likely")
    two = forecast(planted(sizes=(1e6, 1e7)), 1e8, 0.01)
    assert "largest attention logit: no interval and no probability: 2 sizes are too few" in repr(two)


def test_probability_and_the_range_of_the_crossing_agree():
    rows = planted(noise=0.1)
    logit = by_name(forecast(rows, 1e9, 0.01))["largest attention logit"]
    assert logit.crossing.low < logit.crossing.value < logit.crossing.high
    for size, wanted in zip(
        (logit.crossing.low, logit.crossing.value, logit.crossing.high), (0.05, 0.5, 0.95), strict=True
    ):
        again = by_name(forecast(rows, size, 0.01))["largest attention logit"]
        assert again.probability == pytest.approx(wanted, abs=0.03)
    rising = [by_name(forecast(rows, size, 0.01))["largest attention logit"].probability for size in (1e8, 1e9, 1e11)]
    assert rising == sorted(rising)


def test_between_two_learning_rates_and_beyond_them():
    rows = planted()
    low, mid, high = (
        by_name(forecast(rows, 1e9, lr))["largest attention logit"].value.value for lr in (0.01, 0.02, 0.03)
    )
    assert low < mid < high
    assert mid == pytest.approx(2 * low, rel=1e-6)
    with pytest.raises(InputError, match=r"outside those of the sweep, 0\.003 to 0\.03"):
        forecast(rows, 1e9, 0.3)


def test_as_many_sizes_as_constants_leave_no_probability():
    two = planted(sizes=(1e6, 1e7), rates=(0.01,))
    logit = by_name(forecast(two, 1e9, 0.01))["largest attention logit"]
    assert np.isnan(logit.probability)
    assert np.isnan(logit.value.low)
    assert np.isfinite(logit.value.value)
    assert logit.sizes == 2


def test_missing_probes_are_named():
    rows = planted()[["N", "lr", "loss"]]
    found = forecast(rows, 1e9, 0.01)
    assert not found.found
    assert found.missing["gradient RMS"] == "no column rms_grad/0.mlp_in or rms_grad"
    assert set(found.missing) == {probe.name for probe in probes()} | {"largest stable learning rate"}
    # raw sharpness under Adam is not held against a threshold that is not its own
    raw = rows.assign(sharpness=100.0)
    assert "sharpness times lr" in forecast(raw, 1e9, 0.01).missing
    assert "sharpness times lr" in by_name(forecast(raw, 1e9, 0.01, rule="gd"))


def test_mixed_runs_and_impossible_targets_are_refused():
    rows = planted()
    mixed = pd.concat([rows.assign(parametrization="sp"), rows.assign(parametrization="mup")])
    with pytest.raises(
        InputError, match=r"parametrization: mup, sp.*--where \"parametrization == 'mup'\", or --ignore"
    ):
        forecast(mixed, 1e9, 0.01)
    with pytest.raises(InputError, match="target N is -1; give a size above 0"):
        forecast(rows, -1, 0.01)
    with pytest.raises(InputError, match="lr is nan"):
        forecast(rows.assign(lr=rows["lr"].where(rows.index > 0)), 1e9, 0.01)
    assert forecast(rows.rename(columns={"N": "width"}), 1e9, 0.01, over="width").over == "d_model"
    assert forecast(rows, 1e9, 0.01).beyond == pytest.approx(1e9 / rows["N"].max())


def test_diverged_runs_are_left_out_of_the_fit():
    rows = planted()
    rows.loc[rows["N"] == 1e8, "attention_logit_max"] = np.nan
    logit = by_name(forecast(rows, 1e10, 0.01))["largest attention logit"]
    assert logit.sizes == 4


def test_curves_are_averaged_over_their_last_tenth():
    rows = []
    for N in SIZES:
        for step in range(0, 1001, 10):
            value = np.exp(2 + 0.2 * np.log(N / 1e6)) * (1 if step >= 900 else 50)
            rows.append({"run": f"{N:g}", "N": N, "step": step, "lr": 0.01, "loss": 3.0, "attention_logit_max": value})
    logit = by_name(forecast(pd.DataFrame(rows), 1e6, 0.01))["largest attention logit"]
    assert logit.value.value == pytest.approx(np.exp(2), rel=1e-6)


def test_a_line_needs_two_sizes_and_is_that_of_least_squares():
    size, lr = np.array([1e6, 1e7, 1e8, 1e6]), np.array([0.1, 0.1, 0.1, 0.2])
    lines = Lines(size, lr, np.array([1.0, 2.0, 3.3, 9.0]), 1)
    assert lines.at(0.2) is None
    by_hand = np.polyfit(np.log(size[:3]), [1.0, 2.0, 3.3], 1)
    assert lines.at(0.1).at(np.array([1e9]))[0][0] == pytest.approx(np.polyval(by_hand, np.log(1e9)))


def test_grids_that_differ_between_sizes_are_interpolated():
    size = np.repeat([1e6, 1e7, 1e8], 5)
    lr = np.concatenate([2.0 ** np.arange(-9, -4) * shift for shift in (1.0, 1.1, 0.9)])
    value = 3 + 0.5 * np.log(size / 1e6) + 0.7 * np.log(lr)
    line = Lines(size, lr, value, 1).at(2.0**-7)
    assert line.between
    assert line.sizes == 3
    assert line.at(np.array([1e10]))[0][0] == pytest.approx(3 + 0.5 * np.log(1e4) + 0.7 * np.log(2.0**-7))


def test_uneven_means_widen_a_line_though_seeds_agree():
    size = np.repeat(np.geomspace(1e6, 1e8, 5), 3)
    x, quiet = np.log(size / 1e6), 0.01 * np.random.default_rng(0).standard_normal(15)
    straight, bent = (Lines(size, np.full(15, 0.1), 0.5 * x + bend * x**2 + quiet, 1).at(0.1) for bend in (0, 0.05))
    assert bent.noise > 5 * straight.noise
    assert bent.freedom < straight.freedom


def test_too_few_sizes_for_a_shape_leave_no_interval():
    rows = pd.concat([planted(0.02, k, rates=(0.01,), sizes=(1e6, 1e7)) for k in range(3)], ignore_index=True)
    found = by_name(forecast(rows, 1e8, 0.01))
    assert np.isnan(found["largest attention logit"].probability)  # a parabola through two sizes
    assert np.isfinite(found["gradient RMS"].probability)


def test_a_learning_rate_at_which_the_large_runs_are_lost_is_told():
    rows = planted(rates=(0.003, 0.01, 0.03, 0.1))
    rows.loc[(rows["lr"] > 0.05) & (rows["N"] > 5e6), ["loss", "attention_logit_max"]] = [np.nan, 1e9]
    found = forecast(rows, 1e9, 0.1)
    assert found.lost.startswith("runs of N 1e+07, 3e+07, 1e+08")
    logit = by_name(found)["largest attention logit"]
    assert logit.sizes == 2  # what was lost is not fitted, whatever its probes say
    assert "beyond the measured 1e+06 to 3e+06" in logit.far
    assert not forecast(rows, 1e9, 0.01).lost
    alone = forecast(rows[(rows["lr"] < 0.05) | (rows["N"] < 2e6)], 1e9, 0.1)
    why = "fewer than two sizes have attention_logit_max at learning rates near 0.1"
    assert alone.missing["largest attention logit"] == why
    infinite = rows.assign(loss=3.0, attention_logit_max=rows["attention_logit_max"].replace(1e9, np.inf))
    assert forecast(infinite, 1e9, 0.1).lost == found.lost


def test_runs_that_are_left_out_of_a_forecast_are_told():
    rows = planted().assign(status="finished")
    rows.loc[rows["N"] == 1e8, "status"] = "crashed"
    found = forecast(rows, 1e9, 0.01)
    assert by_name(found)["largest attention logit"].sizes == 4
    crashed, gone = found.notes
    assert crashed == "3 of 15 runs are crashed: left out, their losses are not final"
    assert gone.startswith("no run is left at N 1e+08")
    held = forecast(planted().assign(val_loss=2.0), 1e9, 0.01)
    assert held.notes == ("loss: the held-out one, column val_loss",)


def test_the_largest_stable_learning_rate_is_forecast_from_losses_alone():
    rows = sweep_with_cliff(-1.0)
    found = forecast(rows.rename(columns={"width": "d_model"}), 1024, 2.0**-5)
    assert found.over == "d_model"
    stable = found.boundary.at(1024)
    assert stable.low < 2.0**-7.5 < stable.high  # between the last stable and the first lost one
    assert stable.value == pytest.approx(2.0**-7.5, rel=0.05)
    assert found.diverging > 0.9
    assert "with intervals of 90 %" in str(found)
    assert forecast(rows, 1024, 2.0**-11, over="d_model").diverging < 0.1
    assert found.boundary.size_of(2.0**-7.5) == pytest.approx(1024, rel=0.05)
    assert "largest stable learning rate" in forecast(planted(), 1e9, 0.01).missing


def test_the_largest_stable_learning_rate_is_held_as_often_as_is_said():
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = []
        for width in (32, 64, 128, 256, 512):
            edge = -2 - 0.7 * np.log2(width / 32) + 0.3 * rng.standard_normal()
            shift = rng.uniform(0, 1)
            rows += [(width, 2.0 ** (k + shift), np.nan if k + shift > edge else 2.0) for k in range(-12, 2)]
        rows = pd.DataFrame(rows, columns=["d_model", "lr", "loss"])
        stable = boundary_of(rows, "d_model")[0].at(1024)
        if seed == 0:  # that of the forecast, which reads the runs first
            assert forecast(rows, 1024, 0.01).boundary.at(1024) == stable
        inside += stable.low <= 2.0 ** (-2 - 0.7 * 5) <= stable.high
    assert inside >= 0.8 * 40


def test_sharpness_of_a_decayed_run_is_held_against_its_own_learning_rate():
    rows = []
    for N in SIZES:
        lr = 0.01 * np.linspace(1, 0.02, 101)
        step = np.arange(0, 1010, 10)
        rows.append(
            pd.DataFrame(
                {"run": f"{N:g}", "N": N, "step": step, "lr": lr, "loss": 3.0, "sharpness_preconditioned": 30 / lr}
            )
        )
    found = by_name(forecast(pd.concat(rows), 1e9, 0.01))["sharpness times lr"]
    assert found.value.value == pytest.approx(30, rel=1e-6)


def test_log_z_has_a_limit_on_either_side():
    rows = planted().drop(columns="output_logit_logsumexp")
    x = np.log(rows["N"] / 1e6)
    down, up = (
        by_name(forecast(rows.assign(output_logit_logsumexp=s * (6 - 4 * x)), 1e10, 0.01))["log Z"] for s in (1, -1)
    )
    assert (down.limit, up.limit) == (-50, 50)
    assert down.value.value == pytest.approx(-up.value.value)
    assert down.crossing.value == pytest.approx(1e6 * np.exp(14), rel=0.02)
    assert up.crossing.value == pytest.approx(down.crossing.value)


# --- thresholds -------------------------------------------------------------------------------------------------------


def test_thresholds():
    assert sharpness_threshold("gd") == 2
    assert sharpness_threshold("heavy-ball", 0.9) == pytest.approx(3.8)
    assert sharpness_threshold("adam", 0.9) == pytest.approx(38)
    assert sharpness_threshold("adam", 0.95) == pytest.approx(78)
    with pytest.raises(InputError, match="no threshold"):
        sharpness_threshold("lion")
    with pytest.raises(InputError, match="momentum"):
        sharpness_threshold("gd", 1.0)


@pytest.mark.parametrize(("rule", "beta"), [("gd", 0.0), ("heavy-ball", 0.9), ("adam", 0.9)])
def test_thresholds_are_where_a_parabola_stops_converging(rule, beta):
    def ends_at(product):
        x = buffer = 1.0
        for _ in range(4000):
            slope = product * x  # sharpness 1, lr = product
            buffer = beta * buffer + (1 - beta if rule == "adam" else 1.0) * slope
            x -= slope if rule == "gd" else buffer
            if abs(x) > 1e6:
                return np.inf
        return abs(x)

    limit = sharpness_threshold(rule, beta)
    assert ends_at(0.98 * limit) < 1
    assert ends_at(1.02 * limit) == np.inf


def test_the_shortest_warmup():
    step, top = np.arange(0, 100, 10), 1000.0 / (1 + np.arange(0, 100, 10))
    lr = 0.05
    found = shortest_warmup(step, top, lr)
    assert np.all(top[step >= found] * lr < 2)
    assert top[step == found - 10] * lr >= 2
    assert np.isnan(shortest_warmup(step, top, 10.0))
    assert shortest_warmup(step, top, 1e-6) == 0


# --- divergence -------------------------------------------------------------------------------------------------------


def sweep_with_cliff(slope, widths=(32, 64, 128, 256)):
    rows = []
    for width in widths:
        for k in range(-12, 3):
            edge = -2 + slope * np.log2(width / 32)
            loss = 2 + 0.01 * (k - edge + 3) ** 2 if k < edge else np.nan
            rows.append((width, 2.0**k, loss))
    return pd.DataFrame(rows, columns=["width", "lr", "loss"])


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_divergence_at_the_held_out_width_is_predicted(slope):
    sweeps = read_sweeps(sweep_with_cliff(slope), initial_loss=5.5)
    judged = backtest_divergence(sweeps)
    assert judged.precision == judged.recall == 1
    assert boundary(sweeps.cell("all", 32.0), 5.5) == -2.5


def test_a_forecast_of_sweeps_at_several_batches_says_what_its_boundary_follows():
    made = pd.concat([sweep_with_cliff(-0.5).assign(batch=batch) for batch in (64, 128)])
    told = [note for note in forecast(made, 512, 0.01, over="d_model").notes if "follows" in note]
    assert len(told) == 1
    assert told[0].startswith("the boundary follows d_model and batch together")


def test_a_sweep_without_divergence_has_no_boundary():
    sweeps = read_sweeps(sweep_with_cliff(0.0).dropna())
    with pytest.raises(IdentificationError, match="add larger learning rates"):
        backtest_divergence(sweeps)


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public data sets are not beside the repository")
def test_divergence_of_the_widest_public_mlp():
    rows = pd.read_csv(PUBLIC / "mup_mlp_cifar" / "train_loss_by_epoch.csv").drop(columns="log2_lr")
    rows = rows.rename(columns={"train_loss": "loss", "parameterization": "parametrization"})
    judged = backtest_divergence(read_sweeps(rows[rows["epoch"] == 1], initial_loss=np.log(10)))
    assert judged.precision >= 0.9
    assert judged.recall >= 0.9


# --- the shipped sweep ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sp():
    rows = pd.read_csv(SHIPPED)
    return rows[rows["parametrization"] == "sp"]


def test_without_qk_layernorm_the_attention_logit_grows_with_lr_and_width(sp):
    means = sp.groupby(["d_model", "lr"])["attention_logit_max"].mean().unstack("d_model")
    learning = means.loc[(means.index > 2**-9) & (means.index < 0.3)]  # below its largest stable learning rate
    rising = np.diff(np.log(learning.dropna().to_numpy()), axis=1)
    assert (rising > 0).mean() > 0.95
    for width in means:
        column = learning[width].dropna()
        ranks = column.rank(), pd.Series(column.index, column.index).rank()
        assert np.corrcoef(*ranks)[0, 1] > 0.95
        assert column.iloc[-1] > 100 * column.iloc[0]


def test_the_held_out_width_lies_within_the_forecast(sp):
    """The largest attention logit of width 128, from widths 16 to 64, at each learning rate that does not diverge."""
    small, held = sp[sp["d_model"] < 128], sp[(sp["d_model"] == 128) & (sp["lr"] < 0.4)]
    others = [name for name in small if "/" in name]  # per-module probes, which are not asked for here
    inside, small = [], sf.read_runs(small.drop(columns=others), need=())
    for lr, rows in held.groupby("lr"):
        value = by_name(forecast(small, float(rows["N"].iloc[0]), float(lr)))["largest attention logit"].value
        inside.append(value.low <= rows["attention_logit_max"].mean() <= value.high)
    assert len(inside) >= 15
    assert np.mean(inside) >= 0.9


def test_divergence_at_the_held_out_width_of_the_shipped_sweep(sp):
    judged = backtest_divergence(read_sweeps(sp))
    assert judged.table["seen"].sum() >= 3
    assert judged.precision >= 0.8
    assert judged.recall >= 0.8


def test_the_gradient_falls_with_the_size(sp):
    best = sp[(sp["lr"] > 2**-10) & (sp["lr"] < 2**-6)]
    means = best.groupby(["lr", "d_model"])["rms_grad/0.mlp_in"].mean().unstack("d_model")
    assert (np.diff(np.log(means.to_numpy()), axis=1) < 0).mean() > 0.9


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path):
    planted(noise=0.05).to_csv(tmp_path / "probes.csv", index=False)
    base = f"scalefit stability {tmp_path}/probes.csv --lr 0.01"
    safe = commands.run(f"{base} --at N=1e8")
    assert safe.exit_code == 0, safe.output
    assert "no forecast of activation RMS" in safe.stdout
    assert "--map attention_logit_max=COLUMN" in safe.stdout
    assert "< 0.01" in safe.stdout
    assert commands.run(f"{base} --at N=1e8 --plot {tmp_path}/f.svg").exit_code == 0
    assert safe.stdout.startswith("no limit is likely to be crossed at N 1e+08 and learning rate 0.01\n")
    likeliest = safe.stdout.splitlines()[5].strip().split("  ")[0]
    assert f">{likeliest}<" in (tmp_path / "f.svg").read_text(encoding="utf-8")
    planted()[["N", "lr", "loss"]].to_csv(tmp_path / "bare.csv", index=False)
    bare = commands.run(f"scalefit stability {tmp_path}/bare.csv --lr 0.01 --at N=1e8 --plot {tmp_path}/g.svg")
    assert bare.exit_code == 1
    assert "no forecast of" in bare.stdout
    assert f"! the figure {tmp_path}/g.svg was not drawn: --plot: no forecast to draw" in bare.stdout
    broken = commands.run(f"{base} --at N=1e11")
    assert broken.exit_code == 1
    assert broken.stdout.startswith(
        "2 limits are likely to be crossed at N 1e+11 (1e+03 times the largest measured) and "
    )
    assert "! largest attention logit is likely to cross 10000: try qk-layernorm" in broken.stdout
    answer = json.loads(commands.run(f"{base} --at N=1e11 --json").stdout)
    assert answer["forecasts"][0]["probability"] > 0.9
    assert commands.run(f"{base} --at N=1e8,D=1e9").exit_code == 2


def test_the_command_that_can_answer_nothing_or_too_far_fails(tmp_path):
    planted()[["N", "lr", "loss"]].to_csv(tmp_path / "bare.csv", index=False)
    bare = commands.run(f"scalefit stability {tmp_path}/bare.csv --lr 0.01 --at N=1e9")
    assert bare.exit_code == 1
    assert "! nothing can be forecast" in bare.stdout
    planted()[["N", "lr", "loss", "output_logit_logsumexp"]].to_csv(tmp_path / "z.csv", index=False)
    base = f"scalefit stability {tmp_path}/z.csv --lr 0.01 --at"
    assert commands.run(f"{base} N=9e9").exit_code == 0  # log Z is 4 + 2 log(N/1e6): 22, and its limit 50
    far = commands.run(f"{base} N=2e10")
    assert far.exit_code == 1
    assert "! log Z: N 2e+10 lies a factor of 200 beyond the measured 1e+06 to 1e+08" in far.stdout
    assert json.loads(commands.run(f"{base} N=2e10 --json").stdout)["far_beyond"][0].startswith("log Z: N 2e+10")
    assert commands.run(f"{base} N=2e10 --exit-zero").exit_code == 0


def test_the_list_of_commands_says_what_they_do():
    text = commands.run("scalefit --help").stdout
    assert "What breaks first at a larger size" in text
    assert "Is a run in progress healthy" in text
    assert "``" not in text


def test_z_loss_holds_log_z_near_zero_and_its_absence_does_not():
    rows = pd.read_csv(commands.ROOT / "data" / "z_loss" / "runs.csv")
    log_z = rows.pivot_table(index="lr", columns="z_loss", values="output_logit_logsumexp")
    assert (log_z[0.01].abs() < 0.5).all()
    assert (log_z[0.0].abs() > 4).all()
    assert (log_z[0.0001] < log_z[0.0]).all()
    assert rows.pivot_table(index="lr", columns="z_loss", values="loss")[0.01].iloc[0] < 2.2


def test_with_qk_layernorm_the_attention_logit_hardly_grows(sp):
    cured = pd.read_csv(commands.ROOT / "data" / "attention_logit" / "runs.csv")
    logits = cured[cured["lr"] < 0.2].pivot_table(index="lr", columns="d_model", values="attention_logit_max")
    assert logits.to_numpy().max() < 40
    assert (logits[128] / logits[16]).max() < 2.2  # over 63 times the size
    without = sp[sp["d_model"] == 128].groupby(sp["lr"].round(6))["attention_logit_max"].mean()
    large = logits.index[logits.index > 0.01]
    both = [(logits.loc[lr, 128], without[round(lr, 6)]) for lr in large]
    assert all(bare > 50 * normed for normed, bare in both)


def test_figures_of_probes(sp, tmp_path):
    import matplotlib.pyplot as plt

    small, held = sp[sp["d_model"] < 128], sp[sp["d_model"] == 128]
    ax = plot_forecast(small, "largest attention logit", 4e5, [0.00390625, 0.0625], held=held)
    assert any(line.get_linestyle() == "--" for line in ax.lines)
    found = by_name(forecast(small, 4e5, 0.0625))["largest attention logit"]
    crosses = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "X"]
    assert [list(cross) for cross in crosses] == [[found.crossing.value, 1e4]]
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert [len(line.get_xdata()) for line in hollow] == [12, 1]  # seeds at the two rates
    value, low, high = found.curve(np.array([4e5]))[:, 0]
    assert (value, low, high) == pytest.approx(tuple(found.value))
    assert plot_forecast(small, "log Z", 4e5, [0.0625]).get_yscale() == "linear"
    with pytest.raises(InputError, match="no column sharpness_preconditioned"):
        plot_forecast(small, "sharpness times lr", 4e5, [0.0625])
    curves = pd.DataFrame({"d_model": [32, 32, 64, 64], "step": [0, 9, 0, 9], "sharpness": [1.0, 3.0, 1.0, 2.0]})
    ax = plot_sharpness(curves, threshold=5.0)
    assert [line.get_ydata()[-1] for line in ax.lines] == [3.0, 2.0, 5.0]
    save_figure(ax, tmp_path / "sharpness.svg")
    plt.close("all")


@pytest.fixture(scope="module")
def edge():
    """Medians over seeds and the measurements after step 600, by learning rate, parametrisation and width."""
    curves = pd.read_csv(commands.ROOT / "data" / "sharpness" / "curves.csv")
    late = curves[curves["step"] > 600]
    return late.groupby(["lr", "parametrization", "d_model"])[["sharpness", "hessian_max"]].median()


@pytest.mark.parametrize(("lr", "parametrization"), [(0.1, "mup"), (0.4, "ntk")])
def test_three_widths_hover_at_the_edge_of_stability_in_the_metric_of_the_rates(edge, lr, parametrization):
    at = edge.loc[lr, parametrization]
    assert len(at) == 3
    assert np.allclose(at["sharpness"], 2 / lr, rtol=0.05)


def test_at_a_large_rate_the_sharpness_of_mup_swings_about_the_edge(edge):
    assert np.allclose(edge.loc[0.4, "mup"]["sharpness"], 2 / 0.4, rtol=0.1)


def test_the_hessian_alone_would_say_that_wide_models_stay_far_below_it(edge):
    """In mup its largest eigenvalue falls with the width and lies at half of 2/lr; in ntk all rates are one."""
    raw = edge["hessian_max"]
    assert (np.diff(raw.loc[0.1, "mup"]) < 0).all()
    assert raw.loc[0.1, "mup", 256] < 0.6 * 2 / 0.1
    pd.testing.assert_series_equal(raw.loc[:, "ntk"], edge["sharpness"].loc[:, "ntk"], check_names=False)


def test_sharpness_falls_with_the_width_under_ntk_before_the_edge(edge):
    assert (np.diff(edge.loc[0.1, "ntk"]["sharpness"]) < 0).all()
    assert (edge.loc[0.1, "ntk"]["sharpness"] < 0.7 * 2 / 0.1).all()
