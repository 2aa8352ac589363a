"""The prediction under other defensible choices, each against a fit that makes that choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.diagnosis.choices import Sensitivity
from scalefit.uncertainty.mixture import Choice

FAR = {"N": 5e9, "D": 2e11}


def table(n=40, seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9, n), 10 ** rng.uniform(8.5, 10.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(0.01 * rng.standard_normal(n))
    loss[3] *= 1.2
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def fit():
    return sf.fit(table(), "chinchilla", draws=20)


def test_each_choice_is_the_fit_that_makes_it(fit):
    found, runs = fit.sensitivity(**FAR), table()
    scale = runs["N"] * runs["D"]
    expected = {
        "delta 1e-3": sf.fit(runs, "chinchilla", delta=1e-3),
        "least squares": sf.fit(runs, "chinchilla", loss="squared"),
        "without the smallest third": sf.fit(runs[scale > np.quantile(scale, 1 / 3)], "chinchilla"),
    }
    assert found.others.keys() == expected.keys()
    for name, other in expected.items():
        assert found.others[name] == pytest.approx(other.predict(**FAR)["loss"][0], rel=1e-5)
    assert found.predicted == pytest.approx(fit.predict(**FAR)["loss"][0])


def test_a_fit_by_another_choice_is_compared_with_the_usual_one():
    papers = sf.fit(table(), "chinchilla", delta=1e-3, draws=20)
    assert "delta auto" in papers.sensitivity(**FAR).others
    assert "delta 1e-3" not in papers.sensitivity(**FAR).others


def test_the_line_gives_the_spread():
    found = Sensitivity(2.0, {"least squares": 2.1, "delta 1e-3": 1.98})
    assert found.spread == pytest.approx(2.1 / 1.98 - 1)
    assert found.text.startswith("sensitivity: 6.1 % between defensible ways to fit (this fit: 2, least squares: 2.1")
    assert "(law skaling alone: 2, " in replace(found, of="skaling").text  # the forecast of a mixture is another number
    assert Sensitivity(0.5, {"least squares": -0.5}).spread == pytest.approx(1.0)


def test_it_is_kept_in_the_file_and_absent_without_draws(fit, tmp_path):
    again = sf.load_fit(fit.save(tmp_path / "fit.json"))
    assert again.sensitivity(**FAR) == fit.sensitivity(**FAR)
    assert sf.fit(table(), "chinchilla").sensitivity(**FAR) is None


def test_of_a_mixture_the_law_is_named_whose_choices_they_are(fit):
    mixture = replace(fit, choice=Choice({fit.law.spec: 1.0}, "tried", True, (), {}, (fit,)))
    assert (mixture.sensitivity(**FAR).of, fit.sensitivity(**FAR).of) == (fit.law.spec, "")
