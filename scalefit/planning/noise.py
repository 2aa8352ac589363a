"""Batch size: gradient noise along a run, the learning rate for a batch size, the Hessian of a batch.

    noise scale      B_simple = tr(Sigma)/|G|^2; both averaged over steps before the ratio is taken
    learning rate    SGD:  lr(B) = lr_max/(1 + B_noise/B)        Adam:  lr(B) = lr_max (1 + B_noise/B)^-a, a = 1/2..1
    batch Hessian    lambda(b) = a + kappa/b, so the largest stable lr = 2/lambda(b) is linear in b up to kappa/a

Sources: arXiv:1812.06162 (appendix A for the estimators), arXiv:2006.09092 (batch Hessian).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from scalefit.errors import IdentificationError, InputError
from scalefit.numerics import FloatArray
from scalefit.planning.critical_batch import NoiseScale, noise_scale
from scalefit.transfer.verdict import Interval


def running_noise(
    small: ArrayLike, large: ArrayLike, small_batch: float, large_batch: float, decay: float = 0.99
) -> list[NoiseScale]:
    """Noise scale along a run from squared gradient norms at two batch sizes, logged at each step.

    ``small``, ``large``: (n,), ``|gradient|^2`` of batches of so many examples, before clipping.
    ``|G|^2`` and tr(Sigma) are averaged separately (exponentially, with weights that sum to one): at single steps
    either may be negative, and a mean of ratios is meaningless. Steps that are not finite are skipped.

    >>> [round(each.batch, 4) for each in running_noise([3.0, 3.0], [1.2, 1.2], 64, 1024)]
    [113.7778, 113.7778]
    """
    low, high = np.asarray(small, dtype=float), np.asarray(large, dtype=float)
    if low.shape != high.shape or low.ndim != 1:
        raise InputError("the two series of gradient norms differ in length", todo="log both at the same steps")
    ones = [
        noise_scale(float(one), float(other), small_batch, large_batch) for one, other in zip(low, high, strict=True)
    ]
    steps = pd.DataFrame({"signal": [one.signal for one in ones], "noise": [one.noise for one in ones]})
    steps = steps.where(np.isfinite(steps.sum(axis=1, skipna=False))).ewm(alpha=1 - decay, ignore_na=True).mean()
    return [NoiseScale(*row) for row in steps.itertuples(index=False)]


def lr_for_batch(batch: Any, lr_max: float, noise_batch: float, power: float = 1.0) -> FloatArray:
    """The learning rate for a batch size: lr_max (1 + noise_batch/batch)^-power.

    ``power``: 1 for SGD, 1/2 to 1 for Adam. Batch sizes far below ``noise_batch`` give lr ∝ batch^power, those far
    above it lr_max.

    >>> lr_for_batch([100.0, 900.0], 0.1, 300.0).round(4).tolist()
    [0.025, 0.075]
    """
    return np.asarray(lr_max * (1 + noise_batch / np.asarray(batch, dtype=float)) ** -power)


def fit_lr_exponent(batch: ArrayLike, lr: ArrayLike) -> Interval:
    """The exponent of lr* ∝ batch^exponent from the best learning rates at several batch sizes, with 90 % interval.

    1 is the linear rule (SGD below its critical batch size), 1/2 the root rule (Adam). The interval is Student's, NaN
    for two batch sizes. Raises IdentificationError for one batch size.

    >>> round(fit_lr_exponent([64, 256, 1024], [0.001, 0.002, 0.004]).value, 6)
    0.5
    """
    x, y = np.log(np.asarray(batch, dtype=float)), np.log(np.asarray(lr, dtype=float))
    if len(np.unique(x)) < 2:
        raise IdentificationError("one batch size shows no exponent", todo="add a sweep at another batch size")
    columns = np.stack([np.ones_like(x), x], axis=1)
    constants, inverse = _weighted(columns, y, np.ones_like(x))
    return _student(constants, inverse, float(np.sum((y - columns @ constants) ** 2)), len(x) - 2)[1]


@dataclass(frozen=True)
class BatchHessian:
    """Top eigenvalue of the Hessian of a batch: lambda(b) = a + kappa/b."""

    a: Interval  #: at an infinitely large batch
    kappa: Interval  #: times examples

    def at(self, batch: Any) -> FloatArray:
        """lambda at batches of that many examples."""
        return np.asarray(self.a.value + self.kappa.value / np.asarray(batch, dtype=float))

    @property
    def linear_up_to(self) -> float:
        """The batch size up to which the largest stable learning rate of SGD is proportional to it: kappa/a."""
        return self.kappa.value / self.a.value

    def largest_lr(self, batch: Any, threshold: float = 2.0) -> FloatArray:
        """threshold/lambda(b): for SGD 2."""
        return np.asarray(threshold / self.at(batch))


def fit_batch_hessian(batch: ArrayLike, sharpness: ArrayLike, error: ArrayLike | None = None) -> BatchHessian:
    """a and kappa from sharpness measured on batches of several sizes, by weighted least squares, with 90 % intervals.

    ``error``: (n,) standard deviations (default: proportional to the fitted sharpness, scaled by the scatter). Where
    the scatter exceeds the errors, the intervals widen with it; they are Student's, and NaN for two batch sizes. Raises
    IdentificationError for one batch size.

    >>> found = fit_batch_hessian([1, 2, 4, 8], [111, 71, 51, 41])
    >>> round(found.a.value, 6), round(found.kappa.value, 6), round(found.linear_up_to, 3)
    (31.0, 80.0, 2.581)
    """
    b, top = np.asarray(batch, dtype=float), np.asarray(sharpness, dtype=float)
    if len(np.unique(b)) < 2:
        raise IdentificationError("one batch size cannot identify kappa", todo="measure the sharpness at other ones")
    sigma = top if error is None else np.asarray(error, dtype=float)
    columns = np.stack([np.ones_like(b), 1 / b], axis=1)
    constants, inverse = _weighted(columns, top, sigma)
    if error is None:  # proportional to fitted, not measured values: those would bias the fit downwards
        sigma = np.maximum(columns @ constants, 1e-3 * top.max())
        constants, inverse = _weighted(columns, top, sigma)
    scatter, freedom = float(np.sum(((top - columns @ constants) / sigma) ** 2)), len(b) - 2
    return BatchHessian(*_student(constants, inverse, scatter if error is None else max(scatter, freedom), freedom))


def _weighted(columns: FloatArray, values: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares: the constants and the inverse of their precision."""
    scaled = columns / sigma[:, None]
    inverse = np.linalg.inv(scaled.T @ scaled)
    return np.asarray(inverse @ scaled.T @ (values / sigma)), np.asarray(inverse)


def _student(constants: FloatArray, inverse: FloatArray, squares: float, freedom: int) -> list[Interval]:
    """Student's 90 % interval of each constant, from the sum of squares of the residuals; NaN ends without freedom."""
    reach = np.full(len(constants), np.nan)
    if freedom:
        reach = float(stdtrit(freedom, 0.95)) * np.sqrt(np.diag(inverse) * squares / freedom)
    return [Interval(*ends) for ends in np.stack([constants, constants - reach, constants + reach], axis=1).tolist()]
