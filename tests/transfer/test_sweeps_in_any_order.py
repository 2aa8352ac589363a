"""One sweep has one answer, in whatever order its runs are read: from folders, or from a collected table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def sweep():
    rng = np.random.default_rng(4)
    rows = [
        (arm, width, lr, seed, 2.5 + 0.05 * (np.log2(lr * width) + 1) ** 2 + 0.01 * rng.standard_normal())
        for arm in ("sp", "mup")
        for width in (32, 64, 128)
        for lr in 2.0 ** np.arange(-10.0, -4.0)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["parametrization", "d_model", "lr", "seed", "loss"])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_runs_changes_no_digit(seed):
    wanted = sf.lr_transfer(sweep(), draws=40)
    found = sf.lr_transfer(sweep().sample(frac=1, random_state=seed).reset_index(drop=True), draws=40)
    pd.testing.assert_frame_equal(found.table, wanted.table)
    for arm in ("sp", "mup"):
        assert found[arm].drift == wanted[arm].drift
