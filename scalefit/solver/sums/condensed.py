"""Sums over many values a row, replaced by sums over the few of them that say the same for every choice of parameters.

The values of a row are summed by a law that is linear in one of its variables, the weight. What a law makes of each
value, at parameters all over their ranges, is a matrix of low rank: some 30 columns of 200 span the others to a
billionth, and the weights of those 30 that give the same sums follow by least squares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.solver.sums.between import Between, Indices, joined, pieces, without

FEW = 48  #: up to so many values a row are kept
POINTS = 96  #: parameters at which the sums agree
SAME = 1e-9  #: share of the largest column below which nothing is left to span
MANY_ROWS = 400  #: rows from which sums are interpolated between some of them
LARGE = 1e4  #: weights under test
TESTED = 12  #: parameters at which that is tested
BLOCK = 1 << 19  #: elements evaluated together

Variables = Mapping[str, FloatArray]


def condense(
    law: Law, variables: Variables, position: FloatArray | None, all_over: Callable[[], Mapping[str, FloatArray]]
) -> tuple[Variables, Between | None]:
    """The same rows with fewer values each, for laws that declare a weight; ``all_over`` makes parameters (POINTS, 1).

    Of many rows along curves (``position`` rises along each) the sums are kept at a few.
    """
    weight = _weight(law)
    if weight is None or variables[weight].shape[1] == 0:
        return variables, None
    if position is not None and len(position) >= MANY_ROWS:
        rows_of = partial(_rows_of, variables)
        between = condense_rows(law, rows_of, position, all_over())
        if len(between.knots[weight]) < len(position) / 2:
            return without(law, variables), between
    return (variables if variables[weight].shape[1] <= FEW else _fewer_values(law, variables, all_over(), weight)), None


def _rows_of(variables: Variables, rows: Indices) -> Variables:
    return {name: x[rows] for name, x in variables.items()}


def condense_rows(
    law: Law, at: Callable[[Indices], Variables], position: FloatArray, parameters: Mapping[str, FloatArray]
) -> Between:
    """Rows along curves whose sums follow from few of them; ``at`` gives the law's variables at some rows."""
    weight = _weight(law)
    assert weight is not None
    some = {name: values[:: max(1, len(values) // TESTED)] for name, values in parameters.items()}
    found = pieces(partial(_sums, law, at, some, weight), position)
    rows, begin, piece, factor = joined(found, position)
    return Between(_fewer_values(law, at(rows), parameters, weight), begin, piece, factor)


def _weight(law: Law) -> str | None:
    return next((name for name, variable in law.variables.items() if variable.weighs), None)


def _sums(
    law: Law, at: Callable[[Indices], Variables], parameters: Mapping[str, FloatArray], weight: str, rows: Indices
) -> FloatArray:
    """What the sums of large weights add to the law's value at some rows, (points, rows); 0 where not finite."""
    variables = dict(at(rows))
    unit = float(np.abs(variables[weight]).sum(axis=1).max(initial=0.0)) or 1.0
    variables[weight] = variables[weight] * (LARGE / unit)  # beside which the law's other terms are small
    step = max(1, BLOCK // (TESTED * max(x[0].size for x in variables.values())))
    found = []
    for i in range(0, len(rows), step):
        some = {name: x[i : i + step] for name, x in variables.items()}
        there, none = (law.evaluate(each, parameters) for each in (some, without(law, some)))
        found.append(np.broadcast_to(there - none, (len(next(iter(parameters.values()))), len(rows[i : i + step]))))
    made = np.concatenate(found, axis=1) * unit
    return np.where(np.isfinite(made), made, 0.0)


def _fewer_values(law: Law, variables: Variables, parameters: Mapping[str, FloatArray], weight: str) -> Variables:
    """A few of the values of each row, with weights that give the same sums."""
    if variables[weight].shape[1] <= FEW:
        return variables
    count, width = variables[weight].shape
    step = max(1, BLOCK // (POINTS * width))
    blocks = (slice(begin, begin + step) for begin in range(0, count, step))
    kept = [
        each
        for block in blocks
        for each in _kept(law, {name: x[block] for name, x in variables.items()}, parameters, weight)
    ]
    many, widest = [name for name, variable in law.variables.items() if variable.many], max(len(at) for at, _ in kept)
    found = {name: np.full((count, widest), law.variables[name].absent) for name in many}
    for i, (places, factor) in enumerate(kept):
        for name in many:
            found[name][i, : len(places)] = variables[name][i, places]
        found[weight][i, : len(places)] *= factor
    return {**variables, **found}


def _kept(
    law: Law, variables: Variables, parameters: Mapping[str, FloatArray], weight: str
) -> list[tuple[np.ndarray, FloatArray]]:
    """For each row the places of the values that are kept, and the factors of their weights."""
    row, place = np.nonzero(variables[weight])
    single = {name: x[row, place][:, None] if law.variables[name].many else x[row] for name, x in variables.items()}
    one, none = (law.evaluate({**single, weight: np.full((len(row), 1), w)}, parameters) for w in (1.0, 0.0))
    made = np.broadcast_to(one - none, (POINTS, len(row))) * single[weight][:, 0]
    found = []
    for a, b in pairwise(np.searchsorted(row, np.arange(len(variables[weight]) + 1))):
        chosen, factor = _spanning(made[:, a:b])
        found.append((place[a:b][chosen], factor))
    return found


def _spanning(made: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Columns of (POINTS, k) that span the others, and the factors with which they add up to all of them."""
    from scipy.linalg import qr, solve_triangular  # needed by few laws, and slow to load

    size = np.abs(made).sum(axis=1, keepdims=True)
    if not made.shape[1] or not np.isfinite(size).all() or not size.any():
        return np.arange(made.shape[1]), np.ones(made.shape[1])
    scaled = made / np.maximum(size, 1e-300)
    base, corner, order = qr(scaled, mode="economic", pivoting=True, check_finite=False)
    length = np.abs(np.diagonal(corner))
    rank = int(np.sum(length > SAME * length[0]))
    factor = solve_triangular(corner[:rank, :rank], base[:, :rank].T @ scaled.sum(axis=1), check_finite=False)
    return order[:rank], factor
