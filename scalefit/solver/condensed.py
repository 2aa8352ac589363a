"""Sums over many values a row, replaced by sums over the few of them that say the same for every choice of parameters.

The values of a row are summed by a law that is linear in one of its variables, the weight. What a law makes of each
value, at parameters all over their ranges, is a matrix of low rank: some 30 columns of 200 span the others to a
billionth, and the weights of those 30 that give the same sums follow by least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray

FEW = 48  #: up to so many values a row are kept
POINTS = 96  #: parameters at which the sums agree
SAME = 1e-9  #: share of the largest column below which nothing is left to span
BLOCK = 1 << 19  #: elements evaluated together

Variables = Mapping[str, FloatArray]


def condense(law: Law, variables: Variables, parameters: Mapping[str, FloatArray]) -> Variables:
    """The same rows with fewer values each, for laws that declare a weight; parameters are (POINTS, 1) each."""
    weight = next((name for name, variable in law.variables.items() if variable.weighs), None)
    if weight is None or variables[weight].shape[1] <= FEW:
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
