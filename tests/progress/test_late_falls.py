"""Runs whose loss falls most where the learning rate does, late: the end lies inside the interval of the own curve.

The planted end is E: the loss is E + A s^-a + B (lr / peak)^b, a level that follows the rate and not the area under it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules import parse_schedule

KINDS = {
    "epochs": ("cosine:peak_lr=0.1,steps=120,final=0", 0.33, 0.4, 0.8, 0.22, 1.0),
    "a steep end": ("cosine:peak_lr=0.05,steps=150,final=0", 1.1, 0.8, 0.7, 0.5, 0.8),
    "to a tenth": ("linear:peak_lr=0.1,steps=200,final=0.01", 0.8, 0.6, 0.6, 0.3, 0.9),
}


@pytest.mark.parametrize("share", [0.58, 0.92])
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_late_fall_is_inside(kind, share):
    plan, E, A, a, B, b = KINDS[kind]
    rate = parse_schedule(plan).per_step()
    step = np.arange(1, len(rate))
    clean = E + A * step**-a + B * (rate[1:] / rate.max()) ** b
    noisy = clean * np.exp(0.002 * np.random.default_rng(5).standard_normal(len(step)))
    seen = step <= share * step[-1]
    made = sf.predict_partial(pd.DataFrame({"step": step[seen], "loss": noisy[seen]}), schedule=plan)
    assert made.low < clean[-1] < made.high
    assert made.high - made.low < 2.5 * (clean[seen][-1] - clean[-1])
