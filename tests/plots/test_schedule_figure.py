"""The figure of the schedule that a run asks for: what asks for it, and the threshold where there is one."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.planning.run_schedule import schedule_of
from scalefit.plots import plot_run_schedule

STEP = np.arange(1, 401)


def drawn(**columns):
    log = pd.DataFrame({"run": "a", "step": STEP, "lr": 0.01, "loss": 3 - STEP / 1e3, **columns})
    found = schedule_of(sf.read_runs(log), rule="gd")
    return found, plot_run_schedule(found).measured_axes


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_sharpness_is_drawn_times_the_learning_rate_with_its_threshold():
    found, panel = drawn(sharpness=np.where(STEP < 120, 600.0, 100.0))
    levels = [line.get_ydata()[0] for line in panel.lines if len(line.get_ydata()) == 2]
    assert levels == [found.threshold] == [2.0]
    curve = max(panel.lines, key=lambda line: len(line.get_xdata()))
    assert set(np.round(curve.get_ydata(), 9)) == {1.0, 6.0}


def test_gradient_norms_have_no_threshold():
    _, panel = drawn(grad_norm=1 + STEP / 400)
    (curve,) = panel.lines
    np.testing.assert_allclose(curve.get_ydata(), np.interp(curve.get_xdata(), STEP, 1 + STEP / 400))
