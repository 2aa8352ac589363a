"""An average of laws: weights, intervals and errors, from the fits that it is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.selection import automatic


@pytest.fixture(scope="module")
def rows():
    N, D = np.repeat(10.0 ** np.arange(6, 11), 5), np.tile(10.0 ** np.arange(8, 13), 5)
    noise = 0.01 * np.random.default_rng(1).standard_normal(25)
    return pd.DataFrame({"N": N, "D": D, "loss": (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(noise)})


@pytest.fixture(scope="module")
def chosen(rows):
    return automatic(sf.read_runs(rows), ["chinchilla", "kaplan-floor"], draws=40)


def test_weights_are_inverse_to_the_squared_errors_and_add_up(chosen):
    error = chosen.comparison.table["backtest_error"].loc[list(chosen.weights)]
    weight = np.array(list(chosen.weights.values()))
    assert weight.sum() == pytest.approx(1)
    assert weight * error.to_numpy() ** 2 == pytest.approx(np.full(len(weight), (weight * error.to_numpy() ** 2)[0]))


def test_predictions_are_averaged_and_intervals_are_the_widest(chosen, rows):
    fits = {name: sf.fit(sf.read_runs(rows), name, draws=40) for name in chosen.comparison.fits}
    chosen = type(chosen)(replace(chosen.comparison, fits=fits), dict.fromkeys(fits, 0.5))
    found = chosen.predict(rows)
    tables = [fit.predict(rows) for fit in chosen.comparison.fits.values()]
    assert len(tables) == 2
    np.testing.assert_allclose(found["loss"], (tables[0]["loss"] + tables[1]["loss"]) / 2)
    np.testing.assert_allclose(found["relative_error"], found["loss"] / rows["loss"].to_numpy() - 1)
    np.testing.assert_allclose(found["low"], np.minimum(tables[0]["low"], tables[1]["low"]))
    np.testing.assert_allclose(found["high"], np.maximum(tables[0]["high"], tables[1]["high"]))
