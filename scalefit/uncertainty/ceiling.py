"""Upper ends that a monotone law allows: a loss that can only fall is no higher than what was measured before it fell.

Where the fitted law never rises in a variable, a run that is at least as large in every such variable, and equal in the
others, has no higher mean loss. So the upper end of its interval is at most

    the least measured value of all fitted runs that are smaller in every respect, plus noise,

and at most the upper end of any smaller run: from the edge of the fitted ranges outwards, upper ends never rise. Only
where the law itself predicts more than was measured there is the interval cut no further than to the noise of one run
above the prediction: a new run scatters by that much on both sides, whatever the law misses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.uncertainty.calibration import student
from scalefit.uncertainty.estimate import Estimate

Upper = Callable[[Mapping[str, FloatArray]], FloatArray]

GRID = 9  #: values of a variable at which the law is compared with itself
ROWS = 40  #: fitted rows from which it is varied
STEP, MOST_STEPS = 0.25, 24  #: decades between points on the way from the edge of the fitted ranges, and how many
MOST_ASKED = 4000  #: rows asked for that are compared with one another
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
    falling = never_rises(fit.law, fit.parameters, fitted, asked)
    if not falling:
        return ends
    step = student(level, np.inf) * fit.sigma
    least = least_measured(fitted, measured, asked, falling)
    limit = least * np.exp(step) if fit.log else least + step
    if upper is not None:
        limit = np.minimum(limit, _on_the_way(fitted, asked, falling, upper))
    one_run = centre * np.exp(step) if fit.log else centre + step
    return np.maximum(_never_rising(np.minimum(ends, limit), asked, falling), np.minimum(ends, one_run))


def never_rises(
    law: Law, parameters: Mapping[str, float], fitted: Mapping[str, FloatArray], asked: Mapping[str, FloatArray]
) -> list[str]:
    """The variables in which the law falls or stays level, from the smallest to the largest value fitted or asked."""
    count = len(next(iter(fitted.values())))
    some = np.unique(np.linspace(0, count - 1, min(count, ROWS)).astype(np.intp))
    found = []
    for name, values in fitted.items():
        low, high = min(values.min(), asked[name].min()), max(values.max(), asked[name].max())
        if not low < high:
            continue
        grid = np.geomspace(low, high, GRID) if low > 0 else np.linspace(low, high, GRID)
        flat = {other: np.repeat(column[some], GRID) for other, column in fitted.items()}
        flat[name] = np.tile(grid, len(some))
        with np.errstate(all="ignore"):
            made = np.reshape(np.asarray(law.evaluate(flat, parameters)) + np.zeros(grid.size * len(some)), (-1, GRID))
        if np.all(np.diff(made, axis=1) <= ROUNDING * np.abs(made[:, 1:])):
            found.append(name)
    return found


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


def _never_rising(ends: FloatArray, asked: Mapping[str, FloatArray], falling: list[str]) -> FloatArray:
    """Each upper end lowered to the least one among the rows asked that are smaller in every respect.

    A row without an end lowers none.
    """
    known = np.where(np.isnan(ends), np.inf, ends)
    return ends if len(ends) > MOST_ASKED else np.minimum(ends, least_measured(asked, known, asked, falling))
