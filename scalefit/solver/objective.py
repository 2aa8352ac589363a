"""What is minimised: a robust loss of residuals in log or linear space, summed over rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.numerics import FloatArray

Space = Literal["log", "linear"]
Loss = Literal["huber", "squared", "soft_l1"]

#: Huber's delta in units of sigma at which it keeps 95 % efficiency on normal noise
HUBER_EFFICIENT = 1.345


@dataclass(frozen=True)
class Objective:
    """Sum over rows of w rho(r), with r = log(prediction) - log(value), or their difference.

    huber: rho = r^2/2 for |r| <= delta, else delta (|r| - delta/2); squared: r^2/2;
    soft_l1: delta^2 (sqrt(1 + (r/delta)^2) - 1). No division by delta: all three agree near zero.
    """

    space: Space = "log"
    loss: Loss = "huber"
    delta: float = 1e-3
    own: FloatArray | None = None  #: (B, 1), where each member of a batch has a threshold of its own

    def __post_init__(self) -> None:
        for name, value, known in (
            ("residuals", self.space, ("log", "linear")),
            ("loss", self.loss, ("huber", "squared", "soft_l1")),
        ):
            if value not in known:
                raise InputError(f'{name} "{value}" is not known', todo=f"choose one of {', '.join(known)}")
        if not self.delta > 0:
            raise InputError(f"delta {self.delta} is not positive", todo='give a positive number or "auto"')

    def with_delta(self, delta: float) -> Objective:
        """The same objective with another threshold."""
        return replace(self, delta=float(delta))

    def members(self, some: slice | NDArray[Any]) -> Objective:
        """The objective of some members of a batch."""
        return self if self.own is None else replace(self, own=self.own[some])

    @property
    def threshold(self) -> float | FloatArray:
        """The threshold of all members, or those of each, (B, 1)."""
        return self.delta if self.own is None else self.own

    def target(self, values: FloatArray) -> FloatArray:
        """The values in residual space."""
        return np.log(values) if self.space == "log" else values

    def residuals(self, predicted: FloatArray, target: FloatArray) -> FloatArray:
        """Residuals of predictions (..., n); infinite where a logarithm does not exist."""
        if self.space == "linear":
            return predicted - target
        if predicted.size and predicted.min() > 0:
            return np.log(predicted) - target
        positive = predicted > 0
        return np.where(positive, np.log(np.where(positive, predicted, 1.0)) - target, np.inf)

    def slopes(self, predicted: FloatArray, jacobian: FloatArray) -> FloatArray:
        """Derivatives of the predictions in the space of the residuals: those of ln L where that is the logarithm."""
        return jacobian / predicted if self.space == "log" else jacobian

    def rho(self, r: FloatArray) -> FloatArray:
        """The loss of each residual."""
        if self.loss == "squared":
            return 0.5 * r * r
        if self.loss == "soft_l1":
            return np.asarray(self.threshold**2 * (np.sqrt(1 + (r / self.threshold) ** 2) - 1))
        size = np.abs(r)
        clipped = np.minimum(size, self.threshold)
        return clipped * (size - 0.5 * clipped)

    def psi(self, r: FloatArray) -> FloatArray:
        """The derivative of rho."""
        if self.loss == "squared":
            return r
        if self.loss == "soft_l1":
            return np.asarray(r / np.sqrt(1 + (r / self.threshold) ** 2))
        return np.minimum(np.maximum(r, -self.threshold), self.threshold)

    def curvature(self, r: FloatArray) -> FloatArray:
        """The second derivative of rho."""
        if self.loss == "squared":
            return np.ones_like(r)
        if self.loss == "soft_l1":
            return np.asarray((1 + (r / self.threshold) ** 2) ** -1.5)
        return (np.abs(r) <= self.threshold).astype(np.float64)

    def majorant(self, r: FloatArray) -> FloatArray:
        """psi(r) / r: the curvature of the parabola that touches rho at r and lies above it."""
        if self.loss == "squared":
            return np.ones_like(r)
        if self.loss == "soft_l1":
            return np.asarray(1 / np.sqrt(1 + (r / self.threshold) ** 2))
        return np.asarray(self.threshold / np.maximum(np.abs(r), self.threshold))
