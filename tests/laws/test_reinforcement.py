"""Reward against compute: a ceiling, and a run that ends before the bend."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

C = np.geomspace(1500, 4e4, 30)


def runs(A, C_mid, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.004, len(C))
    return pd.DataFrame({"C": C, "reward": 0.1 + (A - 0.1) / (1 + (C_mid / C) ** 1.2) + noise})


def codes(found):
    return {check.code for check in found.warnings}


def test_a_run_past_its_bend_is_fitted_without_a_warning():
    found = sf.fit(runs(0.62, 8e3), "reinforcement")
    assert found.status == "converged"
    assert found["A"] == pytest.approx(0.62, abs=0.03)
    assert "bend-not-reached" not in codes(found)


def test_a_pass_rate_never_passes_one():
    found = sf.fit(runs(0.9, 3e5), "reinforcement")
    assert found["A"] <= 1
    assert "bend-not-reached" in codes(found)
    free = sf.fit(runs(5.0, 3e5), "reinforcement:ceiling=inf")
    assert free["A"] > 1
    assert "bend-not-reached" in codes(free)


def test_percentages_are_refused_with_what_to_write():
    table = runs(0.62, 8e3).assign(reward=lambda frame: 100 * frame["reward"])
    with pytest.raises(
        sf.InputError, match=r"lies above the ceiling 1; divide percentages by 100, or give .*ceiling=100"
    ):
        sf.fit(table, "reinforcement")
    assert sf.fit(table, "reinforcement:ceiling=100")["A"] == pytest.approx(62, abs=3)


@pytest.mark.parametrize(("last", "told"), [(7.9e3, True), (8e3, True), (8.1e3, False)])
def test_the_bend_lies_where_half_of_the_gain_is_made(last, told):
    """A run that ends there, or before, does not show it."""
    found = sf.find_law("reinforcement").doubts_fitted({"C": np.array([1e3, last])}, {"C_mid": 8e3})
    assert bool(found) is told
