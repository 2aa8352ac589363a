"""A run without which a law of schedules is not identified: what leaving it out would do is not known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules import areas, parse_schedule

CONSTANT = "constant:peak_lr=1e-3,steps=600,warmup=50"
DECAYING = "wsd:peak_lr=1e-3,steps=600,warmup=50,decay_steps=300"


def curve(text, seed):
    plan = parse_schedule(text)
    S1, S2 = areas(plan.per_step(), decay=0.99, warmup=plan.warmup)
    step = np.arange(60, 601, 20)
    loss = 2.5 + 0.5 * S1[step] ** -0.5 - 20.0 * S2[step]
    noise = 0.002 * np.random.default_rng(seed).standard_normal(len(step))
    return pd.DataFrame({"step": step, "loss": loss * np.exp(noise)})


@pytest.mark.parametrize("constant", [3, 5])
def test_the_only_run_under_another_schedule_is_needed(constant):
    plans = {f"c{i}": CONSTANT for i in range(constant)} | {"d": DECAYING}
    logs = [curve(text, seed).assign(run=run) for seed, (run, text) in enumerate(plans.items())]
    fit = sf.fit(sf.read_runs(pd.concat(logs), schedule=plans), "annealing:decay=0.99")
    change = fit.influence(schedule=DECAYING)["change"]
    assert np.isnan(change["d"])
    assert np.isfinite(change.drop("d")).all()
