"""Sums over all earlier learning-rate changes at each logged step, from a few nodes per row.

Some schedule laws contain, for each logged step t, a sum over all earlier changes of the learning rate,

    sum_{k <= t} gap_k f(lr_k, area_k(t), T_k),   gap_k = lr_{k-1} - lr_k,   area_k(t) = sum_{i=k}^{t} lr_i,

T_k = sum_{i<=k} lr_i, with f smooth in the logarithms of its arguments. Steps without a change have no gap. A few gaps
are kept unchanged; many (a cosine has one at every step) are replaced, row by row, by two nodes in each of a few bins
of log area: the two-point Gauss rule of the gaps in the bin (four moments in the area, regression of lr on it). The
number of bins is raised until the sum agrees with the exact one, so the cost is O(steps + rows x nodes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError

Floats = NDArray[np.float64]
FEW = 48  #: up to so many gaps of one sign are kept unchanged
#: tried in turn: the number of bins of log area, and the factor in learning rate within one bin
BINS = ((8, 4.0), (12, 2.5), (16, 2.0), (24, 1.6), (32, 1.4), (48, 1.25), (96, 1.12), (160, 1.07))
TOLERANCE = 4e-6  #: largest error of the sum, in units of the peak learning rate (in the loss at most a tenth of it)
SAMPLE = 12  #: rows on which grouped and exact sums are compared
FADING = 0.5  #: power of T with which the comparison weighs gaps, for laws that do so
KERNELS = ((0.4, 0.1, 0.9), (2.0, 0.6, 0.65), (50.0, 1.5, 0.4))  #: (C, beta, gamma) of the comparison
LEVELS = 4096.0  #: larger than the number of levels of T
BLOCK = 2048  #: rows whose nodes are found together
LEAST = 1e-8  #: smallest learning rate and area, relative to the peak: steps at learning rate 0 have no effect
Measure = tuple[Floats, Floats, Floats, Floats]  # gaps, lr, sum of lr before each, sum of lr up to each row


@dataclass(frozen=True)
class Gaps:
    """For each of n rows K gaps (or nodes that represent many): three arrays (n, K), filled up with zero gaps."""

    gap: Floats  #: drop of the learning rate (negative: a rise)
    lr: Floats  #: learning rate after it
    area: Floats  #: sum of the learning rate from the step of the gap to the row's step, both included


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
    parts = []
    for sign in (1.0, -1.0):
        index = np.flatnonzero(change * sign > 0)
        if not len(index):
            continue
        floor = LEAST * peak
        measure = change[index], np.maximum(lr[index], floor), before[index], before[at + 1]
        reach = np.searchsorted(index, at, side="right")  # how many gaps precede each row
        parts.append(_every_gap(measure, reach) if exact else _of_one_sign(measure, reach, peak, fading))
    if not parts:
        empty = np.zeros((at.size, 0))
        return Gaps(empty, empty, empty)
    gap, rate, area = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    nothing = gap == 0
    return Gaps(gap, np.where(nothing, peak, rate), np.where(nothing, peak, np.maximum(area, LEAST * peak)))


def _of_one_sign(measure: Measure, reach: NDArray[np.intp], peak: float, fading: bool) -> tuple[Floats, ...]:
    count = len(measure[0])
    if count <= FEW:
        return _every_gap(measure, reach)
    longest = np.argmax(reach)
    sample = np.unique(np.append(np.linspace(0, len(reach) - 1, SAMPLE).astype(int), longest))
    few, seen = (*measure[:3], measure[3][sample]), reach[sample]
    truth = _sums(_every_gap(few, seen), few[3], peak, fading)
    for bins, ratio in BINS:
        nodes = _grouped(few, seen, peak, bins, ratio, fading)
        if nodes[0].shape[1] >= count:
            break
        if np.abs(_sums(nodes, few[3], peak, fading) - truth).max() <= TOLERANCE * peak:
            return _grouped(measure, reach, peak, bins, ratio, fading)
    return _every_gap(measure, reach)


def _every_gap(measure: Measure, reach: NDArray[np.intp]) -> tuple[Floats, ...]:
    gap, lr, before, now = measure
    seen = np.arange(len(gap)) < reach[:, None]
    area = now[:, None] - before
    return np.where(seen, gap, 0.0), np.broadcast_to(lr, area.shape), np.where(seen, area, 1.0)


def _sums(nodes: tuple[Floats, ...], now: Floats, peak: float, fading: bool) -> Floats:
    """The sums with a few kernels of the multi-power law, weighted by T^-FADING where laws do; (kernels, n)."""
    gap, lr, area = nodes
    area = np.maximum(area, LEAST * peak)
    time = np.maximum(now[:, None] - area + lr, LEAST * peak)
    weight = gap * (1 + time**-FADING) if fading else gap
    done = [-np.expm1(-beta * np.log1p(C * area * lr**-gamma)) for C, beta, gamma in KERNELS]
    return np.stack([np.sum(weight * part, axis=1) for part in done])


def _grouped(
    measure: Measure, reach: NDArray[np.intp], peak: float, bins: int, ratio: float, fading: bool
) -> tuple[Floats, ...]:
    """Two nodes in each bin of log area and log lr (and log T) that holds gaps, (n, K) each, absent ones with gap 0."""
    lr, before = measure[1:3]
    level = np.floor(np.log(lr / peak) / np.log(ratio))
    if fading:
        level = level * LEVELS + np.floor(np.log((before + lr) / peak) / np.log(ratio))
    starts = np.flatnonzero(np.diff(level, prepend=level[0] - 1))
    sums = _sums_of_levels(measure, starts)
    blocks = range(0, len(reach), BLOCK)
    parts = [_block(measure, reach, peak, bins, starts, sums, slice(at, at + BLOCK)) for at in blocks]
    width = max(part[0].shape[1] for part in parts)
    filled = [[np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in part] for part in parts]
    gap, rate, area = (np.concatenate(arrays) for arrays in zip(*filled, strict=True))
    return gap, np.where(gap == 0, 1.0, np.maximum(rate, LEAST * peak)), np.where(gap == 0, 1.0, area)


def _block(
    measure: Measure,
    reach: NDArray[np.intp],
    peak: float,
    bins: int,
    starts: NDArray[np.intp],
    sums: Levels,
    rows: slice,
) -> tuple[Floats, ...]:
    """The nodes of some rows, from the left: each row's gaps are cut at the edges of its bins and of the levels."""
    before, now, reach = measure[2], measure[3][rows], reach[rows]
    newest = np.maximum(now - before[np.maximum(reach - 1, 0)], LEAST * peak)
    oldest = np.maximum(now - before[0], newest)
    part = np.arange(bins + 1) / bins
    edges = now[:, None] - oldest[:, None] * (newest / oldest)[:, None] ** part
    edges[:, 0], edges[:, -1] = -np.inf, np.inf
    cuts = np.concatenate([np.searchsorted(before, edges), np.broadcast_to(starts, (len(now), len(starts)))], axis=1)
    cuts = np.sort(np.minimum(cuts, reach[:, None]), axis=1)
    row, place = np.nonzero(cuts[:, 1:] > cuts[:, :-1])
    nodes = _two_nodes(measure, now[row], cuts[row, place], cuts[row, place + 1], starts, sums)
    kept = nodes[0] != 0  # (2, pairs)
    order = np.argsort(np.tile(row, 2)[kept.ravel()], kind="stable")
    row = np.tile(row, 2)[kept.ravel()][order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    found = []
    for values in nodes:
        filled = np.zeros((len(now), int(rank.max(initial=-1)) + 1))
        filled[row, rank] = values.ravel()[kept.ravel()][order]
        found.append(filled)
    return tuple(found)


def _two_nodes(
    measure: Measure,
    now: Floats,
    first: NDArray[np.intp],
    last: NDArray[np.intp],
    starts: NDArray[np.intp],
    sums: Levels,
) -> tuple[Floats, ...]:
    """Gauss nodes of the gaps first..last-1 of one level each, for m such pieces: gap, lr and area, (2, m) each."""
    before = measure[2]
    run = np.searchsorted(starts, first, side="right") - 1
    mass, p1, p2, p3, r1, rp = sums.total[:, last + run] - sums.total[:, first + run]
    scale = sums.scale[run]
    with np.errstate(all="ignore"):
        mean, rate = p1 / mass, r1 / mass
        variance = np.maximum(p2 / mass - mean**2, 0)
        spread = np.sqrt(variance)
        skew = (p3 / mass - 3 * mean * p2 / mass + 2 * mean**3) / (variance * spread)
        slope = (rp / mass - mean * rate) / variance
    narrow = ~(variance > 1e-16 * mean**2) | ~np.isfinite(skew)
    spread, skew, slope = (np.where(narrow, 0, x) for x in (spread, skew, slope))
    root = np.sqrt(4 + skew**2)
    nodes = []
    for sign in (1, -1):
        weight = mass * (1 - sign * skew / root) / 2
        there = np.abs(weight) > LEAST**2 * sums.highest[run]  # a piece's second node may be rounding alone
        place = np.clip((mean + spread * (skew + sign * root) / 2) * scale, before[first], before[last - 1])
        found = np.clip(rate + slope * (place / scale - mean), sums.lowest[run], sums.highest[run])
        nodes.append([np.where(there, x, 0) for x in (weight, found, now - place)])
    return tuple(np.stack(pair).astype(np.float64) for pair in zip(*nodes, strict=True))


@dataclass(frozen=True)
class Levels:
    """Sums over the first gaps of each level, one level after the other: level r begins, with 0, at starts[r] + r."""

    total: NDArray[np.longdouble]  #: (6, gaps + levels)
    scale: Floats  #: (levels,) unit of the areas
    lowest: Floats  #: (levels,) learning rate
    highest: Floats


def _sums_of_levels(measure: Measure, starts: NDArray[np.intp]) -> Levels:
    gap, lr, before = measure[:3]
    ends = np.append(starts[1:], len(gap))
    tiny = float(np.finfo(float).tiny)
    pieces = [slice(a, b) for a, b in zip(starts, ends, strict=True)]
    scale = np.array([max(float(before[piece][-1]), tiny) for piece in pieces])
    totals = [_prefix_sums(gap[p], lr[p], before[p] / unit) for p, unit in zip(pieces, scale, strict=True)]
    lowest, highest = (np.array([float(of(lr[piece])) for piece in pieces]) for of in (np.min, np.max))
    return Levels(np.concatenate(totals, axis=1), scale, lowest, highest)


def _prefix_sums(gap: Floats, lr: Floats, before: Floats) -> NDArray[np.longdouble]:
    """Sums over the first j gaps of gap x (1, p, p^2, p^3, lr, lr p), p the area before a gap; (6, gaps + 1).

    Extended precision: the moments of a bin are small differences of these sums.
    """
    g, r, p = (x.astype(np.longdouble) for x in (gap, lr, before))
    terms = np.stack([g, g * p, g * p**2, g * p**3, g * r, g * r * p])
    return np.concatenate([np.zeros((6, 1), dtype=np.longdouble), np.cumsum(terms, axis=1)], axis=1)
