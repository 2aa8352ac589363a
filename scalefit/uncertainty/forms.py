"""Other forms of a fitted law: fitted mostly to the largest rows, drawn towards published constants, or both.

No law is exact, and its error among small runs is another one than beyond the large ones. So each law of sizes, data or
compute enters the mixture again with weights of rows that fall by e over SPAN of the range of ln scale, downwards from
the largest. And few or noisy runs leave exponents and the irreducible loss E so open that the best fit takes values
which no study has found: no floor at all, or one next to the least loss with an exponent of 1.5. So each law that has
both enters with its exponents a and E drawn towards published ones, once with either weights of rows, at the minimum of

    m/n sum w r^2 / s^2 + sum ((ln a - ln A0) / A_WIDTH)^2 + (logit(E / least loss) - logit E0)^2 / E_WIDTH^2

with the scatter s of its own fit and robust weights w. Errors of a law are alike in neighbours, so n rows count as m,
at most COUNTED. Held-out runs weigh all of them (``judging``). docs/choosing.md lists the published values: exponents
of size and data have the median .24 and a scatter of .36 in the logarithm, of which A_WIDTH is twice; floors lie at .55
to .99 of the least loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit

from scalefit.numerics import FloatArray
from scalefit.rows.scale import reads_scale
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

A0, A_WIDTH = 0.25, 0.7  #: exponents of size, data and compute: the middle, and one width in the logarithm
E0, E_WIDTH = 0.75, 1.0  #: the irreducible loss over the least measured one: the middle, and one width in its logit
COUNTED = 12.0  #: rows that count as independent, at most
SPAN = 1 / 3  #: part of the range of ln scale over which the weights of rows fall by e
EXPONENTS = ("exponent", "exponent of model size", "exponent of data", "exponent of compute")
USUAL = (0.15, 0.6)  #: where the exponents of the second start lie
EDGE = 0.01  #: share of the least loss by which a start lies inside the range of E
STEPS = 100
LEAST = 1e-12  #: what a positive coordinate is at least, where its logarithm is taken
LARGEST, DRAWN, BOTH = "largest rows", "published constants", "largest rows and published constants"


@dataclass(frozen=True)
class Search:
    """A law bound to rows, whose search moves in logarithms of positive coordinates and in the logit of E."""

    model: BoundLaw
    objective: Objective
    values: FloatArray  #: (n,)
    rows: FloatArray  #: weight of each residual, (n,)
    floor: int | None  #: position of E among the coordinates, where it is drawn
    exponents: NDArray[np.intp]  #: positions of those that are drawn

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Which coordinates are moved in their logarithm."""
        found = ~self.model.log & (self.model.low >= 0)
        if self.floor is not None:
            found[self.floor] = False
        return np.asarray(found)

    def outward(self, theta: FloatArray) -> FloatArray:
        """Where the search is at coordinates (p,)."""
        found = np.where(self.positive, np.log(np.maximum(theta, LEAST)), theta)
        if self.floor is not None:
            found[self.floor] = logit(np.clip(theta[self.floor] / float(self.values.min()), EDGE, 1 - EDGE))
        return found

    def inward(self, place: FloatArray) -> FloatArray:
        """The coordinates (p,) at a place of the search, inside their box."""
        with np.errstate(over="ignore"):
            found = np.where(self.positive, np.exp(np.minimum(place, 300.0)), place)
        if self.floor is not None:
            found[self.floor] = float(self.values.min()) * expit(place[self.floor])
        return np.clip(found, self.model.low, self.model.high)

    def residuals(self, place: FloatArray) -> FloatArray:
        """Weighted residuals of the rows, and the distances from the published constants."""
        with np.errstate(all="ignore"):
            made = self.model.value(self.inward(place)[None])[0]
            missed = self.rows * self.objective.residuals(made, self.objective.target(self.values))
        far = (place[self.exponents] - np.log(A0)) / A_WIDTH
        if self.floor is not None:
            far = np.r_[far, (place[self.floor] - logit(E0)) / E_WIDTH]
        return np.asarray(np.nan_to_num(np.r_[missed, far], nan=1e6, posinf=1e6, neginf=-1e6))

    def slopes(self, place: FloatArray) -> FloatArray:
        """Derivatives (n + distances, p) of the residuals."""
        theta = self.inward(place)
        with np.errstate(all="ignore"):
            value, slope = (found[0] for found in self.model.jacobian(theta[None]))
            slope = self.objective.slopes(value, slope)
        inner = np.where(self.positive, theta, 1.0)
        far = np.zeros((len(self.exponents), len(place)))
        far[np.arange(len(self.exponents)), self.exponents] = 1 / A_WIDTH
        if self.floor is not None:
            inner[self.floor] = theta[self.floor] * (1 - theta[self.floor] / float(self.values.min()))
            far = np.vstack([far, (np.arange(len(place)) == self.floor) / E_WIDTH])
        every = np.vstack([(self.rows * slope * inner[:, None]).T, far])
        return np.asarray(np.nan_to_num(every, nan=0.0, posinf=0.0, neginf=0.0))

    def found_from(self, theta: FloatArray) -> FloatArray:
        """The coordinates (p,) of the least sum of squares, from a fit; of drawn constants also from usual ones."""
        starts = [self.outward(theta)]
        if self.floor is not None:
            usual = starts[0].copy()
            usual[self.exponents] = np.clip(usual[self.exponents], *np.log(USUAL))
            usual[self.floor] = logit(E0)
            starts.append(usual)
        ends = [least_squares(self.residuals, start, jac=self.slopes, max_nfev=STEPS) for start in starts]
        return self.inward(min(ends, key=lambda end: float(end.cost)).x)


def other_forms(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray | None,
    theta: FloatArray,
    scale: FloatArray,
    wanted: Sequence[str] = (LARGEST, DRAWN, BOTH),
) -> dict[str, FloatArray]:
    """The coordinates (p,) of each other form of a law that was fitted at ``theta``; none for a law of no scale.

    ``scale`` (n,) is the logarithm of that along which runs grow.
    """
    if model.law.is_trajectory or not reads_scale(model.law):
        return {}
    residuals = objective.residuals(model.value(theta[None])[0], objective.target(values))
    robust = objective.majorant(residuals) * (1.0 if weights is None else weights)
    near = np.exp((scale - scale.max()) / (SPAN * np.ptp(scale))) if np.ptp(scale) > 0 else None
    found: dict[str, FloatArray] = {}
    with np.errstate(over="ignore"):
        exponents, floor = _drawn_constants(model, values)
        if near is not None and LARGEST in wanted:
            rows = np.sqrt(robust * near)
            found[LARGEST] = Search(model, objective, values, rows, None, exponents[:0]).found_from(theta)
        for name, weight in ((DRAWN, np.ones(len(values))), (BOTH, near)):
            if name not in wanted:
                continue
            rows = _counted(robust, weight, residuals, len(theta)) if weight is not None else None
            if floor is not None and rows is not None:
                found[name] = Search(model, objective, values, rows, floor, exponents).found_from(theta)
    return found


def other_form(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray | None,
    theta: FloatArray,
    scale: FloatArray,
) -> FloatArray | None:
    """The form (p,) that is furthest from the fit: of both kinds, else that of the largest rows; None without any."""
    for name in (BOTH, LARGEST):
        found = other_forms(model, objective, values, weights, theta, scale, (name,))
        if found:
            return found[name]
    return None


def _drawn_constants(model: BoundLaw, values: FloatArray) -> tuple[NDArray[np.intp], int | None]:
    """Positions of the exponents and of the irreducible loss; None for a law without either."""
    law, names = model.law, [coordinate.name for coordinate in model.coordinates]
    found = [
        j for j, name in enumerate(names) if law.parameters[name].meaning in EXPONENTS and law.parameters[name].low >= 0
    ]
    known = bool(found) and law.irreducible in names and float(values.min()) > 0
    return np.array(found, dtype=np.intp), names.index(str(law.irreducible)) if known else None


def _counted(robust: FloatArray, weight: FloatArray, residuals: FloatArray, free: int) -> FloatArray | None:
    """Weights of residuals in units of their scatter, for rows that count as COUNTED; None without a scatter."""
    whole = robust * weight / np.mean(weight)
    count = len(residuals)
    scatter = float(np.sqrt(np.sum(whole * residuals**2) / max(count - free, 1)))
    known = np.isfinite(scatter) and scatter > 0
    return np.asarray(np.sqrt(whole * min(COUNTED / count, 1.0)) / scatter) if known else None
