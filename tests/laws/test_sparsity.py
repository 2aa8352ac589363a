"""Sparsity: the dense limit, the price of idle parameters, refusals."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law

CONSTANTS = {"e": 1.2, "a": 400.0, "b": 410.0, "c": 0.4, "d": 20.0}
CONSTANTS |= {"alpha": 0.34, "beta": 0.28, "lam": -0.2, "delta": 0.15, "gamma": 0.16}


def test_one_expert_of_sixty_four_by_hand():
    got = find_law("sparsity").evaluate({"N_total": 1e9, "D": 2e10, "sparsity": 63 / 64}, CONSTANTS)
    by_hand = 1.2 + 400 / 1e9**0.34 + 410 / 2e10**0.28 + 0.4 * 64**-0.2 + 20 * 64**0.15 / 1e9**0.16
    assert got == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("wrong", [1.0, 64.0, -0.1])
def test_a_number_of_experts_is_no_sparsity(wrong):
    N = np.tile(np.geomspace(1e8, 1e10, 5), 6)
    table = {"N_total": N, "D": np.roll(N, 1) * 20, "sparsity": np.repeat([0, 0.5, 0.75, 0.9, 0.95, wrong], 5)}
    with pytest.raises(sf.InputError, match=r"is no share of idle experts.*1 - active/experts"):
        sf.fit(pd.DataFrame({**table, "loss": 2 + 1 / np.arange(1, 31)}), "sparsity")
