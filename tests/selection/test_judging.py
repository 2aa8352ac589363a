"""Scores and weights of laws, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.selection.holding import NEXT
from scalefit.selection.judging import LEAST, mean_error, scores, shares, weigh
from scalefit.selection.trials import EACH, Form, Trial


def trial(errors, misfit=0.01, free=3, rows=40, runs=40):
    return Trial(find_law("chinchilla"), free, rows, runs, misfit, 1.0, errors)


def test_the_score_is_the_mean_of_log_errors_beside_all_laws_and_one_fold_as_an_average_law():
    """Of two folds that all laws were judged on: two thirds of the mean logarithm, less that of all laws."""
    tried = {"a": trial({"x": 0.01, "y": 0.02}), "b": trial({"x": 0.02, "y": 0.08}), "c": trial({"x": 0.04, "y": 0.02})}
    means = np.log([0.01 * 0.02, 0.02 * 0.08, 0.04 * 0.02]) / 2
    expected = np.exp((means - means.mean()) * 2 / 3)
    found = scores(tried)
    assert list(found) == ["a", "c", "b"]
    assert [found[name] for name in "abc"] == pytest.approx(expected)


def test_weights_are_the_inverse_cubes_of_the_scores():
    """One fold: half of the logarithm of 2 lies between the scores."""
    weights, tested = weigh({"a": trial({"x": 0.01}), "b": trial({"x": 0.02})})
    assert tested
    assert weights["a"] / weights["b"] == pytest.approx(2**1.5)
    assert sum(weights.values()) == pytest.approx(1)


def test_a_law_far_off_does_not_enter():
    weights, _ = weigh({"a": trial({"x": 0.01}), "b": trial({"x": 0.2})})
    assert weights == {"a": 1.0}


def test_a_law_is_judged_beside_those_that_were_judged_on_the_same_folds():
    """On the last fold only the good law a and the large one are known, and they are alike there.

    Beside the median law of that fold the large one would be an average law.
    """
    known = dict.fromkeys("uvwx", 0.01)
    poor = dict.fromkeys("uvwx", 0.08)
    found = scores({"a": trial({**known, "y": 0.01}), "b": trial(poor), "c": trial(poor), "large": trial({"y": 0.01})})
    assert found["a"] < found["large"] < 0.7 * found["b"]


def test_folds_of_which_a_law_saw_the_hard_ones_alone_do_not_make_it_poor():
    easy, hard = dict.fromkeys("uvw", 0.01), dict.fromkeys("xyz", 0.1)
    found = scores({"a": trial(easy | hard), "b": trial(easy | hard), "c": trial(hard)})
    assert found == pytest.approx(dict.fromkeys("abc", 1.0))


def test_what_many_folds_say_counts_more_than_what_one_says():
    for folds, power in (("xyzw", 0.8), ("x", 0.5)):
        found = scores({name: trial(dict.fromkeys(folds, error)) for name, error in (("a", 0.01), ("b", 0.03))})
        assert found["b"] / found["a"] == pytest.approx(3**power)


def test_without_a_fold_beyond_the_rows_errors_of_single_rows_do_not_decide():
    tried = {"a": trial({EACH: 0.01, NEXT: 0.01}, misfit=0.02), "b": trial({EACH: 0.001, NEXT: 0.001}, misfit=0.02)}
    assert scores(tried) == {}
    assert weigh(tried) == (pytest.approx({"a": 0.5, "b": 0.5}), False)


@pytest.mark.parametrize(("free", "error", "enters"), [(6, 0.011, True), (7, 0.011, False), (7, 0.009, True)])
def test_a_law_of_many_parameters_enters_only_where_it_predicts_better_than_every_smaller_one(free, error, enters):
    tried = {"a": trial({"x": 0.01}), "b": trial({"x": 0.012}), "large": trial({"x": error}, free=free)}
    weights, _ = weigh(tried)
    assert ("large" in weights) == enters
    assert {"a", "b"} <= weights.keys()


def test_a_law_of_many_parameters_is_judged_by_its_best_form():
    """As it was fitted it is worse than the smaller law, drawn towards published constants it is better."""
    drawn = {"drawn": Form((1.0,), {"x": 0.008})}
    tried = {"a": trial({"x": 0.01}), "large": replace(trial({"x": 0.012}, free=9), forms=drawn)}
    assert "large" in weigh(tried)[0]
    assert "large" not in weigh({**tried, "large": replace(tried["large"], forms={})})[0]


def test_an_exact_law_outweighs_all_others():
    weights, _ = weigh({"a": trial({"x": 1e-15}), "b": trial({"x": 1e-3})})
    assert weights == {"a": 1.0}


def test_without_folds_the_misfit_decides_with_a_penalty_for_parameters():
    tried = {"plain": trial({}, misfit=0.02, free=3), "close": trial({}, misfit=0.01, free=5)}
    weights, tested = weigh(tried)
    assert not tested
    assert weights["close"] / weights["plain"] == pytest.approx(4 * np.exp(-2 * np.log(40) / 40))
    alike = {"plain": trial({}, misfit=0.0100, free=3), "more": trial({}, misfit=0.0099, free=6)}
    assert next(iter(weigh(alike)[0])) == "plain"


def test_rows_along_a_run_count_as_ten_at_most():
    long, short = trial({}, misfit=0.02, rows=4000, runs=2), trial({}, misfit=0.02, rows=20, runs=2)
    assert long.criterion == short.criterion


def test_shares_add_up_and_come_in_order():
    found = shares({"a": 1.0, "b": 3.0, "c": 0.01})
    assert list(found) == ["b", "a"]
    assert sum(found.values()) == pytest.approx(1)


def test_the_error_that_is_shown_is_the_mean_over_folds():
    assert mean_error(trial({"x": 0.01, "y": 0.03, "w": 0.08}), ["x", "y", "z", "w"]) == pytest.approx(0.04)
    assert np.isnan(mean_error(trial({}), ["x"]))


def test_a_weight_of_just_the_least_share_of_the_largest_is_kept():
    for share, kept in ((0.999 * LEAST, ["a"]), (LEAST, ["a", "b"]), (1.001 * LEAST, ["a", "b"])):
        found = shares({"b": share, "a": 1.0})
        assert list(found) == kept and sum(found.values()) == pytest.approx(1)
