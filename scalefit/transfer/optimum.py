"""The best learning rate of one sweep, from a smooth curve through the losses near the minimum.

The curve is a parabola in log2(lr) plus a Gaussian process (:mod:`scalefit.transfer.bowl`), because too large a
learning rate costs more than too small a one; it is fitted to log losses (to losses if one is not positive).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

from scalefit.answers import Shown, interval
from scalefit.errors import InputError
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.runs.cliff import JUMP, cliff
from scalefit.transfer.bowl import Bowl, fit_bowl, fitted_to, known_at, minima
from scalefit.transfer.grid import levelled, means_of, snapped

NEAREST = 7  #: distinct learning rates nearest to the smallest loss that enter the curve,
WITHIN = 2.5  #: with all others within so many octaves of it,
FARTHEST = 5.0  #: but none farther than this, if three are nearer;
WIDER = 1.6  #: the range is widened by this factor while more than
AT_ENDS = 0.02  #: of the drawn minima lie at an end of it beyond which there are losses
LEVEL = 0.90  #: of every interval
DRAWS = 1000  #: with 300 the ends move by a twentieth of the interval between seeds, with these by a fortieth
SHARPEST = 0.05  #: smallest standard deviation of the place of a minimum, in steps of the grid
LEAST_POINTS = 3  #: distinct learning rates with a finite loss
BELOW = 0.005  #: relative depth below every measured loss above which the curve's minimum is doubted
STRAY = 1e-3  #: probability, over all runs of a sweep, below which a loss so far from the others' curve is left out
MOST_STRAY = 2  #: most losses left out in this way
WHOLE_SPAN = 10.0  #: times the span of all other losses: one that lies deeper may be the only run that learned
ASIDE = 2  #: learning rates needed on each side of a minimum to trust it against a stray loss at an end
SCATTER = 3  #: fewest degrees of freedom that can identify a stray loss


@dataclass(frozen=True, eq=False, repr=False)
class Optimum(Shown):
    """The best learning rate at one size."""

    lr: float  #: NaN where it was refused
    low: float  #: ends of the 90 % interval
    high: float
    loss: float  #: of the curve at the minimum
    draws: FloatArray  #: (draws,) log2 of the learning rate
    refused: str = ""  #: why there is no optimum
    how: str = ""  #: what the interval comes from
    doubts: tuple[str, ...] = ()  #: why the curve's minimum may be wrong
    left_out: int = 0  #: runs with a finite loss that count as diverged
    within: tuple[float, float] = (-np.inf, np.inf)  #: log2 of the learning rates between which a refused optimum lies
    stray: tuple[tuple[float, float], ...] = ()  #: learning rate and loss of each run left out as far from the curve
    notes: tuple[str, ...] = ()  #: which seeds diverged at learning rates that count

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        place = interval((self.lr, self.low, self.high))
        head = f"no optimum: {self.refused}" if self.refused else f"learning rate {place}, loss {self.loss:.5g}"
        return [head, *self.notes, *doubted(self.doubts)]

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
    draws: int = DRAWS,
    rng_seed: int | list[int] = 0,
    initial_loss: float = np.nan,
) -> Optimum:
    """The best learning rate of a sweep at one size, with an interval.

    ``lr``, ``loss``, ``seed``: (n,); the loss of a diverged run is NaN. The interval holds 90 % of the minima of curves
    drawn from the posterior of the shape, the noise and each seed's offset. A flat minimum has a wide interval, and the
    place has a standard deviation of at least a twentieth of the grid's step. A minimum at the edge of the grid is
    refused. Runs that end above ``initial_loss`` (NaN: not known) or beyond a cliff
    (:func:`scalefit.runs.cliff.cliff`) count as diverged, and so does a learning rate at which half of the runs have;
    where losses fall up to it, the interval ends there. ``doubts`` names losses left out because they lie far from the
    curve through the others, and a minimum far below every loss; ``notes`` learning rates that lost some of their
    seeds. Raises InputError for fewer than three learning rates.

    >>> lr = np.array([0.001, 0.002, 0.004, 0.008, 0.016])
    >>> found = best_lr(lr, 2 * np.exp(0.05 * np.log2(lr / 0.004) ** 2), np.zeros(5))
    >>> round(found.log2, 3), round(found.loss, 3)
    (-7.966, 2.0)
    """
    x, y, seed = np.log2(snapped(lr)), np.asarray(loss, dtype=float), np.asarray(seed)
    if len(np.unique(x)) < LEAST_POINTS:
        raise InputError(f"{len(np.unique(x))} learning rates cannot enclose a minimum", todo="give three or more")
    finite, tried = np.isfinite(y), np.unique(x)
    beyond = cliff(np.exp2(x), y, initial_loss)
    if finite.any():  # the cliff rule judges no runs far from the smallest loss
        beyond &= np.abs(x - x[finite][np.argmin(y[finite])]) <= FARTHEST + 1
    kept, notes = _stable(x, finite & ~beyond)
    left_out = int((beyond & finite).sum())
    x, y, seed = x[kept], y[kept], seed[kept]
    rows, doubts = _without_stray(x, y, seed)
    stray = tuple((float(2 ** x[i]), float(y[i])) for i in np.flatnonzero(~rows))
    tried = np.setdiff1d(tried, np.setdiff1d(x[~rows], x[rows]))  # a learning rate that is left out has not diverged
    x, y, seed = x[rows], levelled(x[rows], y[rows], seed[rows]), seed[rows]
    grid, means = means_of(x, y)
    refused, within = _at_edge(grid, means, tried)
    if refused:
        nothing, least = (np.nan, np.nan, np.nan), float(means.min()) if len(means) else np.nan
        return Optimum(*nothing, least, np.array([]), refused, "", tuple(doubts), left_out, within, stray, notes)
    above = tried[tried > grid[-1]]  # learning rates that were tried beyond all that count: they diverged
    lost_from, log = float(above[0]) if len(above) else np.inf, bool(np.all(y > 0))
    found = _located(x, np.log(y) if log else y, seed, lost_from, draws, np.random.default_rng(rng_seed), log)
    doubts += list(found.doubts) + _too_low(found.loss, means)
    return replace(found, doubts=tuple(doubts), left_out=left_out, stray=stray, notes=notes)


def _located(
    x: FloatArray, y: FloatArray, seed: FloatArray, lost_from: float, draws: int, rng: np.random.Generator, log: bool
) -> Optimum:
    """The optimum of finite losses; ``lost_from``: the first diverged learning rate above them, or inf."""
    doubts = []
    bowl, near = _followed(x, y, seed, lost_from, draws, rng)
    grid, means = means_of(x[near], y[near])
    last, step = float(grid[-1]), float(np.median(np.diff(grid)))
    centre = min(bowl.lowest, last)
    places, how = minima(bowl.places, bowl.draws), f"{bowl.freedom} degrees of freedom"
    if not bowl.freedom:
        least, how = int(np.argmin(means)), "the grid: too few runs to estimate noise"
        left, right = grid[max(least - 1, 0)], grid[min(least + 1, len(grid) - 1)]
        places = np.clip(centre + (right - left) / 4 * rng.standard_normal(draws), left, right)
    open_end = lost_from < np.inf and last == x.max()
    if open_end:  # the first learning rate that diverges lies somewhere in the gap
        places = np.minimum(places, rng.uniform(last, lost_from, len(places)))
    places = places + SHARPEST * step * rng.standard_normal(len(places))
    low, high = np.quantile(places, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if open_end and bowl.lowest > last:
        said = f"{2**last:.4g}: add learning rates above it"
        doubts.append(f"the loss falls up to the last learning rate that does not diverge, {said}")
        high = max(high, lost_from)
    depth = float(np.interp(centre, bowl.places, bowl.mean))
    loss = float(np.exp(depth)) if log else depth
    low, high = min(low, centre), max(high, centre)
    return Optimum(2**centre, float(2**low), float(2**high), loss, places, "", how, tuple(doubts))


def _followed(
    x: FloatArray, y: FloatArray, seed: FloatArray, lost_from: float, draws: int, rng: np.random.Generator
) -> tuple[Bowl, np.ndarray]:
    """The curve and a mask of the runs that it is fitted to: those near the smallest loss, more where it is flat."""
    reach = _reach(x, y)
    grid, means = means_of(x, y)
    middle = grid[np.argmin(means)]
    while True:
        near = np.abs(x - middle) <= reach + 1e-9
        low, high = float(x[near].min()), float(x[near].max())
        beyond = min(lost_from, high + WITHIN) if high == x.max() and lost_from < np.inf else high
        bowl = fit_bowl(x[near], y[near], seed[near], (low, beyond), draws, rng)
        places = minima(bowl.places, bowl.draws)
        at_ends = np.mean(((places <= low) & (low > x.min())) | ((places >= high) & (high < x.max())))
        if at_ends <= AT_ENDS:
            return bowl, near
        reach *= WIDER


def _reach(x: FloatArray, y: FloatArray) -> float:
    """Octaves on each side of the smallest loss within which runs enter the curve at first."""
    grid, means = means_of(x, y)
    nearest = np.sort(np.abs(grid - grid[np.argmin(means)]))
    reach = max(WITHIN, float(nearest[min(NEAREST, len(grid)) - 1]))
    return max(min(reach, FARTHEST), float(nearest[min(LEAST_POINTS, len(grid)) - 1]))


def _without_stray(x: FloatArray, loss: FloatArray, seed: FloatArray) -> tuple[np.ndarray, list[str]]:
    """A mask of the runs whose loss agrees with the curve through the others, and notes on those left out.

    Seeds are levelled anew without each run that is left out, as its loss has shifted the others of its seed.
    """
    doubts: list[str] = []
    kept, log = np.ones(len(x), dtype=bool), bool(np.all(loss > 0))
    while kept.any() and len(doubts) < MOST_STRAY:
        rows = np.flatnonzero(kept)
        y = levelled(x[rows], loss[rows], seed[rows])
        y = np.log(y) if log else y
        near = np.flatnonzero(np.abs(x[rows] - x[rows][np.argmin(y)]) <= _reach(x[rows], y))
        drop, stray = _drops_at_end(x[rows], y), _stray(x[rows][near], y[near], seed[rows][near])
        row = int(rows[drop]) if drop is not None else -1 if stray is None else int(rows[near[stray]])
        if row < 0 or len(np.unique(x[rows[rows != row]])) < LEAST_POINTS:
            break
        said = f"the loss {loss[row]:.5g} at learning rate {2 ** x[row]:.4g}"
        doubts.append(f"{said} lies far from the curve through the others: left out")
        kept[row] = False
    return kept, doubts


def _stray(x: FloatArray, y: FloatArray, seed: FloatArray) -> int | None:
    """The row, smallest or farthest from the curve, whose loss the curve through the others cannot explain; or None."""
    if len(x) < SCATTER + 3:
        return None
    for row in dict.fromkeys((int(np.argmin(y)), int(np.argmax(np.abs(y - fitted_to(x, y, seed)))))):
        rest = np.delete(np.arange(len(x)), row)
        if len(np.unique(x[rest])) < LEAST_POINTS:
            continue
        others = known_at(x[rest], y[rest], seed[rest], float(x[row]))
        if others.freedom < SCATTER:
            continue
        away = abs(float(y[row]) - others.value) / max(others.error, 1e-12)
        if 2 * stdtr(others.freedom, -away) * len(x) < STRAY:
            return row
    return None


def _drops_at_end(x: FloatArray, y: FloatArray) -> int | None:
    """The smallest loss, if it stands alone at an end, far below the next, and the others have their own minimum.

    Far: by more than three times the steepest of their steps, though not by more than ten times their whole span (then
    it may be the only run that learned, or that did not diverge).
    """
    row = int(np.argmin(y))
    grid, means = means_of(x, y)
    end = 0 if x[row] == grid[0] else -1 if x[row] == grid[-1] else None
    if end is None or len(grid) < 2 * ASIDE + 2 or np.sum(x == x[row]) > 1:
        return None
    steps, others = np.abs(np.diff(means) / np.diff(grid)), np.delete(means, end)
    least, drop = int(np.argmin(others)), abs(float(np.diff(means)[end]))
    if not ASIDE <= least < len(others) - ASIDE:
        return None
    far = JUMP * np.delete(steps, end).max() < steps[end] and drop < WHOLE_SPAN * np.ptp(others)
    return row if far else None


def _stable(x: FloatArray, alive: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """A mask of the runs that count: those alive at learning rates where more than half are; and a note on the rest."""
    grid, place = np.unique(x, return_inverse=True)
    count, left = np.bincount(place), np.bincount(place, alive).astype(int)
    kept, some = (left > 0.5 * count)[place], np.flatnonzero((left > 0) & (left < count))
    if not len(some):
        return alive & kept, ()
    worst, rates = some[np.argmin(left[some] / count[some])], [f"{2 ** grid[i]:.4g}" for i in some]
    lost = f"{count[worst] - left[worst]} of {count[worst]} seeds diverged at"
    if len(some) == 1:
        return alive & kept, (f"{lost} learning rate {rates[0]}",)
    return alive & kept, (f"up to {lost} {len(some)} learning rates, {rates[0]} to {rates[-1]}",)


def _too_low(loss: float, means: FloatArray) -> list[str]:
    """A doubt where the curve's minimum lies far below every measured loss.

    Between two learning rates the minimum of a parabola lies below the smallest loss by at most an eighth of the rise
    from the smallest to the third smallest loss; four times that is far.
    """
    first, _, third = np.sort(means)[:3]
    if first - loss <= max(BELOW * abs(first), (third - first) / 2):
        return []
    return [
        f"the curve's minimum, {loss:.5g}, lies far below every measured loss (smallest {first:.5g}), so the curve "
        "does not describe these losses: leave out diverged runs, or add learning rates near the minimum"
    ]


def _at_edge(grid: FloatArray, means: FloatArray, tried: FloatArray) -> tuple[str, tuple[float, float]]:
    """Why a minimum is refused, or "", and the log2 learning rates between which it then lies.

    ``tried`` includes the learning rates of diverged runs.
    """
    anywhere, end = (-np.inf, np.inf), "the smallest loss is at the {} learning rate tried ({:.3g}): add {} ones"
    if not len(grid):
        why = f"none of {len(tried)} learning rates has a finite loss below the cliff of divergence: add smaller ones"
        return why, (-np.inf, float(tried[0]))
    least = int(np.argmin(means))
    if len(grid) > 1 and np.ptp(means) == 0:
        why = f"all {len(grid)} learning rates have the same loss, {means[0]:.5g}: see that it is the final loss"
        return why, anywhere
    if least == 0:
        above = grid[1:] if len(grid) > 1 else tried[tried > grid[0]]
        up = float(above[0]) if len(above) else np.inf
        return end.format("smallest", 2 ** grid[0], "smaller"), (-np.inf, up)
    if len(grid) < LEAST_POINTS:
        return f"only {len(grid)} of {len(tried)} learning rates have not diverged: add smaller ones", anywhere
    if least == len(grid) - 1 and grid[-1] == tried[-1]:
        return end.format("largest", 2 ** grid[-1], "larger"), (float(grid[-2]), np.inf)
    return "", anywhere
