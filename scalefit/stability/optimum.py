"""The best learning rate of one sweep, from a smooth curve through the losses near the minimum.

    log loss(x) = c_0 + c_1 x + c_2 x^2 (+ c_3 x^3),    x = log2(lr) - centre

(the loss itself where one is not positive) fitted by weighted least squares with Huber's weights, each point weighted
by its nearness to the minimum; the centre moves to the minimum until it stays. The cubic term is there because too
large a learning rate costs otherwise than too small a one; with fewer than five learning rates near the minimum it is
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalefit.errors import InputError
from scalefit.numerics import MAD_TO_SIGMA, FloatArray
from scalefit.stability.diverged import cliff

WINDOW = 5.0  #: octaves on each side of the minimum that count, with weights that fall to zero there
WINDOWS = (2.5, 6.0)  #: the draws take a window between these, and a parabola or a cubic: the shape is not known
HUBER = 1.345  #: robust deviations beyond which a point counts less
LEVEL = 0.90  #: of every interval
MANY_SEEDS = 4  #: from here on seeds are resampled, with fewer the residuals
SHARPEST = 0.1  #: standard deviation below which no place is claimed, in steps of the grid
ONE_SIDED = 1.645  #: standard errors by which the curve must rise for its place to be ruled out
ROUNDS = 12
LEAST_POINTS = 3  #: distinct learning rates that a window must hold: it is widened to them
BELOW = 0.005  #: relative depth below every measured loss from which the curve's minimum is doubted


class Bowl(NamedTuple):
    """A fitted curve near its minimum."""

    centre: float  #: log2 of the learning rate of the minimum
    loss: float  #: at the minimum
    fitted: FloatArray  #: (n,) at the points, NaN outside the window
    constants: FloatArray  #: rising in power, of (x - middle)/window
    middle: float  #: where the weights are largest
    window: float  #: octaves

    def __call__(self, x: FloatArray) -> FloatArray:
        """The curve."""
        return np.asarray(np.polyval(self.constants[::-1], (x - self.middle) / self.window))


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best learning rate at one size."""

    lr: float  #: NaN where it was refused
    low: float  #: ends of the 90 % interval
    high: float
    loss: float  #: of the curve at the minimum
    draws: FloatArray  #: (draws,) log2 of the learning rate
    refused: str = ""  #: why there is no optimum
    how: str = ""  #: what was resampled
    doubt: str = ""  #: why the curve's minimum may not be believed
    left_out: int = 0  #: runs with a finite loss, taken for diverged

    @property
    def log2(self) -> float:
        """log2 of the learning rate."""
        return float(np.log2(self.lr))

    @property
    def octaves(self) -> float:
        """Width of the interval."""
        return float(np.log2(self.high / self.low))


def best_lr(
    lr: FloatArray,
    loss: FloatArray,
    seed: FloatArray,
    draws: int = 300,
    rng_seed: int = 0,
    initial_loss: float = np.nan,
) -> Optimum:
    """The best learning rate of a sweep at one size, with an interval.

    ``lr``, ``loss``, ``seed``: (n,), a loss of NaN for a diverged run. Sweeps of four or more seeds are resampled by
    seed; with fewer, residuals from the curve are drawn anew (their size kept, their sign and factor drawn). Each draw
    also takes another window. A minimum at the edge of the grid is refused: then the optimum is not between two
    measured learning rates. The interval also holds every learning rate at which the curve lies less than 1.645 of its
    standard errors above its minimum, so that a flat minimum has a wide one; and no place is claimed more sharply than
    a tenth of the grid's step. Runs that end above ``initial_loss`` (NaN: not known), or beyond a cliff
    (:func:`scalefit.stability.diverged.cliff`), count as diverged;
    ``doubt`` says where the curve's minimum lies far below every measured loss. Raises InputError for fewer than three
    learning rates.

    >>> lr = np.array([0.001, 0.002, 0.004, 0.008, 0.016])
    >>> found = best_lr(lr, 2 * np.exp(0.05 * np.log2(lr / 0.004) ** 2), np.zeros(5))
    >>> round(found.log2, 3), round(found.loss, 3)
    (-7.966, 2.0)
    """
    x, y = np.log2(np.asarray(lr, dtype=float)), np.asarray(loss, dtype=float)
    if len(np.unique(x)) < 3:
        raise InputError(f"{len(np.unique(x))} learning rates have no minimum between them", todo="give three or more")
    beyond = cliff(np.exp2(x), y, initial_loss) & _within_reach(x, y)
    kept, left_out = np.isfinite(y) & ~beyond, int(beyond.sum())
    grid, means = _means(x[kept], y[kept])
    refused = _at_edge(grid, means, np.unique(x))
    if refused:
        least = float(means.min()) if len(means) else np.nan
        return Optimum(np.nan, np.nan, np.nan, least, np.array([]), refused, left_out=left_out)
    log = bool(np.all(y[kept] > 0))
    x, y = x[kept], np.log(y[kept]) if log else y[kept]
    bowl = fit_bowl(x, y)
    centre, how = _resampled(x, y, np.asarray(seed)[kept], bowl, draws, np.random.default_rng(rng_seed))
    low, high = np.quantile(centre, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    flat_low, flat_high = _flat(x, y, bowl)
    low, high = min(low, flat_low), max(high, flat_high)
    loss_there = float(np.exp(bowl.loss)) if log else bowl.loss
    doubt = _too_low(loss_there, means)
    return Optimum(2**bowl.centre, float(2**low), float(2**high), loss_there, centre, "", how, doubt, left_out)


def fit_bowl(x: FloatArray, y: FloatArray, window: float = WINDOW, degree: int = 3, refine: int = 5) -> Bowl:
    """The smooth curve near the minimum of losses ``y`` over ``x`` = log2(lr), both (n,) and finite.

    Two or more distinct learning rates; a window that holds fewer than three is widened to the nearest three.
    """
    grid, means = _means(x, y)
    centre, step = float(grid[np.argmin(means)]), float(np.median(np.diff(grid)))
    window = max(window, 1.5 * step)
    for turn in range(ROUNDS):
        wide = max(window, 1.2 * float(np.sort(np.abs(grid - centre))[min(LEAST_POINTS, len(grid)) - 1]))
        found = _one_fit(x, y, centre, wide, degree, refine)
        if abs(found.centre - centre) < 1e-3:
            break
        centre = found.centre if turn < 3 else (found.centre + centre) / 2
    return found


def _within_reach(x: FloatArray, y: FloatArray) -> np.ndarray:
    """The runs that a window round the least loss may hold, (n,): others have no part in the curve."""
    finite = np.isfinite(y)
    return np.abs(x - x[finite][np.argmin(y[finite])]) <= WINDOWS[1] if finite.any() else finite


def _too_low(loss: float, means: FloatArray) -> str:
    """Why the curve's minimum is not believed, or nothing: it lies far below every loss that was measured.

    Between two learning rates of a parabola the minimum is below the least loss by at most an eighth of the rise from
    the least to the third least; four times that is far.
    """
    first, _, third = np.sort(means)[:3]
    if first - loss <= max(BELOW * abs(first), (third - first) / 2):
        return ""
    return (
        f"the curve's minimum, {loss:.5g}, lies far below every measured loss (least {first:.5g}): the curve does not "
        "describe these losses; leave diverged runs out, or add learning rates near the minimum"
    )


def _flat(x: FloatArray, y: FloatArray, bowl: Bowl) -> tuple[float, float]:
    """The ends of the stretch round the minimum where the curve rises by less than it is uncertain."""
    inside = np.isfinite(bowl.fitted)
    count = len(bowl.constants)
    weight = _nearness(x[inside] - bowl.centre, bowl.window)
    points = float(weight.sum())
    if points <= count or inside.sum() <= count:
        return bowl.centre, bowl.centre
    variance = float(weight @ (y - bowl.fitted)[inside] ** 2) / (points - count)
    error = np.sqrt(variance * count / points)
    fine = np.linspace(x[inside].min(), x[inside].max(), 400)
    steep = fine[bowl(fine) > bowl.loss + ONE_SIDED * error]
    left, right = steep[steep < bowl.centre], steep[steep > bowl.centre]
    return float(left.max() if len(left) else fine[0]), float(right.min() if len(right) else fine[-1])


def _one_fit(x: FloatArray, y: FloatArray, centre: float, window: float, degree: int, refine: int) -> Bowl:
    near = np.abs(x - centre) < window
    inside, values = x[near] - centre, y[near]
    distinct = len(set(inside.tolist()))
    degree = min(degree if distinct > 4 else 2, distinct - 1)
    nearness = _nearness(inside, window)
    columns = (inside / window)[:, None] ** np.arange(degree + 1)
    weight = nearness
    for turn in range(refine + 1):
        weighted = columns * weight[:, None]
        ridge = 1e-12 * np.trace(weighted.T @ columns) * np.eye(degree + 1)
        constants = np.linalg.solve(weighted.T @ columns + ridge, weighted.T @ values)
        if turn < refine:
            residual = np.abs(values - columns @ constants)
            spread = max(MAD_TO_SIGMA * float(np.median(residual)), 1e-12 * float(np.abs(values).max()))
            weight = nearness * np.minimum(1.0, HUBER * spread / np.maximum(residual, 1e-300))
    place = _lowest(constants, inside.min() / window, inside.max() / window)
    fitted = np.full(len(x), np.nan)
    fitted[near] = columns @ constants
    lowest = float(np.polyval(constants[::-1], place))
    return Bowl(place * window + centre, lowest, fitted, constants, centre, window)


def _nearness(distance: FloatArray, window: float) -> FloatArray:
    """Weights that fall smoothly from 1 at no distance to 0 at the window."""
    return np.asarray((1 - np.minimum(np.abs(distance / window), 1.0) ** 3) ** 3)


def _lowest(constants: FloatArray, low: float, high: float) -> float:
    """Where a polynomial of degree 1 to 3, constants rising in power, is least between two places."""
    _, b, c, d = (*constants, 0.0, 0.0, 0.0)[:4]
    places = [low, high]
    if abs(d) > 1e-12 * max(abs(b), abs(c)):
        inner = c * c - 3 * b * d
        places += [(-c + np.sqrt(inner)) / (3 * d)] if inner > 0 else []
    elif c > 0:
        places.append(-b / (2 * c))
    kept = [float(place) for place in places if low <= place <= high]
    return min(kept, key=lambda place: float(np.polyval(constants[::-1], place)))


def _means(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distinct learning rates and their mean losses."""
    grid, place = np.unique(x, return_inverse=True)
    return grid, np.bincount(place, y) / np.maximum(np.bincount(place), 1)


def _at_edge(grid: FloatArray, means: FloatArray, tried: FloatArray) -> str:
    """Why a minimum is refused, or nothing. ``tried`` holds the learning rates of diverged runs as well."""
    if not len(grid):
        return f"none of {len(tried)} learning rates has a finite loss and has not diverged: add smaller ones"
    if len(grid) < LEAST_POINTS:
        return f"only {len(grid)} of {len(tried)} learning rates have not diverged: add smaller ones"
    least = int(np.argmin(means))
    if least == 0:
        return f"the least loss is at the smallest learning rate tried ({2 ** grid[0]:.3g}): add smaller ones"
    if least == len(grid) - 1 and grid[-1] == tried[-1]:
        return f"the least loss is at the largest learning rate tried ({2 ** grid[-1]:.3g}): add larger ones"
    return ""


def _resampled(
    x: FloatArray, y: FloatArray, seed: FloatArray, bowl: Bowl, draws: int, rng: np.random.Generator
) -> tuple[FloatArray, str]:
    """Minima of resampled sweeps, (draws,), and what was resampled."""
    names = np.unique(seed)
    by_seed = len(names) >= MANY_SEEDS
    inside = np.isfinite(bowl.fitted)
    points = int(inside.sum())
    fitted = np.where(inside, bowl.fitted, y)
    residual = (y - fitted) * np.sqrt(points / max(points - len(bowl.constants), 1))
    rows_of = {name: np.flatnonzero(seed == name) for name in names}
    found = np.empty(draws)
    blur = SHARPEST * float(np.median(np.diff(np.unique(x))))
    for i in range(draws):
        window, degree = rng.uniform(*WINDOWS), int(rng.integers(2, 4))
        rows = np.arange(0)
        if by_seed:
            rows = np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        if len(np.unique(x[rows])) >= LEAST_POINTS:
            found[i] = fit_bowl(x[rows], y[rows], window, degree, 1).centre
        else:  # few seeds, or a draw of them that holds too few learning rates for a minimum
            found[i] = fit_bowl(x, fitted + residual * rng.standard_normal(len(x)), window, degree, 1).centre
    return found + blur * rng.standard_normal(draws), f"{len(names)} seeds" if by_seed else "residuals"
