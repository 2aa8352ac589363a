"""Which runs stand out: the limit of Student's t by scipy, and what a run that holds the prediction alone may do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import t as student

from scalefit.diagnosis.influence import Influence, standing_out
from scalefit.diagnosis.leverage import leverage_of

SIGMA = 0.01


def changes(last, n=7):
    """Small changes of n runs, and a last one."""
    return np.r_[np.full(n - 1, 0.1 * SIGMA) * (-1.0) ** np.arange(n - 1), last]


@pytest.mark.parametrize("n", [7, 12])
@pytest.mark.parametrize("options", [{}, {"parameters": 3}, {"parameters": 50}])
def test_the_limit_is_that_of_one_alarm_in_a_hundred_sets(n, options):
    """n runs, tested on either side, with n - p degrees of freedom, but two at least."""
    freedom = max(n - options.get("parameters", 1), 2)
    limit = SIGMA * student.isf(0.01 / n / 2, freedom)
    for factor, wanted in ((0.97, False), (1.03, True), (-0.97, False), (-1.03, True)):
        by_chance, alone, far = standing_out(changes(factor * limit, n), np.ones(n), SIGMA, 0.0, **options)
        assert far.tolist() == [False] * (n - 1) + [wanted]
        assert by_chance == pytest.approx(np.full(n, SIGMA))
        assert not alone.any()


def test_a_change_below_the_least_that_matters_does_not_stand_out():
    assert standing_out(changes(0.5), np.ones(7), SIGMA, 0.4)[2][-1]
    assert not standing_out(changes(0.5), np.ones(7), SIGMA, 0.6)[2].any()


def test_noise_is_what_the_changes_show_where_that_is_more():
    loud = changes(0.0) * 1000  # a hundred sigma each
    by_chance, _, far = standing_out(loud[:6], np.ones(6), SIGMA, 0.0)
    assert by_chance == pytest.approx(np.full(6, 1.4826 * np.abs(loud[0])), rel=1e-4)
    assert not far.any()


def test_few_runs_tell_nothing_and_unknown_changes_are_left_out():
    for unknown in (np.nan, np.inf):
        change = np.r_[changes(0.5, 5)[1:], unknown]
        by_chance, alone, far = standing_out(change, np.ones(5), SIGMA, 0.0)
        assert np.isnan(by_chance).all()
        assert not alone.any()
        assert not far.any()
    for usual in (0.0, -1.0, np.nan):  # a run whose change has no usual size is none of the five
        by_chance, alone, far = standing_out(changes(0.5, 5), np.r_[np.ones(4), usual], SIGMA, 0.0)
        assert np.isnan(by_chance).all() and not alone.any() and not far.any()
    by_chance, _, far = standing_out(np.r_[changes(0.5), np.nan], np.ones(8), SIGMA, 0.0)
    assert np.flatnonzero(far).tolist() == [6]
    assert np.isnan(by_chance[-1])


def test_the_leverage_that_a_change_tells_holds_up_to_one():
    """c = h / sqrt(1 - h), up to rows whose prediction is theirs alone, where differences of squares are 0."""
    for h in (1e-6, 0.1, 0.5, 0.9, 1 - 1e-9):
        assert leverage_of(-h / np.sqrt(1 - h)) == pytest.approx(h, rel=1e-9)
    assert leverage_of(1e9) == pytest.approx(1) and leverage_of(0.0) == 0


@pytest.mark.parametrize(("times", "told"), [(0.97, False), (1.03, True)])
def test_the_largest_run_is_off_by_more_than_the_t_of_the_runs_and_constants_left(monkeypatch, times, told):
    """Eight runs that err by 0.02 in turns, a law of 3 constants, and one run far out: t of 8 - 3, one in a hundred."""
    limit = student.ppf(1 - 0.01 / 2, 8 - 3) * np.sqrt(8 * 0.02**2 / 5)
    measured = np.r_[3 * np.exp(0.02 * (-1.0) ** np.arange(8)), 3 * np.exp(times * limit)]
    law = SimpleNamespace(columns={"N": "N"})
    fit = SimpleNamespace(
        law=law, log=True, values=lambda given, table: np.full((1, len(given["N"])), 3.0), value=lambda given: 3.0
    )
    points = SimpleNamespace(runs=tuple("abcdefghi"), variables={"N": tuple(range(1, 10))}, values=tuple(measured))
    monkeypatch.setattr(Influence, "_largest_alone", lambda self: 8)
    monkeypatch.setattr("scalefit.diagnosis.influence.expected_changes", lambda *_: np.zeros(1))
    found = Influence(fit, {"i": (1.0,)}, points, 3, None).largest({"N": np.array([100.0])})
    assert [check.code for check in found] == ["largest-run"] * told
