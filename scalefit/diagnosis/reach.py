"""How far what is asked for lies from the fitted rows: in each variable, and in size and data together.

A point within the range of every variable may still be unlike any fitted run: the largest size with the most data costs
more than all of them, and few tokens for each of many parameters is another regime. So size and data are also taken two
at a time: the distance is the factor by which both would have to change, at least, to lie among the fitted rows or
between them (within their convex hull, in logarithms).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np

from scalefit.numerics import LEAST_BEYOND, MOST_BEYOND, FloatArray

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
    ranges = ranges or _ranges(columns, fitted)
    far = [*decades_beyond(ranges, variables).values()]
    far += [beyond for sides in together_beyond(columns, fitted, variables).values() for beyond, _ in sides]
    count = max(len(values) for values in variables.values())
    return np.asarray(np.max([np.zeros(count), *far], axis=0))


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
    ranges, alone = ranges or _ranges(columns, fitted), []
    for name, beyond in decades_beyond(ranges, variables).items():
        low, high = ranges[name]
        alone.append((float(beyond.max()), f"{columns[name]} lies", float(np.log10(high / low)) if low > 0 else np.nan))
    together = [
        (float(beyond.max()), f"{names} together lie", span)
        for names, sides in together_beyond(columns, fitted, variables).items()
        for beyond, span in sides
    ]
    for asked in (alone, together):
        far = max((each for each in asked if too_far(each[0], each[2])), default=None)
        if far:
            return f"{far[1]} {in_words(far[0], far[2], runs)}"
    return ""


def in_words(decades: float, span: float, runs: str) -> str:
    """A distance beyond runs, and what these span.

    >>> in_words(1.0, 1e-16, "the runs")
    '1 decade beyond the runs, which span 0'
    """
    far = f"{decades:.2g} decade{'s' * (f'{decades:.2g}' != '1')}"
    return f"{far} beyond {runs}, which {'begin at 0' if np.isnan(span) else f'span {span * (span > SAME):.2g}'}"


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
) -> dict[str, list[tuple[FloatArray, float]]]:
    """How far each row lies beyond each side of the fitted rows in two sizes or amounts of data, by the two columns.

    In decades (n,), negative inside; with what the rows span across that side.

    >>> fitted = {"N": (1e6, 1e6, 1e8), "D": (1e9, 1e11, 1e9)}
    >>> found = together_beyond({"N": "N", "D": "D"}, fitted, {"N": np.array([1e8]), "D": np.array([1e11])})
    >>> [(name, far.round(9).tolist(), round(span, 9)) for name, sides in found.items() for far, span in sides]
    [('N and D', [1.0], 1.0)]
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
        found[f"{columns[one]} and {columns[other]}"] = list(zip(far, sides[:, 3].tolist(), strict=True))
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
