"""The evidence that neighbours err alike, against the densities of normal distributions written out; its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.special import logsumexp

from scalefit.uncertainty.misfit import _likelihood_ratio

X = np.linspace(0, 1, 24)
BROWNIAN = 0.5 * (X[:, None] + X - np.abs(X[:, None] - X))
LINE = np.column_stack([np.ones(24), X])  #: what the fit takes up
SIGMA = 0.01


def residual(bend, scale):
    """Noise that alternates, and a wave of two periods that is ``bend`` times as high."""
    return scale * SIGMA * (bend * np.sin(4 * np.pi * X) + np.where(np.arange(24) % 2, 1, -1))


def mean_ratios(seen, sigma):
    """The mean ratio of likelihoods over the small sizes of a smooth error, and over those that matter."""
    free = null_space(LINE.T)
    seen = free.T @ seen

    def density(size):
        """The logarithm of the mean density over the noises, but for a constant."""
        noises = (sigma * np.geomspace(0.1, 1.5, 28)) ** 2
        covariance = size**2 * free.T @ BROWNIAN @ free + noises[:, None, None] * np.eye(22)
        squares = np.linalg.solve(covariance, np.tile(seen, (28, 1))[..., None])[..., 0] @ seen
        return logsumexp(-0.5 * (np.linalg.slogdet(covariance)[1] + squares))

    sizes = (np.geomspace(0.01, 0.05, 5), np.geomspace(0.06, 1.0, 9))
    return [float(np.mean(np.exp([density(size) - density(0.0) for size in part]))) for part in sizes]


@pytest.mark.parametrize(("scale", "decisive"), [(0.1, False), (0.2, True)])
def test_sizes_that_noise_hides_count_only_where_the_evidence_is_twenty_to_one(scale, decisive):
    """Small sizes give ratios of 10.7 and 34: the first is no evidence, though both exceed those of the large sizes."""
    seen, sigma = residual(2.2, scale), scale * SIGMA
    small, large = mean_ratios(seen, sigma)
    assert small > large
    assert (small > 20) == decisive
    found = _likelihood_ratio(seen, LINE, BROWNIAN, sigma)
    assert found == pytest.approx(small if decisive else large, rel=1e-6)


def test_the_scale_of_the_derivatives_and_their_copies_do_not_matter():
    seen = residual(2.4, 0.2)
    again = np.column_stack([1e6 * LINE, LINE[:, 1]])
    assert _likelihood_ratio(seen, again, BROWNIAN, 0.002) == pytest.approx(
        _likelihood_ratio(seen, LINE, BROWNIAN, 0.002), rel=1e-6
    )
