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


def test_a_loss_must_be_half_as_large_again_as_the_least():
    flat = {0: 0.62, 1: 0.61, 2: 0.60, 3: 0.61}
    assert lost({**flat, 4: 0.6 + np.log(1.52)}) == [4]
    assert lost({**flat, 4: 0.6 + np.log(1.48)}) == []


def test_and_a_third_of_the_way_to_the_initial_loss():
    least, initial = np.exp(0.6), 12.0
    third = least + (initial - least) / 3
    flat = {0: 0.62, 1: 0.61, 2: 0.60, 3: 0.61}
    assert lost({**flat, 4: np.log(1.02 * third)}, initial=initial) == [4]
    assert lost({**flat, 4: np.log(0.98 * third)}, initial=initial) == []


def test_a_wall_below_the_best_learning_rate_is_no_cliff_nor_one_after_fewer_than_three():
    assert lost({0: 3.0, 1: 0.7, 2: 0.6, 3: 0.65, 4: 0.7}) == []
    assert lost({0: 0.7, 1: 0.6, 2: 3.0}) == []
    assert lost({0: 0.7, 1: 0.6, 2: 0.65, 3: 3.0}) == [3]


def test_what_lies_above_the_initial_loss_is_lost_wherever_it_stands():
    assert lost({0: 0.9, 1: 0.6, 2: 0.7}, initial=np.exp(0.9) / 1.002) == [0]
    assert lost({0: 0.9, 1: 0.6, 2: 0.7}, initial=np.exp(0.9)) == []


def test_losses_that_are_not_positive_have_no_cliff():
    assert not cliff(2.0 ** np.arange(5), np.array([1.0, 0.5, -0.1, 0.5, 90.0])).any()
