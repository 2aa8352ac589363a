"""How wide prediction intervals are: spread of the draws, noise, and the error that every law is believed to make.

Draws alone make intervals too narrow, because every law is a little wrong. What it may miss scales with what it
explains: with R the range of its predictions over the fitted rows but the highest twentieth, which say little of what
comes after the lowest, and d the distance beyond them in units of the fitted range of scales, a law is believed to be
off by

    m = R sqrt(WITHIN^2 + (BEYOND d^g)^2)

with g = GROWTH for runs, each of which errs anew, and 1 along curves, which go on as they went. A map from a loss to a
loss has MAPPED and STEEPER for BEYOND and GROWTH. For curves there is a third part, of the schedule
(``unlike``).

A back-test on the user's own runs (refits below growing scales; for curves, refits without one run each) gives errors e
at known distances. With the spread s of the draws and the noise sigma, a prediction has the standard deviation

    S = sqrt(max(s^2, k^2 m^2) + sigma^2)

(the errors of refits are those of the law and of its constants together, so that both are not added) and k^2 is the
weighted mean of one estimate per refit (a fold) and of the value 1, which counts as PRIOR_FOLDS folds.
The estimate of a fold is

    k_f^2 = sum w (e^2 - sigma^2) m^2 / sum w m^4,   w = 1 / (m^2 + s^2 + sigma^2)^2,

least squares with the weights of normal errors; it counts less where noise and draws leave it open by more than DOUBT.
As k is estimated from few folds, it is widened by Student's t. Ahead, sigma is that of the rows of the lowest losses.
Clean rows may tell that the law misses less, a share g of m, as far as their noise and number allow (``misfit``); the
interval is that of the mixture over g. Errors are those from the centre of the interval, which lies the mean of g of
the way from the prediction to that of the law's other form (``forms``: fitted mostly to the largest rows, with
constants drawn towards published ones), and b m g further: b is the mean signed error of the refits in units of m
(``folds.bias_of``). docs/intervals.md names the data sets that set the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.scale import reads_scale, scale_of
from scalefit.uncertainty.bootstrap import Method
from scalefit.uncertainty.unlike import State, missed_between, missed_under

WITHIN = 0.006  #: error assumed for every law on a new run, in units of R
BEYOND = 0.1  #: and where it is as far beyond the fitted range as that is wide
GROWTH = 0.45  #: how that grows with the distance, but along curves
MAPPED, STEEPER = 0.07, 0.7  #: both for a map from a loss to a loss
PRIOR_FOLDS = 2.0  #: how many folds the factor k = 1 counts as that is assumed before any back-test
WORST = 8.0  #: largest estimate of k that a single fold can give
DOUBT = 3.0  #: standard error of an estimate of k^2 at which it counts half
PER_RUN, PER_DECADE = 0.001, 0.0125  #: what earlier versions assumed of every law on a held-out run, and a decade
LEVEL = 0.9
LEAST_SIDE = 0.05  #: smallest share of the draws' range on either side of the fit
ENOUGH_FOLDS, ENOUGH_POINTS = 3, 8  #: with fewer, intervals are reported as not calibrated
SPAN = 2.0  #: decades that the fitted range counts as, for a law that reads neither size nor data
NARROWEST = 0.1  #: least decades that a fitted range of scales counts as
STEPS, CLOSE = 60, 1e-11  #: most steps in which the quantile of a mixture is found, and to which part of itself


@dataclass(frozen=True)
class Reach:
    """The factor k from a back-test, the numbers of refits and predictions behind it, and the fitted scales."""

    factor: float
    folds: int
    points: int
    low: float  #: decimal logarithm of the smallest fitted scale
    high: float  #: of the largest

    @property
    def calibrated(self) -> bool:
        """Whether there were enough refits and predictions to call the intervals calibrated."""
        return self.folds >= ENOUGH_FOLDS and self.points >= ENOUGH_POINTS

    def distance(self, law: Law, variables: dict[str, FloatArray]) -> FloatArray:
        """How far rows lie outside the fitted scales, in decades; see :func:`scale_of`.

        For a law that reads no size, data or compute (a loss from a loss), the fitted range counts as SPAN decades.
        """
        scale = scale_of(law, variables)
        beyond = np.maximum(0.0, np.maximum(scale - self.high, self.low - scale))
        return beyond if reads_scale(law) else beyond * SPAN / max(self.high - self.low, 1e-9)


@dataclass(frozen=True)
class Calibration(Reach):
    """A back-test, and what the fitted rows say of the law."""

    change: float  #: R, the range of the predictions over the fitted rows, as a residual
    misfit: float = 1.0  #: the mean of g, the share of what laws usually miss that this one does
    states: tuple[State, ...] = ()  #: of the fitted schedules, see ``unlike``
    decays: float = 0.0  #: h, what the law misses where the learning rate of the fitted rows has fallen
    sizes: tuple[tuple[float, float], ...] = ()  #: shares g and their probabilities
    mapped: bool = False  #: whether the law leads from a loss to a loss (fits saved before knew no difference)
    lowest: float | None = None  #: along curves the lowest prediction over the fitted rows, as a residual
    bias: float = 0.0  #: b, how far larger runs lie above the prediction, in units of m (fits saved before knew none)
    quiet: float = 1.0  #: r, the noise near the lowest losses over that of all fitted rows (fits saved before: of all)

    @property
    def mixed(self) -> tuple[tuple[float, float], ...]:
        """Shares g and their probabilities; those of fits saved without are all and nothing."""
        return self.sizes or ((1.0, self.misfit), (0.0, 1 - self.misfit))

    @property
    def size(self) -> float:
        """The root mean square of k g."""
        return self.factor * float(np.sqrt(sum(chance * share**2 for share, chance in self.mixed)))

    def missed(self, law: Law, variables: dict[str, FloatArray], states: FloatArray | None = None) -> FloatArray:
        """The error m that is believed of the law at rows of variables (and states of schedules), for k = 1."""
        span = max(self.high - self.low, NARROWEST) if reads_scale(law) else SPAN
        reach = self.distance(law, variables) / span
        beyond, growth = (MAPPED, STEEPER) if self.mapped else (BEYOND, 1.0 if law.is_trajectory else GROWTH)
        error = np.hypot(WITHIN, beyond * reach**growth)
        if states is None or not self.states:
            return np.asarray(self.change * error)
        return np.hypot(self.change * error, missed_under(states, np.array(self.states), self.change, self.decays))

    def missed_apart(self, states: FloatArray, first: int) -> FloatArray:
        """The error m of the difference between schedules of some end states (n, 5) and the ``first`` of them, (n,)."""
        if not self.states:
            return np.zeros(len(states))
        shape = missed_under(states, np.array(self.states), self.change, self.decays)
        missed = np.hypot(self.change * WITHIN, shape)
        return missed_between(states, states[first], missed, float(missed[first]))

    def half_width(self, spread: FloatArray, missed: FloatArray, noise: float, level: float) -> FloatArray:
        """How far an interval reaches on one side, where the draws spread and the law misses by this much."""
        known = [(share, chance) for share, chance in self.mixed if chance > 0]
        wide = [deviation(share * self.factor, spread, missed, self.quiet * noise) for share, _ in known]
        if len(known) == 1:
            return wide[0] * student(level, np.inf)
        return _mixed_quantile([chance for _, chance in known], wide, 0.5 * (1 - level))


@dataclass(frozen=True)
class EarlierCalibration(Reach):
    """The calibration of fits saved by earlier versions, so that they still predict what they predicted.

    S = sqrt(k^2 (s^2 + PER_RUN^2 + (PER_DECADE d)^2) + sigma^2) at d decades beyond the fitted scales: the error of the
    law scaled with the loss itself.
    """

    def missed(self, distance: FloatArray, unit: FloatArray | float) -> FloatArray:
        """The error believed of the law, before k, at some distances; ``unit`` is the size of a residual of 1."""
        return np.asarray(unit * np.hypot(PER_RUN, PER_DECADE * distance))

    def half_width(self, spread: FloatArray, missed: FloatArray, noise: float, level: float) -> FloatArray:
        """How far an interval reaches on one side, where the draws spread and the law misses by this much."""
        return np.asarray(np.sqrt(self.factor**2 * (spread**2 + missed**2) + noise**2) * student(level, np.inf))


@dataclass(frozen=True)
class Fold:
    """The errors of one refit on its held-out runs; all arrays have one entry per held-out row."""

    label: str
    rows: NDArray[np.intp]  #: which rows were held out
    fitted: int  #: how many rows were fitted
    distance: FloatArray
    missed: FloatArray  #: the error that was believed of the law there
    error: FloatArray  #: measured minus predicted, in residual space
    below: FloatArray  #: standard deviation of the draws there, below the prediction
    above: FloatArray  #: and above it
    sigma: float  #: noise of the fitted rows
    pulled: FloatArray | float = 0.0  #: by how much the centre of the interval lies above the prediction

    @property
    def missed_by(self) -> FloatArray:
        """Measured minus the centre of the interval."""
        return self.error - self.pulled

    @property
    def spread(self) -> FloatArray:
        """The standard deviation of the draws on the side of the error."""
        return np.where(self.missed_by > 0, self.above, self.below)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Rows whose error and spread are numbers, and where something is believed to be missed."""
        return np.isfinite(self.missed_by) & np.isfinite(self.spread) & (self.missed > 0)


def spreads(centre: FloatArray, made: FloatArray, few: float) -> tuple[FloatArray, FloatArray]:
    """Standard deviations (n,) below and above ``centre`` (n,), from the 5 and 95 % points of draws (B, n).

    Near its floor a law can have larger errors on one side than on the other, so each side has its own.

    >>> below, above = spreads(np.zeros(1), np.linspace(-1, 3, 401)[:, None], 1.0)
    >>> bool(above > 2 * below)
    True
    """
    known = np.isfinite(made)
    none = ~known.any(axis=0)
    drawn = np.where(known, made, np.where(none, 0.0, np.nan))
    low, high = np.where(none, np.nan, np.nanpercentile(drawn, [5, 95], axis=0))
    least = LEAST_SIDE * (high - low)
    unit = few / student(LEVEL, np.inf)
    return unit * np.maximum(centre - low, least), unit * np.maximum(high - centre, least)


def towards(other: FloatArray, centre: FloatArray) -> FloatArray:
    """By how much the centre of an interval lies above a prediction (n,), where another form of the law predicts so.

    >>> towards(np.array([5.0, np.nan]), np.array([2.0, 2.0])).tolist()
    [3.0, 0.0]
    """
    return np.where(np.isfinite(other), other - centre, 0.0)


def small_sample(blocks: int, rows: int, parameters: int, method: Method) -> float:
    """By which factor resampling m blocks of n rows understates the 90 % interval of a law with p parameters.

    sqrt(m / (m - 1) (n - 1) / (n - p)) corrects the spread (its second part only where residuals are not, as they are
    for ``wild``), Student's t with min(m - 1, n - p) degrees of freedom over the normal the length.

    >>> round(small_sample(20, 20, 4, "pairs"), 3)
    1.187
    """
    shrunk = 1.0 if method == "wild" else (rows - 1) / max(rows - parameters, 1)
    spread = np.sqrt(blocks / max(blocks - 1, 1) * shrunk)
    freedom = max(min(blocks - 1, rows - parameters), 1)
    return float(spread) * student(LEVEL, freedom) / student(LEVEL, np.inf)


def deviation(factor: float, spread: FloatArray, missed: FloatArray, sigma: float) -> FloatArray:
    """The standard deviation S of a prediction; see the head of this file.

    With a factor of 0 nothing is missed, even where ``missed`` is infinite.
    """
    share = factor * missed if factor else np.zeros(np.shape(missed))
    return np.asarray(np.hypot(np.maximum(spread, share), sigma))


def _mixed_quantile(chances: Sequence[float], wide: Sequence[FloatArray], tail: float) -> FloatArray:
    """Where normal errors of standard deviations (k, n), mixed with some chances (k,), leave ``tail`` beyond, (n,).

    The part beyond x falls convexly from x = 0 on, so that Newton's steps from there never pass the solution. One order
    of summing keeps a row's end from depending on the others.
    """
    found = np.where(np.isnan(np.sum(wide, axis=0)), np.nan, 0.0)  # no end of what is not a number
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            beyond, steep = np.full(found.shape, -tail), np.full(found.shape, np.finfo(float).tiny)
            for chance, each in zip(chances, wide, strict=True):
                unit = np.maximum(each, np.finfo(float).tiny)
                at = np.where(np.isfinite(found), found, 0.0) / unit
                beyond += chance * ndtr(-at)
                steep += chance * np.exp(-0.5 * at**2) / unit / np.sqrt(2 * np.pi)
            more = np.isfinite(found) & (beyond > CLOSE * found * steep)
            found = np.where(more, found + beyond / steep, found)
            if not more.any():
                break
    return found


def factor_of(folds: Sequence[Fold], level: float = LEVEL) -> tuple[float, int, int]:
    """The factor k from the folds and the prior, widened by Student's t at ``level``; folds and predictions used."""
    total, weight, points, count = PRIOR_FOLDS, PRIOR_FOLDS, 0, 0
    for fold in folds:
        finite = fold.known
        if not finite.any():
            continue
        square, trust = estimated(fold, finite)
        total, weight, points, count = total + trust * square, weight + trust, points + int(finite.sum()), count + 1
    return float(np.sqrt(total / weight)) * student(level, weight) / student(level, np.inf), count, points


def estimated(fold: Fold, rows: NDArray[np.bool_]) -> tuple[float, float]:
    """The estimate k_f^2 of a fold, at most WORST^2, and its weight: the smaller, the more of it may be chance.

    Noise is independent from row to row, the error of the draws is shared by all.
    """
    believed, noise, drawn = fold.missed[rows] ** 2, fold.sigma**2, fold.spread[rows] ** 2
    weights = believed / (believed + drawn + noise) ** 2
    whole = float(np.sum(weights * believed))
    square = float(np.sum(weights * (fold.missed_by[rows] ** 2 - noise))) / whole
    doubt = np.sqrt(2) * np.hypot(np.linalg.norm(weights * noise), np.sum(weights * drawn)) / whole
    return min(max(square, 0.0), WORST**2), float(1 / (1 + (doubt / DOUBT) ** 2))


def student(level: float, freedom: float) -> float:
    """Half the width of the central ``level`` of Student's t; of the normal distribution for infinite ``freedom``.

    >>> round(student(0.9, 9), 3), round(student(0.9, np.inf), 3)
    (1.833, 1.645)
    """
    return float(stdtrit(freedom, 0.5 + level / 2))
