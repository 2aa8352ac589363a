"""Sums over all earlier learning-rate changes at each logged step, from a few nodes per row.

Some schedule laws contain, for each logged step t, a sum over all earlier changes of the learning rate,

    sum_{k <= t} gap_k f(lr_k, area_k(t), T_k),   gap_k = lr_{k-1} - lr_k,   area_k(t) = sum_{i=k}^{t} lr_i,

T_k = sum_{i<=k} lr_i, with f smooth in the logarithms of its arguments. Steps without a change have no gap. A few gaps
are kept unchanged. Many (a cosine has one at every step) are cut into blocks of blocks (:mod:`scalefit.schedules.tree`)
of which each is replaced, once for all rows, by a few nodes. A row sums over the nodes of the blocks that lie farther
from it than they are long, and over each gap nearby: the exact sum to about a billionth, at a cost of
O(steps + rows x log steps).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError
from scalefit.schedules.tree import Level, grow

Floats = NDArray[np.float64]
FEW = 48  #: up to so many gaps are kept unchanged
BLOCK = 2048  #: rows whose nodes are found together
LEAST = 1e-8  #: smallest learning rate and area, relative to the peak: steps at learning rate 0 have no effect


@dataclass(frozen=True)
class Gaps:
    """For each of n rows K gaps (or nodes that represent many): three arrays (n, K), filled up with zero gaps."""

    gap: Floats  #: drop of the learning rate (negative: a rise)
    lr: Floats  #: learning rate after it
    area: Floats  #: sum of the learning rate from the step of the gap to the row's step, both included


@dataclass(frozen=True)
class Measure:
    """The gaps of a schedule, (m,) each."""

    gap: Floats
    lr: Floats
    before: Floats  #: sum of the learning rate before the step of each gap


def gaps_at(
    lr_per_step: ArrayLike, steps: ArrayLike, *, after: int = 0, fading: bool = False, exact: bool = False
) -> Gaps:
    """The learning-rate gaps before each of some steps.

    ``lr_per_step``: (T+1,) learning rate of steps 0..T; ``steps``: (n,) the rows; ``after``: gaps up to this step are
    left out (the end of the warmup, whose rise would count as negative gaps); ``fading``: group so that sums that also
    depend on T_k, the area up to the gap, agree; ``exact``: never group. Raises InputError for a step beyond the
    schedule.

    >>> found = gaps_at([1, 1, 0.5, 0.25], [1, 2, 3])
    >>> found.gap.tolist(), found.area.tolist()
    ([[0.0, 0.0], [0.5, 0.0], [0.5, 0.25]], [[1.0, 1.0], [0.5, 1.0], [0.75, 0.25]])
    """
    lr, at = np.asarray(lr_per_step, dtype=np.float64), np.asarray(steps)
    if at.size and not (at.min() >= 0 and at.max() < lr.size):
        what = f"step {at.max()} lies outside a schedule of {lr.size - 1} steps"
        raise InputError(what, todo="give a schedule at least as long as the run")
    before = np.concatenate([[0.0], np.cumsum(lr)])
    change = np.concatenate([[0.0], lr[:-1] - lr[1:]])
    change[: after + 1] = 0.0
    peak = float(lr.max(initial=0.0)) or 1.0
    index = np.flatnonzero(change)
    if not len(index):
        empty = np.zeros((at.size, 0))
        return Gaps(empty, empty, empty)
    measure = Measure(change[index], np.maximum(lr[index], LEAST * peak), before[index])
    reach = np.searchsorted(index, at, side="right")  # how many gaps precede each row
    few = exact or len(index) <= FEW or not at.size
    gap, rate, area = (
        _every(measure, reach, before[at + 1]) if few else _grouped(measure, reach, before[at + 1], fading)
    )
    nothing = gap == 0
    return Gaps(gap, np.where(nothing, peak, rate), np.where(nothing, peak, np.maximum(area, LEAST * peak)))


def _every(measure: Measure, reach: NDArray[np.intp], now: Floats) -> tuple[Floats, Floats, Floats]:
    seen = np.arange(len(measure.gap)) < reach[:, None]
    area = now[:, None] - measure.before
    return np.where(seen, measure.gap, 0.0), np.broadcast_to(measure.lr, area.shape), np.where(seen, area, 1.0)


def _grouped(measure: Measure, reach: NDArray[np.intp], now: Floats, fading: bool) -> tuple[Floats, Floats, Floats]:
    """The nodes of the far blocks and the gaps nearby, (n, K) each, absent ones with gap 0."""
    leaves, levels = grow(measure.gap, measure.lr, measure.before, fading)
    parts = [_rows(leaves, levels, reach[i : i + BLOCK], now[i : i + BLOCK]) for i in range(0, len(reach), BLOCK)]
    width = max(part[0].shape[1] for part in parts)
    if width >= len(measure.gap):
        return _every(measure, reach, now)
    filled = [[np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in part] for part in parts]
    gap, rate, area = (np.concatenate(arrays) for arrays in zip(*filled, strict=True))
    return gap, rate, area


def _rows(
    leaves: tuple[Floats, Floats, Floats], levels: list[Level], reach: NDArray[np.intp], now: Floats
) -> tuple[Floats, Floats, Floats]:
    """The same for some rows: from the largest blocks down, each is taken, or cut, or lies after the row."""
    rows, none = np.arange(len(reach)), np.empty(0, dtype=np.intp)
    taken: list[tuple[NDArray[np.intp], Floats, Floats, Floats]] = []
    row, block = none, none
    for level in reversed(levels):
        row, block = row.repeat(2), (2 * block[:, None] + np.array([0, 1])).ravel()
        if level.alone:  # a last block without a partner
            row, block = np.append(row, rows), np.append(block, np.full(len(rows), level.count - 1))
        begun = level.cells.first[block] < reach[row]
        row, block = row[begun], block[begun]
        begin, end = level.cells.begin[block], level.cells.end[block]
        far = (level.cells.last[block] <= reach[row]) & level.cells.smooth[block] & (now[row] - end >= end - begin)
        whole = block[far]
        taken.append((row[far], level.gap[whole], level.lr[whole], level.before[whole]))
        row, block = row[~far], block[~far]
    number = levels[0].cells.first[block][:, None] + np.arange(leaves[0].shape[1])
    seen = np.where(number < reach[row][:, None], leaves[0][block], 0.0)
    taken.append((row, seen, leaves[1][block], leaves[2][block]))
    return _joined(taken, now)


def _joined(taken: list[tuple[NDArray[np.intp], Floats, Floats, Floats]], now: Floats) -> tuple[Floats, Floats, Floats]:
    """Values of (row, block) pairs side by side in their rows, from the left, without those of gap 0."""
    row = np.concatenate([np.repeat(each[0], each[1].shape[1]) for each in taken])
    gap, lr, before = (np.concatenate([each[i].ravel() for each in taken]) for i in (1, 2, 3))
    there = np.flatnonzero(gap)
    order = there[np.argsort(row[there], kind="stable")]
    row = row[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    width = int(rank.max(initial=-1)) + 1
    found = []
    for values in (gap[order], lr[order], now[row] - before[order]):
        filled = np.zeros((len(now), width))
        filled[row, rank] = values
        found.append(filled)
    return found[0], found[1], found[2]
