"""Gradient noise, learning rate against batch, the Hessian of a batch: vectors and planted truth."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.errors import IdentificationError, InputError
from scalefit.planning.critical_batch import noise_scale
from scalefit.planning.noise import fit_batch_hessian, fit_lr_exponent, lr_for_batch, running_noise


def test_the_vector_of_the_noise_scale():
    found = noise_scale(3.0, 1.2, 64, 1024)
    assert (found.signal, found.noise) == (pytest.approx(1.08), pytest.approx(122.88))
    assert found.batch == pytest.approx(113.7778, abs=1e-4)


def test_running_noise_recovers_the_noise_of_planted_gradients():
    """Gradients g = G + Sigma^(1/2) e of single examples, averaged over 8 and 64 of them."""
    rng = np.random.default_rng(0)
    dim, sigma, steps = 50, 2.0, 600
    G = rng.standard_normal(dim) * 0.2
    small, large = [], []
    for _ in range(steps):
        parts = G + sigma / np.sqrt(8) * rng.standard_normal((8, dim))
        small.append(np.mean(np.sum(parts**2, axis=1)))
        large.append(np.sum(parts.mean(axis=0) ** 2))
    found = running_noise(small, large, 8, 64, decay=0.995)[-1]
    assert found.batch == pytest.approx(dim * sigma**2 / float(G @ G), rel=0.2)
    ratios = [noise_scale(s, g, 8, 64).batch for s, g in zip(small, large, strict=True)]
    assert np.nanstd(ratios) > found.batch / 2  # single steps say nothing,
    assert np.isnan(ratios).any()  # or less than nothing: a squared norm below 0
    assert np.isnan(noise_scale(3.0, 0.1, 64, 128).batch)


@pytest.mark.parametrize("count", [3, 4, 8])
def test_the_interval_of_the_batch_hessian_holds_as_often_as_it_says(count):
    b, inside = 2.0 ** np.arange(count), 0
    for seed in range(150):
        top = (31 + 80 / b) * (1 + 0.1 * np.random.default_rng(seed).standard_normal(count))
        found = fit_batch_hessian(b, top)
        inside += found.a.low <= 31 <= found.a.high
    assert 0.82 <= inside / 150 <= 0.97


def test_averages_are_of_numerator_and_denominator_and_pass_over_gaps():
    found = running_noise([3.0, np.nan, 5.0], [1.2, 1.0, np.nan], 64, 1024, decay=0.5)
    assert [each.batch for each in found] == pytest.approx([113.7778] * 3, abs=1e-3)
    two = running_noise([3.0, 5.0], [1.2, 1.4], 64, 1024, decay=0.5)[-1]
    one, other = noise_scale(3.0, 1.2, 64, 1024), noise_scale(5.0, 1.4, 64, 1024)
    assert two.batch == pytest.approx((one.noise + 2 * other.noise) / (one.signal + 2 * other.signal))
    assert np.isnan(running_noise([np.nan], [1.0], 1, 2)[0].batch)
    with pytest.raises(InputError, match="differ in length"):
        running_noise([1.0], [1.0, 2.0], 1, 2)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_learning_rate_against_batch(power):
    tiny, huge = np.array([1.0, 2.0]), np.array([1e9, 2e9])
    assert np.log2(np.divide(*lr_for_batch(tiny, 0.1, 1e6, power)[::-1])) == pytest.approx(power, abs=1e-4)
    assert lr_for_batch(huge, 0.1, 1e3, power) == pytest.approx([0.1, 0.1], rel=1e-4)
    assert fit_lr_exponent([2, 4, 8], lr_for_batch([2, 4, 8], 0.1, 1e7, power)).value == pytest.approx(power, abs=1e-4)


def test_the_interval_of_the_exponent_holds_the_truth():
    inside = 0
    batch = np.array([16.0, 32, 64, 128, 256])
    for rng_seed in range(200):
        lr = 1e-3 * batch**0.5 * np.exp(0.1 * np.random.default_rng(rng_seed).standard_normal(5))
        found = fit_lr_exponent(batch, lr)
        inside += found.low <= 0.5 <= found.high
    assert 0.84 <= inside / 200 <= 0.96
    assert np.isnan(fit_lr_exponent([1, 2], [1, 2]).low)
    with pytest.raises(IdentificationError):
        fit_lr_exponent([64, 64], [0.1, 0.2])


def test_the_measured_batch_hessian():
    """A tiny language model: a + kappa/b with a about 31 and kappa about 80 lies within the scatter."""
    batch = [1, 2, 4, 8, 16, 32, 64, 256]
    top = [105.9, 83.0, 54.6, 41.9, 35.1, 34.3, 34.8, 31.0]
    error = [70, 30, 16, 12, 6.6, 6, 6, 3]
    found = fit_batch_hessian(batch, top, error)
    assert found.a.value == pytest.approx(31, abs=1.5)
    assert found.kappa.low < 80 < found.kappa.high
    assert found.kappa.value == pytest.approx(80, rel=0.25)
    assert found.linear_up_to == pytest.approx(80 / 31, rel=0.3)
    assert found.largest_lr(1e9) == pytest.approx(2 / found.a.value)
    small = found.largest_lr([0.01, 0.02])
    assert small[1] / small[0] == pytest.approx(2, rel=0.02)
    with pytest.raises(IdentificationError):
        fit_batch_hessian([4, 4], [1, 2])
