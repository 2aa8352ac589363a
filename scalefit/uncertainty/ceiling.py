"""Upper ends that a monotone law allows: a loss that can only fall is no higher than what was measured before it fell.

Where the fitted law never rises in a variable, a run that is at least as large in every such variable, and equal in the
others, has no higher mean loss. So the upper end of its interval is at most

    the least measured value of all fitted runs that are smaller in every respect, plus noise,

and at most the upper ends on the way to it from the edge of the fitted ranges: outwards, bands do not rise. So the end
at a row depends on the fit and on that row, not on what else is asked for. Only where the law itself predicts more than
was measured there is the interval cut no further than to the noise of one run above the prediction: a new run scatters
by that much on both sides, whatever the law misses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.uncertainty.calibration import student
from scalefit.uncertainty.estimate import Estimate

Upper = Callable[[Mapping[str, FloatArray]], FloatArray]

GRID = 9  #: values of a variable in its fitted range at which the law is compared with itself
ROWS = 40  #: fitted rows from which it is varied
STEP, MOST_STEPS = 0.25, 24  #: decades between points on the way from the edge of the fitted ranges, and how many
SAME = 1e-6  #: relative difference below which two values of a variable count as equal
ROUNDING = 1e-12
BLOCK = 1 << 21  #: pairs of rows that are compared at a time


def capped(
    fit: Estimate,
    fitted: Mapping[str, FloatArray],
    measured: FloatArray,
    asked: Mapping[str, FloatArray],
    ends: FloatArray,
    upper: Upper | None,
    level: float,
) -> FloatArray:
    """Upper ends (n,) at the rows ``asked``, lowered to what the fitted rows allow, but not below prediction and noise.

    ``upper`` gives those at any other rows, if that is possible.
    """
    centre = fit.value(asked) + np.zeros(len(ends))
    if any(np.ndim(values) != 1 for values in (*fitted.values(), *asked.values())):
        return ends
    falls = never_rises(fit.law, fit.parameters, fitted, asked)
    step = student(level, np.inf) * fit.sigma
    found = ends.copy()
    for falling, rows in _alike(falls, len(ends)):
        there = {name: values[rows] for name, values in asked.items()}
        least = least_measured(fitted, measured, there, falling)
        limit = least * np.exp(step) if fit.log else least + step
        if upper is not None:
            limit = np.minimum(limit, _on_the_way(fitted, there, falling, upper))
        one_run = centre[rows] * np.exp(step) if fit.log else centre[rows] + step
        found[rows] = np.minimum(ends[rows], np.maximum(limit, one_run))
    return found


def _alike(falls: Mapping[str, NDArray[np.bool_]], count: int) -> Iterator[tuple[list[str], NDArray[np.intp]]]:
    """The variables in which the law never rises, and the rows for which it is these."""
    table = np.array([*falls.values()], dtype=bool).reshape(len(falls), count)
    patterns, which = np.unique(table, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        falling = [name for name, one in zip(falls, pattern, strict=True) if one]
        if falling:
            yield falling, np.flatnonzero(which.ravel() == number)


def never_rises(
    law: Law, parameters: Mapping[str, float], fitted: Mapping[str, FloatArray], asked: Mapping[str, FloatArray]
) -> dict[str, NDArray[np.bool_]]:
    """By variable, whether the law falls or stays level from the smallest to the largest value fitted or asked, (n,).

    False for a row that lies where all fitted rows lie. The law is compared at values inside the fitted range and
    outwards from there, so that the answer for a row does not depend on the others.
    """
    count = len(next(iter(fitted.values())))
    some = np.unique(np.linspace(0, count - 1, min(count, ROWS)).astype(np.intp))
    found = {}
    for name, values in fitted.items():
        low, high, there = float(values.min()), float(values.max()), asked[name]
        grid = _outwards(low, high, there)
        flat = {other: np.repeat(column[some], len(grid)) for other, column in fitted.items()}
        flat[name] = np.tile(grid, len(some))
        with np.errstate(all="ignore"):
            made = np.asarray(law.evaluate(flat, parameters)) + np.zeros(grid.size * len(some))
        made = made.reshape(-1, len(grid))
        rises = ~np.all(np.diff(made, axis=1) <= ROUNDING * np.abs(made[:, 1:]), axis=0)
        before = np.concatenate([[0], np.cumsum(rises)])
        least, most = np.minimum(there, low), np.maximum(there, high)
        begin = np.maximum(np.searchsorted(grid, least, side="right") - 1, 0)
        end = np.minimum(np.searchsorted(grid, most), len(grid) - 1)
        found[name] = (least < most) & (before[end] == before[begin]) & ((there > 0) | (low <= 0))
    return found


def _outwards(low: float, high: float, asked: FloatArray) -> FloatArray:
    """Increasing values from the least to the largest asked or fitted, at the same places whatever else is asked for.

    Evenly spaced in the logarithm where the fitted values are positive; else further apart outwards.
    """
    positive, span = low > 0, max(high - low, abs(high), SAME)
    there = asked[np.isfinite(asked) & ((asked > 0) | (not positive))]
    least, most = (float(end(there, initial=each)) for end, each in ((np.min, low), (np.max, high)))
    ratios = (low / least, most / high) if positive else (1 + (low - least) / span, 1 + (most - high) / span)
    down, up = (10 ** (STEP * np.arange(1, np.ceil(np.log10(ratio) / STEP) + 1)) for ratio in ratios)
    inside = np.geomspace(low, high, GRID) if positive else np.linspace(low, high, GRID)
    outside = (low / down, high * up) if positive else (low + span * (1 - down), high + span * (up - 1))
    return np.unique(np.concatenate([inside, *outside]))


def least_measured(
    fitted: Mapping[str, FloatArray], measured: FloatArray, asked: Mapping[str, FloatArray], falling: list[str]
) -> FloatArray:
    """The least measured value of the fitted rows that are smaller in every respect; infinite where there is none."""
    count = len(next(iter(asked.values())))
    least = np.full(count, np.inf)
    block = max(1, BLOCK // max(len(measured), 1))
    for begin in range(0, count, block):
        part = slice(begin, begin + block)
        smaller = np.ones((len(least[part]), len(measured)), dtype=bool)
        for name, column in fitted.items():
            there = asked[name][part][:, None]
            near = SAME * np.abs(there)
            smaller &= column <= there + near if name in falling else np.abs(column - there) <= near
        least[part] = np.where(smaller, measured, np.inf).min(axis=1, initial=np.inf)
    return least


def _on_the_way(
    fitted: Mapping[str, FloatArray], asked: Mapping[str, FloatArray], falling: list[str], upper: Upper
) -> FloatArray:
    """The least upper end on the way from the edge of the fitted ranges to each row that lies beyond it.

    The points on the way are evenly spaced from the edge on, so that a longer way passes those of a shorter one.
    """
    count = len(next(iter(asked.values())))
    edge = {name: np.minimum(asked[name], fitted[name].max()) for name in falling}
    positive = all(np.all(fitted[name] > 0) for name in falling)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = [np.log10(asked[n] / edge[n]) if positive else (asked[n] - edge[n]) / np.ptp(fitted[n]) for n in falling]
    length = np.max(far, axis=0)
    least = np.full(count, np.inf)
    for step in range(MOST_STEPS):
        beyond = length > step * STEP
        if not beyond.any():
            break
        share = step * STEP / length[beyond]
        way = {name: values[beyond] for name, values in asked.items()}
        for name in falling:
            begin = edge[name][beyond]
            way[name] = begin * (way[name] / begin) ** share if positive else begin + share * (way[name] - begin)
        least[beyond] = np.minimum(least[beyond], upper(way))
    return least
