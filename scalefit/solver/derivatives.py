"""The objective at a batch of points: its value, gradient and the matrices that steps are solved with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

FORWARD = 1e-6  #: step of the forward differences along the way, relative
TOGETHER = 1 << 15  #: elements of predictions up to which several coordinates are stepped along in one evaluation
DIFFERENCE = 1e-5  #: step of the second derivatives' central differences, relative


def own_rows(rows: FloatArray, members: slice | NDArray[Any]) -> FloatArray:
    """What some members have in rows (n,) that all share, or in rows of their own (B, n)."""
    return rows if rows.ndim == 1 else rows[members]


@dataclass(frozen=True)
class Problem:
    """What is fitted: by all members alike, or by each to rows of its own."""

    model: BoundLaw
    objective: Objective
    values: FloatArray  #: (n,) or (B, n), as the two that follow
    target: FloatArray
    weights: FloatArray
    count: int  #: of members

    def members(self, some: NDArray[np.intp]) -> Problem:
        """Those of some members."""
        values, target, weights = (own_rows(each, some) for each in (self.values, self.target, self.weights))
        return Problem(self.model.members(some), self.objective.members(some), values, target, weights, len(some))


@dataclass
class Local:
    """The objective at a batch of points: value, gradient and the two curvature matrices' ingredients."""

    cost: FloatArray
    value: FloatArray
    jacobian: FloatArray  # of the predictions
    residual: FloatArray

    def only(self, some: NDArray[np.bool_]) -> Local:
        """Those members alone."""
        return Local(self.cost[some], self.value[some], self.jacobian[some], self.residual[some])

    def replaced(self, some: NDArray[np.bool_], other: Local) -> Local:
        """With those members of another, whose derivatives and residuals may be written over."""
        if some.all():
            return other
        if not some.any():
            return self
        kept = ~some
        made = Local(other.cost.copy(), other.value.copy(), other.jacobian, other.residual)
        for new, old in ((made.cost, self.cost), (made.value, self.value), (made.residual, self.residual)):
            new[kept] = old[kept]
        made.jacobian[kept] = self.jacobian[kept]
        return made


@dataclass
class Batch:
    """The members that are still moving."""

    member: NDArray[np.intp]  # their positions among all starts
    theta: FloatArray
    local: Local
    damping: FloatArray  # (B, 2), one for each kind of step
    near: NDArray[np.bool_]  # whether the next step is an exact Newton step
    stalls: NDArray[np.intp]  # rejected steps in a row
    factor: NDArray[np.bool_]  # whether the size of a term moves by a factor

    def only(self, alive: NDArray[np.bool_]) -> Batch:
        """The members where ``alive`` holds."""
        if alive.all():
            return self
        return Batch(
            self.member[alive],
            self.theta[alive],
            self.local.only(alive),
            self.damping[alive],
            self.near[alive],
            self.stalls[alive],
            self.factor[alive],
        )


def measure(model: BoundLaw, objective: Objective, target: FloatArray, weights: FloatArray, theta: FloatArray) -> Local:
    """Predictions, derivatives and cost at a batch of points."""
    value, jacobian = model.jacobian(theta)
    residual = objective.residuals(value, target)
    rho = objective.rho(residual)
    cost = rho @ weights if weights.ndim == 1 else (weights * rho).sum(axis=1)
    with np.errstate(all="ignore"):  # infinities of both signs may meet
        if not np.isfinite(cost.sum() + jacobian.sum()):
            cost = np.where(np.isfinite(cost + jacobian.sum(axis=(1, 2))), cost, np.inf)
    return Local(cost, value, jacobian, residual)


def curvatures(
    model: BoundLaw,
    objective: Objective,
    weights: FloatArray,
    theta: FloatArray,
    local: Local,
    near: NDArray[np.bool_],
    second: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Gradient (B, p), step matrix (B, p, p), its scale, the majorised diagonal (B, p), and what bends, (B, p, p).

    The last is the part of the step matrix that comes from the predictions' own curvature.

    ``second`` (n, p, p), the predictions' second derivatives at a point near all members, spares measuring them.
    """
    log = objective.space == "log"
    scaled, every = local.jacobian * (1 / local.value)[:, None, :] if log else local.jacobian, bool(near.all())
    pull = weights * objective.psi(local.residual)
    gradient = (scaled @ pull[:, :, None])[:, :, 0]
    majorant = weights * objective.majorant(local.residual)
    if second is None:
        diagonal = ((scaled * scaled) @ majorant[:, :, None])[:, :, 0]
    else:  # it is but a scale, and slopes near a point are alike
        diagonal = majorant @ (scaled[0] * scaled[0]).T
    row_curvature = weights * objective.curvature(local.residual)
    if log:
        row_curvature = row_curvature - pull
    if not every:
        row_curvature = np.where(near[:, None], row_curvature, majorant)
    matrix = (scaled * row_curvature[:, None, :]) @ scaled.transpose(0, 2, 1)
    bend = np.zeros_like(matrix)
    if near.any() and len(model.curved):
        some = slice(None) if every else near
        per_row = pull[some] / local.value[some] if log else pull[some]
        if second is None:
            of_these = model if every else model.members(near)
            exact = of_these.bends(theta[some], per_row)
            bend[some] = _second_order(of_these, theta[some], per_row, local.jacobian[some]) if exact is None else exact
        else:
            bend[some] = (per_row @ second.reshape(len(second), -1)).reshape(-1, *second.shape[1:])
    return gradient, matrix + bend, diagonal, bend


def _second_order(model: BoundLaw, theta: FloatArray, per_row: FloatArray, jacobian: FloatArray) -> FloatArray:
    """sum over rows of per_row times the second derivatives of the predictions, (B, p, p).

    Rows of the matrix for non-linear coordinates by forward differences of the exact Jacobian, whose error is far
    below what a Newton step needs; between linear ones the second derivative is zero.
    """
    count, p = theta.shape
    second = np.zeros((count, p, p))
    curved, straight = model.curved, model.straight
    here = (jacobian @ per_row[:, :, None])[:, :, 0]
    together = max(1, TOGETHER // (count * model.size))
    for some in (curved[i : i + together] for i in range(0, len(curved), together)):
        ahead = np.repeat(theta[None], len(some), axis=0)
        at = (np.arange(len(some)), slice(None), some)
        ahead[at] += FORWARD * np.maximum(np.abs(theta.T[some]), 0.1)
        there_too = model.members(np.tile(np.arange(count), len(some)))
        slopes = there_too.jacobian(ahead.reshape(-1, p))[1].reshape(len(some), count, p, -1)
        there = (slopes @ per_row[:, :, None])[..., 0]
        second[:, some] = ((there - here) / (ahead[at] - theta.T[some])[:, :, None]).transpose(1, 0, 2)
    second = np.where(np.isfinite(second), second, 0.0)
    among = (slice(None), curved[:, None], curved)
    second[among] = 0.5 * (second[among] + second[among].transpose(0, 2, 1))
    second[:, straight[:, None], curved] = second[:, curved[:, None], straight].transpose(0, 2, 1)
    return second


def second_derivatives(model: BoundLaw, theta: FloatArray) -> FloatArray:
    """Second derivatives of every row's prediction at one point (p,), shape (n, p, p)."""
    p = len(model.coordinates)
    second = np.zeros((model.n, p, p))
    for j in model.curved:
        step = DIFFERENCE * max(abs(float(theta[j])), 0.1)
        ahead, behind = theta.copy(), theta.copy()
        ahead[j] += step
        behind[j] -= step
        change = model.jacobian(ahead[None])[1][0] - model.jacobian(behind[None])[1][0]
        second[:, j] = second[:, :, j] = change.T / (ahead[j] - behind[j])
    return np.where(np.isfinite(second), second, 0.0)
