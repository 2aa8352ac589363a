"""Scores and weights of laws, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.selection.holding import NEXT
from scalefit.selection.judging import mean_error, scores, shares, weigh
from scalefit.selection.trials import Trial


def trial(errors, misfit=0.01, free=3, rows=40, runs=40):
    return Trial(find_law("chinchilla"), free, rows, runs, misfit, 1.0, errors)


def test_the_score_is_the_geometric_mean_of_errors_relative_to_the_median_law():
    tried = {"a": trial({"x": 0.01, "y": 0.02}), "b": trial({"x": 0.02, "y": 0.08}), "c": trial({"x": 0.04, "y": 0.04})}
    found = scores(tried)
    assert found["a"] == pytest.approx(np.sqrt((0.01 / 0.02) * (0.02 / 0.04)))
    assert found["b"] == pytest.approx(np.sqrt(1.0 * (0.08 / 0.04)))
    assert list(found) == ["a", "b", "c"] or list(found) == ["a", "c", "b"]


def test_weights_are_the_inverse_squares_of_the_scores():
    tried = {"a": trial({"x": 0.01}), "b": trial({"x": 0.02})}
    weights, tested = weigh(tried)
    assert tested
    assert weights == pytest.approx({"a": 0.8, "b": 0.2})


def test_a_law_far_off_does_not_enter():
    weights, _ = weigh({"a": trial({"x": 0.01}), "b": trial({"x": 0.1})})
    assert weights == {"a": 1.0}


def test_a_law_that_predicted_few_of_the_folds_is_compared_on_those_alone_and_counts_less():
    small = {"a": trial(dict.fromkeys("wxyz", 0.02) | {NEXT: 0.03}, misfit=0.001)}
    noise = 0.001 * np.sqrt(40 / (40 - 6))
    one = trial({NEXT: 0.004}, misfit=0.001, free=6)
    weights, _ = weigh({**small, "b": one})
    assert weights["b"] / weights["a"] == pytest.approx(np.hypot(0.03, noise) / np.hypot(0.004, noise))
    two = trial({NEXT: 0.004, "w": 0.02}, misfit=0.001, free=6)
    weights, _ = weigh({**small, "b": two})
    square = np.hypot(0.03, noise) / np.hypot(0.004, noise)
    assert weights["b"] / weights["a"] == pytest.approx(square ** (2 / 3))


def test_an_error_below_the_noise_of_the_law_is_chance():
    small = {"a": trial(dict.fromkeys("wxyz", 0.02) | {NEXT: 0.02}, misfit=0.05)}
    weights, _ = weigh({**small, "b": trial({NEXT: 1e-9}, misfit=0.05, free=6)})
    assert weights["b"] / weights["a"] == pytest.approx(1.0, abs=0.1)


def test_the_largest_rows_alone_do_not_rank_laws_that_predicted_the_other_folds():
    tried = {"a": trial({"x": 0.01, NEXT: 0.05}), "b": trial({"x": 0.02, NEXT: 0.001})}
    assert weigh(tried)[0] == pytest.approx({"a": 0.8, "b": 0.2})


def test_a_law_too_large_to_be_refitted_enters_by_the_corrected_criterion():
    small = {"a": trial({"x": 0.01}, misfit=0.02, free=3, rows=12, runs=12)}
    close = trial({}, misfit=0.004, free=5, rows=12, runs=12)
    gain = 2 * np.log(0.02 / 0.004) + 2 * 3 / 8 - 2 * 5 / 6
    weights, _ = weigh({**small, "b": close})
    assert weights["b"] / weights["a"] == pytest.approx(np.exp(gain))
    spent = trial({}, misfit=1e-4, free=11, rows=12, runs=12)
    assert weigh({**small, "c": spent})[0] == {"a": 1.0}


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
    assert mean_error(trial({"x": 0.01, "y": 0.03}), ["x", "y", "z"]) == pytest.approx(0.02)
    assert np.isnan(mean_error(trial({}), ["x"]))
