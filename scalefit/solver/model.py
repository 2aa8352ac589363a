"""A law bound to rows: arrays in, arrays out. This is all that the solver sees of a law.

The solver moves in *coordinates*: the free parameters, each as it is or, where it is positive and its starts span
decades, as its logarithm. Fixed and tied parameters are folded in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from scalefit.errors import InputError
from scalefit.expressions import Expression, parse
from scalefit.laws.law import Law
from scalefit.laws.registry import refuse_unknown
from scalefit.numerics import FloatArray, spread_points
from scalefit.solver.coordinates import Coordinate, check_ties, linear_under, through_ties
from scalefit.solver.programs import BeyondProgramError, Node, Outline, Program
from scalefit.solver.sums.between import Between
from scalefit.solver.sums.condensed import POINTS, condense

SAME = 1e-7  #: predictions that differ by less than this share are the same to every refit
TESTED_ROWS = 200  #: rows at which predictions interpolated along curves are held against those of all values


@dataclass(frozen=True)
class BoundLaw:
    """A law, its rows and the settings of its parameters."""

    law: Law
    variables: Mapping[str, FloatArray]
    coordinates: tuple[Coordinate, ...]
    fixed: Mapping[str, float]
    ties: Mapping[str, Expression]
    position: FloatArray | None = None  #: (n,) of rows of curves: rises along each
    between: Between | None = None  #: how sums of many values a row follow from those of other rows
    own: bool = False  #: whether each member of a batch has rows of its own: all variables are (B, n)

    @cached_property
    def n(self) -> int:
        """How many rows."""
        return int(np.shape(next(iter(self.variables.values())))[self.own])

    @property
    def told(self) -> dict[str, object]:
        """All that predictions depend on, as :func:`~scalefit.memory.once` compares it; formulas of ties as text."""
        ties = {name: tie.text for name, tie in self.ties.items()}
        kept = ("law", "coordinates", "variables", "fixed", "between", "own")
        return {"ties": ties, **{name: getattr(self, name) for name in kept}}

    @property
    def size(self) -> int:
        """How many numbers one member's rows hold: n, times K where rows hold K values of a variable."""
        if self.own:
            return self.n
        knots = {} if self.between is None else self.between.knots
        return max(np.size(values) for values in (*self.variables.values(), *knots.values()))

    @cached_property
    def low(self) -> FloatArray:
        """Lower ends of the box."""
        return np.array([c.low for c in self.coordinates])

    @cached_property
    def high(self) -> FloatArray:
        """Upper ends of the box."""
        return np.array([c.high for c in self.coordinates])

    @cached_property
    def linear(self) -> np.ndarray:
        """Which coordinates the law is linear in."""
        return np.array([c.linear for c in self.coordinates], dtype=bool)

    @cached_property
    def curved(self) -> np.ndarray:
        """Positions of the coordinates that the law is not linear in."""
        return np.flatnonzero(~self.linear)

    @cached_property
    def straight(self) -> np.ndarray:
        """Positions of the coordinates that the law is linear in."""
        return np.flatnonzero(self.linear)

    @cached_property
    def every(self) -> tuple[int, ...]:
        """Positions of all coordinates."""
        return tuple(range(len(self.coordinates)))

    @cached_property
    def log(self) -> np.ndarray:
        """Which coordinates are logarithms."""
        return np.array([c.log for c in self.coordinates], dtype=bool)

    @cached_property
    def outline(self) -> Outline | None:
        """The operations of the formula, whatever its rows; None where they cannot be written out."""
        if self.between is not None or any(each.many for each in self.law.variables.values()):
            return None
        ties = tuple((name, tie.text) for name, tie in self.ties.items())
        moved = tuple((one.name, one.log, one.linear) for one in self.coordinates)
        return _outline(self.law, tuple(self.variables), moved, tuple(self.fixed), ties)

    @cached_property
    def program(self) -> Program | None:
        """The operations of the formula on these rows, where it has a program."""
        return Program(self.outline, {**self.variables, **self.fixed}, self.n) if self.outline else None

    def __getstate__(self) -> dict[str, object]:  # what another process makes anew
        return {name: value for name, value in self.__dict__.items() if name not in ("outline", "program")}

    def members(self, some: slice | np.ndarray) -> BoundLaw:
        """The law bound to the rows of some members of a batch."""
        return self._with({name: values[some] for name, values in self.variables.items()}) if self.own else self

    def _with(self, variables: Mapping[str, FloatArray], **changes: object) -> BoundLaw:
        """The same formula on other rows."""
        other = replace(self, variables=variables, **changes)  # type: ignore[arg-type]
        if "outline" in self.__dict__:
            other.__dict__["outline"] = self.outline
        return other

    def take(self, rows: slice | np.ndarray) -> BoundLaw:
        """The same law on some of the rows."""
        variables = {name: values[rows] for name, values in self.variables.items()}
        position = None if self.position is None else self.position[rows]
        part = self._with(variables, position=position, between=self.between and self.between.take(rows))
        if "condensed" in self.__dict__:
            part.__dict__["condensed"] = part if self.condensed is self else self.condensed.take(rows)
        return part

    @cached_property
    def condensed(self) -> BoundLaw:
        """The same predictions to a hundred-millionth, faster: few values of each row, few rows of each curve."""
        with np.errstate(all="ignore"):
            variables, between = condense(self.law, self.variables, self.position, self.all_over)
        return self if variables is self.variables else replace(self, variables=variables, between=between)

    def all_over(self) -> dict[str, FloatArray]:
        """Parameters (POINTS, 1) that cover the ranges of the search; linear ones are 1."""
        theta, free = np.ones((POINTS, len(self.coordinates))), np.flatnonzero(~self.linear)
        low, high = np.array([self.coordinates[j].searched for j in free]).reshape(-1, 2).T
        theta[:, free] = low + spread_points(POINTS, len(free)) * (high - low)
        return self._parameters(theta)

    def condensed_at(self, theta: FloatArray) -> BoundLaw:
        """The condensed law where it predicts the same at a point (p,), else this one."""
        some = slice(None, None, 1 if self.condensed.between is None else max(1, self.n // TESTED_ROWS))
        few, all_values = (law.take(some).value(theta[None])[0] for law in (self.condensed, self))
        return self.condensed if np.all(np.abs(few - all_values) <= SAME * np.abs(all_values)) else self

    def parameters(self, theta: FloatArray) -> dict[str, FloatArray]:
        """All parameters, (B, 1) each, from coordinates (B, p)."""
        with np.errstate(over="ignore"):
            return self._parameters(theta)

    def _parameters(self, theta: FloatArray) -> dict[str, FloatArray]:
        columns = ((one, theta[:, j : j + 1]) for j, one in enumerate(self.coordinates))
        found = {one.name: np.exp(column) if one.log else column for one, column in columns}
        for name, value in self.fixed.items():
            found[name] = np.full((len(theta), 1), value, dtype=theta.dtype)
        for name, tie in self.ties.items():
            found[name] = tie(found) + np.zeros((len(theta), 1), dtype=theta.dtype)
        return {name: found[name] for name in self.law.parameters}

    def vector(self, theta: FloatArray) -> FloatArray:
        """All parameters in the law's order, (B, P)."""
        return np.hstack(list(self.parameters(theta).values()))

    def value(self, theta: FloatArray) -> FloatArray:
        """Predictions (B, n)."""
        with np.errstate(all="ignore"):
            if self.program is not None:
                try:
                    return self._every_row(self.program.value(theta), len(theta))
                except BeyondProgramError:
                    pass  # as below
            parameters = self._parameters(theta)
            found = self.law.evaluate(self.variables, parameters)
            if self.between is not None:
                found = found + self.between.sums(self.law, parameters)
        return self._every_row(found, len(theta))

    def jacobian(self, theta: FloatArray, only: np.ndarray | None = None) -> tuple[FloatArray, FloatArray]:
        """Predictions (B, n) and their derivatives (B, p, n) by every coordinate, or by those at some positions."""
        if self.program is not None:
            some = self.every if only is None else tuple(only.tolist())
            try:
                with np.errstate(all="ignore"):
                    value, out = self.program.slopes(theta, some)
                return self._every_row(value, len(theta)), out
            except BeyondProgramError:
                pass  # as below
        moved = self.coordinates if only is None else [self.coordinates[j] for j in only]
        out = np.empty((len(theta), len(moved), self.n), dtype=theta.dtype)
        with np.errstate(all="ignore"):
            parameters = self._parameters(theta)
            needed = [*self.ties, *(c.name for c in moved)]
            value, partials = self.law.derivatives(self.variables, parameters, needed)
            if self.between is not None:
                value, partials = self.between.added(self.law, value, partials, parameters)
            for j, coordinate in enumerate(moved):
                name = coordinate.name
                partial = through_ties(self.ties, name, partials, parameters)
                out[:, j] = partial * parameters[name] if coordinate.log else partial
        return self._every_row(value, len(theta)), out

    def bends(self, theta: FloatArray, per_row: FloatArray) -> FloatArray | None:
        """sum over rows of per_row (B, n) times second derivatives, (B, p, p); None where differences are cheaper."""
        if self.program is None or not self.program.outline.is_second_short:
            return None
        try:
            return np.asarray(self.program.bends(theta, per_row))
        except BeyondProgramError:
            return None

    def _every_row(self, value: FloatArray, members: int) -> FloatArray:
        """Predictions (B, n) of a law whose value may not depend on every row or member."""
        return value if np.shape(value) == (members, self.n) else np.broadcast_to(value, (members, self.n))


@lru_cache(maxsize=128)
def _outline(
    law: Law,
    variables: tuple[str, ...],
    moved: tuple[tuple[str, bool, bool], ...],
    fixed: tuple[str, ...],
    ties: tuple[tuple[str, str], ...],
) -> Outline | None:
    """The operations of a law's formula; None where it has none that can be written out."""

    def formula(data: Mapping[str, Node], theta: list[Node]) -> Node:
        found = {one: np.exp(node) if log else node for (one, log, _), node in zip(moved, theta, strict=True)}
        found |= {one: data[one] for one in fixed}
        found |= {one: parse(text)(found) for one, text in ties}
        made: Node = law.evaluate({one: data[one] for one in variables}, {one: found[one] for one in law.parameters})
        return made

    curved = [j for j, (*_, linear) in enumerate(moved) if not linear]
    try:
        return Outline(formula, [*variables, *fixed], len(moved), curved)
    except (TypeError, AttributeError, InputError):  # it looks at numbers, or at their arrangement
        return None


def bind(
    law: Law,
    variables: Mapping[str, FloatArray],
    *,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    starts: Mapping[str, tuple[float, float]] | None = None,
    position: FloatArray | None = None,
) -> BoundLaw:
    """Bind a law to rows, with parameters fixed, tied by expressions, bounded, or begun elsewhere.

    Raises :class:`InputError` for a name that the law does not have, an empty box, or a tie to itself.
    """
    fix, tie, bounds, starts = dict(fix or {}), dict(tie or {}), dict(bounds or {}), dict(starts or {})
    declared = dict(law.parameters)
    settings = (("fix", fix), ("tie", tie), ("bounds", bounds), ("starts", starts))
    refuse_unknown(law, [(setting, name) for setting, names in settings for name in names])
    fix = {name: _number(value, f"fix of {name}") for name, value in fix.items()}
    for name, pair in bounds.items():
        old, where = declared[name], f"bounds of {name}"
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{pair!r} is not a pair", where=where, todo="give (low, high), None for an open end")
        low = old.low if pair[0] is None else _number(pair[0], where, finite=False)
        high = old.high if pair[1] is None else _number(pair[1], where, finite=False)
        if not low < high:
            what = f"the lower end {low:g} is not below {high:g}"
            raise InputError(what, where=where, todo=f"its domain: {old.low:g} to {old.high:g}")
        declared[name] = replace(old, low=float(low), high=float(high))
    for name, variable in law.floors.items():
        least, old = float(np.min(variables[variable], initial=np.inf)), declared[name]
        if name not in fix and name not in tie and old.low < least < old.high:
            declared[name] = replace(old, high=least)
    for name, start in starts.items():
        declared[name] = replace(declared[name], starts=(float(start[0]), float(start[1])))
    ties = {name: parse(text) for name, text in tie.items()}
    check_ties(law, ties, fix)
    free = [name for name in declared if name not in fix and name not in ties]
    still_linear = linear_under(ties, {name for name in declared if declared[name].linear})
    coordinates = tuple(Coordinate.of(name, declared[name], variables, name in still_linear) for name in free)
    if not coordinates:
        raise InputError("every parameter is fixed or tied", where=f"law {law.name}", todo="leave one free")
    return BoundLaw(law, variables, coordinates, {k: float(v) for k, v in fix.items()}, ties, position)


def _number(value: object, where: str, finite: bool = True) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = np.nan
    if np.isnan(number) or (finite and not np.isfinite(number)):
        raise InputError(f"{value!r} is not a number", where=where, todo="give a number")
    return number
