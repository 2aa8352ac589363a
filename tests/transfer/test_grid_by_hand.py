"""The learning rates of a sweep: which are one, what their mean losses are, and losses freed of their seeds."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.transfer.grid import levelled, means_of, snapped


def test_rates_that_differ_by_less_than_a_millionth_are_one():
    rates = np.array([1e-3, 1e-3 * (1 + 5e-7), 1e-3 * (1 + 4e-6), 2e-3])
    found = snapped(rates[[3, 1, 0, 2]])
    assert len(np.unique(found)) == 3
    assert found[1] == found[2] != found[3]
    assert found == pytest.approx(rates[[3, 1, 0, 2]], rel=1e-6)
    octaves = 2.0 ** np.arange(-12, 0)
    assert snapped(octaves.astype(np.float32)).tolist() == octaves.tolist()


def test_means_over_seeds():
    grid, means = means_of(np.array([2.0, 1.0, 2.0, 2.0]), np.array([3.0, 5.0, 4.0, 8.0]))
    assert grid.tolist() == [1, 2]
    assert means.tolist() == [5, 5]


@pytest.mark.parametrize("shift", [0.0, -10.0], ids=["factors", "terms"])
def test_what_a_seed_adds_is_taken_away(shift):
    """Seeds at unlike rates: where losses are positive, a seed multiplies them; else it adds to them."""
    x, seed = np.array([1, 1, 2, 2, 2, 3, 3.0]), np.array([0, 1, 0, 1, 2, 1, 2])
    plain = (x - 2.2) ** 2 + 3
    own = np.array([0.0, 0.3, -0.2])[seed]
    y = plain * np.exp(own) if shift == 0 else plain + shift + own
    level = levelled(x, y, seed)
    values = np.log(level / plain) if shift == 0 else level - plain - shift
    assert np.ptp(values) < 1e-9


def test_one_seed_is_left_as_it_is():
    y = np.array([3.0, 2.0, 4.0])
    assert levelled(np.array([1.0, 2.0, 3.0]), y, np.zeros(3)) is y
