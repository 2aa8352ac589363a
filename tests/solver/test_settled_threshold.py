"""The threshold that is found from the noise: what is returned is one consistent answer, also with several minima."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import least_squares

from scalefit.laws.formula import FormulaLaw
from scalefit.solver.model import bind
from scalefit.solver.solve import Settings, _best, solve


def sine(seed):
    """A wave with outliers: its frequency has many local minima, and starts end in different ones."""
    rng = np.random.default_rng(seed)
    x = np.linspace(1, 20, 40)
    y = 5 + 2 * np.sin(0.9 * x) + 0.3 * rng.standard_normal(40)
    y[rng.integers(0, 40, 4)] += 4
    return bind(FormulaLaw("y = a + b*sin(c*x)", variables=("x",)), {"x": x}), y


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_is_that_of_the_parameters_and_the_best_of_all_starts(seed):
    model, y = sine(seed)
    found = solve(model, y, settings=Settings(residuals="linear"))

    def cost(theta):
        residual = found.objective.residuals(model.value(theta[None])[0], found.objective.target(y))
        return float(np.sum(found.objective.rho(residual)))

    assert cost(found.theta) == pytest.approx(found.cost, rel=1e-9)
    assert 0 < found.agree < 9
    names = [coordinate.name for coordinate in model.coordinates]
    assert abs(found.theta[names.index("c")]) == pytest.approx(0.9, abs=0.03)
    residual = y - model.value(found.theta[None])[0]
    assert found.sigma == pytest.approx(1.4826 * np.median(np.abs(residual)) * np.sqrt(40 / 37), rel=1e-3)
    assert found.objective.delta == pytest.approx(1.345 * found.sigma, rel=0.01)  # Huber's 95 % efficiency


@pytest.mark.parametrize("seed", [104, 143, 176])
def test_the_lowest_of_several_minima_is_kept_while_the_threshold_settles(seed):
    """Noise as large as the wave: with another threshold another minimum is the lowest. By scipy, from many starts."""
    rng = np.random.default_rng(seed)
    x = np.linspace(1, 20, 20)
    y = 5 + 2 * np.sin(0.9 * x) + rng.standard_normal(20)
    y[rng.integers(0, 20, 4)] += 4
    model = bind(FormulaLaw("y = a + b*sin(c*x)", variables=("x",)), {"x": x})
    found = solve(model, y, settings=Settings(residuals="linear"))
    c = abs(found.theta[[coordinate.name for coordinate in model.coordinates].index("c")])
    ends = [
        least_squares(
            lambda p: p[0] + p[1] * np.sin(p[2] * x) - y, [5, 2, start], loss="huber", f_scale=found.objective.delta
        )
        for start in np.linspace(0.5, 1.5, 21) * c
    ]
    assert found.cost <= min(end.cost for end in ends if abs(end.x[2]) < 2 * c) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("objective", "start", "nothing", "best"),
    [
        ([1.0, 1.00009, 9.0], [[100.0, 1.0]], 0.0, 1),  # a tenth from 100 is nearer than a half from 1
        ([1.0, 1.00011, 9.0], [[100.0, 1.0]], 0.0, 0),  # no equal one
        ([1.0, 1.1, 9.0], [[100.0, 1.0]], 0.2, 1),  # what counts as nothing
        ([1.0, 1.00009, 9.0], None, 0.0, 0),
        ([1.0, 1.00009, 9.0], [[100.0, 1.0], [1.0, 1.0]], 0.0, 0),
        ([9.0, 1.00009, 1.0], [[100.0, 1.0]], 0.0, 2),
    ],
)
def test_of_equal_ends_the_nearest_to_a_given_start_is_the_best(objective, start, nothing, best):
    found = SimpleNamespace(objective=np.array(objective), theta=np.array([[100.0, 1.5], [110.0, 1.0], [101.0, 1.0]]))
    assert _best(found, None if start is None else np.array(start), nothing) == best
