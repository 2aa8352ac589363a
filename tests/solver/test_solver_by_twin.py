"""Gradients, curvature matrices, expansions and projections against differences of the objective itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from scalefit.laws import find_law
from scalefit.numerics import robust_sigma
from scalefit.solver.derivatives import curvatures, measure, second_derivatives
from scalefit.solver.expansion import Expansion
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.projection import _enumerate, majorised_weights, project
from scalefit.solver.solve import Settings, solve

N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
TRUE = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
MODEL = bind(find_law("chinchilla"), {"N": N, "D": D})
VALUES = find_law("chinchilla").evaluate({"N": N, "D": D}, TRUE) * np.exp(0.01 * np.cos(np.arange(9.0) ** 2))
WEIGHTS = np.array([1.0, 2, 1, 0.5, 1, 3, 1, 1, 1])
OBJECTIVES = [
    Objective(space, loss, delta)
    for space in ("log", "linear")
    for loss, delta in (("huber", 0.006), ("huber", 1.0), ("squared", 1.0), ("soft_l1", 0.01))
]


def theta_of(**changed):
    named = TRUE | changed
    return np.array([np.log(named[c.name]) if c.log else named[c.name] for c in MODEL.coordinates])


def cost(objective, theta):
    return float(WEIGHTS @ objective.rho(objective.residuals(MODEL.value(theta[None])[0], objective.target(VALUES))))


def slopes(function, theta, step=1e-5):
    """Central differences by each coordinate, relative steps."""
    found = []
    for j in range(len(theta)):
        ahead, behind = theta.copy(), theta.copy()
        ahead[j] += step * max(abs(theta[j]), 0.1)
        behind[j] -= step * max(abs(theta[j]), 0.1)
        found.append((np.asarray(function(ahead)) - np.asarray(function(behind))) / (ahead[j] - behind[j]))
    return np.array(found)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_gradients_and_curvatures_are_those_of_the_objective(objective):
    theta = theta_of(alpha=0.342, E=1.72)
    local = measure(MODEL, objective, objective.target(VALUES), WEIGHTS, theta[None])
    assert local.cost[0] == pytest.approx(cost(objective, theta))
    near, far = np.array([True]), np.array([False])
    gradient, matrix, diagonal, bend = (
        part[0] for part in curvatures(MODEL, objective, WEIGHTS, theta[None], local, near)
    )
    unit = np.sqrt(np.maximum(diagonal, 1e-300))
    np.testing.assert_allclose(gradient / unit, slopes(lambda t: cost(objective, t), theta) / unit, atol=2e-6)

    def own_gradient(t):
        there = measure(MODEL, objective, objective.target(VALUES), WEIGHTS, t[None])
        return curvatures(MODEL, objective, WEIGHTS, t[None], there, near)[0][0]

    hessian = slopes(own_gradient, theta, 1e-6)
    scale = np.outer(unit, unit)
    if not (objective.loss == "huber" and objective.delta < 0.1):  # its second derivative jumps
        np.testing.assert_allclose(matrix / scale, hessian / scale, atol=2e-3)
    majorant = WEIGHTS * objective.majorant(local.residual[0])
    scaled = local.jacobian[0] / (local.value[0] if objective.space == "log" else 1.0)
    np.testing.assert_allclose(diagonal, (scaled**2) @ majorant)
    plain = curvatures(MODEL, objective, WEIGHTS, theta[None], local, far)
    np.testing.assert_allclose(plain[1][0], (scaled * majorant) @ scaled.T)
    assert not plain[3].any()
    second = second_derivatives(MODEL, theta)
    told = curvatures(MODEL, objective, WEIGHTS, theta[None], local, near, second)
    np.testing.assert_allclose(told[3][0] / scale, bend / scale, atol=1e-4)


def test_predictions_that_are_not_finite_cost_infinitely_much():
    objective = Objective("log", "huber", 0.01)
    theta = np.stack([theta_of(), theta_of()])
    theta[1, [c.name for c in MODEL.coordinates].index("alpha")] = -400.0
    with np.errstate(all="ignore"):
        found = measure(MODEL, objective, objective.target(VALUES), WEIGHTS, theta)
    assert np.isfinite(found.cost[0])
    assert found.cost[1] == np.inf
    each = measure(MODEL, objective, objective.target(VALUES), np.stack([WEIGHTS, 2 * WEIGHTS]), theta[[0, 0]])
    assert each.cost[1] == pytest.approx(2 * each.cost[0])


def test_second_derivatives_of_predictions():
    theta = theta_of()
    second = second_derivatives(MODEL, theta)
    wanted = slopes(lambda t: MODEL.jacobian(t[None])[1][0], theta)
    size = np.abs(wanted).max(axis=(0, 1)) + 1e-300
    for row in range(9):
        unit = np.sqrt(np.outer(*[np.abs(MODEL.jacobian(theta[None])[1][0, :, row]) + 1e-300] * 2))
        np.testing.assert_allclose(second[row] / unit, wanted[:, :, row] / unit, atol=1e-5 * (1 + size[row]))
    np.testing.assert_allclose(second, second.transpose(0, 2, 1))


@pytest.mark.parametrize("space", ["log", "linear"])
def test_an_expansion_is_that_of_the_residuals(space):
    objective, theta = Objective(space, "huber", 0.01), theta_of()
    made = Expansion.at(MODEL, objective, theta, second_derivatives(MODEL, theta))
    target = objective.target(VALUES)
    here = objective.residuals(made.value, target)
    rng = np.random.default_rng(0)
    step = 1e-3 * rng.standard_normal((4, len(theta)))
    there = objective.residuals(MODEL.value(made.moved(step)), target)
    half = objective.residuals(MODEL.value(made.moved(step / 2)), target)
    off, less = np.abs(there - here - made.change(step)), np.abs(half - here - made.change(step / 2))
    assert less.max() < 0.14 * off.max()  # what is left is of third order: an eighth at half of the step
    assert off.max() < 0.01 * np.abs(there - here).max()
    assert np.abs(there - here).max() > 1e-4
    assert made.by_factor.tolist() == [c.linear for c in MODEL.coordinates]
    wide = np.zeros((1, len(theta)))
    wide[0, made.by_factor] = 9.0
    np.testing.assert_allclose(made.moved(wide)[0, made.by_factor], theta[made.by_factor] * np.e)


def test_an_expansion_leads_near_the_optimum_of_other_weights():
    settings = Settings(loss="huber", delta=0.02)
    whole = solve(MODEL, VALUES, None, settings)
    other = WEIGHTS * np.linspace(0.5, 1.5, 9)
    there = solve(MODEL, VALUES, other, settings)
    made = Expansion.at(MODEL, whole.objective, whole.theta, second_derivatives(MODEL, whole.theta))
    residual = whole.objective.residuals(made.value, whole.objective.target(VALUES))
    found = made.optima(whole.objective, residual, other[None])[0]

    def of(theta):
        return float(
            other @ whole.objective.rho(whole.objective.residuals(MODEL.value(theta[None])[0], np.log(VALUES)))
        )

    assert of(there.theta) <= of(found) < of(there.theta) + 0.2 * (of(whole.theta) - of(there.theta))


@pytest.mark.parametrize("space", ["log", "linear"])
def test_projection_is_least_squares_of_relative_or_plain_residuals(space):
    objective = Objective(space, "squared", 1.0)
    theta = theta_of(E=0.1, A=1.0, B=1.0)
    found = project(MODEL, objective, VALUES, WEIGHTS, theta[None])[0]
    columns = np.stack([np.ones(9), N**-0.34, D**-0.28], axis=1)
    root = np.sqrt(WEIGHTS) / (VALUES if space == "log" else 1.0)
    unit = np.linalg.norm(columns * root[:, None], axis=0)
    wanted = lsq_linear(columns * root[:, None] / unit, VALUES * root, (0, np.inf), tol=1e-14).x / unit
    named = dict(zip([c.name for c in MODEL.coordinates], found, strict=True))
    assert [named[name] for name in ("E", "A", "B")] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_reweighted_least_squares_has_the_gradient_of_the_objective(objective):
    """Half of sum w (f - y)^2 has, for linear residuals, the slope sum w_0 psi(r) in the prediction."""
    predicted = VALUES * np.linspace(0.98, 1.02, 9)
    residual = objective.residuals(predicted, objective.target(VALUES))
    weights = majorised_weights(objective, WEIGHTS, predicted, residual)
    scale = predicted if objective.space == "log" else 1.0
    np.testing.assert_allclose(weights * scale**2 * residual, WEIGHTS * objective.psi(residual), atol=1e-12)
    lost = np.where(np.arange(9) == 2, np.inf, residual)
    assert majorised_weights(objective, WEIGHTS, predicted, lost)[2] == 0


def test_a_term_that_would_pass_its_upper_end_stays_there():
    model = bind(find_law("chinchilla"), {"N": N, "D": D}, bounds={"E": (0.5, 1.2)})
    theta = np.array([np.log(TRUE[c.name]) if c.log else min(TRUE[c.name], 1e9) for c in model.coordinates])
    found = project(model, Objective("linear", "squared", 1.0), VALUES, WEIGHTS, theta[None])[0]
    named = dict(zip([c.name for c in model.coordinates], found, strict=True))
    columns, root = np.stack([N**-0.34, D**-0.28], axis=1), np.sqrt(WEIGHTS)
    wanted = np.linalg.lstsq(columns * root[:, None], (VALUES - 1.2) * root, rcond=None)[0]
    assert named["E"] == pytest.approx(1.2)
    assert [named["A"], named["B"]] == pytest.approx(wanted, rel=1e-5)


def test_what_a_solution_says_of_itself():
    found = solve(MODEL, VALUES, None, Settings(loss="huber", delta=0.02))
    np.testing.assert_allclose(found.residuals, np.log(MODEL.value(found.theta[None])[0]) - np.log(VALUES), rtol=1e-9)
    assert found.cost == pytest.approx(float(found.objective.rho(found.residuals).sum()))
    assert found.sigma == pytest.approx(robust_sigma(found.residuals, 5))
    assert found.agree == int(found.agreeing.sum())
    assert found.converged


def test_the_non_negative_minimiser_is_that_of_scipy_one_at_a_time_and_together():
    """x'Gx/2 - b'x with G = L L': the non-negative least squares of L'x = L^-1 b; the last coordinate may be free."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 8, 3))
    gram, right = X.transpose(0, 2, 1) @ X, np.einsum("bnk,bn->bk", X, rng.standard_normal((100, 8)))
    for bounded in (np.ones(3, bool), np.array([True, True, False])):
        low = np.where(bounded, 0.0, -np.inf)
        lower = np.linalg.cholesky(gram)
        wanted = [
            lsq_linear(L.T, np.linalg.solve(L, b), (low, np.inf), tol=1e-14).x
            for L, b in zip(lower, right, strict=True)
        ]
        alone = [_enumerate(G[None], b[None], bounded)[0] for G, b in zip(gram, right, strict=True)]
        np.testing.assert_allclose(alone, wanted, atol=1e-6)
        np.testing.assert_allclose(_enumerate(gram, right, bounded), alone, atol=1e-12)
