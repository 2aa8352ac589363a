"""Forecasts of probes with planted growth: values, crossings, learning rates and words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.stability.forecast import STABLE, _first, _in_words, _lr_limit, forecast
from scalefit.stability.lines import Lines

SIZES = np.array([1e6, 1e7, 1e8])


def grown(rates=(0.01,), seeds=2, **columns):
    """Runs of three sizes, rates and seeds; ``columns``: a function of size, rate and seed for each."""
    rows = [
        {"N": size, "lr": rate, "seed": seed, "loss": 3.0} for size in SIZES for rate in rates for seed in range(seeds)
    ]
    table = pd.DataFrame(rows)
    for name, made in columns.items():
        table[name] = [
            made(size, rate, seed) for size, rate, seed in zip(table["N"], table["lr"], table["seed"], strict=True)
        ]
    return table


def jitter(seed):
    return np.exp(0.01 * (-1) ** seed)


def named(found, name):
    return next(each for each in found.found if each.name == name)


def test_probes_grow_to_their_limits():
    """Powers of the size: 100 (N/1e6)^0.5 reaches 1e4 at 1e10; 1e-5 (N/1e6)^-0.5 falls below 1e-7 at 1e10."""
    table = grown(
        rms_grad=lambda N, lr, s: 1e-5 * (N / 1e6) ** -0.5 * jitter(s),
        rms_act=lambda N, lr, s: 1.0 * jitter(s),
        output_logit_logsumexp=lambda N, lr, s: 10 - 10 * np.log10(N / 1e6) + 0.1 * (-1) ** s,
        sharpness_preconditioned=lambda N, lr, s: 3.8 * (N / 1e6) ** 0.5 / lr * jitter(s),
    )
    found = forecast(table, 1e9, 0.01)
    gradient = named(found, "gradient RMS")
    assert gradient.value.value == pytest.approx(1e-5 * 1000**-0.5)
    assert gradient.crossing.value == pytest.approx(1e10, rel=0.02)
    assert gradient.crossing.low < gradient.crossing.value < gradient.crossing.high
    assert gradient.probability < 0.01
    assert named(found, "activation RMS").crossing.value == np.inf
    z = named(found, "log Z")
    assert (z.limit, z.value.value) == (-50.0, pytest.approx(-20.0))
    assert z.crossing.value == pytest.approx(1e12, rel=0.02)
    product = named(found, "sharpness times lr")
    assert product.value.value == pytest.approx(3.8 * 1000**0.5)
    assert product.probability > 0.99
    assert product.crossing.value == pytest.approx(1e8, rel=0.02)
    assert found.likely == ["sharpness times lr"]
    assert found.missing["largest attention logit"] == "no column attention_logit_max/0 or attention_logit_max"
    assert found.beyond == pytest.approx(10.0)
    text = str(found)
    assert text.startswith(
        "1 limit is likely to be crossed at N 1e+09 (10 times the largest measured) and learning rate 0.01"
    )
    assert "! sharpness times lr is likely to cross 38: try a longer warmup, or a lower learning rate" in text
    assert "forecasts, with intervals of 90 %:" in text
    near = forecast(table, 1e7, 0.01)
    assert "times the largest" not in str(near)
    assert str(near).startswith("no limit is likely to be crossed at N 1e+07")


def test_the_learning_rate_at_which_a_limit_is_crossed():
    """100 (N/1e6)^0.5 (lr/0.01) at N = 1e8 is 1e3 at 0.01, and 1e4 at 0.1."""
    rates = (0.01, 0.04, 0.16)
    table = grown(rates, attention_logit_max=lambda N, lr, s: 100 * (N / 1e6) ** 0.5 * lr / 0.01 * jitter(s))
    found = named(forecast(table, 1e8, 0.02), "largest attention logit")
    assert found.value.value == pytest.approx(2000)
    assert found.lr_limit == pytest.approx(0.1)
    assert "interpolated between learning rates of the sweep: largest attention logit" in str(
        forecast(table, 1e8, 0.02)
    )
    low = named(forecast(table, 1e4, 0.02), "largest attention logit")
    assert np.isnan(low.lr_limit)


@pytest.mark.parametrize(("lr", "refused"), [(0.0099, False), (0.0098, True), (0.0404, False), (0.041, True)])
def test_rates_outside_the_sweep(lr, refused):
    table = grown((0.01, 0.04), rms_act=lambda N, lr, s: 1.0)
    if refused:
        with pytest.raises(InputError, match=r"lies outside those of the sweep, 0.01 to 0.04"):
            forecast(table, 1e9, lr)
    else:
        assert forecast(table, 1e9, lr).lr == lr


def test_what_cannot_be_forecast():
    table = grown(rms_act=lambda N, lr, s: 1.0)
    for epsilon in (0.0, np.inf, -1.0):
        with pytest.raises(InputError, match="not a number above 0; give Adam's epsilon"):
            forecast(table, 1e9, 0.01, epsilon=epsilon)
    with pytest.raises(InputError, match="there is no column lr"):
        forecast(table.drop(columns="lr"), 1e9, 0.01)
    bare = forecast(table.drop(columns=["rms_act"]), 1e9, 0.01)
    assert str(bare).startswith("! nothing can be forecast")
    assert bare.missing[STABLE] == "fewer than two sizes have both stable and diverged runs"
    assert forecast(table.drop(columns="loss"), 1e9, 0.01).missing[STABLE] == "no column loss"
    few = forecast(table.assign(rms_act=table["rms_act"].where(table["N"] == 1e6)), 1e9, 0.01)
    assert few.missing["activation RMS"] == "fewer than two sizes have rms_act at learning rates near 0.01"
    assert np.isnan(bare.diverging)
    assert bare.table.empty
    assert bare.likely == []


def test_runs_near_this_rate_that_diverged_are_named():
    table = grown((0.01, 0.014, 0.016), rms_act=lambda N, lr, s: 1.0)
    lost = table.assign(loss=table["loss"].mask((table["lr"] == 0.014) & (table["N"] == 1e7)))
    assert (
        forecast(lost, 1e9, 0.01).lost
        == "runs of N 1e+07 at learning rates within a factor of 1.5 of 0.01 have diverged"
    )
    far = table.assign(loss=table["loss"].mask((table["lr"] == 0.016) & (table["N"] == 1e7)))
    assert forecast(far, 1e9, 0.01).lost == ""
    endless = table.assign(rms_act=table["rms_act"].mask(table["N"] == 1e8, np.inf))
    assert forecast(endless, 1e9, 0.01).lost.startswith("runs of N 1e+08 at")


class Rising:
    """A line whose chance of lying beyond a limit is the share of the way from 1 to a size, in the logarithm."""

    smallest = 1.0

    def __init__(self, certain):
        self.certain = certain

    def chance(self, size, limit, sign):
        return np.clip(np.log(size) / np.log(self.certain), 0, 1) if self.certain else np.full(len(size), np.nan)


def test_the_first_size_at_which_a_probability_is_reached():
    for share in (0.05, 0.5, 0.95):
        assert _first(Rising(1e12), 0.0, 1.0, share) == pytest.approx(1e12**share, rel=5e-4)
    assert _first(Rising(1e12), 0.0, 1.0, 0.0) == 1.0
    assert _first(Rising(1e30), 0.0, 1.0, 0.95) == np.inf
    assert np.isnan(_first(Rising(None), 0.0, 1.0, 0.5))


@pytest.mark.parametrize(
    ("sign", "limit", "rate"), [(1.0, 2.0, 0.02), (-1.0, 2.0, 0.02), (1.0, 9.0, np.nan), (1.0, 3.0, 0.04)]
)
def test_where_the_mean_crosses_a_limit(sign, limit, rate):
    """Values 1, 3 and 3.5 at rates 0.01, 0.04 and 0.16, the same at both sizes."""
    size, lr = np.repeat([1e6, 1e7], 3), np.tile([0.01, 0.04, 0.16], 2)
    lines = Lines(size, lr, np.tile([1.0, 3.0, 3.5], 2), 1)
    assert _lr_limit(lines, 1e8, limit, sign) == pytest.approx(rate, nan_ok=True)


def test_numbers_of_a_forecast_in_words():
    table = pd.DataFrame(
        [[0.009, 0.01, 2e16], [0.991, 0.99, 9e15], [np.nan, 0.5, np.nan]], columns=["probability", "low", "crossed_at"]
    )
    for name in ("high", "from", "to", "lr_limit"):
        table[name] = 3e16
    shown = _in_words(table)
    assert shown["probability"].tolist() == ["< 0.01", "> 0.99", "-"]
    assert shown["crossed_at"].tolist() == ["> 1e16", "9e+15", "-"]
    assert shown["high"].tolist() == ["3e+16"] * 3
    assert shown["from"].tolist() == ["> 1e16"] * 3
    assert _in_words(table.assign(probability=[0.01, 0.99, 0.456]))["probability"].tolist() == [
        "0.01",
        "0.99",
        "0.46",
    ]
