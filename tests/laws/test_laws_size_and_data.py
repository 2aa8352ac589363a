"""The laws in which size and data interact: the laws that they contain, their sources' forms, their global search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.laws import find_law
from scalefit.planning.optimum.compute_optimal import compute_optimal

LADDER = Path(__file__).parents[3] / "shared" / "data" / "olmo_ladder" / "final.csv"
N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(3e7, 6e9, 6), np.geomspace(1e9, 2e11, 7)))
AT = {"N": N, "D": D}
COUPLED = {"E": 1.6, "A": 90.0, "B": 4.0, "alpha": 0.24, "beta": 0.29, "k": 0.4}
SOURCE = {
    **{"a1": -0.0209, "alpha": 0.1943, "b1": -0.1826},
    **{"a2": 62.8936, "beta": -0.0614, "b2": -14.0414},
    **{"a3": -0.0047, "gamma": 0.239, "b3": -0.8188},
}  # of the size of those that are reported for code


def noisy(loss, noise, seed=0):
    return pd.DataFrame({**AT, "loss": loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(loss)))})


def test_it_is_the_form_that_the_source_writes():
    A, B, alpha, beta, k = (COUPLED[name] for name in ("A", "B", "alpha", "beta", "k"))
    inside = A ** (1 / k) * N ** (-alpha / k) + (A * B) ** (1 / k) * D ** (-beta / k)
    np.testing.assert_allclose(find_law("skaling").evaluate(AT, COUPLED), 1.6 + inside**k, rtol=1e-12)


def test_a_very_small_k_takes_the_larger_term():
    found = find_law("skaling").evaluate(AT, {**COUPLED, "k": 0.01})
    larger = 90.0 * np.maximum(N**-0.24, 4.0 * D**-0.29)
    np.testing.assert_allclose(found, 1.6 + larger, rtol=0.004)
    assert np.isfinite(found).all()


def test_its_optimum_is_the_least_loss_of_the_budget():
    for budget in (1e19, 1e23):
        best = compute_optimal("skaling", COUPLED, budget)

        def loss(log_N, budget=budget):
            size = np.exp(log_N)
            return float(find_law("skaling").evaluate({"N": size, "D": budget / (6 * size)}, COUPLED))

        found = minimize_scalar(loss, bracket=(np.log(1e8), np.log(1e9)), tol=1e-10)
        assert float(best.N) == pytest.approx(np.exp(found.x), rel=1e-5)


def test_every_start_reaches_the_planted_interaction():
    fit = sf.fit(noisy(find_law("skaling").evaluate(AT, COUPLED), 0.002), "skaling")
    assert fit.status == "converged"
    assert fit.starts.agree == fit.starts.count
    assert fit["k"] == pytest.approx(0.4, abs=0.1)


def test_it_reaches_the_optimum_of_the_formula_string():
    runs = noisy(find_law("skaling").evaluate(AT, COUPLED), 0.004, seed=3)
    law = sf.fit(runs, "skaling", delta=1e-3)
    text = sf.fit(runs, "E + ((A/N)**a + (B/D)**b)**c", delta=1e-3, starts=16)
    assert law.cost == pytest.approx(text.cost, rel=1e-6)


def as_the_source_writes(of):
    size = np.exp(of["a2"] * N ** of["beta"] + of["b2"])
    return np.exp(of["a3"] * N ** of["gamma"] + of["b3"]) + size * D ** -np.exp(of["a1"] * N ** of["alpha"] + of["b1"])


def test_farseer_is_the_form_that_the_source_writes():
    here = {}
    for (size, bend, offset), (slope, log_size) in zip(
        (("a3", "gamma", "b3"), ("a2", "beta", "b2"), ("a1", "alpha", "b1")),
        (("e", "E"), ("b", "B"), ("a", "h")),
        strict=True,
    ):
        at_reference = SOURCE[size] * 1e9 ** SOURCE[bend]
        here |= {slope: at_reference * SOURCE[bend], log_size: np.exp(at_reference + SOURCE[offset])}
    bends = {name: SOURCE[name] for name in ("alpha", "beta", "gamma")}
    np.testing.assert_allclose(
        find_law("farseer").evaluate(AT, {**here, **bends}), as_the_source_writes(SOURCE), rtol=1e-11
    )


def test_without_bends_farseer_is_a_power_of_size():
    flat = {"E": 2.0, "B": 900.0, "e": -0.08, "b": -0.3, "h": 0.3, "a": 0.05, "alpha": 0.0, "beta": 0.0, "gamma": 0.0}
    x = N / 1e9
    expected = 2.0 * x**-0.08 + 900.0 * x**-0.3 * D ** -(0.3 * x**0.05)
    np.testing.assert_allclose(find_law("farseer").evaluate(AT, flat), expected, rtol=1e-12)


def test_farseer_finds_the_surface_of_its_source():
    planted = as_the_source_writes(SOURCE)
    fit = sf.fit(noisy(planted, 0.001), "farseer")
    assert fit.starts.agree >= fit.starts.count // 2
    np.testing.assert_allclose(fit.evaluate(AT), planted, rtol=0.002)


@pytest.mark.skipif(not LADDER.exists(), reason="the public ladder is not at hand")
def test_a_formula_that_overflows_on_the_way_is_no_traceback():
    """The least squares of its last digits met a prediction that is infinite: it stops at its best point."""
    runs = pd.read_csv(LADDER).rename(columns={"params": "N", "tokens": "D", "loss_c4_en": "loss"})
    fit = sf.fit(runs[["N", "D", "loss"]], "exp(a3*N**g + b3) + exp(a2*N**f + b2)*D**(-exp(a1*N**h + b1))")
    assert np.isfinite(fit.cost)
