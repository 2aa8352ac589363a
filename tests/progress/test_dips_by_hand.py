"""Where a dip of the loss begins and ends, and what is none: logarithms of few levels."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.progress.dips import _annealed, _deep, _end, _falls, in_dips


def levels(*parts):
    """Rows at each level: (level, rows), ..."""
    return np.concatenate([np.full(rows, float(level)) for level, rows in parts])


@pytest.mark.parametrize(
    ("parts", "end"),
    [
        ([(0, 20), (-1, 5), (0, 12)], 25),
        ([(0, 20), (-1, 5), (-0.49, 4)], 25),  # back by half of its depth
        ([(0, 20), (-1, 5), (-0.51, 4)], 0),
        ([(0, 20), (-1, 5), (0, 3)], 25),  # three rows at the end of the log
        ([(0, 20), (-1, 5), (0, 2)], 0),
        ([(0, 20), (-1, 5), (0, 1), (-1, 6), (0, 12)], 32),  # for most of ten rows
        ([(0, 20), (-1, 5), (0, 4), (-0.2, 8)], 25),
        ([(0, 20), (-1, 9)], 0),
        ([(5, 10), (0, 10), (-1, 5), (0, 12)], 25),  # the level is that of the ten rows before
    ],
)
def test_a_dip_ends_where_the_loss_has_come_back(parts, end):
    assert _end(levels(*parts), 20) == end


def test_the_depth_is_that_of_the_rows_before_the_first_that_is_as_high_as_the_level():
    """Three rows at -2 and then two at -.8: half of 2 is reached at -.8, as the median of the low rows is -2."""
    assert _end(levels((0, 20), (-2, 3), (-0.8, 2), (0, 12)), 20) == 23


def noisy(*parts):
    """A level with a noise of .001 that alternates; the limit of a dip is then .02."""
    found = levels(*parts)
    return 3 * np.exp(found + 0.001 * np.where(np.arange(len(found)) % 2, 1, -1))


@pytest.mark.parametrize(
    ("depth", "rows", "before", "found"),
    [
        (0.5, 3, 100, True),
        (0.5, 2, 100, False),  # a dip takes three rows
        (0.5, 30, 30, True),  # and no more than came before it
        (0.5, 31, 30, False),
        (0.03, 8, 100, True),
        (0.015, 8, 100, False),  # two percent are far
    ],
)
def test_how_long_and_how_deep_a_dip_is(depth, rows, before, found):
    inside = in_dips(noisy((0, before), (-depth, rows), (0, 300)))
    assert np.flatnonzero(inside).tolist() == (list(range(before, before + rows)) if found else [])


def test_every_dip_of_a_log_is_found_and_a_fall_that_lasts_is_none():
    loss = noisy((0, 100), (-0.5, 6), (0, 60), (-0.4, 5), (0, 60), (-0.6, 40))
    assert np.flatnonzero(in_dips(loss)).tolist() == [*range(100, 106), *range(166, 171)]


@pytest.mark.parametrize(("rate", "found"), [(0.81, True), (0.79, False)])
def test_a_fall_with_the_learning_rate_is_no_dip(rate, found):
    loss = noisy((0, 100), (-0.5, 6), (0, 100))
    lr = np.where(np.arange(len(loss)) < 103, 1.0, rate)
    assert in_dips(loss, lr).any() == found
    assert in_dips(loss, np.where(np.arange(len(loss)) < 80, 1.0, rate)).any()  # long before it
    lr[104] = np.nan
    assert in_dips(loss, lr).any()


def test_the_rate_is_compared_with_that_of_the_first_row():
    rows = np.array([1, 2, 3])
    assert _annealed(np.array([0.1, 1.0, 0.9, 0.79]), rows)
    assert not _annealed(np.array([0.1, 1.0, 0.9, 0.8]), rows)
    assert not _annealed(None, rows)


def test_rows_without_a_logarithm_are_in_no_dip_and_short_logs_have_none():
    loss = noisy((0, 100), (-0.5, 6), (0, 100))
    loss[[50, 103]] = 0.0
    assert np.flatnonzero(in_dips(loss)).tolist() == [100, 101, 102, 104, 105]
    assert not in_dips(noisy((0, 9), (-0.5, 3), (0, 7))).any()


def test_a_fall_begins_where_the_row_before_was_not_far_below():
    logs = np.log(noisy((0, 100), (-0.5, 6), (0, 60), (-0.5, 6), (0, 60)))
    assert _falls(logs) == [100, 166]


@pytest.mark.parametrize(("depth", "found"), [(0.005, False), (0.5, True)])
def test_a_dip_is_as_deep_as_the_rows_around_it_and_not_those_long_before_and_after(depth, found):
    logs = levels((3, 60), (0, 40), (-depth, 12), (0, 40), (3, 200))
    assert _deep(logs, 100, 112) == found
