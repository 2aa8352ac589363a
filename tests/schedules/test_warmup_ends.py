"""The warmup of a schedule given as text is where its first rise ends, whether it was named or only follows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.schedules import parse_schedule, warmup_end


def first_rise_ends(lr):
    """The last step up to which every step rises, by a plain loop; 0 where the first does not."""
    end = 0
    while end + 1 < len(lr) and lr[end + 1] > lr[end]:
        end += 1
    return end


@pytest.mark.parametrize("warmup", ["", ",warmup=10", ",warmup=1"])
@pytest.mark.parametrize(
    "text",
    [
        "constant:peak_lr=1e-3,steps=100",
        "linear:peak_lr=1e-3,steps=100",
        "cosine:peak_lr=1e-3,steps=100,final=1e-4",
        "cyclic:peak_lr=1e-3,steps=100,period=40,final=1e-4",
        "wsd:peak_lr=1e-3,steps=100,decay_steps=20",
        "multi_step:peak_lr=1e-3,steps=100,at=30/60,factor=0.5",
    ],
)
def test_where_the_first_rise_ends(text, warmup):
    schedule = parse_schedule(text + warmup)
    named = int(warmup[8:] or 0)
    lr = np.array(schedule.per_step())
    assert schedule.warmup == (named or first_rise_ends(lr))
    if named:
        assert np.all(np.diff(lr[: named + 1]) > 0)


def test_a_piecewise_rise_is_a_warmup():
    schedule = parse_schedule("piecewise:at=0/20/80/100,lr=0/1e-3/1e-3/0")
    assert schedule.steps == 100
    assert schedule.warmup == 20


@pytest.mark.parametrize("given_as", ["a CSV of the schedule", "a column of the log"])
def test_a_noisy_warmup_ends_where_it_is_said_to(tmp_path, given_as):
    at = np.arange(401)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.05, at.size))
    rates = pd.DataFrame({"run": "a", "step": at, "lr": 1e-3 * np.minimum(at / 100, 1) * noise})
    log = rates.drop(columns="lr").assign(loss=3.0)
    path = tmp_path / "rates.csv"
    rates.to_csv(path, index=False)

    def end(warmup):
        if given_as == "a CSV of the schedule":
            return sf.read_runs(log, schedule=path, warmup=warmup).trajectory("a").warmup
        return sf.read_runs(rates.assign(loss=3.0), warmup=warmup).trajectory("a").warmup

    assert end(None) == pytest.approx(100, rel=0.05)
    assert end(100) == 100


@pytest.mark.parametrize("noise", [0.02, 0.2])
@pytest.mark.parametrize("kind", ["constant", "cosine", "wsd"])
def test_a_noisy_rise_ends_where_the_rate_stops_rising(kind, noise):
    text = f"{kind}:peak_lr=1e-3,steps=6000,warmup=500" + ",decay_steps=1000" * (kind == "wsd")
    clean = parse_schedule(text).per_step()
    rng = np.random.default_rng(1)
    assert warmup_end(clean * np.exp(noise * rng.standard_normal(clean.size))) == pytest.approx(500, rel=0.1)


def test_cycles_after_a_warmup_are_no_noise_of_it():
    clean = parse_schedule("cyclic:peak_lr=1e-3,steps=6000,warmup=50,period=20,final=5e-4").per_step()
    assert warmup_end(clean) == 50
    assert warmup_end(1e-3 * (1 + 0.2 * np.sin(np.arange(2000)))) == first_rise_ends(np.sin(np.arange(9)))


def test_a_smooth_rise_after_a_long_pause_is_no_noise_either():
    assert warmup_end(np.interp(np.arange(700), [0, 10, 40, 140], [0, 0.5, 0.5, 1.0])) == 10


def test_a_warmup_that_has_ended_before_the_given_step_stays_as_it_is():
    rates = pd.DataFrame({"run": "a", "step": np.arange(401), "lr": 1e-3 * np.minimum(np.arange(401) / 50, 1)})
    assert sf.read_runs(rates.assign(loss=3.0), warmup=100).trajectory("a").warmup == 50


def test_a_table_as_schedule_is_refused_with_what_to_give_instead():
    rates = pd.DataFrame({"run": "a", "step": [0, 1, 2], "lr": [1.0, 1.0, 0.5]})
    with pytest.raises(InputError, match=r"not a DataFrame.*CSV"):
        sf.read_runs(rates[["run", "step"]].assign(loss=3.0), schedule=rates)


def test_a_rate_that_turns_twice_without_noise_has_its_first_rise_as_warmup():
    """A restart that rises further is no noisy warmup: the rate turns at its start and at its end alone."""
    lr = np.r_[np.linspace(0, 1, 21), np.linspace(1, 0.5, 31)[1:], np.linspace(0.5, 9, 401)[1:], np.full(500, 9.0)]
    assert warmup_end(lr) == 20
