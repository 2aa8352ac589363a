"""The distance of schedules, and what it does to the intervals of curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules import parse_schedule
from scalefit.uncertainty.calibration import WITHIN, Calibration
from scalefit.uncertainty.unlike import (
    FURTHER,
    LONGER,
    PROMISED,
    SCHEDULE,
    UNLIKE,
    kept_states,
    missed_ahead,
    promised,
    states_at,
    unlike,
)

PLANS = {
    "constant": "constant:peak_lr=1e-3,steps=2000,warmup=100",
    "cosine": "cosine:peak_lr=1e-3,steps=2000,warmup=100,final=1e-4",
}
WSD = "wsd:peak_lr=1e-3,steps={},warmup=100,decay_steps={},final=0"


def states(text, steps=None):
    plan = parse_schedule(text)
    return states_at(
        plan.per_step(), plan.warmup, np.arange(plan.warmup + 1, plan.steps + 1) if steps is None else steps
    )


def shaped(asked, fitted):
    """The distance of two schedules but for the number of steps that their falls take."""
    return unlike(asked[:, :4], np.array(fitted)[:, :4])


def test_the_state_of_a_straight_cooldown():
    fallen, share, mean, peak, length = states(WSD.format(2000, 400), np.array([2000]))[0]
    assert fallen == pytest.approx(1.0)
    assert share == pytest.approx(0.2, abs=0.02)  # 380 of 1900 steps lie below 95 % of the peak
    assert mean == pytest.approx(0.475, abs=0.01)
    assert peak == pytest.approx(-3)
    assert length == pytest.approx(np.log10(380), abs=0.01)


def test_a_longer_run_of_the_same_plan_is_alike_and_another_shape_is_not():
    fitted = kept_states(states(WSD.format(2000, 400)))
    end = np.array([8000])
    longer, half = (shaped(states(WSD.format(8000, steps), end), fitted)[0] for steps in (1600, 4000))
    early = shaped(states(f"{WSD.format(8000, 1600)},decay=1-sqrt", end), fitted)[0]
    assert longer < 0.02
    assert half > 0.25
    assert early > 0.1
    assert shaped(states(WSD.format(8000, 1600), np.array([3000])), fitted)[0] < 0.02  # still at the peak


def test_nearest_against_all_pairs():
    rng = np.random.default_rng(0)
    asked, fitted = rng.random((30, 4)), rng.random((50, 4))
    expected = [min(float(np.linalg.norm(a - b)) for b in fitted) for a in asked]
    assert unlike(asked, fitted) == pytest.approx(expected)


@pytest.fixture(scope="module")
def fitted():
    rng, logs, steps = np.random.default_rng(1), [], np.arange(120, 2001, 20)
    for name, text in PLANS.items():
        plan = parse_schedule(text)
        at = sf.find_law("annealing").at_steps(plan.per_step(), plan.warmup, steps)
        loss = 2.5 + 0.5 * at["S1"] ** -0.5 - 0.3 * at["S2"]
        noise = np.exp(0.001 * rng.standard_normal(len(steps)))
        logs.append(pd.DataFrame({"run": name, "step": steps, "loss": loss * noise}))
    return sf.fit(sf.read_runs(pd.concat(logs), schedule=PLANS), "annealing", draws=40)


def width(fit, schedule):
    end = fit.predict(schedule=schedule).iloc[-1]
    return float(np.log(end["high"] / end["low"]))


def test_an_unseen_cooldown_is_wider_than_a_schedule_that_was_fitted(fitted):
    assert width(fitted, WSD.format(2000, 400)) > 2 * width(fitted, PLANS["cosine"])


def test_the_error_under_another_schedule_grows_with_the_fall_of_the_rate_and_with_the_distance_of_the_peak(fitted):
    calibration = fitted.intervals.calibration
    at = {name: np.array(values[:1]).repeat(3) for name, values in fitted.points.variables.items()}
    peak = calibration.states[0][3]
    asked = np.array([[0.5, 0.05, 0.2, peak, 2.0], [1.0, 0.05, 0.2, peak, 2.0], [0.0, 0.0, 1.0, peak + 1.0, 0.0]])
    calibration = replace(calibration, decays=0.0)
    bare = calibration.missed(fitted.law, at)
    own = np.sqrt(calibration.missed(fitted.law, at, asked) ** 2 - bare**2) / calibration.change
    assert own == pytest.approx([0.5 * own[1], own[1], SCHEDULE], rel=1e-3)


def test_a_fall_of_a_larger_share_of_the_steps_is_further_away_than_one_of_a_smaller_share():
    own = Calibration(1.0, 0, 0, -5.0, 5.0, 1.0, states=((1.0, 0.2, 0.5, -3.0),))
    law, at = sf.find_law("annealing"), {"S1": np.ones(2), "S2": np.ones(2)}
    shorter, longer = own.missed(law, at, np.array([[1.0, 0.1, 0.5, -3.0], [1.0, 0.3, 0.5, -3.0]]))
    assert shorter == pytest.approx(np.hypot(WITHIN, SCHEDULE * 0.1 / UNLIKE))
    assert longer == pytest.approx(np.hypot(WITHIN, SCHEDULE * (0.1 + LONGER * np.log10(1.5)) / UNLIKE))


def test_a_run_in_progress_is_missed_by_what_its_rate_still_falls_in_a_new_way():
    """By hand: R = 2, h = .01; the run is at .4 of a straight fall over .2 of its steps, the fitted run is constant."""
    own = Calibration(1.0, 0, 0, -5.0, 5.0, 2.0, states=((0.0, 0.0, 1.0, -3.0, 0.0),), decays=0.01)
    seen = np.array([[0.0, 0.0, 1.0, -3.0, 0.0], [0.4, 0.1, 0.8, -3.0, 2.0]])
    ahead = np.array([[0.4, 0.1, 0.8, -3.0, 2.0], [1.0, 0.2, 0.5, -3.0, 2.0], [0.0, 0.1, 0.8, -3.0, 2.0]])
    far = min((np.sqrt(0.6**2 + 0.1**2 + 0.3**2) + LONGER * np.log10(2)) / UNLIKE, 1.0)
    expected = np.hypot(2 * SCHEDULE * 0.6 * far, 0.01 * 0.6 * FURTHER * far)
    assert missed_ahead(own, ahead, seen) == pytest.approx([0.0, expected, 0.0])
    assert missed_ahead(replace(own, states=()), ahead, seen) == pytest.approx([0.0, 0.0, 0.0])
    assert missed_ahead(replace(own, states=((0.0, 0.0, 1.0, -3.0),)), ahead, seen)[1] == pytest.approx(expected)


def test_the_range_of_curves_holds_their_lowest_rows_and_not_their_highest(fitted):
    """A short cooldown is a few rows, and what a law may miss of a longer one scales with what they fell by."""
    made = np.log(fitted.evaluate({name: np.array(v) for name, v in fitted.points.variables.items()}))
    assert fitted.intervals.calibration.change == pytest.approx(np.quantile(made, 0.95) - made.min())


def test_another_schedule_is_a_caution_and_the_fitted_ones_are_none(fitted):
    told = [check for check in fitted.cautions(schedule=WSD.format(2000, 400)) if check.code == "another-schedule"]
    assert len(told) == 1
    assert "falls by 100 % over the last 20 % of the steps" in told[0].text
    for text in PLANS.values():
        assert "another-schedule" not in {check.code for check in fitted.cautions(schedule=text)}


def test_the_states_are_kept_in_the_file(fitted, tmp_path):
    again = sf.load_fit(fitted.save(tmp_path / "fit.json"))
    assert again.intervals == fitted.intervals
    assert width(again, WSD.format(2000, 400)) == pytest.approx(width(fitted, WSD.format(2000, 400)), rel=1e-12)


def test_what_a_law_promises_of_a_longer_fall_below_all_fitted_losses_widens_upwards():
    """By hand: R = 2; 3 below all fitted ones, under falls of ten times, once and sqrt(10) times their steps."""
    own = Calibration(1.0, 0, 0, -5.0, 5.0, 2.0, states=((1.0, 0.2, 0.5, -3.0, 2.0),), lowest=1.0)
    asked = np.array([[1.0, 0.2, 0.5, -3.0, 3.0], [1.0, 0.2, 0.5, -3.0, 2.0], [1.0, 0.2, 0.5, -3.0, 2.5]])
    below = np.array([-2.0, -2.0, -2.0])
    expected = PROMISED * 3 * 3 / (3 + 2)
    assert promised(own, below, asked) == pytest.approx([expected, 0.0, expected / 2])
    assert promised(own, 2 - below, asked) == pytest.approx([0.0, 0.0, 0.0])
    assert promised(own, below, asked, seen=asked[:1]) == pytest.approx([0.0, 0.0, 0.0])  # the run has shown it itself
    assert promised(replace(own, lowest=None), below, asked) == pytest.approx([0.0, 0.0, 0.0])


@pytest.mark.parametrize("steps", [1200, 4000])
def test_a_short_cooldown_alone_excludes_no_loss_under_a_long_one_whose_gain_is_bounded(steps):
    """The loss follows the rate with a memory of 50 steps; fitted to a constant and 100 steps of decay."""
    plans = {"flat": "constant:peak_lr=1e-3,steps=2000,warmup=100", "short": WSD.format(2000, 100)}
    asked = WSD.format(4 * steps, steps)

    def loss(text):
        rate = parse_schedule(text).per_step() / 1e-3
        held = np.convolve(rate, np.exp(-np.arange(400) / 50) / 50)[: len(rate)]
        return 2.5 + 0.5 * (np.cumsum(rate) / 500 + 0.02) ** -0.5 + 0.25 * held**0.6

    at = np.arange(120, 2001, 20)
    logs = [pd.DataFrame({"run": run, "step": at, "loss": loss(text)[at]}) for run, text in plans.items()]
    table = pd.concat(logs)
    table["loss"] *= np.exp(0.001 * np.random.default_rng(0).standard_normal(len(table)))
    fit = sf.fit(sf.read_runs(table, schedule=plans), "annealing:decay=0.999", draws=40)
    end = fit.predict(schedule=asked).iloc[-1]
    truth = loss(asked)[-1]
    assert end[fit.target] < truth - 0.1  # the law promises far more
    assert end["low"] < truth < end["high"]
    early = np.arange(120, steps, 40)
    log = pd.DataFrame({"step": early, "loss": loss(asked)[early]})
    for given in (fit, replace(fit, intervals=None)):  # a fit without draws keeps its schedules as well
        forecast = sf.predict_partial(log, schedule=asked, fit=given)
        assert forecast.final < truth - 0.1
        assert forecast.low < truth < forecast.high
