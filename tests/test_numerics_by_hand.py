"""Plain array mathematics: lattice points, noise from few residuals, how near a name must be, limits of expressions."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.expressions import parse
from scalefit.numerics import MAD_TO_SIGMA, flatness, nearest_names, robust_sigma, spread_points

#: roots of x^3 = x + 1 and x^4 = x + 1, as published for the lattices of two and three dimensions
PLASTIC, NEXT = 1.32471795724474602596, 1.22074408460575947536


@pytest.mark.parametrize("root", [PLASTIC, NEXT])
def test_points_of_the_lattice(root):
    dimensions = 2 if root == PLASTIC else 3
    for n, point in enumerate(spread_points(5, dimensions), 1):
        np.testing.assert_allclose(point, [(0.5 + n / root**k) % 1 for k in range(1, dimensions + 1)], rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [(0, 2.0), (1, 2 * (4 / 3) ** 0.5), (2, 2 * 2**0.5), (3, 4.0), (4, 4.0), (9, 4.0)],
)
def test_noise_of_four_residuals_and_more_parameters(parameters, wanted):
    residuals = np.array([1.0, -2.0, 2.0, -3.0])
    assert robust_sigma(residuals, parameters) == pytest.approx(MAD_TO_SIGMA * wanted, rel=1e-14)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.09, 0.09, "flat"),
        (-0.1, 0.0, "undecided"),
        (0.0, 0.1, "undecided"),
        (0.1, 0.3, "grows"),
        (-0.3, -0.1, "shrinks"),
        (0.09, 0.3, "undecided"),
        (-0.3, -0.09, "undecided"),
    ],
)
def test_a_slope_is_judged_by_where_its_interval_lies_from_a_tenth(low, high, verdict):
    assert flatness((low + high) / 2, low, high, 0.1) == verdict


def test_a_name_that_shares_half_of_its_letters_is_near_and_one_that_shares_fewer_is_not():
    assert nearest_names("ab", ["abcdef"]) == ["abcdef"]  # 2 x 2 of 8 letters
    assert nearest_names("abcd", ["abuvwx"]) == []  # 2 x 2 of 10


def test_numbers_of_an_expression_below_the_largest():
    assert parse("9.9e299 * a")({"a": 1.0}) == 9.9e299
    for text in ("1e300", "1" + "0" * 300, "-1e300"):
        with pytest.raises(InputError):
            parse(text)


def test_a_sum_of_249_terms_is_read_and_one_of_250_is_not():
    assert parse("+".join(["a"] * 249))({"a": 1.0}) == 249
    with pytest.raises(InputError, match="too many terms"):
        parse("+".join(["a"] * 250))


@pytest.mark.parametrize(("letters", "cut"), [(200, False), (201, True)])
def test_a_message_shows_200_letters_of_an_expression(letters, cut):
    text = "a +".ljust(letters, "+")
    with pytest.raises(InputError) as caught:
        parse(text)
    assert (text[:200] + "..." * cut + '"') in str(caught.value)
    assert ("..." in str(caught.value)) == cut


def test_points_that_fill_a_cube_are_a_lattice_by_powers_of_one_ratio():
    """In three dimensions the root of x^4 = x + 1, 1.2207: the first point lies one step from the middle."""
    found = spread_points(7, 3)
    assert found.shape == (7, 3)
    steps = 1.2207440846057596 ** -np.arange(1.0, 4.0)
    np.testing.assert_allclose(found, (0.5 + np.arange(1, 8)[:, None] * steps) % 1, atol=1e-12)
