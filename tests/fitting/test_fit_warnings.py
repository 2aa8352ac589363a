"""A prediction in Python warns of what the command line prints with a "!"."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture(scope="module")
def fit():
    N, D = (x.ravel() for x in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    return sf.fit(pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28}), "chinchilla")


def test_a_prediction_far_beyond_the_data_warns_with_the_text_of_its_caution(fit):
    (caution,) = [check for check in fit.cautions(N=1e13, D=1e11) if check.code == "far-beyond"]
    with pytest.warns(sf.FitWarning) as seen:
        fit.predict(N=1e13, D=1e11)
    assert caution.text in [str(each.message) for each in seen]
    assert seen[0].filename == __file__, "the warning names the line that asked"


def test_a_prediction_within_the_data_is_silent(fit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.predict(N=1e8, D=1e10)
        fit.plan(compute=1e19)
        fit.plot(N=1e8, D=1e10).figure.clear()


def test_every_prediction_of_a_fit_that_is_not_identified_warns():
    N = np.geomspace(1e7, 1e9, 8)
    table = pd.DataFrame({"N": N, "D": 20 * N, "loss": 1.7 + 400 * N**-0.34 + 410 * (20 * N) ** -0.28})
    loose = sf.fit(table, "chinchilla", force=True)
    assert loose.status == "not identified"
    with pytest.warns(sf.FitWarning, match=r"not identified: fit\.warnings says why"):
        loose.predict(N=1e8, D=2e9)
