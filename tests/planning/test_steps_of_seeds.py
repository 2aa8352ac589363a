"""The steps that a batch needs are the mean over its seeds; one that never arrives leaves them unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.planning.batch import batch_size

STEP = np.arange(10, 4001, 10)
BATCHES = (1000, 2000, 4000, 8000)


def log(paces):
    """Runs without noise; each seed needs as many times the steps of the first as its pace says."""
    parts = []
    for batch in BATCHES:
        best = 0.008 * (1 + 3000 / batch) ** -0.5
        for lr in 2.0 ** np.arange(-10, -5):
            for seed, pace in enumerate(paces):
                at = STEP / pace / (1 + 3000 / batch) * np.exp(-0.15 * np.log2(lr / best) ** 2)
                about = {"run": f"{batch}-{lr:g}-{seed}", "batch": batch, "lr": lr, "seed": seed, "step": STEP}
                parts.append(pd.DataFrame({**about, "loss": 2 + 8 / at**0.4}))
    return pd.concat(parts, ignore_index=True)


def test_seeds_are_averaged():
    one, three = (batch_size(log(paces), loss=3.2).reached for paces in ((1.0,), (1.0, 1.0, 4.0)))
    assert three["batch"].tolist() == one["batch"].tolist() == list(BATCHES)
    assert (three["steps"] / one["steps"]).to_numpy() == pytest.approx(np.full(4, 2.0), rel=0.02)
