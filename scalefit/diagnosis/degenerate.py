"""An optimum that is no law: a floor far outside the data beside an exponent near zero, a logarithm in disguise."""

from __future__ import annotations

import numpy as np

from scalefit.diagnosis.checks import Check
from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution

TINY = 0.05  #: a searched parameter of less than this, beside such a floor, is an exponent that has vanished
OUTSIDE = 2.0  #: how many times the largest value a floor is, in size, that lies far outside the data


def degenerate(model: BoundLaw, values: FloatArray, solution: Solution) -> list[Check]:
    """A warning where a constant term is far larger than the data and a searched exponent is near zero.

    A x^-a + E with a near 0 is (A + E) - a A ln x: a straight line in ln x, whose A and E cancel and say nothing. It
    has no irreducible loss, and extrapolates to losses below zero.
    """
    _, jacobian = model.jacobian(solution.theta[None])
    largest = float(np.max(np.abs(values)))
    tiny = [
        coordinate.name
        for coordinate, at in zip(model.coordinates, solution.theta, strict=True)
        if not coordinate.linear
        and (not coordinate.log or "exponent" in model.law.parameters[coordinate.name].meaning)
        and abs(np.exp(at) if coordinate.log else at) < TINY
    ]
    for j in model.straight:
        column = jacobian[0, j]
        if not tiny or np.ptp(column) > 0 or abs(solution.theta[j] * column[0]) <= OUTSIDE * largest:
            continue
        name = model.coordinates[j].name
        text = f"{name} = {solution.theta[j]:.4g} lies far outside the data (at most {largest:.4g}), and {tiny[0]} = "
        text += f"{_value(model, solution, tiny[0]):.2g} is near 0: the fit is a logarithm in disguise"
        return [Check("degenerate", f"{text}; bound {name}, or fit a law of fewer parameters")]
    return []


def _value(model: BoundLaw, solution: Solution, name: str) -> float:
    place = [c.name for c in model.coordinates].index(name)
    at = float(solution.theta[place])
    return float(np.exp(at)) if model.coordinates[place].log else at
