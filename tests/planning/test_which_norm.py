"""Which gradient norm a refined schedule is made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.planning.run_schedule import schedule_of

STEP = np.arange(1, 401)
SUM, EUCLIDEAN = 1 + 3 * (STEP / 400) ** 2, 2 - STEP / 400


def log(**columns):
    return sf.read_runs(pd.DataFrame({"run": "a", "step": STEP, "lr": 0.02, "loss": 3 - STEP / 1e3, **columns}))


def test_under_adam_the_sum_of_absolute_values_goes_before_the_euclidean_norm():
    both = schedule_of(log(grad_norm=EUCLIDEAN, grad_norm_l1=SUM))
    alone = schedule_of(log(grad_norm_l1=SUM))
    stand_in = schedule_of(log(grad_norm=SUM))
    np.testing.assert_allclose(both.lr, alone.lr)
    np.testing.assert_allclose(both.lr, stand_in.lr)
    assert both.norms["grad_norm"].to_numpy() == pytest.approx(SUM)
    assert not np.allclose(both.lr, schedule_of(log(grad_norm=EUCLIDEAN)).lr)


def test_under_gradient_descent_it_is_the_euclidean_norm():
    both = schedule_of(log(grad_norm=EUCLIDEAN, grad_norm_l1=SUM), rule="gd")
    assert both.norms["grad_norm"].to_numpy() == pytest.approx(EUCLIDEAN)
    np.testing.assert_allclose(both.lr, schedule_of(log(grad_norm=EUCLIDEAN), rule="gd").lr)


def test_without_a_norm_there_is_none():
    found = schedule_of(log(sharpness=100.0), rule="gd")
    assert found.lr is None
    assert len(found.norms) == 0
    assert list(found.norms.columns) == ["step", "grad_norm"]
