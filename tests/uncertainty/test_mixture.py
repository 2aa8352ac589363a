"""The forecast of a mixture from those of its members."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scalefit.laws import find_law
from scalefit.rows.points import Points
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.mixture import mixed, moved

Z = 1.6448536269514722


def table(centre, below, above):
    return pd.DataFrame({"loss": [centre], "low": [centre * np.exp(-Z * below)], "high": [centre * np.exp(Z * above)]})


def test_quantiles_are_those_of_the_members_averaged():
    """Of normal members the distribution whose quantiles these are is normal, with their mean and mean deviation."""
    members = [(2.0, 0.01, 0.03), (2.2, 0.02, 0.02)]
    found = mixed("loss", (0.7, 0.3), [table(*m) for m in members], True).iloc[0]
    ends = [[table(*m)[side].iloc[0] for m in members] for side in ("loss", "low", "high")]
    for side, (first, second) in zip(("loss", "low", "high"), ends, strict=True):
        assert found[side] == pytest.approx(0.75 * first + 0.25 * second)  # a tenth is cut off at either end
    law = stats.norm(0.5 * 1.0 + 0.5 * 3.0, 0.5 * 0.2 + 0.5 * 0.4)
    pair = [pd.DataFrame({"loss": [c], "low": [c - Z * s], "high": [c + Z * s]}) for c, s in ((1.0, 0.2), (3.0, 0.4))]
    made = mixed("loss", (0.5, 0.5), pair, False).iloc[0]
    assert made[["low", "loss", "high"]].tolist() == pytest.approx([law.ppf(q) for q in (0.05, 0.5, 0.95)])


def test_a_member_far_off_moves_a_forecast_by_no_more_than_its_weight_beyond_a_tenth():
    near, far = [table(2.0, 0.01, 0.01), table(2.1, 0.01, 0.01)], table(9e9, 0.01, 0.01)
    assert mixed("loss", (0.46, 0.46, 0.08), [*near, far], True)["loss"].iloc[0] < 2.1
    assert mixed("loss", (0.44, 0.44, 0.12), [*near, far], True)["loss"].iloc[0] == pytest.approx(9e9 * 0.02 / 0.8)


def test_one_member_keeps_its_interval():
    alone = table(2.0, 0.01, 0.03)
    pd.testing.assert_frame_equal(mixed("loss", (1.0,), [alone], True), alone, rtol=1e-9)


@pytest.mark.parametrize("log", [True, False])
def test_a_member_without_a_value_does_not_count(log):
    none, other = pd.DataFrame({"loss": [np.nan], "low": [np.nan], "high": [np.nan]}), table(2.0, 0.01, 0.01)
    pd.testing.assert_frame_equal(mixed("loss", (0.6, 0.4), [none, other], log), other, rtol=1e-9)
    assert np.isnan(mixed("loss", (1.0,), [none], True)["loss"].iloc[0])


def test_a_member_without_an_interval_is_no_more_certain_than_the_widest_of_the_others():
    unsure, one, two = table(2.0, np.nan, np.nan), table(2.0, 0.01, 0.02), table(2.0, 0.03, 0.03)
    found = mixed("loss", (0.9, 0.1), [unsure, two], True)
    pd.testing.assert_frame_equal(found, two, rtol=1e-9)
    ends = mixed("loss", (0.8, 0.1, 0.1), [unsure, one, two], True).iloc[0]
    known = mixed("loss", (0.1, 0.9), [one, two], True).iloc[0]
    assert (ends["low"], ends["high"]) == pytest.approx((known["low"], known["high"]), rel=1e-9)


def test_a_member_that_falls_below_zero_in_logarithms_does_not_count_beside_one_that_does_not():
    """Its own ends are none, and those of another would be turned round: the upper below the lower."""
    below, above = pd.DataFrame({"loss": [-1.0], "low": [np.nan], "high": [np.nan]}), table(2.0, 0.01, 0.02)
    pd.testing.assert_frame_equal(mixed("loss", (0.9, 0.1), [below, above], True), above, check_exact=False, rtol=1e-9)
    alone = mixed("loss", (0.9, 0.1), [below, below], True).iloc[0]
    assert alone["loss"] == -1.0
    assert np.isnan([alone["low"], alone["high"]]).all()
    assert mixed("accuracy", (1.0,), [below.rename(columns={"loss": "accuracy"})], False)["accuracy"].iloc[0] == -1.0


def test_ends_of_another_form_stay_around_it_where_the_law_as_fitted_is_below_zero():
    """As differences: shares of a value below zero would turn the lower end round."""
    points = Points(("a",), None, {"x": (1.0,)}, (2.0,))
    estimate = Estimate(find_law("power:over=N"), {"A": 3.0, "alpha": 0.0}, log=False, sigma=0.0)
    as_fitted = pd.DataFrame({"loss": [-1.0, 2.0], "low": [-1.5, 1.0], "high": [np.nan, np.nan]})
    made = moved(as_fitted, "loss", estimate, {"x": np.array([5.0, 5.0])}, points, 0.9)
    assert made["low"].tolist() == pytest.approx([2.5, 1.5])  # half a unit lower, and half as large


def test_an_end_beyond_all_numbers_is_no_narrower_than_others():
    open_end = pd.DataFrame({"loss": [2.0], "low": [1.9], "high": [np.inf]})
    unsure = pd.DataFrame({"loss": [2.0], "low": [np.nan], "high": [np.nan]})
    assert mixed("loss", (0.5, 0.5), [open_end, table(2.0, 0.01, 0.01)], True)["high"].iloc[0] == np.inf
    assert mixed("loss", (0.5, 0.5), [unsure, open_end], True)["high"].iloc[0] == np.inf
    most = mixed("loss", (0.05, 0.95), [open_end, table(2.0, 0.01, 0.02)], True).iloc[0]
    assert most["high"] == pytest.approx(2.0 * np.exp(Z * 0.02))  # cut off with its tenth


def test_relative_errors_are_those_of_the_mixture():
    tables = [table(2.0, 0.01, 0.01).assign(measured=2.1, relative_error=0.0) for _ in range(2)]
    assert mixed("loss", (0.5, 0.5), tables, True)["relative_error"].iloc[0] == pytest.approx(2.0 / 2.1 - 1)
