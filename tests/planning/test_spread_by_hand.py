"""The interval of a chosen value from its draws: in the logarithm, or as it is; without draws, or without a value."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.planning.allocation.spread import ends, plain_ends

DRAWS = np.array([8.0, 9.0, 10.0, 11.0, 16.0])


def test_ends_lie_at_quantiles_of_the_draws_in_any_order():
    """Half of the draws: from the second to the fourth of five."""
    assert ends(np.array([10.0, *DRAWS[::-1]]), 1.0, level=0.5) == pytest.approx((9, 11))
    assert plain_ends(np.array([10.0, *DRAWS[::-1]]), 1.0, level=0.5) == pytest.approx((9, 11))


def test_nine_tenths_are_usual():
    draws = np.linspace(100, 200, 101)
    assert ends(np.array([150.0, *draws]), 1.0) == pytest.approx((105, 195))
    assert plain_ends(np.array([150.0, *draws]), 1.0) == pytest.approx((105, 195))


def test_between_two_draws_the_quantile_is_linear():
    assert ends(np.array([3.0, 1.0, 2.0, 4.0, 8.0]), 1.0, level=0.5) == pytest.approx((1.75, 5.0))


def test_few_draws_widen_in_the_logarithm_or_as_it_is():
    """Twice as far: 10 (9 / 10)^2 and 10 (11 / 10)^2; 10 - 2 and 10 + 2."""
    assert ends(np.array([10.0, *DRAWS]), 2.0, level=0.5) == pytest.approx((8.1, 12.1))
    assert plain_ends(np.array([10.0, *DRAWS]), 2.0, level=0.5) == pytest.approx((8, 12))


@pytest.mark.parametrize("made", [ends, plain_ends])
def test_the_chosen_value_lies_within_its_ends(made):
    assert made(np.array([20.0, *DRAWS]), 1.0, level=0.5) == pytest.approx((9, 20))
    assert made(np.array([5.0, *DRAWS]), 1.0, level=0.5) == pytest.approx((5, 11))


@pytest.mark.parametrize("own", [0.0, -1.0, np.nan, np.inf])
def test_what_has_no_logarithm_has_no_ends(own):
    assert np.isnan(ends(np.array([own, *DRAWS]), 1.0)).all()


def test_values_of_any_sign_have_plain_ends():
    assert plain_ends(np.array([0.0, -2.0, -1.0, 0.0, 1.0, 2.0]), 1.0, level=0.5) == pytest.approx((-1, 1))


def test_draws_without_a_value_do_not_count():
    assert ends(np.array([10.0, np.nan, *DRAWS, np.nan]), 1.0, level=0.5) == pytest.approx((9, 11))
    assert plain_ends(np.array([10.0, np.nan, *DRAWS, np.inf]), 1.0, level=0.5) == pytest.approx((9, 11))
    for made in (ends, plain_ends):
        assert np.isnan(made(np.array([10.0]), 1.0)).all()
        assert np.isnan(made(np.array([10.0, np.nan]), 1.0)).all()


def test_infinite_draws_open_the_upper_end():
    low, high = ends(np.array([10.0, 9.0, 10.0, np.inf, np.inf]), 1.0, level=0.5)
    assert low == pytest.approx(9.75)
    assert high == np.inf
    assert ends(np.array([10.0, *DRAWS[:4], np.inf]), 1.0, level=0.5) == pytest.approx((9, 11))
