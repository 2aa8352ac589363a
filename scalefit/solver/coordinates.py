"""The solver's coordinates: each free parameter, or its logarithm; and parameters tied to others by expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalefit.errors import InputError
from scalefit.expressions import Expression
from scalefit.laws.law import Law, Parameter
from scalefit.numerics import FloatArray

LOG_SPAN = 30.0  #: starts that span more than this factor are searched in the logarithm
SMALLEST = 1e-10  #: how far below its smallest start a logarithmic parameter may go


@dataclass(frozen=True)
class Coordinate:
    """One free parameter: its name, box and start range, in the solver's coordinate (a logarithm or itself)."""

    name: str
    low: float
    high: float
    start: tuple[float, float]
    linear: bool
    log: bool
    signed: bool = False  #: whether the search covers the start range in size, with either sign

    @property
    def searched(self) -> tuple[float, float]:
        """The start range and somewhat more: a decade either side of a logarithmic one, a quarter of it of another."""
        more = np.log(10.0) if self.log else 0.25 * (self.start[1] - self.start[0])
        return max(self.low, self.start[0] - more), min(self.high, self.start[1] + more)

    @classmethod
    def of(cls, name: str, parameter: Parameter, variables: Mapping[str, FloatArray], linear: bool) -> Coordinate:
        """The coordinate of a declared parameter."""
        start = parameter.starts
        if isinstance(start, str):
            start = (float(np.min(variables[start])), float(np.max(variables[start])))
        low, high = parameter.low, parameter.high
        if start is None or start[1] <= low or start[0] >= high:
            start = _default_start(parameter, variables)
        start = (float(np.clip(start[0], low, high)), float(np.clip(start[1], low, high)))
        log = not linear and low >= 0 and start[0] > 0 and start[1] / start[0] > LOG_SPAN
        if log:
            floor = max(low, SMALLEST * start[0])
            return cls(name, np.log(floor), np.log(high), (np.log(start[0]), np.log(start[1])), False, True)
        signed = not linear and low < 0 < high and start[0] > 0 and start[1] / start[0] > LOG_SPAN
        return cls(name, low, high, start, linear, False, signed)


def _default_start(parameter: Parameter, variables: Mapping[str, FloatArray]) -> tuple[float, float]:
    """A start range from the domain, or where that is open from the size of the variables: a rate or a scale."""
    low, high = parameter.low, parameter.high
    if np.isfinite(low) and np.isfinite(high):
        return low + 0.05 * (high - low), high - 0.05 * (high - low)
    largest = max(float(np.max(np.abs(values))) for values in variables.values()) or 1.0
    smallest, largest = min(1e-3, 0.01 / largest), max(1e3, 10 * largest)
    if high <= 0:
        return -largest, -smallest
    return (smallest, largest) if low < smallest else (low, max(largest, 1e3 * low))


def through_ties(
    ties: Mapping[str, Expression], name: str, partials: Mapping[str, FloatArray], parameters: Mapping[str, FloatArray]
) -> FloatArray:
    """The derivative by a free parameter, itself and through those tied to it, from all partial derivatives."""
    total = partials[name]
    for tied, tie in ties.items():
        if name in tie.names:
            total = total + partials[tied] * tie.gradient(parameters, [name])[1][name]
    return total


def check_ties(law: Law, ties: Mapping[str, Expression], fix: Mapping[str, float]) -> None:
    """Raise :class:`InputError` for a tie of a fixed parameter, or to one that is tied itself."""
    for name, tie in ties.items():
        known = [other for other in law.parameters if other not in ties]
        wrong = [other for other in tie.names if other not in known]
        if wrong or name in fix:
            what = f'"{name}" is also fixed' if name in fix else f'it uses "{wrong[0]}"'
            todo = f"a tie uses untied parameters only: {', '.join(known)}"
            raise InputError(what, where=f"tie {name}={tie.text}", todo=todo)


def linear_under(ties: Mapping[str, Expression], linear: set[str]) -> set[str]:
    """The linear parameters that stay linear: those in ties only if tied linearly to linear ones."""
    kept = set(linear)
    for name, tie in ties.items():
        used = set(tie.names)
        if name in linear and used <= linear and tie.degree(used) <= 1:
            continue
        kept -= used
    return kept
