"""A fit expanded to second order around its optimum: where the optima of resamples lie, nearly.

Resampled optima differ from the fit's by a few standard errors, over which the residuals are quadratic in the
coordinates (the size of a term enters by its logarithm, so that A N^-alpha bends little). On the expansion a Newton
step for all resamples is a few products of matrices. The kinks of a robust loss are passed on the way: its threshold
begins wide and narrows. The ends are starts only: each resample is then re-optimised on the law itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.steps import newton_step

PATH = (4.0, 2.0, 1.3, 1.0)  #: thresholds on the way, in units of the objective's
DAMPING = 1e-4
FURTHEST = 1.0  #: logarithm of the largest factor by which a term's size is believed to change


@dataclass(frozen=True)
class Expansion:
    """Residuals r + J u + u H u / 2 in the step u of each coordinate, of its logarithm where it is a term's size."""

    model: BoundLaw
    theta: FloatArray  #: (p,)
    value: FloatArray  #: predictions there, (n,)
    slope: FloatArray  #: J, (n, p)
    bend: FloatArray  #: H, (n, p, p)
    by_factor: NDArray[np.bool_]  #: which coordinates move by a factor, (p,)

    @classmethod
    def at(cls, model: BoundLaw, objective: Objective, theta: FloatArray, second: FloatArray) -> Expansion:
        """The expansion at ``theta``, with the predictions' second derivatives (n, p, p) there."""
        values, jacobian = model.jacobian(theta[None])
        value, slope = values[0], jacobian[0].T
        by_factor = model.linear & (theta != 0)
        unit = np.where(by_factor, theta, 1.0)
        slope = slope * unit
        bend = second * unit[:, None] * unit + np.eye(len(theta)) * np.where(by_factor, slope, 0.0)[:, :, None]
        if objective.space == "log":
            slope = slope / value[:, None]
            bend = bend / value[:, None, None] - slope[:, :, None] * slope[:, None, :]
        return cls(model, theta, value, slope, bend, by_factor)

    def change(self, step: FloatArray) -> FloatArray:
        """What steps (B, p) add to the residuals, (B, n)."""
        n, p = self.slope.shape
        squares = (step[:, :, None] * step[:, None, :]).reshape(-1, p * p)
        return np.asarray(step @ self.slope.T + squares @ (0.5 * self.bend.reshape(n, p * p)).T)

    def optima(self, objective: Objective, residual: FloatArray, weights: FloatArray) -> FloatArray:
        """Coordinates (B, p) near the optima, from residuals at ``theta`` and row weights: (n,) or (B, n) each."""
        n, p = self.slope.shape
        outer = (self.slope[:, :, None] * self.slope[:, None, :]).reshape(n, p * p)
        bend = self.bend.reshape(n, p * p)
        scale = (weights * objective.majorant(residual)) @ self.slope**2
        step, held = np.zeros_like(scale), np.zeros(scale.shape, dtype=bool)
        damping = np.full(len(scale), DAMPING)
        for factor in PATH:
            softer = objective.with_delta(factor * objective.delta)
            left = residual + self.change(step)
            pull = weights * softer.psi(left)
            bent = (pull @ bend).reshape(-1, p, p)
            gradient = pull @ self.slope + np.einsum("bij,bj->bi", bent, step)
            matrix = ((weights * softer.curvature(left)) @ outer).reshape(-1, p, p) + bent
            step = step + newton_step(gradient, matrix, scale, damping, held)
        return self.moved(step)

    def moved(self, step: FloatArray) -> FloatArray:
        """The coordinates that steps (B, p) lead to, inside the box."""
        factor = np.exp(np.clip(step, -FURTHEST, FURTHEST))
        moved = np.where(self.by_factor, self.theta * factor, self.theta + step)
        return np.asarray(np.clip(moved, self.model.low, self.model.high))
