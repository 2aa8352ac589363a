"""Sums of many values a row, evaluated at few rows of a curve and interpolated at the others.

Between two kinks of a schedule the sum over its earlier changes is smooth along the run. So the rows of a curve are
cut into pieces, each with a few of its own rows as knots, and halved until the polynomial through the knots gives the
sums between them at parameters all over their ranges. A piece of few rows is not interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray

KNOTS = 10  #: of one piece
SAME = 3e-9  #: error between the knots, relative to the largest sum
ROUNDING = 1e-14  #: the same, of the largest sum at any parameters
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Between:
    """For n rows the pieces that they lie in, and what each knot of its piece counts for a row."""

    knots: Mapping[str, FloatArray]  #: the law's variables at all knots, (m,) or (m, K) each
    begin: Indices  #: the first knot of each piece, and after the last piece their number
    piece: Indices  #: (n,)
    factor: FloatArray  #: (n, KNOTS)

    def take(self, rows: slice | np.ndarray) -> Between:
        """The same for some of the rows."""
        piece = self.piece[rows]
        used, number = np.unique(piece, return_inverse=True)
        kept = np.concatenate([np.arange(self.begin[i], self.begin[i + 1]) for i in used])
        begin = np.concatenate([[0], np.cumsum(np.diff(self.begin)[used])])
        return Between({name: x[kept] for name, x in self.knots.items()}, begin, number, self.factor[rows])

    def sums(self, law: Law, parameters: Mapping[str, FloatArray]) -> FloatArray:
        """What the law's sums add to its value at the rows, (B, n)."""
        there, none = (law.evaluate(variables, parameters) for variables in (self.knots, without(law, self.knots)))
        return self.spread(there - none)

    def added(
        self, law: Law, value: FloatArray, partials: Mapping[str, FloatArray], parameters: Mapping[str, FloatArray]
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """A value (B, n) and its partial derivatives with what the sums add to them."""
        (there, ahead), (none, apart) = (
            law.derivatives(variables, parameters, list(partials))
            for variables in (self.knots, without(law, self.knots))
        )
        changes = {"": there - none, **{name: ahead[name] - apart[name] for name in partials}}
        moved = [name for name, change in changes.items() if np.any(change)]
        shape = there.shape
        spread = self.spread(np.concatenate([np.broadcast_to(changes[name], shape) for name in moved] or [there[:0]]))
        found = {"": value, **partials}
        for name, more in zip(moved, np.split(spread, max(1, len(moved))), strict=False):
            found[name] = found[name] + more
        return found.pop(""), found

    def spread(self, at_knots: FloatArray) -> FloatArray:
        """Values at the knots, (B, m), interpolated at the rows, (B, n)."""
        order = np.argsort(self.piece, kind="stable") if np.any(np.diff(self.piece) < 0) else slice(None)
        piece, factor = self.piece[order], self.factor[order]
        found = np.empty((len(at_knots), len(piece)), dtype=at_knots.dtype)
        cuts = np.concatenate([[0], np.flatnonzero(np.diff(piece)) + 1, [len(piece)]])
        for first, last in pairwise(cuts):
            i = piece[first]
            some = slice(self.begin[i], self.begin[i + 1])
            found[:, first:last] = at_knots[:, some] @ factor[first:last, : some.stop - some.start].T
        if isinstance(order, slice):
            return found
        back = np.empty_like(found)
        back[:, order] = found
        return back


def without(law: Law, variables: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Rows that hold no value of those variables of which others hold many."""
    return {name: x[:, :0] if law.variables[name].many else x for name, x in variables.items()}


def pieces(made: Callable[[Indices], FloatArray], position: FloatArray) -> list[tuple[int, int, Indices]]:
    """Where pieces of the rows begin and end, and which rows are their knots.

    ``made`` gives the sums at some rows, (points, rows); ``position`` (n,) rises along each curve.
    """
    cuts = [0, *(np.flatnonzero(np.diff(position) <= 0) + 1).tolist(), len(position)]
    left, done = list(pairwise(cuts)), []
    largest: FloatArray = np.zeros(())
    while left:
        long = [piece for piece in left if piece[1] - piece[0] > 2 * KNOTS]
        done += [(a, b, np.arange(a, b)) for a, b in left if b - a <= 2 * KNOTS]
        if not long:
            break
        knots = [_knots(position, a, b) for a, b in long]
        tests = [np.unique((one[:-1] + one[1:]) // 2) for one in knots]
        sums = made(np.concatenate([*knots, *tests]))
        largest = np.maximum(largest, np.abs(sums).max(axis=1))
        counts = np.cumsum([len(one) for one in (*knots, *tests)])[:-1]
        parts = np.split(sums, counts, axis=1)
        left = []
        for (a, b), one, test, known, wanted in zip(
            long, knots, tests, parts[: len(long)], parts[len(long) :], strict=True
        ):
            found = known @ factors(position[one], position[test]).T
            if np.all(np.abs(found - wanted) <= SAME * largest[:, None] + ROUNDING * largest.max()):
                done.append((a, b, one))
            else:
                left += [(a, (a + b) // 2), ((a + b) // 2, b)]
    return sorted(done, key=lambda piece: piece[0])


def joined(found: list[tuple[int, int, Indices]], position: FloatArray) -> tuple[Indices, Indices, Indices, FloatArray]:
    """Of pieces: their knots one after the other, where each piece begins among them, and the pieces and factors of
    all rows."""
    begin = np.concatenate([[0], np.cumsum([len(knots) for *_, knots in found])])
    piece = np.repeat(np.arange(len(found)), [b - a for a, b, _ in found])
    factor = np.zeros((len(position), max(len(knots) for *_, knots in found)))
    for a, b, knots in found:
        own = np.eye(b - a) if len(knots) == b - a else factors(position[knots], position[a:b])
        factor[a:b, : len(knots)] = own
    return np.concatenate([knots for *_, knots in found]), begin, piece, factor


def _knots(position: FloatArray, first: int, last: int) -> Indices:
    """Rows of first..last-1 near Chebyshev's points, the ends among them."""
    part = 0.5 - 0.5 * np.cos(np.pi * np.arange(KNOTS) / (KNOTS - 1))
    low, high = position[first], position[last - 1]
    wanted = low + part * (high - low)
    after = np.clip(np.searchsorted(position[first:last], wanted), 1, last - first - 1) + first
    nearer = np.where(wanted - position[after - 1] < position[after] - wanted, after - 1, after)
    return np.unique(np.concatenate([[first], nearer, [last - 1]]))


def factors(knots: FloatArray, at: FloatArray) -> FloatArray:
    """What each knot (k,) counts at some places (n,) for the polynomial through all, (n, k)."""
    scale = 4 / (knots[-1] - knots[0])  # differences of order one
    weight = 1 / np.prod(np.where(np.eye(len(knots), dtype=bool), 1.0, scale * (knots[:, None] - knots)), axis=1)
    away = at[:, None] - knots
    exact = away == 0
    share = weight / np.where(exact, 1.0, away)
    found = share / share.sum(axis=1, keepdims=True)
    return np.asarray(np.where(exact.any(axis=1, keepdims=True), exact, found), dtype=np.float64)
