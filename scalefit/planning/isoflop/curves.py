"""The curve through the losses of one compute budget, its minimum, and which curve the noise of the budgets allows.

A cubic in log-log follows a lopsided bowl and averages the noise of all its sizes, but not where a bowl is wide and
unlike it; a spline follows every bowl, and its noise too. So the cubic is taken as long as it misses no more than the
noise, which is read off each size against the cubic through its four neighbours, over all budgets together. One
parabola is biased by lopsided bowls long before its misses are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray

FEWEST = 3  #: fewest sizes for a minimum
OUTSIDE = "its minimum lies outside its sizes"
EDGES = ("smallest", "largest")

Curve = Literal["auto", "cubic", "akima", "local", "parabola"]
CURVES: dict[str, str] = {
    "auto": "the cubic, or the spline where cubics miss more than the noise",
    "cubic": "a cubic in log-log through all sizes of a budget",
    "akima": "an Akima spline in log-log through all sizes of a budget",
    "local": "a parabola in log-log through the sizes near the lowest loss of a budget",
    "parabola": "one parabola in log N through all sizes of a budget",
}
NEAR, FEWEST_NEAR = 1.0, 5  #: sizes within this factor (in logarithms) of the lowest, at least so many
FEWEST_CUBIC = 5  #: sizes below which a budget has a parabola in place of a cubic
LEVEL = 0.05  #: of the test that a polynomial misses no more than the noise
TINY = 1e-16  #: the least mean square of the noise

Budget = tuple[FloatArray, FloatArray]  #: log N and loss of the runs of one compute


def minimum(log_N: FloatArray, loss: FloatArray, curve: Curve) -> tuple[float, float] | str:
    """Log N and loss at the minimum of the curve through the points, or why it has no minimum inside them."""
    count = len(np.unique(log_N))
    if count < FEWEST:
        return f"only {count} size{'s' * (count > 1)}"
    if curve == "akima":
        return _akima_minimum(log_N, loss)
    if curve == "local":
        return _local_minimum(log_N, loss)
    if curve == "cubic" and count >= FEWEST_CUBIC:
        return _cubic_minimum(log_N, loss)
    middle = log_N.mean()
    c2, c1, c0 = np.polyfit(log_N - middle, loss, 2)
    at = middle - c1 / (2 * c2) if c2 > 0 else np.nan
    if not log_N.min() <= at <= log_N.max():
        return OUTSIDE
    return float(at), float(c0 - c1**2 / (4 * c2))


def chosen(budgets: Sequence[Budget]) -> Curve:
    """The curve that the budgets allow: the cubic, or the spline where cubics miss more than the noise.

    That is an F test at 5 % over all budgets. Budgets of less than five sizes have a parabola, which needs no choice.

    >>> x = np.linspace(-2, 2, 9)
    >>> chosen([(x, np.exp(1 + 0.1 * x**2 - 0.02 * x**3))] * 3), chosen([(x, np.exp(1 + 0.1 * np.abs(x)))] * 3)
    ('cubic', 'akima')
    """
    sized = [least_of_each(*each) for each in budgets]
    sized = [(x, loss) for x, loss in sized if len(x) >= FEWEST_CUBIC]
    if not sized:
        return "cubic"
    missed = [np.log(loss / fitted_losses(x, loss, "cubic")[0]) for x, loss in sized]
    noise = np.concatenate([_against_neighbours(x, np.log(loss)) for x, loss in sized])
    freedom = sum(len(x) - 4 for x, _ in sized)
    ratio = sum(float(np.sum(each**2)) for each in missed) / freedom / max(float(np.mean(noise**2)), TINY)
    from scipy.special import fdtrc

    return "akima" if fdtrc(freedom, len(noise), ratio) < LEVEL else "cubic"


def used(curve: Curve, sizes: Sequence[FloatArray]) -> str:
    """The description of the curve through the log sizes of each budget; fewer than five sizes have no cubic.

    >>> used("cubic", [np.arange(5.0), np.arange(3.0)])
    'a cubic in log-log through all sizes of a budget (1 of 2 has fewer than 5 sizes: one parabola in log N)'
    """
    few = sum(len(np.unique(log_N)) < FEWEST_CUBIC for log_N in sizes) if curve == "cubic" else 0
    if not few:
        return CURVES[curve]
    parabola = CURVES["parabola"].removesuffix(" through all sizes of a budget")
    if few == len(sizes):
        return f"{CURVES['parabola']} (with fewer than {FEWEST_CUBIC} sizes there is no cubic)"
    has = "has" if few == 1 else "have"
    return f"{CURVES[curve]} ({few} of {len(sizes)} {has} fewer than {FEWEST_CUBIC} sizes: {parabola})"


def fitted_losses(log_N: FloatArray, loss: FloatArray, curve: Curve) -> tuple[FloatArray, int]:
    """The losses of the polynomial through a budget, ``cubic`` or ``parabola``, and its number of constants."""
    cubic = curve == "cubic" and len(np.unique(log_N)) >= FEWEST_CUBIC
    return through(log_N, loss, curve)(log_N), 4 if cubic else 3


def through(log_N: FloatArray, loss: FloatArray, curve: Curve) -> Callable[[FloatArray], FloatArray]:
    """The curve through a budget whose minimum :func:`minimum` gives: losses at log sizes; NaN where it has none.

    >>> x = np.log([1e7, 3e7, 1e8, 3e8, 1e9])
    >>> losses = 2 + 0.1 * (x - x[2]) ** 2
    >>> at, least = minimum(x, losses, "parabola")
    >>> bool(np.isclose(through(x, losses, "parabola")(np.array([at]))[0], least))
    True
    """
    if curve == "akima":
        from scipy.interpolate import Akima1DInterpolator

        sizes, least = least_of_each(log_N, loss)
        spline = Akima1DInterpolator(sizes, np.log(least))
        return lambda x: np.exp(spline(x))
    middle = log_N.mean()
    if curve == "local":
        sizes, least = least_of_each(log_N, loss)
        near = _near_lowest(sizes, least)
        bowl, ends = np.polyfit(sizes[near] - middle, np.log(least[near]), 2), sizes[near][[0, -1]]
        return lambda x: np.where((x < ends[0]) | (x > ends[1]), np.nan, np.exp(np.polyval(bowl, x - middle)))
    if curve == "cubic" and len(np.unique(log_N)) >= FEWEST_CUBIC:
        cubic = np.polyfit(log_N - middle, np.log(loss), 3)
        return lambda x: np.exp(np.polyval(cubic, x - middle))
    parabola = np.polyfit(log_N - middle, loss, 2)
    return lambda x: np.polyval(parabola, x - middle)


def _against_neighbours(x: FloatArray, y: FloatArray) -> FloatArray:
    """Each value against the cubic through its two neighbours on either side, in units of the noise of one.

    >>> bool(np.allclose(_against_neighbours(np.arange(5.0), np.arange(5.0) ** 3), 0))
    True
    """
    found = []
    for i in range(2, len(x) - 2):
        near = np.array([i - 2, i - 1, i + 1, i + 2])
        others = [near[near != j] for j in near]
        weights = np.array([np.prod((x[i] - x[k]) / (x[j] - x[k])) for j, k in zip(near, others, strict=True)])
        found.append((y[i] - weights @ y[near]) / np.sqrt(1 + weights @ weights))
    return np.array(found)


def least_of_each(log_N: FloatArray, loss: FloatArray) -> Budget:
    """The distinct sizes in order, each with its lowest loss."""
    sizes, place = np.unique(log_N, return_inverse=True)
    least = np.full(len(sizes), np.inf)
    np.minimum.at(least, place, loss)
    return sizes, least


def _cubic_minimum(log_N: FloatArray, loss: FloatArray) -> tuple[float, float] | str:
    middle, ends = log_N.mean(), np.array([log_N.min(), log_N.max()]) - log_N.mean()
    cubic = np.polyfit(log_N - middle, np.log(loss), 3)
    slope = np.polyder(cubic)
    turns = np.real(np.roots(slope))
    turns = turns[(np.polyval(np.polyder(slope), turns) > 0) & (turns > ends[0]) & (turns < ends[1])]
    if not len(turns) or np.polyval(cubic, turns[0]) >= np.polyval(cubic, ends).min():
        return OUTSIDE
    return float(middle + turns[0]), float(np.exp(np.polyval(cubic, turns[0])))


def _local_minimum(log_N: FloatArray, loss: FloatArray) -> tuple[float, float] | str:
    sizes, least = least_of_each(log_N, loss)
    lowest = int(np.argmin(least))
    if lowest in (0, len(sizes) - 1):
        return OUTSIDE
    x, near = sizes - sizes[lowest], _near_lowest(sizes, least)
    c2, c1, c0 = np.polyfit(x[near], np.log(least[near]), 2)
    at = -c1 / (2 * c2) if c2 > 0 else np.nan
    if not x[0] < at < x[-1]:
        return OUTSIDE
    return float(sizes[lowest] + at), float(np.exp(c0 - c1**2 / (4 * c2)))


def _near_lowest(sizes: FloatArray, least: FloatArray) -> NDArray[np.bool_]:
    """The sizes near the one of lowest loss."""
    away = np.abs(sizes - sizes[int(np.argmin(least))])
    return np.asarray(away <= max(NEAR, float(np.sort(away)[min(FEWEST_NEAR, len(away)) - 1])))


def _akima_minimum(log_N: FloatArray, loss: FloatArray) -> tuple[float, float] | str:
    from scipy.interpolate import Akima1DInterpolator

    sizes, least = least_of_each(log_N, loss)
    pieces = Akima1DInterpolator(sizes, np.log(least)).c  # (4, sizes - 1), cubes first, from the left end of each piece
    with np.errstate(all="ignore"):
        root = np.sqrt(pieces[1] ** 2 - 3 * pieces[0] * pieces[2])
        turn = -pieces[2] / (pieces[1] + root)  # the one of the two turning points that is a minimum
    width = np.diff(sizes)
    turn = np.where((turn >= 0) & (turn <= width), turn, 0.0)
    heights = ((pieces[0] * turn + pieces[1]) * turn + pieces[2]) * turn + pieces[3]
    lowest = int(np.argmin(heights))
    at = float(sizes[lowest] + turn[lowest])
    if np.log(least[-1]) <= heights[lowest] or at <= sizes[0]:
        return OUTSIDE
    return at, float(np.exp(heights[lowest]))


def edge_of(log_N: FloatArray, loss: FloatArray) -> str:
    """Of a budget without a minimum: at which of its sizes the loss is least, as text; empty where it is inside.

    >>> edge_of(np.log([1e7, 1e8, 1e9]), np.array([3.2, 3.0, 2.9]))
    'lowest at its largest size, 1e+09: add larger ones'
    """
    sizes, least = least_of_each(log_N, loss)
    if np.argmin(least) not in (0, len(sizes) - 1) or len(sizes) < FEWEST:
        return ""
    last = bool(np.argmin(least))
    side = EDGES[last]
    return f"lowest at its {side} size, {np.exp(sizes[-1 if last else 0]):.3g}: add {side.replace('est', 'er')} ones"


def hardly_inside(log_N: FloatArray, at: float) -> str:
    """Whether a minimum lies between the last two sizes of a budget, which bracket it by one point alone.

    >>> hardly_inside(np.log([1e7, 3e7, 1e8, 3e8]), np.log(2e8))
    'its minimum lies between its two largest sizes'
    """
    sizes = np.unique(log_N)
    places = [k for k, near in enumerate((at < sizes[1], at > sizes[-2])) if near]
    return f"its minimum lies between its two {EDGES[places[0]]} sizes" if len(places) == 1 else ""
