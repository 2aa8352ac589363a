"""First steps that no law describes: found where they are planted, and left alone where there are none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules import areas, parse_schedule

S = "peak_lr=1e-3,steps=4000"
PLANS = {"constant": f"constant:{S}", "cosine": f"cosine:{S},final=1e-4"}
STEPS = np.arange(10, 4001, 10)


def curves(transient=0, seed=0):
    """The annealing law with alpha .5, and a loss that is gone after a few times ``transient`` steps."""
    rng, logs = np.random.default_rng(seed), []
    for name, plan in PLANS.items():
        S1, S2 = areas(parse_schedule(plan).per_step())
        loss = 2.5 + 0.5 * S1[STEPS] ** -0.5 - 0.8 * S2[STEPS]
        loss += 3 * np.exp(-STEPS / transient) if transient else 0
        noise = np.exp(0.002 * rng.standard_normal(len(STEPS)))
        logs.append(pd.DataFrame({"run": name, "step": STEPS, "loss": loss * noise}))
    return sf.read_runs(pd.concat(logs), schedule=PLANS)


def skipped(fit):
    return [note for note in fit.notes if "rows where step >" in note]


def test_a_planted_transient_is_told_and_left_out():
    plain, without = (sf.fit(curves(transient=80), "annealing", skip=skip) for skip in (None, "auto"))
    assert "transient" in {check.code for check in plain.warnings}
    assert abs(plain["alpha"] - 0.5) > 0.1
    assert skipped(without)
    assert without["alpha"] == pytest.approx(0.5, abs=0.06)
    assert "transient" not in {check.code for check in without.warnings}


@pytest.mark.parametrize("seed", range(3))
def test_curves_that_follow_the_law_from_the_first_row_keep_every_row(seed):
    fit = sf.fit(curves(seed=seed), "annealing", skip="auto")
    assert not skipped(fit)
    assert not {"transient", "stray-phase"} & {check.code for check in fit.warnings}


def test_a_number_of_steps_is_taken_as_it_is():
    fit = sf.fit(curves(), "annealing", skip=1000)
    assert min(fit.points.steps) == 1010


def test_there_must_be_steps():
    table = pd.DataFrame({"N": [1e6, 1e7, 1e8, 1e9], "loss": [4, 3.4, 3.0, 2.8]})
    with pytest.raises(sf.InputError, match="no steps to skip"):
        sf.fit(table, "power:over=N", skip="auto")
