"""Laws of power against a model whose exponents are known by theory: random-feature ridge regression.

A target with the coefficients v_i² = i^-b in the eigenfunctions of a kernel with the eigenvalues i^-a is learned from n
samples with k random features. The test error is known in closed form up to two numbers; its exponent in either, where
the other is without limit, is b - 1 for 1 < b < 2 a + 1. Source: arXiv:2311.14646.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

import scalefit as sf

MODES = 50_000


def spectrum(a, b, modes=MODES):
    """Eigenvalues and squared coefficients, (modes,) each."""
    i = np.arange(1, modes + 1.0)
    return i**-a, i**-b


def test_error(values, squares, n, k, ridge, noise=0.0):
    """The mean test error of n samples and k features (inf: without limit), noise included."""

    def features(gamma):
        return float((values / (values + gamma)).sum())

    def kappa(gamma):  # k = z + k kappa / gamma
        return gamma * (1 - features(gamma) / k) if np.isfinite(k) else gamma

    def excess(log_gamma):  # of the samples: n = z + ridge / kappa; kappa is positive above the interpolation of k
        gamma = np.exp(log_gamma)
        left = kappa(gamma)
        return features(gamma) + ridge / left - n if left > 0 else np.inf

    low = -60.0
    if np.isfinite(k):
        low = brentq(lambda g: features(np.exp(g)) - k, -60.0, 20.0) if features(np.exp(-60.0)) > k else -60.0
    gamma = np.exp(brentq(lambda g: min(excess(g), 1e300), low + 1e-9, 30.0, xtol=1e-13))
    share = values / (values + gamma)
    z, q = share.sum(), (share**2).sum()
    part = k / (k - q) if np.isfinite(k) else 1.0
    bias = (gamma / (values + gamma) - kappa(gamma) * values / (values + gamma) ** 2 * part) @ squares
    over = (q * (k - 2 * z) + z**2) / (n * (k - q)) if np.isfinite(k) else q / n
    return (bias + noise) / (1 - over)


test_error.__test__ = False


def simulated(values, squares, n, k, ridge, noise, rng):
    """One draw of the same regression: Gaussian eigenfunctions, random features of the kernel, ridge regression."""
    modes, held = len(values), 800
    x, new = (rng.standard_normal((rows, modes)) for rows in (n, held))
    signs = np.sqrt(squares) * rng.choice([-1.0, 1.0], modes)
    weights = np.sqrt(values)[:, None] * rng.standard_normal((modes, k)) / np.sqrt(k)
    seen, unseen = x @ weights, new @ weights
    target = x @ signs + np.sqrt(noise) * rng.standard_normal(n)
    solved = np.linalg.solve(seen @ seen.T + ridge * np.eye(n), target)
    return float(np.mean((unseen @ (seen.T @ solved) - new @ signs) ** 2) + noise)


@pytest.mark.parametrize(("n", "k", "ridge"), [(60, 200, 0.05), (150, 60, 0.5), (100, 100, 0.2)])
def test_the_closed_form_is_the_error_of_the_regression(n, k, ridge):
    values, squares = spectrum(1.5, 1.8, 300)
    rng = np.random.default_rng(0)
    seen = [simulated(values, squares, n, k, ridge, 0.02, rng) for _ in range(10)]
    error = np.std(seen) / np.sqrt(len(seen))
    assert test_error(values, squares, n, k, ridge, 0.02) == pytest.approx(
        np.mean(seen), abs=3 * error + 0.02 * seen[0]
    )


SIZES = np.geomspace(32, 1024, 8)


def curve(over, a, b, noise=0.0):
    """Errors over samples, with features without limit and next to no ridge; or over features, with samples without
    limit. What lies beyond the modes is learned by none of them."""
    values, squares = spectrum(a, b)
    beyond = (MODES + 0.5) ** (1 - b) / (b - 1)
    if over == "D":
        errors = [test_error(values, squares, n, np.inf, 1e-9, noise + beyond) for n in SIZES]
    else:
        gammas = [np.exp(brentq(lambda g, k=k: (values / (values + np.exp(g))).sum() - k, -40, 20)) for k in SIZES]
        errors = [float((gamma / (values + gamma)) @ squares) + beyond + noise for gamma in gammas]
    return pd.DataFrame({over: SIZES, "loss": errors})


def test_the_error_over_features_is_the_limit_of_that_over_both():
    values, squares = spectrum(1.4, 1.6, 5000)
    gamma = np.exp(brentq(lambda g: (values / (values + np.exp(g))).sum() - 64, -40, 20))
    limit = float((gamma / (values + gamma)) @ squares)
    assert test_error(values, squares, 1e7, 64, 1e-3) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("b", [1.3, 1.6, 2.0])
@pytest.mark.parametrize("over", ["D", "N"])
def test_power_laws_find_the_exponent_of_theory(over, b):
    runs = curve(over, 2.5, b)
    assert sf.fit(runs, f"power:over={over}")["alpha"] == pytest.approx(b - 1, rel=0.03)
    floor = sf.fit(runs, f"power-floor:over={over}")
    assert floor["alpha"] == pytest.approx(b - 1, rel=0.06)
    assert floor["L_inf"] < 0.15 * runs["loss"].min()


@pytest.mark.parametrize("over", ["D", "N"])
def test_power_floor_finds_noise_beside_the_exponent(over):
    """Over samples the noise is raised by 1 / (1 - q/n), a constant where the spectrum is a power."""
    runs, clean = curve(over, 2.5, 1.8, noise=0.05), curve(over, 2.5, 1.8)
    raised = float((runs["loss"] - clean["loss"]).iloc[-1])
    found = sf.fit(runs[runs[over] > 60], f"power-floor:over={over}")  # below, the exponent is not yet that of theory
    assert found["alpha"] == pytest.approx(0.8, rel=0.08)
    assert found["L_inf"] == pytest.approx(raised, rel=0.05)
    assert raised > 0.05 if over == "D" else raised == pytest.approx(0.05)
