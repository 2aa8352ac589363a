"""A forecast from a run's own curve knows no unit: losses in another one give the same forecast in it."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.progress.own_curve import own_curve
from scalefit.schedules import areas, parse_schedule

PLAN = parse_schedule("cosine:peak_lr=1e-3,steps=2000,warmup=50,final=1e-4")


@pytest.mark.parametrize("unit", [0.01, 10.0])
def test_the_mean_scales_and_the_relative_spread_and_noise_stay(unit):
    S1, S2 = areas(PLAN.per_step(), decay=0.99, warmup=PLAN.warmup)
    step = np.arange(60, 1501, 20)
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(step))
    loss = (2.5 + 0.5 * S1[step] ** -0.5 - 20.0 * S2[step]) * np.exp(noise)
    ahead = np.array([1600, 1800, 2000])
    plain = own_curve(step, loss, PLAN, ahead)
    other = own_curve(step, unit * loss, PLAN, ahead)
    assert other[0] == pytest.approx(unit * plain[0], rel=1e-6)
    assert other[1] == pytest.approx(plain[1], rel=1e-5)
    assert other[2] == pytest.approx(plain[2], rel=1e-9)
    assert plain[2] == pytest.approx(0.002, rel=0.4)
