"""The forecast of a limit, checked on earlier rows: it holds the step at which that is reached, or says nothing."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.progress.growth import Growth, growth

LIMIT = 1e4


def planted(kind, rng, rows):
    """Steps and values over half to nine tenths of the way to the step at which the limit is reached; that step."""
    step = 5.0 * np.arange(1, rows + 1)
    reached, start = step[-1] * rng.uniform(1.1, 2.0), rng.uniform(2.0, 20.0)
    path = np.log(LIMIT / start)
    share = step / reached
    if kind == "double exponential":
        pace = rng.uniform(1.0, 3.0)
        share = np.expm1(pace * share) / np.expm1(pace)
    elif kind == "late":
        onset = rng.uniform(0.0, 0.5) * step[-1] / reached
        share = np.maximum(share - onset, 0) / (1 - onset)
    log = np.log(LIMIT) + rng.uniform(1.0, 4.0) * np.log(share) if kind == "power" else np.log(start) + path * share
    return step, np.exp(log + rng.choice([0.01, 0.05, 0.15]) * rng.standard_normal(rows)), reached


@pytest.mark.parametrize(
    ("kind", "least"),  # how many of 99 get a range; of double exponential growth most get none
    [("exponential", 80), ("double exponential", 30), ("power", 80), ("late", 40)],
)
def test_the_range_holds_the_step_or_is_not_given(kind, least):
    rng, held = np.random.default_rng(7), []
    for rows in (12, 24, 40) * 33:
        step, value, reached = planted(kind, rng, rows)
        found = growth(step, value, LIMIT)
        if found is not None and not found.doubt:
            held.append(found.earliest - 5 <= reached <= found.latest + 5)
    assert len(held) >= least
    assert np.mean(held) >= 0.85  # of 90 % bands; 0.05 of double exponential ones before they were checked


def test_the_shipped_divergence_is_held_at_every_row():
    """The logit is 9,332 at step 55 and 16,473 at 60."""
    curves = pd.read_csv(commands.ROOT / "data" / "divergence" / "curves.csv")
    rows = curves[(curves["run"] == "lr-2") & curves["attention_logit_max"].notna()]
    step, value = (rows[name].to_numpy(float) for name in ("step", "attention_logit_max"))
    told = [growth(step[: n + 1], value[: n + 1], LIMIT) for n in np.flatnonzero(value < LIMIT)]
    ranges = [each for each in told if each is not None and not each.doubt]
    assert len(ranges) >= 2
    assert all(each.earliest < 60 and each.latest > 55 for each in ranges)


def test_a_forecast_without_a_past_says_so():
    eight = growth(np.arange(8.0) + 1, np.exp(np.arange(8.0)), LIMIT)
    assert eight.doubt == "the log is too short to check a forecast so far ahead on its own past"
    step = np.arange(1.0, 61.0)
    turned = np.where(step < 30, 10 * np.exp(step / 100), 10 * np.exp(0.3 + (step - 30) / 8))
    assert "forecasts from earlier rows missed" in str(growth(step, turned, LIMIT))
    assert str(Growth(("a line",), 5.0, 9.0, "why")) == "a line, but when cannot be told: why"


def test_a_forecast_that_missed_is_widened_by_as_much():
    """A pace that rises by half half way: from the first half the level is forecast too late, by less than three."""
    step = np.arange(1.0, 201.0)
    value = 10 * np.exp(0.02 * step + 0.01 * np.maximum(step - 100, 0) + 1e-3 * np.sin(7 * step))
    found = growth(step, value, LIMIT)
    reached = 100 + (np.log(LIMIT / 10) - 2) / 0.03
    assert not found.doubt
    assert found.earliest < reached < found.latest
    assert (found.latest - 200) / (found.earliest - 200) > 1.4**2
