"""Blocks of learning-rate gaps, each replaced by nodes that give the same sums of every smooth function.

A gap stands at (x, y), the area under the learning rate before it and the logarithm of the rate after it. In a block
of neighbours y follows x: y = Y(x) + d, with Y a polynomial and d small. A sum of gap f(x, y) over the block equals
sum_j w_j f(x_j, Y(x_j) + d_j) over Chebyshev nodes, w_j and d_j being such that all f that are polynomials in x and
linear in d come out exactly. Where d is too large for that (a rounded rate), each x_j has several nodes in d. Two
neighbours make a larger block of their nodes, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAF = 32  #: gaps of the smallest block
NODES = 8  #: in x: with blocks no longer than their distance, the error is at most 5.8^-8, in sums some 1e-10
MORE = 10  #: the same where rises and falls add up to CANCELLED times what is left of them: a rate with noise
CANCELLED = 20.0
DEGREE, PLAIN = 6, 3  #: coefficients of Y, and of a Y past a kink
KINKED = 6e-5  #: d beyond which there is a kink
#: nodes in d, and up to which size of d they give a billionth; one is moved to the mean of its d
ACROSS = ((1, 3e-5), (2, 6e-5), (3, 3e-3), (4, 2e-2), (6, 0.15))
WIDEST = 0.8  #: range of y in one block
RIDGE = 1e-13
TINY = 1e-300


@dataclass(frozen=True)
class Cells:
    """Blocks of one size, (count,) each: which gaps they hold, and how far these reach in x and y."""

    first: NDArray[np.intp]  #: number of the first gap
    last: NDArray[np.intp]  #: number of the gap after the last one
    begin: Floats  #: x of the first gap
    end: Floats  #: x of the last gap
    low: Floats  #: smallest y
    high: Floats
    smooth: NDArray[np.bool_]  #: whether nodes may stand for the gaps


@dataclass(frozen=True)
class Level:
    """All blocks of one size, with the nodes of each: three arrays (count, K), of gap 0 where there is none."""

    cells: Cells
    gap: Floats
    lr: Floats
    before: Floats

    @property
    def count(self) -> int:
        """How many blocks."""
        return len(self.cells.first)

    @property
    def alone(self) -> bool:
        """Whether the last block is part of no larger one."""
        return self.count % 2 == 1


def grow(gap: Floats, lr: Floats, before: Floats, fading: bool) -> tuple[tuple[Floats, Floats, Floats], list[Level]]:
    """The gaps (m,) of each smallest block, (count, LEAF) each, and the levels of blocks, from the smallest on.

    ``fading``: sums also depend on the area before a gap.
    """
    count = -(-len(gap) // LEAF)
    ends: tuple[tuple[Floats, Literal["constant", "edge"]], ...] = ((gap, "constant"), (lr, "edge"), (before, "edge"))
    drops, rates, areas = (np.pad(x, (0, count * LEAF - len(x)), mode=how).reshape(count, LEAF) for x, how in ends)
    first, y = np.arange(count) * LEAF, np.log(rates)
    ends_at, spans = (areas[:, 0], areas[:, -1]), (y.min(axis=1), y.max(axis=1))
    cells = Cells(first, np.minimum(first + LEAF, len(gap)), *ends_at, *spans, np.ones(count, dtype=bool))
    cancelled = np.abs(gap).sum() > CANCELLED * abs(gap.sum())
    nodes = MORE if cancelled else NODES
    levels = [_level(cells, drops, areas, y, fading, nodes)]
    while levels[-1].count > 1:
        levels.append(_merged(levels[-1], fading, nodes))
    return (drops, rates, areas), levels


def _merged(below: Level, fading: bool, nodes: int) -> Level:
    """Each two neighbours as one block."""
    pairs = 2 * (below.count // 2)
    one, other, old = slice(0, pairs, 2), slice(1, pairs, 2), below.cells
    gap, lr, before = (np.hstack([x[one], x[other]]) for x in (below.gap, below.lr, below.before))
    cells = Cells(
        old.first[one],
        old.last[other],
        old.begin[one],
        old.end[other],
        np.minimum(old.low[one], old.low[other]),
        np.maximum(old.high[one], old.high[other]),
        old.smooth[one] & old.smooth[other],
    )
    return _level(cells, gap, before, np.log(lr), fading, nodes)


def _level(cells: Cells, gap: Floats, before: Floats, y: Floats, fading: bool, count: int) -> Level:
    """The nodes, ``count`` in x, of blocks whose gaps, or nodes of smaller blocks, are given, (count, n) each."""
    half = np.maximum(0.5 * (cells.end - cells.begin), TINY)
    centre = cells.begin + half
    powers = _chebyshev(np.clip((before - centre[:, None]) / half[:, None], -1.0, 1.0), count)
    line, d = _line(powers, y, gap != 0)
    rough = np.abs(d).max(axis=1)
    across = 1 + np.searchsorted([size for _, size in ACROSS], rough)
    smooth = cells.smooth & (cells.high - cells.low <= WIDEST) & (across <= len(ACROSS))
    if fading:
        smooth = smooth & (cells.end - cells.begin <= cells.begin)
    shape = (len(gap), count * max((ACROSS[a - 1][0] for a in np.unique(across[smooth])), default=1))
    nodes = Level(replace(cells, smooth=smooth), np.zeros(shape), np.ones(shape), np.zeros(shape))
    nodes.before[:] = cells.begin[:, None]
    for number, (many, _) in enumerate(ACROSS, 1):
        some = np.flatnonzero(smooth & (across == number))
        if len(some):
            mass, rate, at = _nodes(gap[some], powers[some], d[some], rough[some], line[some], many)
            nodes.gap[some, : count * many] = mass
            nodes.lr[some, : count * many] = rate
            nodes.before[some, : count * many] = centre[some, None] + half[some, None] * at
    return nodes


def _chebyshev(x: Floats, count: int) -> Floats:
    """Chebyshev polynomials (b, count, n) at x (b, n)."""
    found = np.empty((x.shape[0], count, x.shape[1]))
    found[:, 0] = 1.0
    if count > 1:
        found[:, 1] = x
    for k in range(2, count):
        found[:, k] = 2 * x * found[:, k - 1] - found[:, k - 2]
    return found


def _points(count: int) -> tuple[Floats, Floats]:
    """Chebyshev points (count,) and what makes weights at them of moments, (count, count)."""
    at = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    scale = np.where(np.arange(count) == 0, 1.0, 2.0) / count
    return at, scale[:, None] * _chebyshev(at[None], count)[0]


def _line(powers: Floats, y: Floats, there: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Coefficients (b, DEGREE) of the polynomials nearest to y (b, n) where gaps are there, and y's distance d.

    Where a kink lies within a block a polynomial of high degree would swing: it is then of a low one.
    """
    line = np.zeros((len(y), DEGREE))
    far = np.arange(len(y))
    for degree in (DEGREE, PLAIN):
        basis = powers[far, :degree] * there[far, None]
        gram = basis @ powers[far, :degree].transpose(0, 2, 1)
        ridge = RIDGE * np.trace(gram, axis1=1, axis2=2) + TINY
        gram += ridge[:, None, None] * np.eye(degree)
        line[far] = 0.0
        line[far, :degree] = np.linalg.solve(gram, basis @ y[far, :, None])[:, :, 0]
        d = np.where(there, y - np.einsum("bk,bkn->bn", line, powers[:, :DEGREE]), 0.0)
        far = np.flatnonzero(np.abs(d).max(axis=1) > KINKED)
    return line, d


def _nodes(
    gap: Floats, powers: Floats, d: Floats, rough: Floats, line: Floats, many: int
) -> tuple[Floats, Floats, Floats]:
    """Weights, learning rates and places in -1..1 of the nodes, (b, count * many) each."""
    count = powers.shape[1]
    at, weights = _points(count)
    centre = line @ _chebyshev(at[None], DEGREE)[0]
    if many == 1:
        mass = np.einsum("bkn,bn->bk", powers, gap) @ weights
        moved = np.einsum("bkn,bn->bk", powers, gap * d) @ weights
        with np.errstate(all="ignore"):
            shift = np.where(mass == 0, 0.0, moved / mass)
        shift = np.clip(shift, -3 * rough[:, None], 3 * rough[:, None])
        return mass, np.exp(centre + shift), np.broadcast_to(at, mass.shape)
    along, spread = _points(many)
    height = np.maximum(rough, TINY)[:, None]
    across = _chebyshev(d / height, many)
    mass = np.einsum("bkn,bmn->bkm", powers, across * gap[:, None])
    mass = np.einsum("bkm,ki,mj->bij", mass, weights, spread).reshape(len(gap), count * many)
    rate = np.exp(centre[:, :, None] + height[:, :, None] * along).reshape(len(gap), count * many)
    return mass, rate, np.broadcast_to(np.repeat(at, many), mass.shape)
