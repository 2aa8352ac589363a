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
    gap, lr, before, now = measure
    newest = np.maximum(now - before[np.maximum(reach - 1, 0)], LEAST * peak)
    oldest = np.maximum(now - before[0], newest)
    part = np.arange(bins + 1) / bins
    edges = now[:, None] - oldest[:, None] * (newest / oldest)[:, None] ** part
    edges[:, 0], edges[:, -1] = -np.inf, np.inf
    level = np.floor(np.log(lr / peak) / np.log(ratio))
    if fading:
        level = level * LEVELS + np.floor(np.log((before + lr) / peak) / np.log(ratio))
    found = []
    for value in np.unique(level):
        mine = np.flatnonzero(level == value)
        ends = np.minimum(np.searchsorted(before[mine], edges), np.searchsorted(mine, reach)[:, None])
        found.append(_two_nodes(gap[mine], lr[mine], before[mine], now, ends))
    gap, lr, area = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
    nothing = gap == 0
    width = int(np.sum(~nothing, axis=1).max(initial=0))
    order = np.argsort(nothing, axis=1, kind="stable")[:, :width]
    gap, lr, area = (np.take_along_axis(x, order, axis=1) for x in (gap, lr, area))
    return gap, np.maximum(lr, LEAST * peak), area


def _two_nodes(gap: Floats, lr: Floats, before: Floats, now: Floats, ends: NDArray[np.intp]) -> tuple[Floats, ...]:
    """Gauss nodes of gaps i..j-1 for consecutive ends i, j of each row: gap, lr and area, (n, 2 bins) each."""
    scale = max(float(before[-1]), float(np.finfo(float).tiny))
    sums = _prefix_sums(gap, lr, before / scale)
    mass, p1, p2, p3, r1, rp = np.diff(sums[:, ends], axis=2)
    with np.errstate(all="ignore"):
        mean, rate = p1 / mass, r1 / mass
        variance = np.maximum(p2 / mass - mean**2, 0)
        spread = np.sqrt(variance)
        skew = (p3 / mass - 3 * mean * p2 / mass + 2 * mean**3) / (variance * spread)
        slope = (rp / mass - mean * rate) / variance
    narrow = ~(variance > 1e-16 * mean**2) | ~np.isfinite(skew)
    spread, skew, slope = (np.where(narrow, 0, x) for x in (spread, skew, slope))
    root = np.sqrt(4 + skew**2)
    last = len(before) - 1
    low, high = before[np.minimum(ends[:, :-1], last)], before[np.clip(ends[:, 1:] - 1, 0, last)]
    nodes = []
    for sign in (1, -1):
        weight = mass * (1 - sign * skew / root) / 2
        there = np.abs(weight) > LEAST**2 * lr.max()  # a bin's second node may be rounding alone
        place = np.clip((mean + spread * (skew + sign * root) / 2) * scale, low, high)
        found = np.clip(rate + slope * (place / scale - mean), lr.min(), lr.max())
        nodes.append([np.where(there, x, e) for x, e in ((weight, 0), (found, 1), (now[:, None] - place, 1))])
    return tuple(np.concatenate(pair, axis=1).astype(np.float64) for pair in zip(*nodes, strict=True))


def _prefix_sums(gap: Floats, lr: Floats, before: Floats) -> NDArray[np.longdouble]:
    """Sums over the first j gaps of gap x (1, p, p^2, p^3, lr, lr p), p the area before a gap; (6, gaps + 1).

    Extended precision: the moments of a bin are small differences of these sums.
    """
    g, r, p = (x.astype(np.longdouble) for x in (gap, lr, before))
    terms = np.stack([g, g * p, g * p**2, g * p**3, g * r, g * r * p])
    return np.concatenate([np.zeros((6, 1), dtype=np.longdouble), np.cumsum(terms, axis=1)], axis=1)
