"""A parabola is believed up to a standard error of half the step that is taken for its own size, and no further."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

X = np.linspace(-1, 1, 41)
SHAPE = np.random.default_rng(5).standard_normal(41)
SHAPE -= np.polyval(np.polyfit(X, SHAPE, 1), X)


def drawn(noise):
    """y = 5 + x: the step of a linear parameter is a factor, and the standard error of its logarithm counts."""
    rows = pd.DataFrame({"x": X, "y": 5 + X + noise * SHAPE})
    options = {"residuals": "linear", "loss": "squared", "draws": 3000, "method": "sandwich", "calibrated": False}
    return sf.fit(sf.read_runs(rows, need=()), "y = a + b*x", **options)


def error_of_slope(noise):
    """White's standard error, by hand: sqrt(sum x^2 r^2) / sum x^2."""
    return np.sqrt(np.sum((X * noise * SHAPE) ** 2)) / np.sum(X**2)


@pytest.mark.parametrize("wanted", [0.1, 0.45])
def test_the_spread_of_draws_is_whites_standard_error(wanted):
    noise = wanted / error_of_slope(1.0)
    assert np.log(drawn(noise).draws["b"]).std() == pytest.approx(wanted, rel=0.06)


@pytest.mark.parametrize("wanted", [0.55, 0.65, 2.0])
def test_a_wider_one_is_refused(wanted):
    with pytest.raises(InputError):
        drawn(wanted / error_of_slope(1.0))
