"""Leverages against the hat matrix, and levels that are none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.fitting.profile import profile
from scalefit.uncertainty.bootstrap import leverage


def hat(slope, weights):
    """The diagonal of X (X' W X)^-1 X' W, with a pseudo-inverse where columns depend on one another."""
    root = np.sqrt(weights)[:, None] * slope
    return np.diag(root @ np.linalg.pinv(root, rcond=1e-10))


@pytest.fixture
def slope():
    return np.random.default_rng(0).standard_normal((30, 3)) * [1.0, 1e3, 1e-4]  # columns of any unit


def test_leverage_is_the_diagonal_of_the_hat_matrix(slope):
    weights = np.random.default_rng(1).uniform(0.2, 3.0, 30)
    found = leverage(slope, weights)
    assert found == pytest.approx(hat(slope, weights), rel=1e-9)
    assert found.sum() == pytest.approx(3)


def test_a_column_that_says_nothing_new_adds_no_leverage(slope):
    again = np.column_stack([slope, 2 * slope[:, 0] - slope[:, 1], np.zeros(30)])
    assert leverage(again, np.ones(30)) == pytest.approx(leverage(slope, np.ones(30)), rel=1e-9)


def test_a_row_that_holds_a_parameter_alone_is_capped(slope):
    alone = np.column_stack([slope, np.eye(30)[0]])
    assert hat(alone, np.ones(30))[0] == pytest.approx(1)
    assert leverage(alone, np.ones(30))[0] == 0.7  # 1 would divide its residual by nothing


@pytest.mark.parametrize("level", [-0.5, 0.0, 1.0, 1.5, float("nan")])
def test_levels_lie_between_none_and_all(level):
    x = np.linspace(1, 9, 30)
    y = 3 + 2 * x + 0.1 * np.random.default_rng(0).standard_normal(30)
    runs = pd.DataFrame({"x": x, "y": y})
    with pytest.raises(InputError):
        profile(runs, "y = a + b*x", ["b"], level=level, residuals="linear")
    fit = sf.fit(sf.read_runs(runs, need=()), "y = a + b*x", residuals="linear", draws=50)
    with pytest.raises(InputError):
        fit.predict(x=10.0, level=level)
