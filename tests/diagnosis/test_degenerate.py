"""A logarithm in disguise is called one; laws with a floor and laws without are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

N = np.geomspace(1e6, 1e9, 20)


def codes(loss, law):
    noise = np.exp(0.001 * np.random.default_rng(0).standard_normal(20))
    return {check.code for check in sf.fit(pd.DataFrame({"N": N, "loss": loss * noise}), law).warnings}


def test_a_logarithm_fitted_by_a_power_with_a_floor():
    assert "degenerate" in codes(3 - 0.1 * np.log(N / 1e6), "E + A*N**-a")


def test_a_law_whose_exponent_is_searched_in_its_logarithm():
    noise = 0.003 * np.random.default_rng(0).standard_normal(20)
    table = pd.DataFrame({"N": N, "loss": 6 - 0.2 * np.log(N) + noise})
    found = sf.fit(table, "power-floor:over=N", bounds={"L_inf": (-1e4, None)})
    assert found["alpha"] < 0.01
    (told,) = [check.text for check in found.warnings if check.code == "degenerate"]
    assert f"alpha = {found['alpha']:.2g} is near 0" in told


@pytest.mark.parametrize("law", ["E + A*N**-a", "power-floor:over=N", "power:over=N"])
@pytest.mark.parametrize("floor", [0.0, 2.0])
def test_powers_with_and_without_a_floor(law, floor):
    assert "degenerate" not in codes(floor + 60 * N**-0.25, law)


def test_a_slow_power_without_a_floor():
    assert "degenerate" not in codes(6 * N**-0.04, "power:over=N")
