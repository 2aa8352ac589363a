"""Sizes that change together, learning rates on another scale, and theory against what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.stability import forecast
from scalefit.transfer import lr_transfer
from scalefit.transfer.drift import drift_line, interval_of, with_theory
from scalefit.transfer.sweeps import read_sweeps

GRID = 2.0 ** np.arange(-12.0, -1.0)


def ladder(slopes, sizes, noise=0.0, seeds=1):
    """A sweep at each row of ``sizes``, whose optimum drifts by ``slopes`` octaves per doubling of its columns."""
    rng, rows, first = np.random.default_rng(0), [], sizes.iloc[0]
    for _, each in sizes.iterrows():
        best = -6 + sum(slope * np.log2(each[name] / first[name]) for name, slope in slopes.items())
        for lr in GRID:
            for seed in range(seeds):
                loss = 2.5 + 0.03 * (np.log2(lr) - best) ** 2 + noise * rng.standard_normal()
                rows.append({**each, "lr": lr, "seed": seed, "loss": loss})
    return pd.DataFrame(rows)


WIDTH_DEPTH = pd.DataFrame({"d_model": [64, 128, 256], "n_layer": [2, 4, 8]})


@pytest.mark.parametrize("slopes", [{"d_model": -1.0}, {"n_layer": -1.0}, {"d_model": -1.0, "n_layer": 1.0}])
def test_width_with_depth_is_no_verdict_on_either(slopes):
    """The optimum falls by two octaves with one of them, with the other, or not at all, as one hides the other."""
    for size in ("d_model", "n_layer"):
        arm = lr_transfer(ladder(slopes, WIDTH_DEPTH).assign(parametrization="sp"), over=size, draws=40)["sp"]
        other = {"d_model": "n_layer", "n_layer": "d_model"}[size]
        assert arm.verdict.startswith("one effect or two?")
        assert f"but {other} changes along with {size}" in arm.verdict
        assert "transfers" not in arm.verdict.replace("does not transfer", "")
        assert "mup" not in arm.verdict
        assert arm.expected is None  # theory's drift is that over the width alone
        assert arm.drift.value == pytest.approx(sum(slopes.values()), abs=0.1)  # the joint drift stays known


@pytest.mark.parametrize(
    ("sizes", "over", "along"),
    [
        ({"d_model": [64, 128, 256], "N": [1e5, 4e5, 16e5], "n_layer": 2}, "d_model", []),
        ({"d_model": [64, 128, 256], "N": [1e5, 4e5, 16e5], "n_layer": 2}, "N", []),
        ({"d_model": 64, "N": [1e5, 2e5, 4e5], "n_layer": [2, 4, 8]}, "N", []),
        ({"N": [1e5, 2e5, 4e5], "n_layer": [2, 4, 8]}, "N", []),
        ({"N": [1e5, 8e5, 64e5], "n_layer": [2, 4, 8]}, "N", ["n_layer"]),
        ({"d_model": [64, 128, 256], "N": [1e5, 8e5, 64e5], "n_layer": [2, 4, 8]}, "N", ["d_model", "n_layer"]),
        ({"N": [1e5, 4e5, 16e5]}, "N", []),
        ({"d_model": [64, 128, 256], "D": [1e9, 4e9, 16e9]}, "d_model", ["D"]),
        ({"d_model": [64, 128, 256], "D": 1e9, "steps": [10, 20, 40]}, "d_model", []),
        ({"d_model": [64, 128, 256], "steps": [10, 20, 40]}, "d_model", ["steps"]),
        ({"batch": [64, 128, 256], "D": [1e9, 2e9, 4e9], "steps": 10}, "batch", []),
        ({"D": [1e9, 2e9, 4e9], "batch": [64, 128, 256], "steps": 10}, "D", ["batch"]),
        ({"d_model": [64, 128, 256], "batch": [64, 65, 66]}, "d_model", []),
    ],
)
def test_what_counts_as_another_size(sizes, over, along):
    sizes = pd.DataFrame(sizes)
    found = read_sweeps(ladder({over: -0.5}, sizes), over=over)
    assert list(found.along("all")) == along


def test_another_size_that_does_not_matter_can_be_left_out():
    rows = ladder({"d_model": -1.0}, WIDTH_DEPTH)
    assert lr_transfer(rows, ignore=["n_layer"], draws=40)["all"].verdict.startswith("does not transfer")


def test_a_refused_optimum_is_no_verdict_either():
    """Without the sizes together, the optimum outside the grid would say that it does not transfer."""
    rows = ladder({"d_model": -4.0}, WIDTH_DEPTH)
    assert lr_transfer(rows, ignore=["n_layer"], draws=40)["all"].verdict.startswith("does not transfer: at 256")
    assert lr_transfer(rows, draws=40)["all"].verdict.startswith("one effect or two? at 256 the best learning rate")


# --- the learning rate on another scale -------------------------------------------------------------------------------

SIZES = pd.DataFrame({"d_model": [64, 128, 256]})
SCALES = {
    "log2_lr": lambda t: np.log2(t["lr"]),
    "log_lr": lambda t: np.log(t["lr"]).round(2),
    "lr_scaled": lambda t: t["lr"] * t["d_model"] / 64,
    "hidden_lr": lambda t: t["lr"] * 64 / t["d_model"],
    "inverse_learning_rate": lambda t: 1 / t["lr"],
    "lr_octave": lambda t: np.log2(t["lr"]).astype(int),
}


@pytest.mark.parametrize("name", SCALES)
def test_the_learning_rate_on_another_scale_is_no_second_setting(name):
    rows = ladder({"d_model": -1.0}, SIZES, noise=0.003, seeds=2)
    rows = rows[rows["lr"].between(0.9 * 2**-12, 1.1 * 2**-3) | (rows["d_model"] == 64)]  # grids that move
    plain, told = read_sweeps(rows), read_sweeps(rows.assign(**{name: SCALES[name]}))
    assert told.notes == plain.notes
    pd.testing.assert_frame_equal(told.points, plain.points)


def test_nor_is_it_one_where_each_size_has_two_learning_rates():
    """The forecasts of probes take any number: the other scale had two values in a size, and was refused."""
    rows = [
        {"N": N, "lr": lr, "seed": seed, "loss": 3.0, "attention_logit_max": 10 * (N / 1e6) ** 0.3 * (1 + 0.01 * seed)}
        for N in (1e6, 2e6, 4e6, 8e6)
        for lr in (0.01, 0.02)
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    found = forecast(table.assign(log2_lr=np.log2(table["lr"])), 1.6e7, 0.01)
    assert found.found[0].name == "largest attention logit"
    with pytest.raises(InputError, match="weight_decay"):
        forecast(table.assign(weight_decay=table["lr"]), 1.6e7, 0.01)


@pytest.mark.parametrize("name", ["weight_decay", "final_lr", "lr_decay_steps"])
def test_what_only_follows_the_learning_rate_is_told(name):
    rows = ladder({"d_model": -1.0}, SIZES, seeds=2)
    notes = read_sweeps(rows.assign(**{name: 1000 * rows["lr"]})).notes
    assert any(note.startswith(f"{name} changes with the learning rate") for note in notes)


def test_a_name_is_not_enough():
    """A rate that jumps about is another setting."""
    rows = ladder({"d_model": -1.0}, SIZES)
    jumps = np.where(np.log2(rows["lr"]).round() % 2 == 0, 0.1, 0.2)
    with pytest.raises(InputError, match=r"embedding_lr: 0\.1, 0\.2"):
        read_sweeps(rows.assign(embedding_lr=jumps))


# --- theory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [0.02, 0.1, 0.3, 0.6, 1.5])
@pytest.mark.parametrize("measured", [-1.0, 0.0, 0.4, 1.0, 2.0])
def test_theory_never_moves_the_line_out_of_what_was_measured(measured, error):
    """Over precise and vague optima, near to and far from what theory expects of the drift: 0 ± 0.2."""
    x, rng = np.array([-1.0, 0.0, 1.0]), np.random.default_rng(3)
    places = -6 + measured * x
    y = np.column_stack([places, places[:, None] + error * rng.standard_normal((3, 400))])
    height, slope = drift_line(x, y)
    ends = np.quantile(y[:, 1:], [0.05, 0.95], axis=1)
    raised, moved, why = with_theory(height, slope, (0.0, 0.2), 0, np.column_stack([x, ends[0], ends[1]]))
    for at in (*x, 2.0, 5.0):
        inside = interval_of(height + slope * at)
        assert inside.low <= raised[0] + moved[0] * at <= inside.high
    lines = raised[0] + moved[0] * x
    assert (why != "") or ((ends[0] <= lines) & (lines <= ends[1])).all()
    if measured == 0.0:
        assert why == ""  # where they agree theory counts: the interval is narrower
        assert moved[1:].std() < slope[1:].std()


def test_theory_of_adam_says_nothing_of_descent():
    rows = ladder({"d_model": -0.6}, SIZES, noise=0.003, seeds=2).assign(parametrization="sp")
    assert lr_transfer(rows.assign(optimizer="sgd"), draws=40)["sp"].expected is None
    assert lr_transfer(rows.assign(optimizer="adamw"), draws=40)["sp"].expected == (-1.0, 0.4)
