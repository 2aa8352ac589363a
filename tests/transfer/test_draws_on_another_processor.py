"""Draws do not depend on the signs of eigenvectors, which LAPACK chooses otherwise on other processors."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.transfer import best_lr


def bottom() -> np.ndarray:
    rng = np.random.default_rng(0)
    lr = 2.0 ** np.arange(-12, -4)
    return best_lr(lr, 2 + 0.05 * np.log2(lr * 256) ** 2 + 0.01 * rng.standard_normal(8), np.zeros(8)).draws


def sandwich() -> np.ndarray:
    rng, C = np.random.default_rng(1), np.logspace(18, 21, 24)
    table = pd.DataFrame({"C": C, "loss": (1.8 + 30 * C**-0.08) * np.exp(0.002 * rng.standard_normal(24))})
    return sf.fit(table, "power-floor:over=C", draws=50, method="sandwich", calibrated=False).draws.to_numpy()


@pytest.mark.parametrize("drawn", [bottom, sandwich])
def test_draws_are_those_of_any_signs_of_the_eigenvectors(monkeypatch, drawn):
    here, eigh = drawn(), np.linalg.eigh

    def elsewhere(matrix):
        values, vectors = eigh(matrix)
        return values, vectors * np.where(np.arange(values.shape[-1]) % 2, -1.0, 1.0)

    monkeypatch.setattr(np.linalg, "eigh", elsewhere)
    np.testing.assert_allclose(drawn(), here, rtol=1e-6)
