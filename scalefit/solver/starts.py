"""Where the multi-start begins: an even cover of the start ranges, ranked by the objective after projection."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray, spread_points
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.projection import with_predictions

CELLS = {0: 1, 1: 64, 2: 256, 3: 640, 4: 1280}
MOST_CELLS = 2048
BLOCK = 1 << 18  #: elements of one batch of rows: small enough to stay in cache
DECADES = 2.0  #: how far around a given start the search looks
GLOBAL_ROWS = 64  #: rows that suffice to rank the cells
GLOBAL_SIZE = 4000  #: the same for laws whose rows hold several values, in values
FEWEST_ROWS = 60
NEGATIVE = 0.25  #: share of the cells that try a negative value of a parameter whose sign is not known
APART = 0.04  #: two starts nearer than this fraction of the start box count as one
SIDE = 16  #: cells along each of two coordinates
TOGETHER = 32  #: cells that are compared at a time
LOWER = 0.01  #: a start moves to the lowest cell beside it whose misfit is lower by this share, and on from there


def cover(model: BoundLaw) -> FloatArray:
    """Coordinates (G, p) that cover the start ranges of the non-linear ones; linear ones are zero."""
    low = np.array([c.start[0] for c in model.coordinates])
    high = np.array([c.start[1] for c in model.coordinates])
    signed = np.array([c.signed for c in model.coordinates], dtype=bool)
    theta = np.zeros((1, len(low)))

    def place(unit: FloatArray, free: np.ndarray) -> FloatArray:
        even = low[free] + unit * (high - low)[free]
        if not signed.any():
            return np.asarray(even)
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
    unit = _unit_cells(len(free))
    theta = np.repeat(theta, len(unit), axis=0)
    theta[:, free] = place(unit, free)
    return theta


def _enough_rows(model: BoundLaw) -> int:
    """How many rows rank the cells."""
    values = model.size / model.n
    return min(model.n, max(FEWEST_ROWS, min(GLOBAL_ROWS, int(GLOBAL_SIZE / values)), 8 * len(model.coordinates)))


@cache
def _unit_cells(dimensions: int) -> FloatArray:
    """The middles of the cells of a unit cube, (G, dimensions): a grid in two dimensions."""
    if dimensions == 2:
        found: FloatArray = (np.indices((SIDE, SIDE)).reshape(2, -1).T + 0.5) / SIDE
        return found
    return spread_points(CELLS.get(dimensions, MOST_CELLS), dimensions)


def choose_starts(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    cells: FloatArray,
    count: int,
    grid: bool = False,
) -> FloatArray:
    """The ``count`` best of the cells (G, p), apart from one another, linear parameters projected; (count, p).

    In a ``grid`` of all cells of one or two coordinates each moves on to where none beside it is lower, and some meet.
    """
    rows = np.linspace(0, model.n - 1, _enough_rows(model)).astype(np.intp)
    small, some, target = model.take(rows), values[rows], objective.target(values[rows])
    row_weights = weights[rows] / some**2 if objective.space == "log" else weights[rows]
    theta = cells.copy()
    scores = np.empty(len(theta))
    block = max(1, BLOCK // small.size)
    for begin in range(0, len(theta), block):
        part = slice(begin, begin + block)
        theta[part], predicted = with_predictions(small, some, row_weights, theta[part])
        r = objective.residuals(predicted, target)
        scores[part] = np.abs(r) @ weights[rows]  # absolute residuals: no threshold is known yet
    scores[~np.isfinite(scores)] = np.inf
    if grid and len(model.curved) in (1, 2) and not any(one.signed for one in model.coordinates):
        plane = len(model.curved) == 2
        to = downhill(scores.reshape((SIDE, SIDE) if plane else -1), 1 if plane else len(cells) // SIDE)
        alike = (to == to[0]).all()  # then it is the same to which cells lead the way
        return theta[np.full(count, to[0]) if alike else to[best_apart(theta, scores, count)]]
    found: FloatArray = theta[best_apart(theta, scores, count)]
    return found


def downhill(scores: FloatArray, reach: int = 1) -> NDArray[np.intp]:
    """Where each cell of a grid of one or two dimensions leads: to the lowest around it, and on, while that is lower.

    Cells up to ``reach`` apart lie around each other; lower is what is so by a share of ``LOWER``. On a line, where
    nothing leads around a rise, the next cell need only be lower at all.

    >>> downhill(np.array([5.0, 4.0, 3.99, 4.1, 6.0, 1.0, 2.0])).tolist()
    [2, 2, 2, 2, 5, 5, 5]
    """
    given, every = scores.ravel(), np.arange(scores.size)

    def lowest(reach: int) -> NDArray[np.intp]:
        around = _around(scores.shape, reach)
        return np.asarray(around[given[around].argmin(axis=0), every])

    to = lowest(reach)
    to = np.where(given[to] < (1 - LOWER) * given, to, lowest(1) if scores.ndim == 1 else every)
    while (to != to[to]).any():
        to = to[to]
    return to


@cache
def _around(shape: tuple[int, ...], reach: int) -> NDArray[np.intp]:
    """The cells up to ``reach`` apart from each cell of a grid, each first itself; of those beyond the grid the end."""
    steps = np.indices([2 * reach + 1] * len(shape)).reshape(len(shape), -1) - reach
    steps = steps[:, np.abs(steps).sum(axis=0).argsort(kind="stable")]
    at = np.indices(shape).reshape(len(shape), 1, -1) + steps[:, :, None]
    ends = np.array(shape)[:, None, None] - 1
    return np.asarray(np.ravel_multi_index(tuple(np.clip(at, 0, ends)), shape))


def best_apart(theta: FloatArray, scores: FloatArray, count: int) -> list[int]:
    """Indices of the best cells that differ from those already chosen."""
    unit = theta / np.maximum(np.ptp(theta, axis=0), 1e-300)
    order = np.argsort(scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    chosen: list[int] = []
    for begin in range(0, len(order), TOGETHER):  # mostly the first few suffice
        some = order[begin : begin + TOGETHER]
        known = unit[chosen + some.tolist()]
        beside = (np.abs(known[:, None] - unit[some]) <= APART).all(axis=2)
        taken = beside[: len(chosen)].any(axis=0)
        for i, cell in enumerate(some.tolist()):
            if len(chosen) == count:
                return chosen
            if not taken[i]:
                taken |= beside[len(known) - len(some) + i]
                chosen.append(cell)
    return chosen or [0]


def distinct(theta: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the members (B, p) that differ, and for each member which of these it equals.

    >>> [found.tolist() for found in distinct(np.array([[3.0], [1.0], [3.0]]))]
    [[0, 1], [0, 1, 0]]
    """
    alike = first_alike(theta, len(theta))
    first = np.flatnonzero(alike == np.arange(len(alike)))
    return first, np.searchsorted(first, alike)


def first_alike(theta: FloatArray, rivals: int) -> NDArray[np.intp]:
    """For each member (B, p) the first of its rivals, which come in groups, that lies where it does."""
    if len(theta) == 0 or rivals == 1:
        return np.arange(len(theta))
    of = theta.reshape(-1, rivals, theta.shape[1])
    first = (of[:, :, None] == of[:, None]).all(axis=-1).argmax(axis=-1)
    return np.asarray((first + rivals * np.arange(len(of))[:, None]).ravel())
