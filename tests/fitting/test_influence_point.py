"""Which point the influence of runs is asked for: the last of the rows given, or the one that is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(0)
    N, D = np.repeat([1e6, 1e7, 1e8, 1e9], 4), np.tile([1e8, 1e9, 1e10, 1e11], 4)
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(0.01 * rng.standard_normal(16))
    return sf.fit(sf.read_runs(pd.DataFrame({"N": N, "D": D, "loss": loss})), "chinchilla")


def test_of_several_rows_the_last_is_the_one_that_is_asked_for(fit):
    asked = pd.DataFrame({"N": [1e7, 1e10], "D": [1e9, 1e12]})
    last, named = fit.influence(asked), fit.influence(N=1e10, D=1e12)
    pd.testing.assert_frame_equal(last, named)
    assert not np.allclose(last["change"], fit.influence(N=1e7, D=1e9)["change"].reindex(last.index))


def test_a_change_is_that_of_a_fit_without_the_run(fit):
    found = fit.influence(N=1e10, D=1e12)
    N, D = np.repeat([1e6, 1e7, 1e8, 1e9], 4), np.tile([1e8, 1e9, 1e10, 1e11], 4)
    rows = pd.DataFrame({"N": N, "D": D, "loss": fit.points.values})
    before = fit.predict(N=1e10, D=1e12)["loss"].iloc[0]
    for row in (0, 15):
        rest = sf.fit(sf.read_runs(rows.drop(index=row)), "chinchilla", delta=fit.delta)
        after = rest.predict(N=1e10, D=1e12)["loss"].iloc[0]
        name = fit.points.runs[row]
        assert found.loc[name, "change"] == pytest.approx(after / before - 1, rel=0.05, abs=2e-5)
