"""Where a sweep goes over a cliff, by hand: each condition of the rule met and missed by a little."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.runs.cliff import cliff

#: learning rates in octaves, and log losses of a bowl whose steepest step is 0.3 an octave
BOWL = {0: 1.2, 1: 0.9, 2: 0.6, 3: 0.7}


def lost(points, **options):
    """The octaves of the runs beyond a cliff."""
    at = np.array(list(points), dtype=float)
    found = cliff(2.0**at, np.exp(np.array(list(points.values()))), **options)
    return at[found].tolist()


@pytest.mark.parametrize(("octave", "rise"), [(4, 0.9), (5, 1.8), (3.5, 0.45)])
def test_a_cliff_rises_three_times_as_steeply_as_any_step_before_it_from_the_run_before_it(octave, rise):
    assert lost({**BOWL, octave: 0.7 + 1.05 * rise}) == [octave]
    assert lost({**BOWL, octave: 0.7 + 0.95 * rise}) == []


def test_from_the_cliff_on_every_loss_as_high_is_lost_and_one_that_came_back_is_not():
    assert lost({**BOWL, 4: 2.0, 5: 2.1, 6: 0.8, 7: 1.9}) == [4, 5, 7]


FLAT = {0: 0.62, 1: 0.61, 2: 0.60, 3: 0.61}
LEAST = np.exp(0.6)


def test_a_loss_must_lie_a_nat_above_the_least():
    assert lost({**FLAT, 4: np.log(LEAST + 1.02)}) == [4]
    assert lost({**FLAT, 4: np.log(LEAST + 0.98)}) == []


def test_or_a_third_of_a_large_one_above_it():
    large = {octave: log + 4 for octave, log in FLAT.items()}
    assert lost({**large, 4: 4.6 + np.log(1.34)}) == [4]
    assert lost({**large, 4: 4.6 + np.log(1.32)}) == []


def test_or_two_thirds_of_the_way_to_an_initial_loss_that_is_near():
    initial = LEAST + 0.9
    assert lost({**FLAT, 4: np.log(LEAST + 0.61)}, initial=initial) == [4]
    assert lost({**FLAT, 4: np.log(LEAST + 0.59)}, initial=initial) == []


@pytest.mark.parametrize("initial", [np.nan, np.log(10)])
@pytest.mark.parametrize("last", [0.004, 0.012, 0.2])
def test_small_losses_differ_by_factors_without_being_lost(initial, last):
    """Training losses of .002 of an untrained ln 10: six times as much is not a diverged run."""
    lr, loss = 2.0 ** np.arange(5), np.array([0.0035, 0.0025, 0.002, 0.0021, last])
    assert not cliff(lr, loss, initial).any()


def test_back_at_the_initial_loss_is_lost_however_gentle_the_slope():
    lr, loss = 2.0 ** np.arange(6), np.array([2.28, 0.9, 0.4, 0.9, 1.8, 2.25])
    assert cliff(lr, loss, np.log(10)).tolist() == [False] * 5 + [True]
    assert not cliff(lr, loss).any()


def test_beyond_a_run_without_a_loss_a_high_one_is_lost_too():
    lr, loss = 2.0 ** np.arange(5), np.array([2.1, 2.0, 2.2, np.nan, 3.2])
    assert cliff(lr, loss).tolist() == [False] * 4 + [True]


def test_a_wall_below_the_best_learning_rate_is_no_cliff_nor_one_after_fewer_than_three():
    assert lost({0: 3.0, 1: 0.7, 2: 0.6, 3: 0.65, 4: 0.7}) == []
    assert lost({0: 0.7, 1: 0.6, 2: 3.0}) == []
    assert lost({0: 0.7, 1: 0.6, 2: 0.65, 3: 3.0}) == [3]


def test_what_lies_above_the_initial_loss_is_lost_wherever_it_stands():
    assert lost({0: 0.9, 1: 0.6, 2: 0.7}, initial=np.exp(0.9) / 1.002) == [0]
    assert lost({0: 0.9, 1: 0.6, 2: 0.7}, initial=np.exp(0.9)) == []


def test_losses_that_are_not_positive_have_no_cliff():
    assert not cliff(2.0 ** np.arange(5), np.array([1.0, 0.5, -0.1, 0.5, 90.0])).any()
