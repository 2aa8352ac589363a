"""The end of a run from its own curve alone: an annealing law averaged over its exponent, its memory and its shape.

    L(s) = L0 + A S1^-alpha - C S2,    S2 of peak (lr/peak)^gamma with decay = 1 - 1/memory

L0, A and C follow by generalised least squares under wide priors, with the random walk of
:mod:`scalefit.progress.drift` as the residual; exponents, memories and shapes on a small grid are weighted by their
likelihood. The shape gamma says how the loss follows a falling learning rate: in proportion (1, as in language models),
or ever faster towards zero (1/2: the noise of the gradient holds the loss up, and most of the fall comes at the end).
Both occur among runs that count their steps in epochs, some hundreds in all: for these all shapes are alike likely, the
gain may be as large as the loss, the first rows do not enter, and a share of the fall that is still ahead is added to
the error, as a curve shows what annealing gains only as far as its learning rate has fallen.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.progress.drift import DRIFT_AREA, DRIFT_FALL, chosen_rows, walk_covariance, white_noise
from scalefit.runs.trajectory import Clock
from scalefit.schedules import Schedule, areas

EXPONENTS = np.arange(0.1, 1.5, 0.1)
USUAL_EXPONENT, EXPONENT_SPREAD = 0.5, 0.5  #: prior of the exponent: its median, and the spread of its logarithm
MEMORIES = (1 / 5, 1 / 20, 1 / 80)  #: how long drops of the learning rate act, as shares of the run
EPOCHS = 500  #: a schedule of at most so many steps counts epochs
SHAPES = {1.0: 0.0, 0.75: 0.0, 0.5: 0.0, 0.35: 0.0}  #: gamma by epochs, and the logarithm of its prior weight
IN_PROPORTION = {1.0: 0.0}  #: and by steps
LEVEL_SPREAD, FALL_SPREAD = 2.0, 3.0  #: prior spread of L0 and of A S1^-alpha, in present losses
GAIN_SPREAD, GAIN_BY_EPOCH = 0.3, 1.0  #: prior spread of the whole gain of annealing, in present losses
AHEAD_SHARE = 0.15  #: relative error of the fall that is still ahead, by epochs
EARLY, ENOUGH = 0.05, 12  #: share of the epochs so far that do not enter, where so many are left
LEAST = 1e-3  #: of the present loss: the smallest mean that is taken for one
FURTHER = 2.0  #: times the logarithm of the fall so far by which a run may still fall
MOST_NOISES = 2.0  #: standard deviations of noise and walk by which a run may end above its present loss
HALF = 0.5  #: share of a fall that must be over for the run to have shown it
JOINED = 0.03  #: share of the steps at a constant rate that do not part a fall in two
SMALL = 0.05  #: falls by less of the peak decide nothing
TIMES = 2.0  #: how many times as long, as large or as steep as another a fall may be and be alike
LAST = 5  #: rows whose median is the present loss


def own_curve(
    steps: NDArray[np.int64], loss: FloatArray, plan: Schedule, ahead: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, float]:
    """Mean and relative variance (from the random walk and the parameters) of the loss ahead, and the relative noise.

    ``steps``, ``loss`` (n,): the run so far, after warmup; ``ahead`` (m,): later steps.
    """
    epochs = plan.steps <= EPOCHS
    late = steps >= EARLY * steps[-1]
    steps, loss = (steps[late], loss[late]) if epochs and late.sum() >= ENOUGH else (steps, loss)
    rows = chosen_rows(len(steps))
    known, y = steps[rows], loss[rows]
    every = np.concatenate([known, ahead])
    lr, n, now = plan.per_step(), len(known), float(loss[-1])
    clock = Clock.of(lr, plan.warmup, every)
    noise = white_noise(np.log(loss))
    level = np.concatenate([y, np.full(len(ahead), now)])
    walk = walk_covariance(clock, clock, float(clock.area[0])) * np.outer(level, level)
    walk[:n, :n] += np.diag((noise * y) ** 2)
    found, gain_spread = [], GAIN_BY_EPOCH if epochs else GAIN_SPREAD
    prior = np.diag([(LEVEL_SPREAD * now) ** 2, (FALL_SPREAD * now) ** 2, (gain_spread * now) ** 2])
    area = np.cumsum(lr)[every]
    for gain, weight in _gains(lr, plan, every):
        for alpha in EXPONENTS:
            basis = np.column_stack([np.ones(len(every)), (area / area[0]) ** -alpha, -gain])
            mean, variance, fits = _regress(basis, walk + basis @ prior @ basis.T, y, now)
            likely = fits + weight - 0.5 * (np.log(alpha / USUAL_EXPONENT) / EXPONENT_SPREAD) ** 2
            found.append((mean, variance, likely))
    means, variances, weights = (np.array(each) for each in zip(*found, strict=True))
    share = np.exp(weights - weights.max())
    share /= share.sum()
    mean = share @ means
    variance = share @ (variances + (means - mean) ** 2) / mean**2
    fall = np.log(np.maximum(mean, LEAST * now) / float(np.median(loss[-LAST:]))) if epochs else 0.0
    return mean, variance + (AHEAD_SHARE * fall) ** 2, noise


def bounds(steps: NDArray[np.int64], loss: FloatArray, plan: Schedule, noise: float) -> tuple[float, float]:
    """The least and the largest final loss that make sense: none falls more than twice as far, in logarithms, as it has
    since its first rows; where the learning rate never rises again, none ends above the present loss but for noise."""
    late = loss[steps >= EARLY * steps[-1]]
    now, begun, lr = float(np.median(loss[-LAST:])), float(np.median(late[:LAST])), plan.per_step()
    spread = float(np.hypot(noise, np.hypot(DRIFT_AREA, DRIFT_FALL)))
    falls = bool(np.all(np.diff(lr[int(steps[-1]) :]) <= 1e-9 * lr.max()))
    return now * min(1.0, now / begun) ** FURTHER, now * float(np.exp(MOST_NOISES * spread)) if falls else np.inf


def _gains(lr: FloatArray, plan: Schedule, every: NDArray[np.int64]) -> Iterator[tuple[FloatArray, float]]:
    """What annealing has gained at some steps, over its largest there, for each memory and shape; and the log weight
    of the shape."""
    peak = float(lr.max())
    for shape, weight in (SHAPES if plan.steps <= EPOCHS else IN_PROPORTION).items():
        for memory in MEMORIES:
            decay = 1 - 1 / max(memory * plan.steps, 2.0)
            S2 = areas(peak * (lr / peak) ** shape, decay=decay, warmup=plan.warmup)[1][every]
            yield S2 / max(float(np.abs(S2).max()), 1e-300), weight


def _regress(
    basis: FloatArray, covariance: FloatArray, y: FloatArray, now: float
) -> tuple[FloatArray, FloatArray, float]:
    """Mean and variance of the later rows given the first ``len(y)`` rows, and the log likelihood of these."""
    n = len(y)
    lower = np.linalg.cholesky(covariance[:n, :n])
    white = np.linalg.solve(lower, y - now)
    across = np.linalg.solve(lower, covariance[:n, n:])
    variance = np.diag(covariance)[n:] - np.sum(across**2, axis=0)
    fits = float(-0.5 * white @ white - np.sum(np.log(np.diag(lower))))
    return now + across.T @ white, np.maximum(variance, 0.0), fits


def fallen(plan: Schedule, step: int) -> float:
    """The share of a schedule's whole fall that is over at a step; 1 for a fall of less than a thousandth."""
    lr = plan.per_step()
    peak, whole = float(lr.max()), float(lr.max() - lr[-1])
    if whole <= 1e-3 * peak:
        return 1.0
    return max(0.0, peak - float(lr[max(step, plan.warmup)])) / whole


def new_fall(plan: Schedule, step: int) -> int:
    """The step after which the rate falls as it has not fallen up to ``step``; 0 without such a fall.

    A fall under way is known once half of it is over, unless it becomes steeper; one that is still to come, by an
    earlier one half to twice as long and at least half as large.

    >>> from scalefit.schedules import parse_schedule
    >>> twice = parse_schedule("multi_step:peak_lr=1e-3,steps=100,at=50/80,factor=0.1")
    >>> new_fall(twice, 40), new_fall(twice, 60)
    (49, 0)
    """
    lr = plan.per_step() / float(plan.per_step().max())
    down = np.flatnonzero(np.diff(lr) < 0)
    down = down[down >= plan.warmup]
    known: list[tuple[int, float]] = []
    for part in np.split(down, np.flatnonzero(np.diff(down) > JOINED * plan.steps) + 1):
        if not len(part):
            continue
        first, last = int(part[0]), int(part[-1]) + 1
        size, so_far = float(lr[first] - lr[last]), float(lr[first] - lr[min(max(step, first), last)])
        if last > step and size - so_far > SMALL:
            alike = any(of / TIMES <= last - first <= of * TIMES and large * TIMES >= size for of, large in known)
            steep = first < step and (lr[step] - lr[last]) / (last - step) > TIMES * _steepest(lr[first : step + 1])
            if not (so_far >= HALF * size and not steep) and not alike:
                return max(first, step)
        if so_far > 0:
            known.append((min(last, max(step, first)) - first, so_far))
    return 0


def _steepest(lr: FloatArray) -> float:
    """The fall a step over the steepest fifth of some steps."""
    long = max(1, len(lr) // 5)
    return float(np.max(lr[:-long] - lr[long:])) / long
