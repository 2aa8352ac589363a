"""A law fitted again with its exponents and its irreducible loss drawn towards published ones.

Few or noisy runs leave these so open that the best fit takes values which no study has found: no floor at all, or one
next to the least loss with an exponent of 1.5. Both forecast badly. So each law of sizes, data or compute above an
irreducible loss E enters the mixture a second time, at the minimum of

    m/n sum w r^2 / s^2 + sum ((ln a - ln A0) / A_WIDTH)^2 + (logit(E / least loss) - logit E0)^2 / E_WIDTH^2

with its exponents a, the scatter s of its own fit and robust weights w. Errors of a law are alike in neighbours, so n
rows count as m, at most COUNTED. Held-out runs weigh both (``judging``). A0 and E0 are in the middle of the published
values that docs/choosing.md lists, the widths about twice as wide as those scatter.
"""

from __future__ import annotations

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
EXPONENTS = ("exponent", "exponent of model size", "exponent of data", "exponent of compute")
USUAL = (0.15, 0.6)  #: where the exponents of the second start lie
EDGE = 0.01  #: share of the least loss by which a start lies inside the range of E
STEPS = 100
LEAST = 1e-12  #: what a positive coordinate is at least, where its logarithm is taken


@dataclass(frozen=True)
class Drawn:
    """A law bound to rows, whose search moves in logarithms of positive coordinates and in the logit of E."""

    model: BoundLaw
    objective: Objective
    values: FloatArray  #: (n,)
    rows: FloatArray  #: weight of each residual, (n,)
    floor: int  #: position of E among the coordinates
    exponents: NDArray[np.intp]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Which coordinates are moved in their logarithm."""
        found = ~self.model.log & (self.model.low >= 0)
        found[self.floor] = False
        return np.asarray(found)

    def outward(self, theta: FloatArray) -> FloatArray:
        """Where the search is at coordinates (p,)."""
        least = float(self.values.min())
        found = np.where(self.positive, np.log(np.maximum(theta, LEAST)), theta)
        found[self.floor] = logit(np.clip(theta[self.floor] / least, EDGE, 1 - EDGE))
        return found

    def inward(self, place: FloatArray) -> FloatArray:
        """The coordinates (p,) at a place of the search."""
        with np.errstate(over="ignore"):
            found = np.where(self.positive, np.exp(np.minimum(place, 300.0)), place)
        found[self.floor] = float(self.values.min()) * expit(place[self.floor])
        return found

    def residuals(self, place: FloatArray) -> FloatArray:
        """Weighted residuals of the rows, and the distances from the published constants."""
        with np.errstate(all="ignore"):
            made = self.model.value(self.inward(place)[None])[0]
            missed = self.rows * self.objective.residuals(made, self.objective.target(self.values))
        far = np.r_[(self._logs(place) - np.log(A0)) / A_WIDTH, (place[self.floor] - logit(E0)) / E_WIDTH]
        return np.asarray(np.nan_to_num(np.r_[missed, far], nan=1e6, posinf=1e6, neginf=-1e6))

    def slopes(self, place: FloatArray) -> FloatArray:
        """Derivatives (n + distances, p) of the residuals."""
        theta = self.inward(place)
        with np.errstate(all="ignore"):
            value, slope = (found[0] for found in self.model.jacobian(theta[None]))
            slope = slope / value if self.objective.space == "log" else slope
        inner = np.where(self.positive, theta, 1.0)
        inner[self.floor] = theta[self.floor] * (1 - theta[self.floor] / float(self.values.min()))
        far = np.zeros((len(self.exponents) + 1, len(place)))
        far[np.arange(len(self.exponents)), self.exponents] = 1 / A_WIDTH
        far[-1, self.floor] = 1 / E_WIDTH
        every = np.vstack([(self.rows * slope * inner[:, None]).T, far])
        return np.asarray(np.nan_to_num(every, nan=0.0, posinf=0.0, neginf=0.0))

    def _logs(self, place: FloatArray) -> FloatArray:
        """The logarithms of the exponents: every one of them is searched in its logarithm."""
        return np.asarray(place[self.exponents])


def drawn_to_published(
    model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray | None, theta: FloatArray
) -> FloatArray | None:
    """The coordinates (p,) drawn towards published ones; None for a law without an exponent and an irreducible loss."""
    law, names = model.law, [coordinate.name for coordinate in model.coordinates]
    found = [
        j
        for j, coordinate in enumerate(model.coordinates)
        if law.parameters[coordinate.name].meaning in EXPONENTS and law.parameters[coordinate.name].low >= 0
    ]
    if law.is_trajectory or not found or law.irreducible not in names or not reads_scale(law):
        return None
    residuals = objective.residuals(model.value(theta[None])[0], objective.target(values))
    robust = objective.majorant(residuals) * (1.0 if weights is None else weights)
    scatter = float(np.sqrt(np.sum(robust * residuals**2) / max(len(values) - len(theta), 1)))
    if not (np.isfinite(scatter) and scatter > 0 and float(values.min()) > 0):
        return None
    rows = np.sqrt(robust * min(COUNTED / len(values), 1.0)) / scatter
    search = Drawn(model, objective, values, rows, names.index(law.irreducible), np.array(found))
    first = search.outward(theta)
    second = first.copy()
    second[found] = np.clip(first[found], *np.log(USUAL))
    second[search.floor] = logit(E0)
    ends = [least_squares(search.residuals, start, jac=search.slopes, max_nfev=STEPS) for start in (first, second)]
    return search.inward(min(ends, key=lambda end: float(end.cost)).x)
