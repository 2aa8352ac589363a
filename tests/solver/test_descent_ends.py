"""When a descent ends: at the tolerance, or where rounding lets no step lower the cost; never at the limit instead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from scalefit.laws import find_law
from scalefit.solver import descent
from scalefit.solver.derivatives import Batch, Local
from scalefit.solver.descent import descend
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.projection import project
from scalefit.solver.refine import _measured, newton_alone
from scalefit.solver.starts import first_alike

START = np.array([[1.0, 300, 300, 0.3, 0.3], [1.5, 500, 300, 0.35, 0.3]])


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(7, 10, 60), 10 ** rng.uniform(9, 12, 60)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(0.05 * rng.standard_normal(60))
    return bind(find_law("chinchilla"), {"N": N, "D": D}), loss


def best_cost(model, loss):
    """The least squares of log residuals, by scipy."""

    def residuals(x):
        return np.log(np.exp(x[0]) + np.exp(x[1]) * N ** -x[3] + np.exp(x[2]) * D ** -x[4]) - np.log(loss)

    N, D = model.variables["N"], model.variables["D"]
    return least_squares(residuals, [0.0, 6.0, 6.0, 0.3, 0.3], xtol=1e-15, ftol=1e-15, gtol=1e-15).cost


@pytest.mark.parametrize("tolerance", [1e-13, 0.0, -1.0], ids=["usual", "exact", "never met"])
def test_a_descent_ends_at_the_minimum_long_before_the_limit(problem, tolerance):
    """A tolerance below zero is met nowhere: what ends the descent then is that no step lowers the cost any more."""
    model, loss = problem
    found = descend(model, Objective("log", "squared"), loss, np.ones(60), START, tolerance=tolerance, iterations=400)
    assert found.converged.all()
    assert found.iterations < 100
    assert found.objective == pytest.approx(best_cost(model, loss), rel=1e-10)


def test_a_newton_step_that_would_raise_the_objective_is_shortened(problem):
    """In a curved valley: a full step leads up its side."""
    model, loss = problem
    objective, weights = Objective("log", "squared"), np.ones(60)
    given = model, objective, np.log(loss), weights
    here = _measured(*given, project(model, objective, loss, weights, np.array([[1.0, 100, 100, 0.25, 0.2]]))[0])
    end, ended, *_ = newton_alone(*given, here, 1e-4, tolerance=1e-13, floor=0.0, most=60)
    assert ended
    assert end.cost == pytest.approx(best_cost(model, loss), rel=1e-10)


def test_a_descent_that_was_cut_short_has_not_converged(problem):
    model, loss = problem
    found = descend(model, Objective("log", "squared"), loss, np.ones(60), START, iterations=2)
    assert found.iterations == 2
    assert not found.converged.any()
    assert np.all(found.objective > best_cost(model, loss))


def test_a_start_next_to_one_that_descends_to_the_same_minimum_is_taken_for_it():
    """Within a hundredth of each coordinate, both by Newton's steps, and no lower: each of these decides alone."""
    theta = np.array([[2.0, 1.0], [2.01, 1.0], [2.03, 1.0], [2.01, 1.0], [2.01, 1.0], [2.01, 1.0], [2.0, 1.0]])
    cost = np.array([1.0, 1 + 1e-6, 1 + 1e-6, 1.000005, 1 + 2e-5, 1 + 1e-6, 1 + 1e-6])
    near = np.array([True, True, True, True, True, False, True])
    member = np.arange(7)
    local = Local(cost, *[np.zeros(7)] * 3)
    batch = Batch(member, theta, local, np.zeros((7, 2)), near, member * 0, near)
    moving, ended = member > 0, member == 0
    for converged in (ended, ended & False):
        met = descent._met(batch, theta, cost, 7, converged, moving)
        assert met.tolist() == [-1, 0, -1, 0, -1, -1, 0]
    batch.near = near & ~ended
    assert descent._met(batch, theta, cost, 7, ended & False, moving)[1] == -1  # the lowest one is far from it
    assert descent._met(batch, theta, cost, 7, ended, moving)[1] == 0
    assert descent._met(batch, theta, cost - 1e-4 * (member == 1), 7, ended, moving)[1] == -1  # lower than what ended


def test_starts_at_one_place_are_one():
    theta = np.array([[1.0], [2.0], [1.0], [1.0], [1.0], [2.0]])
    assert first_alike(theta, 6).tolist() == [0, 1, 0, 0, 0, 1]
    assert first_alike(theta, 3).tolist() == [0, 1, 0, 3, 3, 5]
