"""The evidence that neighbours err alike, against the densities of normal distributions written out; its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.special import logsumexp

from scalefit.uncertainty.misfit import _likelihoods, _weighed

X = np.linspace(0, 1, 24)
BROWNIAN = 0.5 * (X[:, None] + X - np.abs(X[:, None] - X))
LINE = np.column_stack([np.ones(24), X])  #: what the fit takes up
SIGMA = 0.01
SIZES = np.array([0.001, 0.02, 0.4])


def residual(bend, scale):
    """Noise that alternates, and a wave of two periods that is ``bend`` times as high."""
    return scale * SIGMA * (bend * np.sin(4 * np.pi * X) + np.where(np.arange(24) % 2, 1, -1))


@pytest.mark.parametrize("scale", [0.1, 0.2])
def test_the_likelihood_of_each_size(scale):
    seen, sigma = residual(2.2, scale), scale * SIGMA
    free = null_space(LINE.T)
    noises = (sigma * np.geomspace(0.1, 1.5, 28)) ** 2

    def density(size):
        """The logarithm of the mean density over the noises, but for a constant."""
        covariance = size**2 * free.T @ BROWNIAN @ free + noises[:, None, None] * np.eye(22)
        squares = np.linalg.solve(covariance, np.tile(free.T @ seen, (28, 1))[..., None])[..., 0] @ (free.T @ seen)
        return logsumexp(-0.5 * (np.linalg.slogdet(covariance)[1] + squares)) - np.log(28)

    found = _likelihoods(seen, LINE, BROWNIAN, sigma, SIZES)
    assert found == pytest.approx([density(size) for size in SIZES], rel=1e-6)


def test_the_scale_of_the_derivatives_and_their_copies_do_not_matter():
    seen = residual(2.4, 0.2)
    again = np.column_stack([1e6 * LINE, LINE[:, 1]])
    assert _likelihoods(seen, again, BROWNIAN, 0.002, SIZES) == pytest.approx(
        _likelihoods(seen, LINE, BROWNIAN, 0.002, SIZES), rel=1e-6
    )


def test_shares_and_their_probabilities():
    """Nine sizes from .06 to 1 miss all, fourteen from .001 on the power .7 of their size over .06; .85 and .15."""
    open_ = _weighed(np.zeros(23))
    shares, chances = np.array(open_).T
    assert shares == pytest.approx(np.r_[1.0, ((0.001 / 0.06) ** (np.arange(1, 15) / 14)) ** 0.7])
    assert chances == pytest.approx(np.r_[0.85, np.full(14, 0.15 / 14)])
    told = np.zeros(23)
    told[9] = np.log(100.0)  # the smallest size
    last, one = _weighed(told)[-1], 0.15 / 14
    assert last == pytest.approx(((0.001 / 0.06) ** 0.7, 100 * one / (1 + 99 * one)))
    told[:] = -1e4
    told[-1] = 5.0
    assert _weighed(told) == ((pytest.approx((0.001 / 0.06) ** 0.05), 1.0),)
