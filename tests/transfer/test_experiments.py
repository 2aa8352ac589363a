"""What holds on the shipped experiments of learning rates and instability. The numbers are in docs/learning_rate.md."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.progress.watch import watch
from scalefit.stability import sharpness_threshold, shortest_warmup
from scalefit.transfer.backtest import backtest_transfer
from scalefit.transfer.lr_transfer import lr_transfer
from scalefit.transfer.sensitivity import lr_sensitivity

DATA = commands.ROOT / "data"


# --- learning rate over width in ntk ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ntk():
    return sf.load("lr_width_ntk")


def test_in_ntk_the_optimum_drifts_half_as_fast_as_in_sp(ntk):
    """Adam moves every weight by lr, the forward factor m^-1/2 makes m^-1/2 of it; an aligned update wants 1/m."""
    found = lr_transfer(ntk)["ntk"]
    assert found.expected is None
    assert found.drift.low <= -0.5 <= found.drift.high
    assert found.drift.value == pytest.approx(-0.51, abs=0.03)
    assert "does not transfer" in found.verdict
    sp = lr_transfer(sf.load("lr_width"), theory=False)["sp"]
    assert sp.drift.value < found.drift.low


def test_from_a_random_readout_the_optimum_drifts_alike(ntk):
    """A readout of zero makes the kernel of the hidden weights zero at the start, which is not what makes it drift."""
    head = sf.load("lr_width_ntk_head")
    found, zero = (lr_transfer(each)["ntk"].drift for each in (head, ntk))
    assert found.low <= -0.5 <= found.high < 0
    assert found.low < zero.high and zero.low < found.high
    least = [each.table.groupby("d_model")["loss"].min() for each in (head, ntk)]
    assert (least[0] < least[1]).all()


def test_ntk_is_predicted_at_the_held_out_width(ntk):
    tested = backtest_transfer(ntk).iloc[0]
    assert tested["regret"] <= 0.005
    assert tested["low"] <= tested["least_at"] <= tested["high"]


def test_three_parametrisations_are_one_model_at_the_base_width(ntk):
    known = sf.load("lr_width").table
    columns = ["lr", "seed", "loss"]
    base = {name: known[(known["parametrization"] == name) & (known["d_model"] == 32)] for name in ("sp", "mup")}
    rows = ntk.table[ntk.table["d_model"] == 32].assign(seed=lambda t: t["seed"].astype(int))
    for other in base.values():
        pairs = rows[columns].merge(other[columns].astype({"seed": int}), on=["lr", "seed"], suffixes=("", "_other"))
        assert len(pairs) > 15
        assert np.allclose(pairs["loss"], pairs["loss_other"], rtol=1e-5)


# --- a run that diverges ----------------------------------------------------------------------------------------------


def test_the_attention_logit_warns_long_before_the_loss_diverges():
    runs = sf.load("divergence").curves
    calm, lost = (runs[runs["run"].astype(str) == name] for name in ("lr-0.015625", "lr-2"))
    assert watch(calm).status == "calm"
    seen = watch(lost)
    assert seen.status == "diverged"
    assert (seen.first.signal, seen.first.step) == ("attention_logit_max", 40)
    last_good = lost.loc[lost["loss"] <= lost["loss"].cummin() + 1, "step"].max()
    assert last_good == 222
    first_said = {}
    for step in range(30, 401, 10):  # while it runs, with what is known then
        early = watch(lost[lost["step"] <= step])
        first_said.setdefault(early.status, step)
        if early.first:
            first_said.setdefault("warned", step)
            assert early.first.signal == "attention_logit_max"
    assert (first_said["warned"], first_said["diverged"]) == (40, 250)


# --- gradient spikes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spikes():
    """Loss with spikes less loss without, nats, by clipping, optimiser, learning rate and seed."""
    runs = sf.load("gradient_spikes").table
    slow = runs["optimizer_options.beta2"] == 0.999
    runs["arm"] = np.where(slow, "adamw slow", runs["optimizer"].astype(str))
    loss = runs.pivot_table(index=["clip", "arm", "lr", "seed"], columns="spike_every", values="loss")
    return loss.assign(harm=loss[20] - loss[0])


def test_spikes_cost_adam_more_the_longer_it_remembers_them_and_spam_less(spikes):
    harm = spikes["harm"].xs(0.0, level="clip").unstack("arm")
    assert len(harm) == 8
    paired = harm["adamw slow"] - harm["spam"]
    assert paired.mean() > 2 * paired.std() / np.sqrt(len(paired))
    assert harm["adamw slow"].mean() > harm["adamw"].mean()


def test_spam_has_no_lower_loss_than_adam_that_forgets(spikes):
    least = spikes[20].groupby(["clip", "arm"]).min().unstack("arm")
    assert (least["adamw"] < least["spam"]).all()


# --- warm-up ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warmups():
    return sf.load("warmup").table.pivot_table(index="lr", columns="warmup", values="loss")


def test_a_longer_warmup_helps_at_too_large_learning_rates_only(warmups):
    large = warmups.loc[(warmups.index > 0.02) & (warmups.index < 0.1)]
    assert (large[100] < large[0] - 0.05).all()
    small = warmups.loc[warmups.index < 0.01]
    assert (small[100] > small[0]).all()


def test_warmup_lowers_the_lr_sensitivity(warmups):
    sensitivity = {steps: lr_sensitivity(warmups[steps], np.log(256)) for steps in warmups}
    assert sensitivity[100] < sensitivity[0]


def test_the_threshold_of_the_curvature_lies_at_the_best_learning_rate(warmups):
    curve = pd.read_csv(DATA / "warmup" / "sharpness.csv")
    step, top = curve["step"], curve["sharpness_preconditioned"]
    assert top[step <= 20].min() > 100 * top[step >= 30].max()  # second moments have seen next to nothing
    assert shortest_warmup(step, top, 2**-8, "adam") == 30
    assert np.isnan(shortest_warmup(step, top, 2**-6, "adam"))
    safe = sharpness_threshold("adam") / top[step >= 30].median()
    assert 0.5 < safe / warmups.min(axis=1).idxmin() < 2
    # and yet at 2^-8 a start without warm-up is no worse: nothing here needs those 30 steps
    assert (warmups.loc[0.00390625, 0] < warmups.loc[0.00390625, [30, 100]]).all()


# --- weight decay -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decays():
    runs = sf.load("weight_decay").table
    independent = runs["independent_decay"].astype(str).str.lower() == "true"
    arm = np.where(runs["weight_decay"] == 0, "none", np.where(independent, "independent", "coupled"))
    return runs.assign(arm=arm).pivot_table(index="lr", columns=["d_model", "arm"], values="loss")


def test_independent_decay_leaves_the_loss_less_sensitive_to_a_large_learning_rate(decays):
    large = decays[decays.index > 2**-7.5]
    start = float(np.log(256))
    for width in (16, 32, 64, 128):
        found = {arm: lr_sensitivity(large[width, arm], start) for arm in ("independent", "coupled")}
        assert found["independent"] < 0.5 * found["coupled"]
    whole = {arm: [lr_sensitivity(decays[w, arm], start) for w in (32, 64, 128)] for arm in ("independent", "coupled")}
    assert (np.array(whole["independent"]) < whole["coupled"]).all()
    assert np.diff(whole["independent"]).max() < 0  # less, the wider


def test_both_decays_are_one_run_where_they_are_equal(decays):
    same = decays.loc[decays.index[np.argmin(np.abs(np.log2(decays.index) + 7))]]
    for width in (16, 32, 64, 128):
        assert same[width, "independent"] == pytest.approx(same[width, "coupled"], abs=0.03)


# --- Adam's epsilon ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def epsilons():
    """Loss above that at the smallest epsilon, and how many epsilons the gradient RMS is there."""
    runs = sf.load("adam_epsilon").table.rename(columns={"optimizer_options.eps": "eps"})
    means = runs.groupby(["d_model", "lr", "eps"], as_index=False)[["loss", "rms_grad/0.mlp_in"]].mean()
    least = means[means["eps"] == means["eps"].min()].set_index(["d_model", "lr"])
    base = least.loc[[(d, lr) for d, lr in zip(means["d_model"], means["lr"], strict=True)]]
    cost = means["loss"] - base["loss"].to_numpy()
    return means.assign(cost=cost, ratio=base["rms_grad/0.mlp_in"].to_numpy() / means["eps"])


def test_a_gradient_ten_epsilons_large_costs_nothing_and_one_below_epsilon_does(epsilons):
    assert epsilons.loc[epsilons["ratio"] > 9, "cost"].abs().max() < 0.03
    slow = epsilons[epsilons["lr"] < 0.01]
    assert slow.loc[slow["ratio"] < 0.1, "cost"].min() > 0.15
    fast = epsilons[(epsilons["lr"] > 0.02) & (epsilons["ratio"] < 0.1)]
    assert fast["cost"].min() < -0.1  # where the learning rate is too large, small steps help


# --- learning rate over depth -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def depth():
    return sf.load("lr_depth")


def test_over_depth_the_optimum_stays_within_an_octave_and_moves_in_depth_mup(depth):
    found = lr_transfer(depth)
    assert found.sweeps.over == "n_layer"
    drifts = {arm.name: arm.drift.value for arm in found.arms}
    assert drifts == pytest.approx({"sp": 0.07, "depth-mup": 0.47, "completep": -0.04}, abs=0.03)
    for arm in found.arms:
        logs = [best.log2 for best in arm.optima.values()]
        assert max(logs) - min(logs) <= 1
        assert arm.verdict.startswith("transfers") == (arm.name != "depth-mup")


def test_a_deeper_model_is_worse_in_sp_and_not_where_branches_are_divided(depth):
    losses = depth.table.pivot_table(index="lr", columns=["parametrization", "n_layer"], values="loss").min()
    assert losses["sp"][8] > losses["sp"][2] + 0.08
    assert losses["completep"][8] == pytest.approx(losses["completep"][2], abs=0.02)
    assert losses["depth-mup"][8] < losses["depth-mup"][2]
    stream = depth.table.pivot_table(index="n_layer", columns="parametrization", values="rms_act", aggfunc="median")
    assert stream["sp"][8] > 3 * stream["sp"][2]
    assert (stream.loc[8, ["depth-mup", "completep"]] < stream.loc[2, ["depth-mup", "completep"]]).all()


# --- where the norms sit ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blocks():
    return pd.read_csv(DATA / "norm_placement" / "blocks.csv")


def means(blocks, norm, layers, column):
    rows = blocks[(blocks["norm"] == norm) & (blocks["n_layer"] == layers)]
    return rows.groupby(["lr", "block"])[column].mean().unstack("lr")


def test_the_stream_stays_in_post_and_grows_by_even_steps_of_variance_in_peri(blocks):
    post = blocks[(blocks["norm"] == "post") & (blocks["block"] > 0)]
    assert post[["rms_start", "rms_end"]].to_numpy().max() < 2
    variance = means(blocks, "peri", 16, "rms_start").iloc[:, 0] ** 2
    line = np.polynomial.Polynomial.fit(variance.index, variance, 1)
    assert np.corrcoef(line(variance.index.to_numpy()), variance)[0, 1] > 0.995


def test_in_pre_training_multiplies_the_stream_and_more_so_at_larger_learning_rates(blocks):
    last = {norm: means(blocks, norm, 16, "rms_end").loc[16] for norm in ("pre", "peri")}
    start = means(blocks, "pre", 16, "rms_start").loc[16]
    assert (last["pre"] > 4 * start).all()
    assert last["pre"].iloc[1] > 3 * last["pre"].iloc[0]
    assert (last["peri"] < last["pre"] / 2).all()


def test_deep_post_does_not_learn_at_these_learning_rates(blocks):
    loss = sf.load("norm_placement").table.pivot_table(index=["norm", "n_layer"], columns="lr", values="loss")
    assert (loss.loc["post"].loc[[8, 16]] > 3.3).all(axis=None)
    assert (loss.loc[["pre", "peri"]] < 2.9).all(axis=None)
    assert (loss.loc["peri"] < loss.loc["pre"]).all(axis=None)
