"""The bottom of a valley, for many valleys at once: a grid, then halving by the sign of the slope.

A minimum found by comparing values is known only to the root of the rounding error; by the slope, to 1e-10. The slope
is exact where the landscape's gradient is given; a stencil across a bend of the law would shift the minimum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalefit.numerics import FloatArray

GRID = 97  #: positions of the first search
HALVINGS = 40
LEVELLING = 120  #: steps in which a slope of 0 is found at the most, the third part of them halvings
LEVEL = 1e-12  #: a step at which that search ends
STEP = 2e-3  #: of the slope's five-point stencil, in logarithms
ROUNDS = 3  #: passes over several coordinates before Newton's steps
NEWTON = 25
CURVED = 2e-2  #: of the second differences
FARTHEST = 0.3  #: of one of Newton's steps
ARRIVED = 1e-11  #: a step, or a slope, at which the search ends
SECANTS = 60
FIRST = 49.0  #: where the search for a zero begins: the logarithm of 2e21

Line = Callable[[FloatArray], FloatArray]  #: losses (B, n) at logarithms (B, n)
Landscape = Callable[[FloatArray], FloatArray]  #: losses (B, n) at logarithms (B, n, K)
Gradient = Callable[[FloatArray], FloatArray]  #: their slopes (B, n, K) there


def bottom(line: Line, low: FloatArray, high: FloatArray, slopes: Line | None = None) -> FloatArray:
    """Where each of B lines is least between low and high (B,); NaN where that is at an end, or nowhere finite.

    ``slopes``: those of the lines, where they are known.

    >>> bottom(lambda x: (x - 1.25) ** 2, np.array([0.0]), np.array([5.0])).round(9).tolist()
    [1.25]
    """
    shares = np.linspace(0, 1, GRID)
    grid = low[:, None] + (high - low)[:, None] * shares
    values = line(grid)
    values = np.where(np.isfinite(values), values, np.inf)
    best = np.argmin(values, axis=1)
    inside = (best > 0) & (best < GRID - 1) & np.isfinite(values.min(axis=1))
    here = np.arange(len(grid))
    left, right = grid[here, np.maximum(best - 1, 0)], grid[here, np.minimum(best + 1, GRID - 1)]

    def steep(x: FloatArray) -> FloatArray:
        return slope(line, x) if slopes is None else slopes(x[:, None])[:, 0]

    return np.where(inside, _level(steep, left, grid[here, best], right), np.nan)


def _level(steep: Line, left: FloatArray, first: FloatArray, right: FloatArray) -> FloatArray:
    """Where slopes (B,) that rise with x are 0 between left and right: by secants, with halvings between them.

    Beyond ``first``, where the line has a value, a slope without a value (NaN) counts as one upwards, before it as one
    downwards.
    """
    x, before, height = first, left, np.full(len(first), np.nan)
    done = np.zeros(len(first), dtype=bool)
    for i in range(LEVELLING):
        here = steep(x)
        uphill = np.where(np.isfinite(here), here > 0, x > first)
        left, right = np.where(uphill, left, x), np.where(uphill, x, right)
        with np.errstate(all="ignore"):
            guess = x - here * (x - before) / (here - height)
        usable = (guess > left) & (guess < right) & (i % 3 < 2)
        found = np.where(usable, guess, (left + right) / 2)
        arrived = done | (here == 0)
        before, height = x, here
        x = np.where(arrived, x, found)
        done = arrived | (np.abs(x - before) < LEVEL)
        if done.all():
            break
    return x


def slope(line: Line, at: FloatArray) -> FloatArray:
    """The slope of each line at (B,), by a five-point stencil."""
    around = line(at[:, None] + STEP * np.array([-2.0, -1.0, 1.0, 2.0]))
    return np.asarray((around @ np.array([1.0, -8.0, 8.0, -1.0])) / (12 * STEP))


def bottoms(landscape: Landscape, low: FloatArray, high: FloatArray, gradient: Gradient | None = None) -> FloatArray:
    """The same for several coordinates: low and high are (B, K), so is the result.

    Passes of :func:`bottom` over one coordinate after the other come near it, Newton's steps arrive.
    """
    count = low.shape[1]
    if count == 1:
        alone = None if gradient is None else lambda x: gradient(x[..., None])[..., 0]
        return bottom(lambda x: landscape(x[..., None]), low[:, 0], high[:, 0], alone)[:, None]
    at = (low + high) / 2
    for _ in range(ROUNDS):
        for k in range(count):
            at[:, k] = bottom(_along(landscape, at, k), low[:, k], high[:, k])
    for _ in range(NEWTON):
        slopes, hessian = _derivatives(landscape, at, gradient)
        good = np.flatnonzero(np.isfinite(slopes).all(axis=1) & (np.linalg.det(np.nan_to_num(hessian)) > 0))
        step = np.zeros_like(at)
        step[good] = np.linalg.solve(hessian[good], slopes[good][..., None])[..., 0]
        at = at - np.clip(step, -FARTHEST, FARTHEST)
        if not np.any(np.abs(step) > ARRIVED):
            break
    inside = np.asarray(np.all((at > low) & (at < high), axis=1))
    return np.where(inside[:, None], at, np.nan)


def _along(landscape: Landscape, at: FloatArray, k: int) -> Line:
    """The landscape along one coordinate through a point (B, K)."""

    def line(x: FloatArray) -> FloatArray:
        place = np.repeat(at[:, None, :], x.shape[1], axis=1)
        place[..., k] = x
        return landscape(place)

    return line


def _derivatives(landscape: Landscape, at: FloatArray, gradient: Gradient | None) -> tuple[FloatArray, FloatArray]:
    """Gradient (B, K) and matrix of second derivatives (B, K, K)."""
    count = at.shape[1]

    def slopes(place: FloatArray) -> FloatArray:
        if gradient is not None:
            return gradient(place[:, None, :])[:, 0]
        return np.stack([slope(_along(landscape, place, k), place[:, k]) for k in range(count)], axis=1)

    hessian = np.empty((len(at), count, count))
    for k in range(count):
        shift = CURVED * np.eye(count)[k]
        hessian[:, k] = (slopes(at + shift) - slopes(at - shift)) / (2 * CURVED)
    return slopes(at), (hessian + np.swapaxes(hessian, 1, 2)) / 2


def falling_root(line: Line, low: FloatArray, high: FloatArray) -> FloatArray:
    """Where each falling line (B,) crosses 0 between low and high; NaN where it does not.

    >>> falling_root(lambda x: 2 - x, np.array([0.0, 3.0]), np.array([9.0, 9.0])).round(9).tolist()
    [2.0, nan]
    """
    left, right = low.astype(float), high.astype(float)
    crosses = (line(left[:, None])[:, 0] > 0) & (line(right[:, None])[:, 0] <= 0)
    for _ in range(HALVINGS + 15):
        middle = (left + right) / 2
        above = line(middle[:, None])[:, 0] > 0
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    return np.where(crosses, (left + right) / 2, np.nan)


def first_fall(line: Line, low: FloatArray, high: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """The least value of each line (B,) between low and high, and where the line first falls to 0 on the way there.

    Lines may rise again, and may have no value in part (NaN), which counts as above 0; they are read every ``step``.
    NaN where a line is below 0 from the beginning, and infinite where it never falls to 0.

    >>> least, place = first_fall(lambda x: (x - 2.03) ** 2 - 1e-4, np.array([0.0]), np.array([9.0]), 0.5)
    >>> least.round(9).tolist(), place.round(9).tolist()
    ([-0.0001], [2.02])
    """
    count = int(np.ceil(float((high - low).max()) / step)) + 1
    grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, count)
    values = line(grid)
    values = np.where(np.isfinite(values), values, np.inf)
    here, best = np.arange(len(grid)), np.argmin(values, axis=1)
    around = (grid[here, np.clip(best + side, 0, count - 1)] for side in (-1, 1))
    valley = bottom(line, *around)
    deeper = np.nan_to_num(line(np.where(np.isnan(valley), grid[here, best], valley)[:, None])[:, 0], nan=np.inf)
    least = np.minimum(values.min(axis=1), deeper)
    below = values <= 0
    first = np.where(below.any(axis=1), np.argmax(below, axis=1), best)
    right = np.where(below.any(axis=1) | np.isnan(valley), grid[here, first], valley)
    left = grid[here, np.maximum(first - 1, 0)]
    for _ in range(HALVINGS + 15):
        middle = (left + right) / 2
        above = ~(line(middle[:, None])[:, 0] <= 0)
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    place = np.where(below[:, 0], np.nan, (left + right) / 2)
    return least, np.where(least <= 0, place, np.inf)


def falling_zero(line: Line, low: FloatArray, high: FloatArray) -> FloatArray:
    """Where each almost straight, falling line crosses 0, by secants inside a bracket that shrinks; (B,).

    Where a line has no value yet (NaN) it counts as above 0. Ends at low or high where it does not cross.

    >>> falling_zero(lambda x: 50 - x, np.array([0.0]), np.array([150.0])).round(9).tolist()
    [50.0]
    """
    left, right = low.astype(float), high.astype(float)
    before, x = np.clip(FIRST - 2, left, right), np.clip(FIRST, left, right)
    height = line(before)
    for _ in range(SECANTS):
        here = line(x)
        above = ~(here <= 0)
        left, right = np.where(above, np.maximum(left, x), left), np.where(above, right, np.minimum(right, x))
        with np.errstate(all="ignore"):
            step = here * (x - before) / (here - height)
        guess = x - step
        usable = np.isfinite(guess) & (guess > left) & (guess < right)
        done = (np.abs(here) < ARRIVED) | (right - left < ARRIVED)
        before, height = np.where(done, before, x), np.where(done, height, here)
        x = np.where(done, x, np.where(usable, guess, (left + right) / 2))
        if done.all():
            break
    return np.asarray(x)
