"""Where the multi-start begins: an even cover of the start ranges, ranked by the objective after projection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalefit.numerics import FloatArray, spread_points
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.projection import project

CELLS = {0: 1, 1: 64, 2: 256, 3: 640, 4: 1280}
MOST_CELLS = 2048
BLOCK = 1 << 18  #: elements of one batch of rows: small enough to stay in cache
DECADES = 2.0  #: how far around a given start the search looks
GLOBAL_ROWS = 256  #: rows that suffice to rank the cells
GLOBAL_SIZE = 4000  #: the same for laws whose rows hold several values, in values
FEWEST_ROWS = 60
NEGATIVE = 0.25  #: share of the cells that try a negative value of a parameter whose sign is not known
APART = 0.04  #: two starts nearer than this fraction of the start box count as one


def cover(model: BoundLaw) -> FloatArray:
    """Coordinates (G, p) that cover the start ranges of the non-linear ones; linear ones are zero."""
    low = np.array([c.start[0] for c in model.coordinates])
    high = np.array([c.start[1] for c in model.coordinates])
    signed = np.array([c.signed for c in model.coordinates], dtype=bool)
    theta = np.zeros((1, len(low)))

    def place(unit: FloatArray, free: np.ndarray) -> FloatArray:
        even = low[free] + unit * (high - low)[free]
        first, last = np.where(signed, low, 1.0)[free], np.where(signed, high, 1.0)[free]
        negative = unit < NEGATIVE
        part = np.where(negative, unit / NEGATIVE, (unit - NEGATIVE) / (1 - NEGATIVE))
        sign = np.where(negative, -1.0, 1.0)
        return np.asarray(np.where(signed[free], sign * first * (last / first) ** part, even))

    return np.asarray(np.clip(_fill(model, theta, place), model.low, model.high))


def cover_around(model: BoundLaw, start: FloatArray, decades_either_side: float = DECADES) -> FloatArray:
    """Coordinates (G, p) that cover some decades either side of a given start (p,), signs kept."""

    def around(unit: FloatArray, free: np.ndarray) -> FloatArray:
        decades = decades_either_side * (2 * unit - 1)
        scaled = np.where(start[free] == 0, 1.0, start[free]) * 10.0**decades
        return np.where(model.log[free], start[free] + np.log(10.0) * decades, scaled)

    return np.clip(_fill(model, start[None], around), model.low, model.high)


def guessed(model: BoundLaw, values: FloatArray) -> FloatArray:
    """Coordinates (G, p) of the points that the law itself computes from its rows; none for most laws."""
    points = model.law.guesses(model.variables, values)
    if not points:
        return np.empty((0, len(model.coordinates)))
    columns = [np.asarray(points[c.name], dtype=np.float64) for c in model.coordinates]
    theta = [np.log(np.maximum(x, 1e-300)) if c.log else x for c, x in zip(model.coordinates, columns, strict=True)]
    return np.asarray(np.clip(np.stack(theta, axis=1), model.low, model.high))


def _fill(model: BoundLaw, theta: FloatArray, place: Callable[[FloatArray, np.ndarray], FloatArray]) -> FloatArray:
    free = np.flatnonzero(~model.linear)
    if not len(free):
        return theta
    if len(free) == 2:
        side = (np.arange(16) + 0.5) / 16
        unit = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    else:
        unit = spread_points(CELLS.get(len(free), MOST_CELLS), len(free))
    theta = np.repeat(theta, len(unit), axis=0)
    theta[:, free] = place(unit, free)
    return theta


def choose_starts(
    model: BoundLaw, objective: Objective, values: FloatArray, weights: FloatArray, cells: FloatArray, count: int
) -> FloatArray:
    """The ``count`` best of the cells (G, p), apart from one another, linear parameters projected; (count, p)."""
    thin = max(model.n // GLOBAL_ROWS, min(model.size // GLOBAL_SIZE, model.n // FEWEST_ROWS))
    rows = slice(None, None, max(1, thin))
    small, target = model.take(rows), objective.target(values[rows])
    theta = cells.copy()
    scores = np.empty(len(theta))
    block = max(1, BLOCK // small.size)
    for begin in range(0, len(theta), block):
        part = slice(begin, begin + block)
        theta[part] = project(small, objective, values[rows], weights[rows], theta[part])
        r = objective.residuals(small.value(theta[part]), target)
        scores[part] = np.abs(r) @ weights[rows]  # absolute residuals: no threshold is known yet
    scores[~np.isfinite(scores)] = np.inf
    return theta[best_apart(theta, scores, count)]


def best_apart(theta: FloatArray, scores: FloatArray, count: int) -> list[int]:
    """Indices of the best cells that differ from those already chosen."""
    unit = theta / np.maximum(np.ptp(theta, axis=0), 1e-300)
    left = scores.copy()
    chosen: list[int] = []
    while len(chosen) < count:
        best = int(np.argmin(left))
        if not np.isfinite(left[best]):
            break
        chosen.append(best)
        left[np.max(np.abs(unit - unit[best]), axis=1) <= APART] = np.inf
        left[best] = np.inf
    return chosen or [0]
