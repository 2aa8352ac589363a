"""Where searches begin, which of the ends counts, and what is projected: coordinates worked out on paper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.solver import starts
from scalefit.solver.first_stage import held_by_base
from scalefit.solver.objective import Objective
from scalefit.solver.projection import _enumerate, _solve, majorised_weights
from scalefit.solver.refine import _quadratic
from scalefit.solver.solve import Settings, _best, _first_objective, objective_unit


def model_of(*coordinates, linear=None, log=None, low=-1e9, high=1e9):
    """Coordinates as (first start, last start, whether the sign is not known)."""
    count = len(coordinates)
    logs = [False] * count if log is None else log
    made = [
        SimpleNamespace(start=(a, b), signed=signed, name=f"p{i}", log=logs[i])
        for i, (a, b, signed) in enumerate(coordinates)
    ]
    return SimpleNamespace(
        coordinates=made,
        linear=np.zeros(count, dtype=bool) if linear is None else np.array(linear),
        log=np.array(logs),
        low=np.full(count, low, dtype=float),
        high=np.full(count, high, dtype=float),
    )


def test_linear_coordinates_begin_at_zero_and_are_not_searched():
    assert starts.cover(model_of((1, 2, False), (1, 2, False), linear=[True, True])).tolist() == [[0, 0]]
    found = starts.cover(model_of((1, 2, False), (3, 5, False), linear=[True, False]))
    assert (found[:, 0] == 0).all()
    assert found[:, 1].min() < 3.1 and found[:, 1].max() > 4.9
    assert found[:, 1].min() >= 3 and found[:, 1].max() <= 5
    assert np.diff(np.sort(found[:, 1])).max() < 3 * 2 / len(found)


def test_two_coordinates_are_covered_by_the_middles_of_a_grid():
    found = starts.cover(model_of((0, 16, False), (100, 132, False)))
    assert sorted({*found[:, 0]}) == [k + 0.5 for k in range(16)]
    assert sorted({*found[:, 1]}) == [100 + 2 * (k + 0.5) for k in range(16)]
    assert len({tuple(row) for row in found}) == 256


def test_a_coordinate_of_unknown_sign_is_negative_in_a_quarter_of_the_cells():
    """Evenly in the logarithm of its size on both sides."""
    found = starts.cover(model_of((0.01, 100, True), (0, 16, False)))[:, 0]
    negative, positive = np.unique(found[found < 0]), np.unique(found[found > 0])
    assert len(negative) == 4 and len(positive) == 12
    assert np.log10(-negative[::-1]) == pytest.approx(-2 + 4 * (np.arange(4) + 0.5) / 4)
    assert np.log10(positive) == pytest.approx(-2 + 4 * (np.arange(12) + 0.5) / 12)


def test_covers_end_at_the_ends_of_the_domain():
    found = starts.cover(model_of((0, 16, False), (0, 16, False), low=3.0, high=9.0))
    assert (found.min(), found.max()) == (3, 9)


def test_around_a_start_two_decades_either_side():
    model = model_of((0, 1, False), (0, 1, False), log=[True, False])
    found = starts.cover_around(model, np.array([5.0, -2.0]))
    decades = 2 * (2 * (np.arange(16) + 0.5) / 16 - 1)
    assert np.unique(found[:, 0]) == pytest.approx(5 + np.log(10) * decades)
    assert np.unique(found[:, 1]) == pytest.approx(np.sort(-2 * 10**decades))
    near = starts.cover_around(model, np.array([5.0, 0.0]), 0.1)
    assert np.unique(near[:, 1]) == pytest.approx(10 ** (decades / 20))  # from zero: as from one


def test_guesses_of_a_law_enter_on_its_coordinates():
    model = model_of((0, 1, False), (0, 1, False), log=[True, False], high=2.0)
    model.law = SimpleNamespace(guesses=lambda variables, values: {"p0": [np.e, 0.0], "p1": [7.0, 1.0]})
    model.variables = {}
    found = starts.guessed(model, np.ones(2))
    assert found[0] == pytest.approx([1, 2])
    assert found[1, 0] == pytest.approx(np.log(1e-300))
    model.law = SimpleNamespace(guesses=lambda variables, values: {})
    assert starts.guessed(model, np.ones(2)).shape == (0, 2)


@pytest.mark.parametrize(("place", "chosen"), [(3.9, [0, 2, 3]), (4.1, [0, 1, 2])])
def test_starts_nearer_than_a_twenty_fifth_of_the_box_count_as_one(place, chosen):
    """A box from 0 to 100: the best cell, one beside it, and two others."""
    theta = np.array([[0.0], [place], [50.0], [100.0]])
    assert starts.best_apart(theta, np.array([1.0, 2.0, 3.0, 4.0]), 3) == chosen


def test_a_start_on_a_grid_leads_to_where_no_cell_beside_it_is_lower():
    """By a hundredth and more: 3.97 is not lower than 4 by that, 3.95 is; also across corners, not around an edge."""
    assert starts.downhill(np.array([[4.0, 3.97, 5.0]])).tolist() == [0, 1, 1]
    assert starts.downhill(np.array([[4.0, 3.95, 5.0]])).tolist() == [1, 1, 1]
    assert starts.downhill(np.array([4.0, 5.0, 3.0, 6.0])).tolist() == [0, 2, 2, 2]
    assert starts.downhill(np.array([4.0, 5.0, 3.0, 6.0]), reach=2).tolist() == [2, 2, 2, 2]
    grid = np.array([[9.0, 9.0, 5.0, 9.0], [9.0, 4.0, 9.0, 9.0], [9.0, 9.0, np.inf, 1.0]])
    assert starts.downhill(grid).tolist() == [5, 5, 5, 5, 5, 5, 11, 11, 5, 5, 11, 11]


def test_on_a_line_any_fall_leads_on_but_over_a_rise_a_hundredth_is_needed():
    """4, 3.99, 3.985 fall; behind 4.1 lies 3.98, lower than these by less than a hundredth, and 3.9, lower by more."""
    assert starts.downhill(np.array([4.0, 3.99, 3.985, 4.1, 3.98]), reach=2).tolist() == [2, 2, 2, 4, 4]
    assert starts.downhill(np.array([4.0, 3.99, 3.985, 4.1, 3.9]), reach=2).tolist() == [4, 4, 4, 4, 4]
    assert starts.downhill(np.array([np.inf, np.inf, 2.0])).tolist() == [0, 2, 2]


def test_cells_without_a_value_are_not_chosen():
    theta = np.array([[0.0], [50.0], [100.0]])
    assert starts.best_apart(theta, np.array([np.inf, 2.0, 1.0]), 3) == [2, 1]
    assert starts.best_apart(theta, np.full(3, np.inf), 3) == [0]


@pytest.mark.parametrize(
    ("objective", "start", "best"),
    [
        ([2.0, 1.0, 1.00109], None, 1),
        ([2.0, 1.0, 1.00109], [[2.9]], 2),  # equal to a ten thousandth and to nothing, and nearer
        ([2.0, 1.0, 1.00111], [[2.9]], 1),
        ([2.0, 1.0, 1.00109], [[1.9]], 1),
        ([2.0, 1.0, 1.00109], [[2.9], [3.0]], 1),
        ([0.0009, 0.0, 0.0009], [[3.0]], 2),  # two objectives of nothing
        ([0.0011, 0.0, 0.0011], [[3.0]], 1),
    ],
)
def test_of_equal_minima_the_one_nearest_to_a_single_start(objective, start, best):
    found = SimpleNamespace(objective=np.array(objective), theta=np.array([[1.0], [2.0], [3.0]]))
    assert _best(found, None if start is None else np.array(start), 0.001) == best


def test_distances_from_a_start_are_relative():
    found = SimpleNamespace(objective=np.ones(2), theta=np.array([[100.0, 2.0], [130.0, 1.0]]))
    assert _best(found, np.array([[100.0, 1.0]]), 0.0) == 1


def test_the_unit_of_residuals():
    assert objective_unit(Settings("log"), np.array([5.0, 7.0])) == 1.0
    assert objective_unit(Settings("linear"), np.array([-5.0, 1.0, 7.0])) == 5.0
    assert objective_unit(Settings("linear"), np.zeros(3)) == 1.0
    assert _first_objective(Settings("linear"), np.array([5.0])).delta == pytest.approx(0.05)
    assert _first_objective(Settings("linear", delta=0.3), np.array([5.0])).delta == 0.3


# --- projection -------------------------------------------------------------------------------------------------------


def test_bounded_least_squares_tries_every_support():
    """x = (2, -1) without bounds; with the second at zero or above the first is that of a line through zero."""
    gram = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    right = np.array([[3.0, 0.0]])
    assert _enumerate(gram, right, np.array([False, False]))[0] == pytest.approx([2, -1])
    assert _enumerate(gram, right, np.array([False, True]))[0] == pytest.approx([1.5, 0])
    assert _enumerate(gram, np.array([[-3.0, 1.0]]), np.array([True, True]))[0] == pytest.approx([0, 0.5])
    assert _enumerate(gram, np.array([[-1.0, -2.0]]), np.array([True, True]))[0].tolist() == [0, 0]


def test_many_bounded_parameters_are_clipped():
    count = 7
    gram, right = np.eye(count)[None], np.array([[1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0]])
    assert _enumerate(gram, right, np.ones(count, dtype=bool))[0] == pytest.approx(np.maximum(right[0], 0))
    free = np.r_[np.ones(6, dtype=bool), False]
    assert _enumerate(gram, -right, free)[0] == pytest.approx(np.r_[np.maximum(-right[0, :6], 0), -4])


X = np.array([-1.0, 0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        ((-np.inf, -np.inf), (np.inf, np.inf), (1, 2)),
        ((0.0, 0.0), (np.inf, 1.0), (1.5, 1)),  # the slope at its end, and the mean of 1 + x beside it
        ((3.0, 0.0), (np.inf, np.inf), (3, 4 / 3)),  # sum x (2 x - 2) over sum x^2 is 8 / 6
    ],
)
def test_linear_parameters_within_their_ends(low, high, wanted):
    """y = 1 + 2 x at x = -1, 0, 1 and 2, by a constant and a slope."""
    model = SimpleNamespace(low=np.array(low), high=np.array(high), linear=np.array([True, True]))
    columns = np.stack([np.ones(4), X])[None]
    assert _solve(model, columns, (1 + 2 * X)[None], np.ones((1, 4)))[0] == pytest.approx(wanted)


def test_weights_of_the_next_reweighted_step():
    """Half of the squares' weight at twice the threshold; nothing of rows without a value; relative in logarithms."""
    residual = np.array([0.1, 2.0, np.nan])
    predicted = np.array([1.0, 2.0, np.inf])
    weights = np.array([1.0, 3.0, 5.0])
    plain = majorised_weights(Objective("linear", "huber", 1.0), weights, predicted, residual)
    assert plain == pytest.approx([1, 1.5, 0])
    relative = majorised_weights(Objective("log", "huber", 1.0), weights, predicted, residual)
    assert relative == pytest.approx([1, 1.5 / 4, 0])


# --- the last digits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "residual", "quadratic"),
    [
        ("huber", 0.99, True),
        ("huber", 1.0, False),
        ("huber", -1.01, False),
        ("squared", 5.0, True),
        ("soft_l1", 0.0, False),
    ],
)
def test_digits_are_polished_where_every_residual_lies_in_the_quadratic_zone(loss, residual, quadratic):
    assert _quadratic(Objective("linear", loss, 1.0), np.array([0.0, residual])) is quadratic


# --- what an earlier stage holds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "can"), [(3, True), (2, False)])
def test_the_base_of_a_law_needs_a_row_more_than_it_has_constants(rows, can):
    """8 / x through the rows that belong to the base; the others follow another law."""
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    values = np.where(np.arange(5) < rows, 8 / x, 99.0)
    base = SimpleNamespace(
        law="power:over=N",
        rows=lambda variables: np.arange(5) < rows,
        ties={},
        what="of the base",
        delta="auto",
        held=lambda constants: constants,
    )
    law = SimpleNamespace(base=base, spec="staged")
    if can:
        assert held_by_base(law, {"x": x}, values, Settings()) == pytest.approx({"A": 8.0, "alpha": 1.0}, rel=1e-6)
    else:
        with pytest.raises(InputError, match=r"only 2 runs of the base \(3 are needed\)"):
            held_by_base(law, {"x": x}, values, Settings())
    assert held_by_base(SimpleNamespace(base=None), {"x": x}, values, Settings()) == {}
