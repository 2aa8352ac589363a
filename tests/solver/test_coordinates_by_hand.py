"""Where the search for a parameter begins and in which coordinate it moves; ties, boxes and starts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.laws.law import Parameter
from scalefit.solver.coordinates import Coordinate
from scalefit.solver.model import bind
from scalefit.solver.starts import best_apart, cover, cover_around

X = {"x": np.array([2.0, 50.0, -4.0])}


def of(linear=False, **declared):
    return Coordinate.of("k", Parameter("1", "what it means", **declared), X, linear)


def test_starts_that_span_more_than_thirty_are_searched_in_the_logarithm():
    plain, log = of(starts=(2.0, 60.0)), of(starts=(2.0, 62.0))
    assert (plain.log, plain.start) == (False, (2.0, 60.0))
    assert log.log
    assert log.start == pytest.approx((np.log(2), np.log(62)))
    assert (log.low, log.high) == (pytest.approx(np.log(2e-10)), np.inf)
    assert of(starts=(2.0, 62.0), low=0.5).low == pytest.approx(np.log(0.5))
    assert not of(linear=True, starts=(2.0, 62.0)).log
    signed = of(starts=(2.0, 62.0), low=-np.inf)
    assert (signed.log, signed.signed) == (False, True)
    assert not of(starts=(2.0, 60.0), low=-np.inf).signed
    assert not of(starts=(2.0, 62.0), low=-np.inf, linear=True).signed
    assert not of(starts=(-62.0, -2.0), low=-np.inf, high=1.0).signed


def test_the_search_goes_somewhat_beyond_its_starts_and_stays_in_the_box():
    """A decade either side of a logarithm, a quarter of the range of another coordinate."""
    assert of(starts=(2.0, 62.0)).searched == pytest.approx((np.log(0.2), np.log(620)))
    assert of(starts=(2.0, 10.0)).searched == pytest.approx((0.0, 12.0))
    assert of(starts=(2.0, 10.0), low=1.0, high=10.5).searched == pytest.approx((1.0, 10.5))


def test_starts_inside_the_box():
    assert of(starts=(1.0, 5.0), low=2.0, high=4.0).start == (2.0, 4.0)
    assert of(starts="x", low=-10.0).start == (-4.0, 50.0)
    assert of(low=1.0, high=3.0).start == pytest.approx((1.1, 2.9))
    assert of(starts=(5.0, 6.0), low=1.0, high=3.0).start == pytest.approx((1.1, 2.9))  # outside: replaced
    assert of(starts=(0.1, 1.0), low=1.0, high=3.0).start == pytest.approx((1.1, 2.9))


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0.0, np.inf, (2e-4, 1000)), (-np.inf, 0.0, (-1000, -2e-4)), (5.0, np.inf, (5, 5000)), (0.1, np.inf, (0.1, 1000))],
)
def test_default_starts_follow_the_size_of_the_variables(low, high, wanted):
    """The largest value is 50: a rate from a hundredth of its inverse, a scale up to a thousand."""
    found = of(low=low, high=high, linear=True)
    assert found.start == pytest.approx(wanted)


N, D = np.array([1e6, 1e7, 1e8]), np.array([1e9, 1e8, 1e10])


def bound(**given):
    return bind(find_law("chinchilla"), {"N": N, "D": D}, **given)


def test_ties_and_fixed_values_are_folded_in():
    model = bound(tie={"beta": "alpha / 2"}, fix={"E": 1.5})
    names = [c.name for c in model.coordinates]
    assert set(names) == {"A", "B", "alpha"}
    theta = np.array([[{"A": 400.0, "B": 410.0, "alpha": 0.3}[name] for name in names]])
    theta = np.where(model.log, np.log(theta), theta)
    values = {name: float(value[0, 0]) for name, value in model.parameters(theta).items()}
    assert values == pytest.approx({"E": 1.5, "A": 400, "B": 410, "alpha": 0.3, "beta": 0.15})
    value, jacobian = model.jacobian(theta)
    np.testing.assert_allclose(value[0], 1.5 + 400 * N**-0.3 + 410 * D**-0.15)
    slope = -400 * N**-0.3 * np.log(N) - 0.5 * 410 * D**-0.15 * np.log(D)  # through the tie as well
    j = names.index("alpha")
    np.testing.assert_allclose(jacobian[0, j], slope * (0.3 if model.log[j] else 1.0))
    assert model.vector(theta).shape == (1, 5)
    assert model.n == model.size == 3
    assert model.take(slice(2)).n == 2


def test_a_term_tied_to_another_is_linear_only_in_a_linear_tie():
    assert {c.name: c.linear for c in bound(tie={"B": "2 * A"}).coordinates}["A"]
    assert not {c.name: c.linear for c in bound(tie={"B": "A * A"}).coordinates}["A"]
    assert not {c.name: c.linear for c in bound(tie={"alpha": "A"}).coordinates}["A"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"fix": {"gamma": 1.0}}, 'has no parameter "gamma"'),
        ({"fix": {"E": "much"}}, "'much' is not a number"),
        ({"fix": {"E": np.inf}}, "is not a number"),
        ({"bounds": {"E": (2.0, 2.0)}}, "the lower end 2 is not below 2"),
        ({"bounds": {"E": 2.0}}, "2.0 is not a pair"),
        ({"bounds": {"E": (np.nan, 2.0)}}, "is not a number"),
        ({"tie": {"alpha": "beta", "beta": "alpha"}}, 'it uses "beta"'),
        ({"tie": {"alpha": "alpha"}}, 'it uses "alpha"'),
        ({"tie": {"alpha": "beta"}, "fix": {"alpha": 0.3}}, '"alpha" is also fixed'),
        ({"fix": dict.fromkeys(("E", "A", "B", "alpha", "beta"), 1.0)}, "every parameter is fixed or tied"),
    ],
)
def test_settings_that_cannot_be(given, said):
    with pytest.raises(InputError, match=said):
        bound(**given)


def test_bounds_replace_the_domain_one_end_at_a_time():
    box = {c.name: (c.low, c.high) for c in bound(bounds={"E": (0.5, None), "alpha": (None, 0.9)}).coordinates}
    plain = {c.name: (c.low, c.high) for c in bound().coordinates}
    assert box["E"] == (0.5, plain["E"][1])
    assert box["alpha"] == (plain["alpha"][0], 0.9)


def test_the_cover_of_two_exponents_is_a_square_grid():
    model = bound()
    free = [j for j, c in enumerate(model.coordinates) if not c.linear]
    found = cover(model)
    assert found.shape == (256, 5)
    assert not found[:, [j for j in range(5) if j not in free]].any()
    for j in free:
        low, high = model.coordinates[j].start
        np.testing.assert_allclose(
            np.unique(found[:, j].round(9)), low + (np.arange(16) + 0.5) / 16 * (high - low), rtol=1e-6
        )


def test_the_cover_around_a_start_spans_two_decades_either_side():
    model = bound(fix={"E": 1.0, "A": 1.0, "B": 1.0, "beta": 0.3})
    (coordinate,) = model.coordinates
    start = np.array([np.log(0.01) if coordinate.log else 0.01])
    found = cover_around(model, start)[:, 0]
    found = np.exp(found) if coordinate.log else found
    decades = np.log10(found / 0.01)
    assert len(found) == 64
    np.testing.assert_allclose(np.sort(decades), 4 * (np.arange(64) + 0.5) / 64 - 2, atol=1e-9)
    assert np.log10(cover_around(model, start, 1.0)[:, 0].max() / 0.01) < 1 or coordinate.log


def test_starts_are_the_best_cells_that_lie_apart():
    theta = np.array([[0.0], [0.03], [0.5], [0.53], [1.0]])
    assert best_apart(theta, np.array([1.0, 0.5, 3.0, 2.0, np.inf]), 4) == [1, 3]
    assert best_apart(theta, np.array([1.0, 0.5, 3.0, 2.0, 9.0]), 2) == [1, 3]
    assert best_apart(theta, np.array([1.0, 5.0, 3.0, 2.0, 9.0]), 9) == [0, 3, 4]
    assert best_apart(theta, np.full(5, np.inf), 3) == [0]


def test_the_points_at_which_condensed_sums_are_compared_cover_the_search():
    """Logarithms from near one end to near the other; what is linear is 1."""
    model = bound(fix={"E": 1.5})
    found = model.all_over()
    for coordinate in model.coordinates:
        values = found[coordinate.name].ravel()
        if coordinate.linear:
            assert (values == 1.0).all()
            continue
        low, high = coordinate.searched
        share = ((np.log(values) if coordinate.log else values) - low) / (high - low)
        assert 0.0 <= share.min() < 0.25 and 0.75 < share.max() <= 1.0, coordinate.name
    assert {c.name for c in model.coordinates if not c.linear} == {"alpha", "beta"}
