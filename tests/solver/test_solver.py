"""The parts of the solver against independent definitions: losses, projection, starts, descent, refinement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize
from scipy.special import huber, pseudo_huber

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.numerics import robust_sigma, spread_points
from scalefit.solver.descent import descend
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.projection import project
from scalefit.solver.solve import Settings, solve
from scalefit.solver.starts import choose_starts, cover, cover_around

pytestmark = pytest.mark.usefixtures("nothing_kept")  # the second of two equal computations is one

LOSSES = ("huber", "squared", "soft_l1")
residual = st.floats(-1e3, 1e3)
threshold = st.floats(1e-4, 1e2)


def points(n=40, noise=0.0, seed=0):
    """N, D and a Chinchilla loss with optional noise; a second truth is E 0.62, A 35, B 2200, alpha .25, beta .41."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(9, 12, n)
    loss = 1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28
    return {"N": N, "D": D}, loss * np.exp(noise * rng.standard_normal(n))


@given(residual, threshold)
def test_losses_are_those_of_scipy(r, delta):
    assert Objective("linear", "huber", delta).rho(np.array(r)) == pytest.approx(huber(delta, r), rel=1e-12)
    soft = pseudo_huber(delta, r)
    assert Objective("linear", "soft_l1", delta).rho(np.array(r)) == pytest.approx(soft, rel=1e-6, abs=1e-12 * delta**2)
    assert Objective("linear", "squared", delta).rho(np.array(r)) == 0.5 * r * r


@given(residual, threshold, st.sampled_from(LOSSES))
def test_psi_and_curvature_are_the_derivatives(r, delta, loss):
    objective = Objective("log", loss, delta)
    step = 1e-4 * delta
    if abs(abs(r) - delta) <= 2 * step:
        return  # Huber's corner
    at = np.array([r - step, r, r + step])
    rho, psi = objective.rho(at), objective.psi(at)
    scale = max(abs(r), delta)
    assert psi[1] == pytest.approx((rho[2] - rho[0]) / (2 * step), rel=1e-5, abs=1e-9 * scale**2 / step)
    curved = objective.curvature(at)[1]
    assert curved == pytest.approx((psi[2] - psi[0]) / (2 * step), rel=1e-4, abs=1e-10 * scale / step)


@given(residual, residual, threshold, st.sampled_from(LOSSES))
def test_the_majorant_touches_and_lies_above(r, other, delta, loss):
    objective = Objective("log", loss, delta)
    weight = float(objective.majorant(np.array(r)))
    assert weight * r == pytest.approx(float(objective.psi(np.array(r))), rel=1e-9)
    parabola = float(objective.rho(np.array(r))) + 0.5 * weight * (other**2 - r**2)
    assert float(objective.rho(np.array(other))) <= parabola + 1e-9 * (1 + abs(parabola))


def test_log_residuals_of_impossible_predictions_are_infinite():
    residuals = Objective("log").residuals(np.array([1.0, 0.0, -2.0]), np.zeros(3))
    assert residuals.tolist() == [0.0, np.inf, np.inf]


@pytest.mark.parametrize("wrong", [{"space": "sqrt"}, {"loss": "cauchy"}, {"delta": 0.0}, {"delta": float("nan")}])
def test_unknown_objectives_are_refused(wrong):
    with pytest.raises(InputError):
        Objective(**wrong)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_projection_is_bounded_least_squares(seed):
    """For given exponents: the same E, A, B as scipy's bounded linear least squares, also where some are zero."""
    rng = np.random.default_rng(seed)
    variables, _ = points(12, seed=seed)
    values = rng.uniform(1.0, 3.0, 12)  # arbitrary values: the best A or B is often zero
    weights = rng.uniform(0.1, 2.0, 12)
    exponents = rng.uniform(0.1, 1.0, (3, 2))
    model = bind(find_law("chinchilla"), variables)
    theta = np.hstack([np.zeros((3, 3)), exponents])
    for space, scale in (("linear", np.ones(12)), ("log", 1 / values)):
        got = project(model, Objective(space, "squared"), values, weights, theta)
        for row, (a, b) in zip(got, exponents, strict=True):
            columns = np.stack([np.ones(12), variables["N"] ** -a, variables["D"] ** -b])
            size = np.sqrt(np.sum(columns**2, axis=1))
            root = np.sqrt(weights) * scale
            best = lsq_linear((columns / size[:, None] * root).T, root * values, (0, np.inf), method="bvls", tol=1e-14)
            mine = 0.5 * np.sum((root * (row[:3] @ columns - values)) ** 2)
            assert mine <= best.cost * (1 + 1e-9)
            assert np.all(row[:3] >= 0)


def test_projection_of_a_law_without_linear_parameters_changes_nothing():
    model = bind(find_law("chinchilla"), points()[0], fix={"E": 1.0, "A": 2.0, "B": 3.0})
    theta = np.array([[0.3, 0.4]])
    assert project(model, Objective(), points()[1], np.ones(40), theta) is theta


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_the_cover_is_even_and_deterministic(dimensions):
    cover_points = spread_points(512, dimensions)
    assert np.all((cover_points >= 0) & (cover_points < 1))
    np.testing.assert_allclose(cover_points.mean(axis=0), 0.5, atol=0.02)
    halves = np.floor(cover_points * 2).astype(int) @ (2 ** np.arange(dimensions))
    assert np.bincount(halves).min() > 0.7 * 512 / 2**dimensions
    np.testing.assert_array_equal(cover_points, spread_points(512, dimensions))


def test_starts_stay_in_the_box_and_differ():
    variables, values = points(noise=0.01)
    model = bind(find_law("chinchilla"), variables, bounds={"alpha": (0.2, 0.5)})
    cells = cover(model)
    assert np.all((cells >= model.low) & (cells <= model.high))
    chosen = choose_starts(model, Objective(), values, np.ones(40), cells, 8)
    assert len(np.unique(chosen[:, 3:], axis=0)) == len(chosen) == 8
    met = choose_starts(model, Objective(), values, np.ones(40), cells, 8, grid=True)
    assert len(met) == 8 and len(np.unique(met[:, 3:], axis=0)) < 8  # some lead to the same cell
    assert (met[0, 3:] == chosen[0, 3:]).all()
    near = cover_around(model, np.array([1.0, 10.0, 10.0, 0.3, 0.3]), 0.1)
    assert np.all((near[:, 3] >= 0.3 * 10**-0.1 - 1e-12) & (near[:, 3] <= 0.3 * 10**0.1 + 1e-12))


def test_a_start_range_outside_the_bounds_is_replaced_by_them():
    model = bind(find_law("chinchilla"), points()[0], bounds={"alpha": (2.0, 3.0)})
    assert np.ptp(cover(model)[:, 3]) > 0.5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("space", ["log", "linear"])
def test_a_batch_descends_as_its_members_do(loss, space):
    variables, values = points(noise=0.02)
    model = bind(find_law("chinchilla"), variables)
    objective = Objective(space, loss, 0.02)
    starts = choose_starts(model, objective, values, np.ones(40), cover(model), 6)
    together = descend(model, objective, values, np.ones(40), starts)
    for i in range(6):
        alone = descend(model, objective, values, np.ones(40), starts[[i]])
        assert alone.objective[0] == pytest.approx(together.objective[i], rel=1e-9)


def test_each_member_may_have_its_own_weights():
    """As resamples do: a weight of two is a row twice, a weight of zero is no row."""
    variables, values = points(noise=0.02)
    rng = np.random.default_rng(1)
    counts = rng.multinomial(40, np.full(40, 1 / 40), size=4).astype(float)
    model = bind(find_law("chinchilla"), variables)
    objective = Objective("log", "huber", 0.02)
    start = descend(model, objective, values, np.ones(40), np.array([[1.6, 400.0, 400.0, 0.34, 0.28]])).theta
    batch = descend(model, objective, values, counts, np.repeat(start, 4, axis=0))
    for i in range(4):
        rows = np.repeat(np.arange(40), counts[i].astype(int))
        again = bind(find_law("chinchilla"), {name: v[rows] for name, v in variables.items()})
        alone = descend(again, objective, values[rows], np.ones(40), start)
        assert alone.objective[0] == pytest.approx(batch.objective[i], rel=1e-7)
        np.testing.assert_allclose(alone.theta[0, 3:], batch.theta[i, 3:], rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_end_is_stationary(loss):
    variables, values = points(noise=0.02)
    model = bind(find_law("chinchilla"), variables)
    solution = solve(model, values, None, Settings("log", loss, 0.01))

    def cost(theta):
        r = solution.objective.residuals(model.value(theta[None])[0], np.log(values))
        return float(solution.objective.rho(r).sum())

    assert solution.converged
    assert solution.agree == len(solution.costs)
    again = minimize(cost, solution.theta, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-16})
    assert again.fun >= solution.cost * (1 - 1e-9)


def test_rows_at_different_scales_of_weight_give_the_same_answer():
    variables, values = points(noise=0.02)
    model = bind(find_law("chinchilla"), variables)
    one = solve(model, values, np.ones(40), Settings(delta=0.01))
    for scale in (1e-30, 1e-6, 1e30):
        other = solve(model, values, np.full(40, scale), Settings(delta=0.01))
        assert other.cost == pytest.approx(one.cost * scale, rel=1e-9)
        np.testing.assert_allclose(other.theta, one.theta, rtol=1e-6)
        assert other.agree == one.agree


def test_auto_delta_is_1345_sigma_of_its_own_fit():
    variables, values = points(200, noise=0.02)
    model = bind(find_law("chinchilla"), variables)
    solution = solve(model, values)
    assert solution.sigma == pytest.approx(robust_sigma(solution.residuals, 5))
    assert solution.objective.delta == pytest.approx(1.345 * solution.sigma, rel=2e-3)
    assert solution.sigma == pytest.approx(0.02, rel=0.25)


def test_no_general_optimiser_ends_lower():
    """L-BFGS-B, from several starts, never ends below; where its ftol, relative to max(f, 1), stops it, far above."""
    variables, values = points(240, noise=0.005)
    model = bind(find_law("chinchilla"), variables)
    solution = solve(model, values, None, Settings(delta=1e-3))

    def cost(x):
        theta = np.array([[np.exp(x[0]), np.exp(x[1]), np.exp(x[2]), x[3], x[4]]])
        with np.errstate(all="ignore"):
            r = solution.objective.residuals(model.value(theta)[0], np.log(values))
            return float(np.nan_to_num(solution.objective.rho(r).sum(), nan=1e9))

    starts = [[floor, 5.0, 5.0, slope, slope] for floor in (0.0, 0.5) for slope in (0.2, 0.5, 0.8)]
    ends = [minimize(cost, start, method="L-BFGS-B").fun for start in starts]
    assert min(ends) > solution.cost * (1 - 1e-9)


def test_no_finite_prediction_is_an_error_not_a_fit():
    x = np.array([-1.0, -2.0, -3.0])
    with pytest.raises(InputError, match="no start gives a finite prediction"), np.errstate(all="ignore"):
        solve(bind(find_law("a * log(x) + b"), {"x": x}), np.ones(3), None, Settings("linear", "squared"))
