"""A formula of NumPy operations, written out once as a list of operations on arrays, with its derivatives.

A formula is followed with a :class:`Node` in the place of every array. What it does becomes a :class:`Program`: the
same operations without detours, each once, those of the data alone once for all evaluations, and those of the first
and second derivatives by the chain rule of :mod:`scalefit.duals`. A formula that looks at numbers on its way (an
``if``, a loop until something has settled) or uses another operation has no program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from scalefit.duals import Dual

Array = Any
#: a function, the register of its result, those of its inputs, -1 where it has fewer, and the output that it is, or -1
Step = tuple[Callable[..., Array], int, int, int, int, int]
LONGEST = 4000  #: operations of a program


class BeyondProgramError(Exception):
    """Numbers for which the operations of a program are not those of the formula."""


class Node(np.lib.mixins.NDArrayOperatorsMixin):
    """The place of an array in a program; operations on it are written down."""

    __slots__ = ("graph", "place")

    def __init__(self, graph: Graph, place: int) -> None:
        self.graph, self.place = graph, place

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or any(each.__class__ is Dual for each in inputs):
            return NotImplemented
        return self.graph.node(ufunc, inputs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        if function in (np.real, np.ndim):
            return self if function is np.real else 2
        if function is not np.where or options or any(each.__class__ is Dual for each in args):
            return NotImplemented
        return self.graph.node(function, args)

    def __bool__(self) -> bool:
        raise TypeError("its value is not known yet")

    def is_positive(self) -> bool:
        """True: the program holds only where all its numbers are."""
        self.graph.positive.add(self.place)
        return True


@dataclass
class Graph:
    """Operations in order; what no operation makes is given: data, coordinates, or a number of the formula."""

    functions: list[Callable[..., Array] | None] = field(default_factory=list)
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    moved: list[bool] = field(default_factory=list)  #: whether it depends on a coordinate
    numbers: dict[int, Array] = field(default_factory=dict)
    positive: set[int] = field(default_factory=set)
    known: dict[Any, int] = field(default_factory=dict)

    def given(self, moved: bool) -> Node:
        """A new place for what is given."""
        return Node(self, self._new(None, (), moved))

    def node(self, function: Callable[..., Array], inputs: Sequence[Any]) -> Node:
        """The place of what a function makes of its inputs; the same one for the same."""
        places = tuple(map(self.place, inputs))
        key = (function, places)
        if key not in self.known:
            self.known[key] = self._new(function, places, any(self.moved[i] for i in places))
        return Node(self, self.known[key])

    def place(self, each: Any) -> int:
        """Where an input lies."""
        if isinstance(each, Node):
            return each.place
        key = ("number", type(each), id(each) if np.ndim(each) else each)
        if key not in self.known:
            self.known[key] = self._new(None, (), False)
            self.numbers[self.known[key]] = each
        return self.known[key]

    def _new(self, function: Callable[..., Array] | None, inputs: tuple[int, ...], moved: bool) -> int:
        if len(self.functions) >= LONGEST:
            raise TypeError("too many operations")
        self.functions.append(function)
        self.inputs.append(inputs)
        self.moved.append(moved)
        return len(self.functions) - 1

    def needed(self, ends: Sequence[int]) -> list[int]:
        """The places that lead to some ends, in order."""
        found, left = set(), list(ends)
        while left:
            place = left.pop()
            if place not in found:
                found.add(place)
                left += self.inputs[place]
        return sorted(found)

    def derived(self, of: int, coordinates: Sequence[int]) -> tuple[int, dict[int, int]]:
        """Where the value of a place lies, written by the rules of :class:`Dual`, and its derivatives other than 0."""
        here: dict[int, Any] = {j: Dual(Node(self, j), {str(j): 1.0}) for j in coordinates}
        for place in self.needed([of]):
            function = self.functions[place]
            if self.moved[place] and function is not None:
                here[place] = function(*[here.get(i, self.numbers.get(i, Node(self, i))) for i in self.inputs[place]])
        end = here.get(of)
        if not isinstance(end, Dual):
            return of, {}
        return self.place(end.value), {int(j): self.place(slope) for j, slope in end.partials.items()}


@dataclass(frozen=True)
class Plan:
    """What is done for some outputs: once for the data, and for each evaluation, in a list of registers.

    Those of coordinates come first, then what does not depend on them, then those that are written again and again.
    """

    fixed: tuple[int, ...]  #: places of what does not depend on coordinates
    constant: tuple[int, ...]  #: what leads there, in order
    positive: tuple[int, ...]  #: what of it holds for positive numbers alone
    steps: tuple[Step, ...]
    registers: int
    ends: tuple[int, ...]

    def run(self, registers: list[Array], outputs: Sequence[Array]) -> list[Array]:
        """The ends; some of them are written into given arrays."""
        for function, to, one, two, three, output in self.steps:
            if two < 0:
                registers[to] = function(registers[one]) if output < 0 else function(registers[one], outputs[output])
            elif output >= 0:
                registers[to] = function(registers[one], registers[two], outputs[output])
            elif three < 0:
                registers[to] = function(registers[one], registers[two])
            else:
                registers[to] = function(registers[one], registers[two], registers[three])
        return [registers[end] for end in self.ends]


class Outline:
    """The operations of a formula of data and coordinates, whatever their numbers."""

    def __init__(self, formula: Callable[..., Any], names: Sequence[str], coordinates: int, curved: Sequence[int]):
        self.graph = Graph()
        self.plans: dict[Any, Plan] = {}
        self.data = {name: self.graph.given(False) for name in names}
        theta = [self.graph.given(True) for _ in range(coordinates)]
        self.theta = [node.place for node in theta]
        self.value = self.graph.place(formula(self.data, theta))
        self.value_with_slopes, slopes = self.graph.derived(self.value, self.theta)
        self.slopes = [slopes.get(j, self.graph.place(0.0)) for j in self.theta]
        self.curved = curved

    @cached_property
    def second(self) -> list[tuple[int, int, int]]:
        """Two positions of coordinates and the place of the second derivative by them, where it is not 0."""
        found = []
        for j in self.curved:
            bends = self.graph.derived(self.slopes[j], self.theta)[1]
            others = (i for i in range(len(self.theta)) if i not in self.curved or i <= j)
            found += [(i, j, bends[self.theta[i]]) for i in others if self.theta[i] in bends]
        return found

    @cached_property
    def is_second_short(self) -> bool:
        """Whether second derivatives take fewer operations than first ones at a step along each curved coordinate."""
        try:
            second = self.plan("second")
        except TypeError:  # too many
            return False
        return len(second.steps) <= len(self.curved) * len(self.plan("slopes", tuple(range(len(self.theta)))).steps)

    def plan(self, kind: str, only: tuple[int, ...] = ()) -> Plan:
        """What is done for the value, the slopes by some coordinates, or the second derivatives."""
        key = (kind, only)
        if key not in self.plans:
            ends = [self.value_with_slopes if only else self.value]
            if kind == "second":
                ends = [place for *_, place in self.second]
            self.plans[key] = self._planned(ends + [self.slopes[j] for j in only], 1 if only else len(ends))
        return self.plans[key]

    def _planned(self, ends: list[int], own: int) -> Plan:
        """The first ``own`` of some ends come in arrays of their own, the others in given ones."""
        graph, needed = self.graph, self.graph.needed(ends)
        last = {i: place for place in needed for i in graph.inputs[place]}
        fixed = sorted({i for place in needed if graph.moved[place] for i in graph.inputs[place] if not graph.moved[i]})
        fixed += [end for end in dict.fromkeys(ends) if not graph.moved[end] and end not in fixed]
        at = {place: i for i, place in enumerate([*self.theta, *fixed])}
        free: list[int] = []
        steps: list[Step] = []
        count = len(at)
        for place in needed:
            function, inputs = graph.functions[place], graph.inputs[place]
            if function is None or not graph.moved[place]:
                continue
            one, two, three = ([at[i] for i in inputs] + [-1, -1])[:3]
            over = {i for i in inputs if graph.moved[i] and last[i] == place and i not in ends and i not in self.theta}
            free += [at[i] for i in over]
            if not free:
                free, count = [count], count + 1
            at[place] = free.pop()
            given = place in ends[own:] and place not in ends[:own] and function is not np.where
            output = ends[own:].index(place) if given else -1
            steps.append((function, at[place], one, two, three, output))
            if place in graph.positive:
                steps.append((_positive, at[place], at[place], -1, -1, -1))
        constant = tuple(i for i in needed if not graph.moved[i] and graph.functions[i] is not None)
        positive = tuple(i for i in needed if i in graph.positive and not graph.moved[i])
        return Plan(tuple(fixed), constant, positive, tuple(steps), count, tuple(at[end] for end in ends))


def _positive(x: Array) -> Array:
    if not np.min(x) > 0:
        raise BeyondProgramError
    return x


class Program:
    """The operations of an outline on given data: variables (n,), or (B, n) for members with rows of their own."""

    def __init__(self, outline: Outline, data: Mapping[str, Array], rows: int) -> None:
        self.outline, self.rows = outline, rows
        self.known = {node.place: data[name] for name, node in outline.data.items()}
        self.checked: set[int] = set()
        self.ready: dict[Any, tuple[Plan, list[Array]]] = {}

    def _run(self, theta: Array, outputs: Sequence[Array], kind: str, only: tuple[int, ...] = ()) -> list[Array]:
        """The ends of a plan at coordinates (B, p), or at one point (p,)."""
        if (kind, only) not in self.ready:
            self.ready[kind, only] = self._prepared(kind, only)
        plan, registers = self.ready[kind, only]
        of = theta.tolist() if theta.ndim == 1 else [theta[:, j : j + 1] for j in range(theta.shape[1])]
        return plan.run(of + registers, outputs)

    def _prepared(self, kind: str, only: tuple[int, ...]) -> tuple[Plan, list[Array]]:
        """The plan, and its registers after those of coordinates: what it needs of the data, and empty ones."""
        plan, graph, known = self.outline.plan(kind, only), self.outline.graph, self.known
        known.update(graph.numbers)
        for place in plan.constant:
            function = graph.functions[place]
            if place not in known and function is not None:
                known[place] = function(*[known[i] for i in graph.inputs[place]])
        for place in set(plan.positive) - self.checked:
            _positive(known[place])
            self.checked.add(place)
        fixed = [known[place] for place in plan.fixed]
        return plan, fixed + [None] * (plan.registers - len(fixed) - len(self.outline.theta))

    def value(self, theta: Array) -> Array:
        """The value at coordinates (B, p); its shape broadcasts to (B, n)."""
        return self._run(theta, (), "value")[0]

    def slopes(self, theta: Array, only: tuple[int, ...]) -> tuple[Array, Array]:
        """The value, and its derivatives (B, k, n) by the coordinates at k positions; at one point (p,) without B."""
        made = np.empty((len(only), *theta.shape[:-1], self.rows), dtype=theta.dtype)  # each derivative in one piece
        columns = list(made)
        value, *found = self._run(theta, columns, "slopes", only)
        for slope, column in zip(found, columns, strict=True):
            if slope is not column:
                column[...] = slope
        return value, made.transpose(1, 0, 2) if theta.ndim == 2 else made

    def bends(self, theta: Array, per_row: Array) -> Array:
        """sum over rows of per_row (B, n) times the second derivatives, (B, p, p); at one point (p,) without B."""
        p = len(self.outline.theta)
        found = np.zeros((*theta.shape[:-1], p, p))
        seconds = self._run(theta, (), "second")
        for (i, j, _), second in zip(self.outline.second, seconds, strict=True):
            if np.shape(second)[-1:] == (self.rows,):
                found[..., i, j] = found[..., j, i] = np.vecdot(per_row, second)
            else:  # the same in every row
                same = per_row.sum(axis=-1, keepdims=True) * second
                found[..., i, j] = found[..., j, i] = same[..., 0]
        return found
