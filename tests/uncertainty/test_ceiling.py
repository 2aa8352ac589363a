"""Upper ends of a law that can only fall: no higher than what smaller runs measured, and never rising outwards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.uncertainty.calibration import student
from scalefit.uncertainty.ceiling import least_measured, never_rises

Z = student(0.9, np.inf)


def noisy(seed=0, n=9):
    """Few runs that determine the law badly, so that its draws reach far up."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 8, n), 10 ** rng.uniform(8.5, 9.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(0.01 * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def fits():
    """The fits to three sets of few runs."""
    return [sf.fit(noisy(seed), "chinchilla", draws=40) for seed in range(3)]


def asked(n=12):
    return {"N": np.geomspace(5e7, 1e12, n), "D": np.geomspace(2e9, 1e14, n)}


@pytest.mark.parametrize("seed", range(3))
def test_no_upper_end_lies_above_the_least_loss_of_smaller_runs_plus_noise(seed, fits):
    runs, at, fit = noisy(seed), asked(), fits[seed]
    found = fit.predict(**at)
    for i in range(len(found)):
        smaller = runs[(runs["N"] <= at["N"][i]) & (runs["D"] <= at["D"][i])]
        most = max(smaller["loss"].min(), found["loss"][i]) if len(smaller) else np.inf
        assert found["high"][i] <= most * np.exp(Z * fit.sigma) * (1 + 1e-12)


def test_a_prediction_above_what_smaller_runs_measured_keeps_the_noise_of_one_run():
    """One lucky small run: everything predicted beyond it lies above the ceiling that it sets."""
    runs = noisy(2, 20)
    runs.loc[0, ["N", "D", "loss"]] = 1e7, 10**8.5, 0.6 * runs["loss"].min()
    fit = sf.fit(runs, "chinchilla", draws=40, calibrated=False)
    found = fit.predict(N=np.geomspace(2e7, 1e8, 5), D=np.geomspace(6e8, 3e9, 5))
    assert (found["loss"] > runs.loc[0, "loss"] * np.exp(Z * fit.sigma)).all()
    np.testing.assert_allclose(found["high"] / found["loss"], np.exp(Z * fit.sigma), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_upper_ends_never_rise_outwards(seed, fits):
    high = fits[seed].predict(N=np.geomspace(1e8, 1e13, 11), D=np.geomspace(3e9, 3e14, 11))["high"].to_numpy()
    assert np.all(np.diff(high) <= 1e-3 * high[1:])


def test_the_ceiling_cuts_something(fits):
    """Without it the interval would reach up farther."""
    fit, at = fits[1], {"N": np.array([1e11]), "D": np.array([1e13])}
    bare = fit.intervals.at(fit.estimate, at, 0.9, "observation")[1][0]
    assert bare > 1.02 * fit.predict(N=1e11, D=1e13)["high"][0]


def brute(fitted, measured, at, falling):
    found = []
    for i in range(len(at["a"])):
        below = [
            y
            for a, b, y in zip(fitted["a"], fitted["b"], measured, strict=True)
            if a <= at["a"][i] and (b <= at["b"][i] if "b" in falling else b == at["b"][i])
        ]
        found.append(min(below, default=np.inf))
    return found


@pytest.mark.parametrize("falling", [["a"], ["a", "b"]])
def test_least_measured_against_all_pairs(falling):
    rng = np.random.default_rng(1)
    fitted = {"a": rng.integers(1, 9, 40).astype(float), "b": rng.integers(1, 4, 40).astype(float)}
    at = {"a": rng.integers(0, 10, 30).astype(float), "b": rng.integers(1, 5, 30).astype(float)}
    measured = rng.random(40)
    assert least_measured(fitted, measured, at, falling).tolist() == brute(fitted, measured, at, falling)


def test_whether_a_law_rises_on_the_way_is_asked_of_each_row():
    """a + b/x + c x has its least value at x = 10: it falls to rows before that, whatever else is asked."""
    x = {"x": np.geomspace(1.0, 9.0, 20)}
    bowl, values = sf.find_law("loss = a + b*x**-1 + c*x"), {"a": 1.0, "b": 1.0, "c": 0.01}
    asked = np.array([5.0, 500.0, 0.5, 1e-3, 40.0, np.inf])
    assert never_rises(bowl, values, x, {"x": asked})["x"].tolist() == [True, False, True, True, False, False]
    assert never_rises(bowl, {**values, "c": 0.0}, x, {"x": asked})["x"].all()


def test_the_end_at_a_row_does_not_depend_on_the_other_rows(fits):
    at = {"N": np.array([2e8, 3e7, 1e12, 5e7, 1e6]), "D": np.array([1e9, 1e14, 3e9, 2e9, 1e6])}
    for fit in fits:
        together = fit.predict(**at)
        for i in range(5):
            alone = fit.predict(N=at["N"][i], D=at["D"][i]).iloc[0]
            ends = together.loc[i, ["low", "high"]].tolist()
            assert alone[["low", "high"]].tolist() == pytest.approx(ends, rel=1e-12)  # of its rounding
