"""Steps of the descent: their directions, ends, multiples, and what follows an accepted and a rejected one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scalefit.solver import descent
from scalefit.solver.derivatives import Local
from scalefit.solver.descent import Batch
from scalefit.solver.objective import Objective
from scalefit.solver.steps import bounded_step, newton_step, retract, stretched


def step_of(gradient, matrix, damping=0.0, held=(False, False), diagonal=None):
    own = np.diag(np.abs(np.diag(matrix))) if diagonal is None else np.diag(diagonal)
    given = (np.array([gradient], float), np.array([matrix], float), np.array([np.diag(own)], float))
    return newton_step(*given, np.array([damping]), np.array([held]))[0]


def test_a_step_leads_downhill_also_where_the_curvature_is_negative():
    assert step_of((2, 3), [[4, 0], [0, 9]]) == pytest.approx([-0.5, -1 / 3])
    assert step_of((2, 3), [[4, 0], [0, -9]]) == pytest.approx([-0.5, -1 / 3])
    assert step_of((2, 3), [[4, 0], [0, 9]], damping=1.0) == pytest.approx([-0.25, -1 / 6])


def test_a_coupled_step_solves_for_both_and_a_held_one_does_not_move():
    matrix = np.array([[4.0, 1.0], [1.0, 9.0]])
    assert step_of((2, 3), matrix) == pytest.approx(-np.linalg.solve(matrix, [2, 3]))
    assert step_of((2, 3), matrix, held=(False, True)) == pytest.approx([-0.5, 0])
    assert step_of((2, 3), matrix, diagonal=(4, 1e-291)) == pytest.approx([-0.5, 0])


def bounded(theta, gradient, matrix, near=True):
    model = SimpleNamespace(low=np.zeros(2), high=np.ones(2))
    given = [np.array([each], float) for each in (theta, gradient, matrix, np.diag(matrix))]
    return bounded_step(model, *given, np.zeros(1), np.array([near]))[0]


def test_no_step_leads_out_of_the_box():
    plain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert bounded((0.0, 0.5), (1.0, 0.1), plain) == pytest.approx([0, -0.1])
    assert bounded((1.0, 0.5), (-1.0, 0.1), plain) == pytest.approx([0, -0.1])
    assert bounded((0.0, 1.0), (-0.2, 0.1), plain) == pytest.approx([0.2, -0.1])  # inwards
    coupled = np.array([[1.0, 0.9], [0.9, 1.0]])  # downhill at the end is inwards, but the step leads outwards
    assert np.linalg.solve(coupled, [0.1, -1.0])[0] > 0
    assert bounded((0.0, 0.5), (-0.1, -0.4), coupled) == pytest.approx([0, 0.4])


def test_what_would_leave_the_box_stops_at_its_end_and_the_other_coordinate_follows():
    """At the end of the first coordinate, 0.1 below, the slope of the second is -0.2 - 0.9 x 0.1."""
    coupled = np.array([[1.0, 0.9], [0.9, 1.0]])
    assert np.linalg.solve(coupled, [0.5, -0.2])[0] > 0.1
    assert bounded((0.1, 0.5), (0.5, -0.2), coupled) == pytest.approx([-0.1, 0.29])
    assert bounded((0.1, 0.5), (0.5, -0.2), coupled, near=False) == pytest.approx(
        -np.linalg.solve(coupled, [0.5, -0.2])
    )


def test_only_what_leaves_the_box_first_stops_there():
    """Together both would leave; with the first at its end, the second hardly moves."""
    coupled = np.array([[1.0, -0.99], [-0.99, 1.0]])
    assert np.all(-np.linalg.solve(coupled, [1.0, 0.0]) < [0.0, -0.5])
    assert bounded((0.0, 0.5), (1.0, -0.0), coupled) == pytest.approx([0, 0])


def test_a_linear_coordinate_moves_by_a_factor_for_small_steps():
    model = SimpleNamespace(low=np.full(3, -9.0), high=np.full(3, 9.0), linear=np.array([True, True, False]))
    by_factor, plain = np.array([True]), np.array([False])
    found = retract(model, np.array([[2.0, 2.0, 2.0]]), np.array([[1.0, -2.0, 1.0]]), by_factor)[0]
    assert found == pytest.approx([2 * np.exp(0.5), 0.0, 3.0])
    start, step = np.array([[2.0, -2.0, 2.0]]), np.array([[1.9, -1.0, 8.0]])
    assert retract(model, start, step, by_factor)[0] == pytest.approx([2 * np.exp(0.95), -2 * np.exp(0.5), 9.0])
    assert retract(model, start, step, plain)[0] == pytest.approx([3.9, -3.0, 9.0])


@pytest.mark.parametrize("space", ["linear", "log"])
@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_the_multiple_of_a_step_is_that_of_the_least_modelled_cost(space, near, own):
    """By a loop over the multiples 1, .5, .2 and 2, for steps of several lengths."""
    rng = np.random.default_rng(3)
    objective, n = Objective(space, "huber", 0.1), 7
    seen = set()
    for length in (0.02, 0.1, 0.3, 1.0, 3.0):
        value, jacobian = rng.uniform(1, 3, n), rng.standard_normal((2, n))
        residual, weights = 0.3 * rng.standard_normal(n), rng.uniform(0.5, 2, n)
        bend, step = rng.standard_normal((2, 2)), length * rng.standard_normal(2)
        bend += bend.T
        along = step @ jacobian / (value if space == "log" else 1.0)
        curved = step @ bend @ step
        if space == "log" and near:
            curved -= np.sum(weights * objective.psi(residual) * along**2)
        costs = {k: weights @ objective.rho(residual + k * along) + 0.5 * k**2 * curved for k in (1.0, 0.5, 0.2, 2.0)}
        best = min(costs, key=costs.get)
        local = Local(np.zeros(1), value[None], jacobian[None], residual[None])
        told = weights[None] if own else weights
        found = stretched(objective, told, local, np.array([near]), bend[None], step[None])
        assert found[0] == pytest.approx(best * step)
        seen.add(best)
    assert len(seen) > 1


def advanced(
    monkeypatch, *, ahead, damping=1e-3, near=True, stalls=0, gradient=2.0, tolerance=0.0, floor=0.0, other=7.0
):
    """One step down a slope: from 1 by -gradient / 4 / (1 + damping), where the cost is 1 and then ``ahead``."""
    there = Local(np.array([ahead]), np.ones((1, 1)), np.ones((1, 1, 1)), np.ones((1, 1)))
    here = Local(np.array([1.0]), np.zeros((1, 1)), np.zeros((1, 1, 1)), np.zeros((1, 1)))
    slope = (np.array([[gradient]]), np.array([[[4.0]]]), np.array([[4.0]]), np.zeros((1, 1, 1)))
    monkeypatch.setattr(descent, "measure", lambda *told: there)
    monkeypatch.setattr(descent, "curvatures", lambda *told: slope)
    monkeypatch.setattr(descent, "majorised_weights", lambda *told: np.ones((1, 1)))
    monkeypatch.setattr(descent, "project_weighted", lambda model, values, rows, trial: trial)
    model = SimpleNamespace(low=np.array([-9.0]), high=np.array([9.0]), linear=np.array([False]))
    model.members = lambda some: model
    both = np.array([[other, other]])
    both[0, int(near)] = damping
    batch = Batch(np.arange(1), np.array([[1.0]]), here, both, np.array([near]), np.array([stalls]), np.array([True]))
    objective = Objective("linear", "squared", 1.0)
    ones = np.ones(1)
    told = (tolerance, np.array([floor]), np.zeros((1, 1, 1)))
    rows = descent.Problem(model, objective, ones, ones, ones, 1)
    done, flat = descent._advance(rows, batch, *told)
    return batch, bool(done[0]), bool(flat[0]), both[0].tolist()


def test_after_a_step_that_helps_the_damping_falls(monkeypatch):
    for near in (True, False):
        batch, done, _, _ = advanced(monkeypatch, ahead=0.95, near=near)
        assert batch.damping[0].tolist() == pytest.approx([7.0, 1.5e-4] if near else [1.5e-4, 7.0])
        assert batch.theta[0, 0] == pytest.approx(1 - 0.5 / 1.001)
        assert (batch.local.cost[0], batch.stalls[0], done) == (0.95, 0, False)


def test_after_one_that_does_not_it_grows_and_the_kind_that_is_damped_less_is_tried(monkeypatch):
    for near, other in ((True, 0.031), (True, 0.033), (False, 0.031), (False, 0.033)):
        batch, *_ = advanced(monkeypatch, ahead=1.0, near=near, other=other)
        assert bool(batch.near[0]) is (near if other > 0.032 else not near)
    for near in (True, False):
        batch, done, _, _ = advanced(monkeypatch, ahead=1.0, near=near, stalls=3)
        assert batch.damping[0].tolist() == pytest.approx([7.0, 0.032] if near else [0.032, 7.0])
        assert (batch.theta[0, 0], batch.local.cost[0], batch.stalls[0], done) == (1.0, 1.0, 4, False)
        assert bool(batch.factor[0]) is not near
    batch, *_ = advanced(monkeypatch, ahead=2.0, damping=1e-12)
    assert batch.damping[0, 1] == pytest.approx(3.2e-7)


@pytest.mark.parametrize(
    ("ahead", "damping", "near"), [(0.971, 1e-2, True), (0.969, 1e-2, False), (0.971, 1.1e-2, False)]
)
def test_newton_s_steps_follow_small_gains_of_hardly_damped_ones(monkeypatch, ahead, damping, near):
    assert bool(advanced(monkeypatch, ahead=ahead, damping=damping)[0].near[0]) is near


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({"tolerance": 1.01}, True),  # the step is expected to gain |gradient step|, 1 here
        ({"tolerance": 0.99}, False),
        ({"floor": 1.01}, True),
        ({"floor": 0.99}, False),
        ({"tolerance": 1.01, "near": False}, False),
        ({"tolerance": 1.01, "damping": 1.1e-2}, False),
        ({"ahead": 1.0, "stalls": 8}, True),
        ({"ahead": 1.0, "stalls": 7}, False),
        ({"ahead": 1.0, "stalls": 8, "near": False}, False),
        ({"stalls": 8}, False),
    ],
    ids=str,
)
def test_when_a_member_is_done(monkeypatch, change, done):
    assert advanced(monkeypatch, **{"ahead": 0.9, "damping": 1e-9, **change})[1] is done


@pytest.mark.parametrize(
    ("gradient", "floor", "flat"), [(0.0019, 0.0, True), (0.0021, 0.0, False), (2.0, 0.125, True), (2.0, 0.124, False)]
)
def test_a_member_lies_flat_where_hardly_anything_is_to_be_gained(monkeypatch, gradient, floor, flat):
    """A gain of gradient^2 / 4 is expected: less than a millionth of the cost, or eight times what rounding makes."""
    assert advanced(monkeypatch, ahead=0.9, damping=1e-9, gradient=gradient, floor=floor)[2] is flat
