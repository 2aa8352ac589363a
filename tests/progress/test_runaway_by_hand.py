"""A rise that gets ever faster: each of its conditions just met and just missed, on logs without noise."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.progress.runaway import explodes, norm_rises, runaway

NORMS = {"steady": np.ones(4), "rising": np.array([1.0, 1.0, 1.0, 3.0])}


def log(heights, calm=30, earlier=0.0):
    """A level of 1, on which a rise of these heights (in the logarithm) follows; ``earlier``: the level before that."""
    before = np.zeros(calm)
    before[: max(0, calm - 10)] = earlier
    return np.exp(np.concatenate([before, heights])), calm


def norm_of(rise, calm=30, before=1.0):
    return np.concatenate([np.full(calm, before), rise])


@pytest.mark.parametrize(("rise", "found"), [(0.0061, True), (0.0059, False)])
def test_a_rise_counts_from_six_times_the_noise_of_its_thirds(rise, found):
    """A calm log counts as one with noise of .001; of four rows a third is one row."""
    loss, start = log([0, 0, rise, rise])
    assert runaway(loss, start, norm_of(NORMS["rising"])) is found


@pytest.mark.parametrize(("rise", "found"), [(0.0043, True), (0.0042, False)])
def test_thirds_of_two_rows_have_less_noise_by_the_root(rise, found):
    """Six rows: .006 / sqrt 2 = .00424."""
    loss, start = log([0, 0, 0, 0, rise, rise])
    assert runaway(loss, start, norm_of([1, 1, 1, 1, 3, 3])) is found


def test_four_rows_and_some_before_them_are_needed():
    loss, start = log([0, 0, 1.0])
    assert not runaway(loss, start, norm_of([1, 1, 3]))
    loss, start = log([0, 0, 0.5, 1.0])
    assert runaway(loss, start, norm_of([1, 1, 1, 3]))
    assert not runaway(loss[start:], 0, norm_of([1, 1, 1, 3])[start:])


@pytest.mark.parametrize(("top", "found"), [(1.1, True), (1.4, False)])
def test_the_last_three_rows_stand_at_two_fifths_of_the_greatest_height_or_more(top, found):
    """Their median is .5, of 1.1 more and of 1.4 less than .4; what lay ten rows before the rise does not matter."""
    for earlier in (0.0, 5.0):
        loss, start = log([0.1, top, 0.5, 0.3, 0.6], earlier=earlier)
        assert runaway(loss, start, norm_of([1, 1, 1, 1, 3])) is found


@pytest.mark.parametrize(("last", "found"), [(0.2501, True), (0.2499, False)])
@pytest.mark.parametrize("norm", [None, np.ones(39)], ids=["no norm", "a steady norm"])
def test_without_a_rising_norm_the_second_half_rises_half_as_much_again(last, norm, found):
    """From 1 to 1.1 and from there to 1.25: 1.5 times as much."""
    loss, start = log(np.log1p([0, 0, 0, 0.1, 0.1, 0.1, last, last, last]))
    assert runaway(loss, start, norm) is found


def test_without_a_rising_norm_it_takes_eight_rows():
    loss, start = log([0, 0, 0, 0.1, 0.1, 0.1, 0.5, 0.5])
    assert runaway(loss, start)
    loss, start = log([0, 0, 0.1, 0.1, 0.1, 0.5, 0.5])
    assert not runaway(loss, start)
    assert runaway(loss, start, norm_of([1, 1, 1, 1, 1, 3, 3]))


def test_a_first_half_that_falls_asks_no_more_of_the_second():
    loss, start = log([0, 0, 0, -0.1, -0.1, -0.1, 0.01, 0.01, 0.01])
    assert runaway(loss, start)


@pytest.mark.parametrize(("calm", "found"), [(20, True), (19, False)])
def test_noise_is_that_of_twenty_rows_before_the_rise_or_of_the_whole_log(calm, found):
    """Rows .1 above and below, the last third .1 higher: significant against calm rows, not against such noise."""
    rise = np.tile([-0.1, 0.1], 51)
    rise[-34:] += 0.1
    loss, start = log(rise, calm)
    assert runaway(loss, start, norm_of(np.repeat([1.0, 1.0, 3.0], 34), calm)) is found


@pytest.mark.parametrize(
    ("now", "begun", "found"), [(2.01, 1.0, True), (1.99, 1.0, False), (6.1, 5.0, True), (5.9, 5.0, False)]
)
def test_anorm_rises_above_twice_its_level_and_a_fifth_above_its_beginning(now, begun, found):
    norm = np.concatenate([np.full(40, 1.0), [begun, begun, 9.0, 9.0, now, now]])
    assert norm_rises(norm, 40, 2) is found


def test_the_level_of_a_norm_is_that_of_the_sixty_rows_before():
    norm = np.concatenate([np.full(100, 50.0), np.full(60, 1.0), [1.0, 3.0]])
    assert norm_rises(norm, 160, 1)
    mixed = np.concatenate([np.full(35, 2.0), np.full(25, 1.0), [1.0, 3.0]])
    assert not norm_rises(mixed, 60, 1)
    assert norm_rises(mixed[20:], 40, 1)


def test_a_norm_that_is_not_known_does_not_rise():
    known = np.array([np.nan, 1.0, 1.0, 1.0, np.nan, 9.0, 3.0, np.nan])
    assert norm_rises(known, 3, 2)
    for gone in (slice(0, 3), slice(3, 5), slice(6, 8)):
        lost = known.copy()
        lost[gone] = np.nan
        assert not norm_rises(lost, 3, 2)


@pytest.mark.parametrize(
    ("rise", "level", "initial", "found"),
    [
        ([10.9, 11, 12], 3.0, 10.8, True),
        ([10.7, 11, 12], 3.0, 10.8, False),
        ([11, 12, 12], 3.0, 10.8, False),
        ([11, 12], 3.0, 10.8, False),
        ([10.81, 10.82, 10.83], 10.8, 10.79, False),
        ([31, 32, 33], 3.0, np.inf, True),
        ([29, 32, 33], 3.0, np.inf, False),
        ([0.3, 0.4, 0.5], 0.02, np.inf, False),
        ([0.3, 0.4, 0.5], 0.02, 0.25, True),
    ],
)
def test_three_rows_that_rise_on_above_an_untrained_model(rise, level, initial, found):
    """Noise about a loss that never fell is none; ten times the level counts where the untrained loss is not known."""
    assert explodes(np.array(rise), level, initial) is found
