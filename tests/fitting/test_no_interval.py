"""Where no interval is worth having, and where its noise is a guess, both are said instead of a band."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def table(n, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9, n), 10 ** rng.uniform(8.5, 10.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.mark.parametrize(("runs", "has"), [(6, False), (7, True)])
def test_as_many_constants_as_runs_have_no_interval(runs, has):
    fit = sf.fit(table(runs), "chinchilla", draws=20)
    assert (fit.intervals is not None) is has
    assert (f"no interval worth having: {runs} runs, 5 constants" in fit.summary()) is not has
    assert np.isnan(fit.predict(N=1e10, D=1e11)["low"][0]) == (not has)


def test_copies_do_not_make_up_for_runs():
    fit = sf.fit(pd.concat([table(6)] * 4, ignore_index=True), "chinchilla", draws=20)
    assert fit.intervals is None
    assert "6 runs, 5 constants" in fit.no_intervals


def test_a_held_constant_counts_as_none():
    assert sf.fit(table(6), "chinchilla", draws=20, fix={"E": 1.69}).intervals is not None


def test_a_band_as_wide_as_half_the_loss_is_a_caution():
    loose, tight = (sf.fit(table(9, noise), "chinchilla", draws=20) for noise in (0.15, 0.001))
    told = [check.text for check in loose.cautions(N=1e6, D=1e8) if check.code == "wide-interval"]
    assert len(told) == 1
    assert "9 runs, 5 constants" in told[0]
    assert "wide-interval" not in {check.code for check in tight.cautions(N=1e6, D=1e8)}


@pytest.mark.parametrize("seed", [5, 9])
def test_the_band_of_a_mixture_is_judged_and_not_that_of_its_first_law(seed):
    """Also where the first law has none."""
    fit = sf.fit(table(6, 0.1, seed), "auto", draws=20)
    found = fit.predict(N=[1e9, 3e11], D=[1e10, 6e12]).iloc[-1]
    wide = (found["high"] - found["low"]) / found["loss"]
    (told,) = (check.text for check in fit.cautions(N=3e11, D=6e12) if check.code == "wide-interval")
    assert wide > 0.75
    assert f"it spans {100 * wide:.0f} % of the prediction (6 runs, {len(fit.choice.weights)} laws)" in told


@pytest.mark.parametrize(("runs", "told"), [(9, "from 4 degrees of freedom"), (40, "")])
def test_noise_from_a_handful_of_degrees_of_freedom_is_said_to_be_so(runs, told):
    text = sf.fit(table(runs), "chinchilla").summary()
    assert ("degrees of freedom" in text) is bool(told)
    assert told in text


def test_a_forecast_led_by_a_law_without_an_interval_is_not_called_certain():
    fit = sf.fit(table(6, 0.001, 3), "auto", draws=20)
    assert fit.intervals is None
    found = fit.predict(N=4e9, D=1e11)
    assert found["high"][0] / found["low"][0] > 1.001
    assert not found.attrs["no_intervals"]
    assert "the forecast takes the widths of the other laws" in fit.summary()


def test_a_prediction_below_zero_of_logarithms_is_told():
    N = np.geomspace(1e7, 1e9, 9)
    runs = pd.DataFrame({"N": N, "loss": (12.0 - 0.5 * np.log(N)) * (1 + 0.003 * np.cos(np.arange(9)))})
    fit = sf.fit(runs, "a - b*log(N)", draws=20)  # zero at N = e^24 = 2.6e10
    texts = {N: [check.text for check in fit.cautions(N=N) if check.code == "wide-interval"] for N in (2e9, 5e10)}
    assert not texts[2e9]
    assert "falls to -0.3" in texts[5e10][0]
    with pytest.warns(sf.FitWarning, match="falls to"):
        assert np.isnan(fit.predict(N=5e10)["high"][0])
