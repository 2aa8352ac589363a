"""The trade-off between steps and examples, the critical batch size at a loss, its estimate from gradient norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.numerics import FloatArray


def critical_batch(loss: Any, B_star: float, alpha_B: float) -> FloatArray:
    """Critical batch size (tokens) at a loss (nats/token): B_crit = B_star / loss^(1/alpha_B).

    Source: arXiv:2001.08361, equation 5.3.

    >>> f"{critical_batch(3.0, B_star=2.1e8, alpha_B=0.21):.6e}"
    '1.122570e+06'
    """
    return np.asarray(B_star * np.asarray(loss, dtype=float) ** (-1 / alpha_B))


@dataclass(frozen=True)
class Tradeoff:
    """Steps and examples that reach one loss: (S/S_min - 1)(E/E_min - 1) = 1.

    Source: arXiv:1812.06162; arXiv:2001.08361, section 5.1.

    >>> trade = Tradeoff(S_min=1000.0, B_crit=5e5)
    >>> float(trade.steps(5e5)), float(trade.examples(5e5) / trade.E_min)
    (2000.0, 2.0)
    """

    S_min: float  #: steps with an infinitely large batch
    B_crit: float  #: critical batch size, tokens

    @property
    def E_min(self) -> float:
        """Examples (tokens) with an infinitely small batch."""
        return self.S_min * self.B_crit

    def steps(self, batch: Any) -> FloatArray:
        """Steps with batches of ``batch`` tokens: S_min (1 + B_crit/batch)."""
        return np.asarray(self.S_min * (1 + self.B_crit / np.asarray(batch, dtype=float)))

    def examples(self, batch: Any) -> FloatArray:
        """Tokens seen with such batches: E_min (1 + batch/B_crit)."""
        return np.asarray(self.E_min * (1 + np.asarray(batch, dtype=float) / self.B_crit))


def fit_tradeoff(batch: Any, steps: Any) -> Tradeoff:
    """S_min and B_crit from the steps that runs with several batch sizes needed to reach one loss.

    Least squares on relative steps: steps = S_min + E_min/batch is linear. Raises InputError for fewer than two batch
    sizes, or when the steps do not fall with the batch.

    >>> found = fit_tradeoff([1e5, 5e5, 2e6], [6000, 2000, 1250])
    >>> round(found.S_min, 6), round(found.B_crit, 3)
    (1000.0, 500000.0)
    """
    size, needed = np.asarray(batch, dtype=float), np.asarray(steps, dtype=float)
    if len(np.unique(size)) < 2 or size.shape != needed.shape:
        raise InputError("a trade-off needs two or more batch sizes", todo="add a run at another batch size")
    if not np.all(np.isfinite(size * needed) & (size > 0) & (needed > 0)):
        raise InputError("a batch size or number of steps is not a number above 0", todo="leave that run out")
    unit = float(np.exp(np.mean(np.log(size))))
    columns = np.stack([np.ones_like(size), unit / size], axis=1) / needed[:, None]
    least, extra = np.linalg.lstsq(columns, np.ones_like(size), rcond=None)[0]
    if least <= 0 or extra <= 0:
        why = "the steps to this loss do not follow S_min (1 + B_crit/batch)"
        raise InputError(why, todo="add smaller and larger batch sizes, each at its best learning rate")
    return Tradeoff(float(least), float(extra * unit / least))


@dataclass(frozen=True)
class NoiseScale:
    """Gradient noise: the squared norm of the true gradient, the trace of the noise covariance of one example."""

    signal: float  #: |G|^2
    noise: float  #: tr(Sigma)

    @property
    def batch(self) -> float:
        """The simple noise scale tr(Sigma)/|G|^2, an estimate of the critical batch size in the unit of the batches.

        NaN where either is not above 0, which estimates from too few steps may be.
        """
        return self.noise / self.signal if self.signal > 0 and self.noise > 0 else float("nan")


def noise_scale(small: float, large: float, small_batch: float, large_batch: float) -> NoiseScale:
    """Noise scale from the mean squared gradient norms at two batch sizes.

    ``|G|^2 = (B_l g_l - B_s g_s)/(B_l - B_s)``,  ``tr(Sigma) = (g_s - g_l)/(1/B_s - 1/B_l)``

    ``small`` and ``large`` are averages of ``|gradient|^2`` over steps. Both results are unbiased; average each before
    taking their ratio. Raises InputError for batch sizes that are not increasing. Source: arXiv:1812.06162, appendix A.

    >>> found = noise_scale(3.0, 1.2, 64, 1024)
    >>> round(found.signal, 6), round(found.noise, 6), round(found.batch, 4)
    (1.08, 122.88, 113.7778)
    """
    if not 0 < small_batch < large_batch:
        sizes = f"batch sizes {small_batch:g} and {large_batch:g}"
        raise InputError(f"{sizes} are not increasing", todo="give the smaller one first")
    signal = (large_batch * large - small_batch * small) / (large_batch - small_batch)
    noise = (small - large) / (1 / small_batch - 1 / large_batch)
    return NoiseScale(signal, noise)
