"""A term that the law lacks shows in refits that all err on one side; a right law raises no such warning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.diagnosis.one_sided import one_sided
from scalefit.uncertainty.calibration import Bias


def biases(*sigmas, size=0.01):
    return [Bias(size * sigma, size) for sigma in sigmas]


@pytest.mark.parametrize(
    ("sigmas", "told"),
    [
        ((2, 2.5, 3, 2.1), "too low"),
        ((-2, -2.5, -3, -2.1), "too high"),
        ((2, 2.5, -0.1, 2), ""),
        ((0.5, 1, 2.5, 1), ""),
        ((3, 3, 3), ""),
    ],
)
def test_all_on_one_side_and_by_more_than_chance(sigmas, told):
    found = one_sided(biases(*sigmas), 1.0)
    assert found.startswith(f"predicts {told} at scale: in 4 of 4 refits") if told else not found


def test_an_error_too_small_to_matter_is_not_told():
    assert not one_sided(biases(3, 3, 3, 3, size=1e-4), 1.0)
    assert one_sided(biases(3, 3, 3, 3, size=1e-4), 0.01)  # in a unit in which it is large


def ladder(slower=0.0, seed=0):
    """Runs whose loss falls more slowly with scale than a power law with a floor."""
    C = np.geomspace(1e16, 1e20, 40)
    loss = 1.7 + 2e3 * C ** (-0.18 + slower * np.log10(C / 1e16))
    return pd.DataFrame({"C": C, "loss": loss * np.exp(0.002 * np.random.default_rng(seed).standard_normal(40))})


def test_a_law_that_bends_is_named():
    fit = sf.fit(ladder(0.004), "power:over=C", draws=30)
    assert "too low at scale" in fit.one_sided
    assert fit.one_sided in fit.summary()


def test_a_right_law_is_not():
    assert not any(sf.fit(ladder(seed=seed), "power-floor:over=C", draws=30).one_sided for seed in range(3))
    assert not sf.fit(ladder(), "power-floor:over=C").one_sided
