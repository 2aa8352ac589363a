"""How far what is asked for lies from the fitted rows: in each variable, and in size and data together.

A point within the range of every variable may still be unlike any fitted run: the largest size with the most data costs
more than all of them, and few tokens for each of many parameters is another regime. So size and data are also taken two
at a time: the distance is the factor by which both would have to change, at least, to lie among the fitted rows or
between them (within their convex hull, in logarithms).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np

from scalefit.numerics import LEAST_BEYOND, MOST_BEYOND, FloatArray

BEYOND, BELOW, OUTSIDE = "beyond", "below", "outside"  #: larger than the fitted rows, smaller, or neither
SAME = 1e-9  #: decades by which distances differ through rounding
#: columns that are taken two at a time: sizes, amounts of data, and compute
TOGETHER = ("N", "N_total", "N_enc", "N_dec", "N_vocab", "D", "U", "C")


def furthest(
    columns: Mapping[str, str],
    fitted: Mapping[str, tuple[float, ...]],
    variables: Mapping[str, FloatArray],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> FloatArray:
    """How far each row lies outside the fitted ones, in decades (n,): in the variable, or the two, that are furthest.

    0 inside. This is the column ``decades_beyond`` of predictions. ``columns`` names those that variables are read
    from; ``ranges``: those of the variables where ``fitted`` holds a sample of the rows alone.
    """
    far = [limit.far for limit in _limits(columns, fitted, variables, ranges)]
    count = max(len(values) for values in variables.values())
    return np.asarray(np.max([np.zeros(count), *far], axis=0))


def side(
    columns: Mapping[str, str],
    fitted: Mapping[str, tuple[float, ...]],
    variables: Mapping[str, FloatArray],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """On which side of the fitted rows a point lies, where it is furthest: beyond, below, or else outside them.

    >>> [side({"N": "N"}, {"N": (1e6, 1e8)}, {"N": np.array([at])}) for at in (1e9, 1e5)]
    ['beyond', 'below']
    """
    limits = _limits(columns, fitted, variables, ranges)
    return max(limits, key=lambda limit: float(limit.far.max())).side if limits else BEYOND


@dataclass(frozen=True)
class _Limit:
    """An end of a variable's range, or a side of the hull of two."""

    what: str  #: which columns
    side: str
    far: FloatArray  #: decades by which each row lies on the other side (n,); negative inside
    span: float  #: decades that the fitted rows span across it; NaN where they begin at 0
    alone: bool


def _limits(
    columns: Mapping[str, str],
    fitted: Mapping[str, tuple[float, ...]],
    variables: Mapping[str, FloatArray],
    ranges: Mapping[str, tuple[float, float]] | None,
) -> list[_Limit]:
    """What bounds the fitted rows."""
    found = []
    for name, (low, high) in (ranges or _ranges(columns, fitted)).items():
        span = float(np.log10(high / low)) if low > 0 else np.nan
        for word, ends in ((BEYOND, (0.0, high)), (BELOW, (low, np.inf))):
            far = decades_beyond({name: ends}, variables) if ends != (0.0, np.inf) else {}
            found += [_Limit(columns[name], word, beyond, span, True) for beyond in far.values()]
    for names, sides in together_beyond(columns, fitted, variables).items():
        found += [_Limit(names, word, beyond, span, False) for beyond, span, word in sides]
    return found


def unsupported(
    columns: Mapping[str, str],
    fitted: Mapping[str, tuple[float, ...]],
    variables: Mapping[str, FloatArray],
    ranges: Mapping[str, tuple[float, float]] | None = None,
    runs: str = "the fitted runs",
) -> str:
    """What lies too far beyond ``runs``, as text: a variable, else two sizes or amounts of data together; "" if none.

    >>> unsupported({"N": "N"}, {"N": (1e6, 1e7)}, {"N": np.array([1e9])})
    'N lies 2 decades beyond the fitted runs, which span 1'
    """
    limits = _limits(columns, fitted, variables, ranges)
    for alone, lies in ((True, "lies"), (False, "together lie")):
        far = [(float(limit.far.max()), limit) for limit in limits if limit.alone == alone]
        far = [each for each in far if too_far(each[0], each[1].span)]
        if far:
            decades, limit = max(far, key=lambda each: each[0])
            return f"{limit.what} {lies} {in_words(decades, limit.span, runs, limit.side)}"
    return ""


def in_words(decades: float, span: float, runs: str, side: str = BEYOND) -> str:
    """A distance beyond runs, or on another side of them, and what these span.

    >>> in_words(1.0, 1e-16, "the runs")
    '1 decade beyond the runs, which span 0'
    """
    far = f"{decades:.2g} decade{'s' * (f'{decades:.2g}' != '1')}"
    return f"{far} {side} {runs}, which {'begin at 0' if np.isnan(span) else f'span {span * (span > SAME):.2g}'}"


def _ranges(columns: Mapping[str, str], fitted: Mapping[str, tuple[float, ...]]) -> Mapping[str, tuple[float, float]]:
    return {name: (min(fitted[name]), max(fitted[name])) for name in columns}


def too_far(decades: float, span: float) -> bool:
    """Whether what lies so far beyond fitted rows is not supported by them: further than they span, or two decades.

    A span counts as at least .3 decades; NaN as two.

    >>> too_far(0.5, 0.6), too_far(0.5, 0.1), too_far(2.5, 6.0)
    (False, True, True)
    """
    return bool(decades > min(max(np.nan_to_num(span, nan=MOST_BEYOND), LEAST_BEYOND), MOST_BEYOND) + SAME)


def decades_beyond(
    ranges: Mapping[str, tuple[float, float]], variables: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """How far each row lies outside the fitted range of each variable, in decades (n,); negative inside.

    Below a range that begins at 0 (no annealing yet) nothing counts as outside.

    >>> {name: far.tolist() for name, far in decades_beyond({"N": (1e6, 1e8)}, {"N": np.array([1e7, 1e9])}).items()}
    {'N': [-1.0, 1.0]}
    """
    found = {}
    with np.errstate(divide="ignore"):
        for name, (low, high) in ranges.items():
            if name in variables and high > 0:
                values = np.maximum(variables[name], 0.0)
                above = np.log10(values / high)
                found[name] = np.maximum(above, np.log10(low / values)) if low > 0 else above
    return found


def together_beyond(
    columns: Mapping[str, str], fitted: Mapping[str, tuple[float, ...]], variables: Mapping[str, FloatArray]
) -> dict[str, list[tuple[FloatArray, float, str]]]:
    """How far each row lies beyond each side of the fitted rows in two sizes or amounts of data, by the two columns.

    In decades (n,), negative inside; with what the rows span across that side, and where it lies.

    >>> fitted = {"N": (1e6, 1e6, 1e8), "D": (1e9, 1e11, 1e9)}
    >>> found = together_beyond({"N": "N", "D": "D"}, fitted, {"N": np.array([1e8]), "D": np.array([1e11])})
    >>> [(far.round(9).tolist(), round(span, 9), where) for far, span, where in found["N and D"]]
    [([1.0], 1.0, 'beyond')]
    """
    given = [name for name, column in columns.items() if column in TOGETHER and name in variables]
    names = [name for name in given if np.ndim(variables[name]) == 1]
    found = {}
    for one, other in combinations(names, 2):
        if min(*fitted[one], *fitted[other]) <= 0 or np.isinf(max(*fitted[one], *fitted[other])):
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = np.broadcast_arrays(np.log10(variables[one]), np.log10(variables[other]))
            sides = _sides(fitted[one], fitted[other])
            beyond = [along * x + across * y - place for along, across, place, _ in sides]
        far = [np.where(np.isnan(each), -np.inf, each) for each in beyond]
        found[f"{columns[one]} and {columns[other]}"] = [
            (beyond, float(span), BEYOND if min(x, y) > 0 else BELOW if max(x, y) < 0 else OUTSIDE)
            for beyond, (x, y, _, span) in zip(far, sides, strict=True)
        ]
    return found


@lru_cache(maxsize=64)
def _sides(x: tuple[float, ...], y: tuple[float, ...]) -> FloatArray:
    """The sides of the convex hull of points in the logarithm: normals whose parts add up to 1, place, span: (F, 4).

    Sides along one of the variables are left out: those are the ends of its range.
    """
    points = np.unique(np.log10(np.array([x, y])).T, axis=0)
    round_ = [*_chain(points), *_chain(points[::-1])]
    edges = np.diff(np.array(round_).reshape(-1, 2, 2), axis=1)[:, 0]
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    normals = normals[np.abs(normals).min(axis=1) > 0]  # the others are the ends of one variable's range
    normals /= np.abs(normals).sum(axis=1, keepdims=True)
    places = normals @ points.T
    return np.column_stack([normals, places.max(axis=1), np.ptp(places, axis=1)])


def _chain(points: FloatArray) -> list[FloatArray]:
    """The ends of the sides below points (n, 2) in their order, one after the other."""
    kept: list[FloatArray] = []
    for point in points:
        while len(kept) > 1:
            (a, b), (c, d) = kept[-1] - kept[-2], point - kept[-2]
            if a * d - b * c > 0:
                break
            kept.pop()
        kept.append(point)
    return [end for pair in pairwise(kept) for end in pair]
