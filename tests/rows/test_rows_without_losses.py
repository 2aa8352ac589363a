"""Rows that a law reads: a loss is needed for a fit, and not for a prediction; of all rows as of final ones."""

from __future__ import annotations

import re

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.rows.gather import gather

STEP = np.arange(100, 2001, 100)


def curves(**columns):
    return pd.concat(pd.DataFrame({"run": run, "step": STEP, **columns}) for run in ("a", "b"))


@pytest.mark.parametrize("points", ["all", "auto"])
def test_a_fit_needs_the_loss_and_a_prediction_does_not(points):
    law = find_law("power-floor:over=step")
    bare = sf.read_runs(curves(), need=())
    rows = gather(law, bare, points=points, measured=False)
    assert rows.values is None
    assert rows.variables["x"].tolist() == [*STEP, *STEP]
    with pytest.raises(InputError, match="loss"):
        gather(law, bare, points=points)


def test_curves_without_losses_are_predicted():
    fit = sf.fit(sf.read_runs(curves(loss=2 + 9 * STEP**-0.5)), "power-floor:over=step", points="all")
    found = fit.predict(sf.read_runs(curves(), need=()))
    assert found["loss"].to_numpy() == pytest.approx(np.tile(2 + 9 * STEP**-0.5, 2), rel=1e-5)


def test_finals_without_losses_are_predicted_and_not_fitted():
    N = np.array([1e6, 1e7, 1e8, 1e9, 1e10])
    loss = 2 + 300 * N**-0.3
    fit = sf.fit(sf.read_runs(pd.DataFrame({"N": N, "loss": loss})), "power-floor:over=N")
    bare = sf.read_runs(pd.DataFrame({"N": N}), need=())
    assert fit.predict(bare)["loss"].to_numpy() == pytest.approx(loss, rel=1e-5)
    with pytest.raises(InputError, match="loss"):
        sf.fit(bare, "power-floor:over=N")


def test_the_advice_on_a_loss_that_is_not_finite_works_in_every_command(tmp_path, monkeypatch):
    """``plan`` fits FILE and has no --drop-diverged."""
    monkeypatch.chdir(tmp_path)
    N, D = (x.ravel() for x in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28).astype(object)
    loss[4] = "nan"
    pd.DataFrame({"N": N, "D": D, "loss": loss}).to_csv("runs.csv", index=False)
    line = "scalefit plan runs.csv --compute 1e21 --draws 0"
    refused = commands.run(line)
    advice = re.search(r'(--where "[^"]+")', refused.stderr)
    assert refused.exit_code == 2
    assert "plan by law chinchilla" in commands.run(f"{line} {advice[1]}").stdout
