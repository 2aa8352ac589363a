"""The end of a run from its own curve alone: an annealing law averaged over its exponent and its memory.

    L(s) = L0 + A S1^-alpha - C S2,    S2 with decay = 1 - 1/memory

L0, A and C follow by generalised least squares under wide priors, with the random walk of
:mod:`scalefit.progress.drift` as the residual; exponents and memories on a small grid are weighted by their likelihood.
A curve shows what annealing gains only as far as its learning rate has fallen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.progress.drift import chosen_rows, walk_covariance, white_noise
from scalefit.runs.clocks import Clock
from scalefit.schedules import Schedule, areas

EXPONENTS = np.arange(0.1, 1.5, 0.1)
USUAL_EXPONENT, EXPONENT_SPREAD = 0.5, 0.5  #: prior of the exponent: its median, and the spread of its logarithm
MEMORIES = (1 / 5, 1 / 20, 1 / 80)  #: how long drops of the learning rate act, as shares of the run
LEVEL_SPREAD, FALL_SPREAD = 2.0, 3.0  #: prior spread of L0 and of A S1^-alpha, in present losses
GAIN_SPREAD = 0.3  #: prior spread of the whole gain of annealing, in present losses


def own_curve(
    steps: NDArray[np.int64], loss: FloatArray, plan: Schedule, ahead: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, float]:
    """Mean and relative variance (from the random walk and the parameters) of the loss ahead, and the relative noise.

    ``steps``, ``loss`` (n,): the run so far, after warmup; ``ahead`` (m,): later steps.
    """
    rows = chosen_rows(len(steps))
    known, y = steps[rows], loss[rows]
    every = np.concatenate([known, ahead])
    lr, n, now = plan.per_step(), len(known), float(loss[-1])
    clock = Clock.of(lr, plan.warmup, every)
    noise = white_noise(np.log(loss))
    level = np.concatenate([y, np.full(len(ahead), now)])
    walk = walk_covariance(clock, clock, float(clock.area[0])) * np.outer(level, level)
    walk[:n, :n] += np.diag((noise * y) ** 2)
    found = []
    prior = np.diag([(LEVEL_SPREAD * now) ** 2, (FALL_SPREAD * now) ** 2, (GAIN_SPREAD * now) ** 2])
    for memory in MEMORIES:
        S1, S2 = areas(lr, decay=1 - 1 / max(memory * plan.steps, 2.0), warmup=plan.warmup)
        gain = S2[every] / max(float(np.abs(S2[every]).max()), 1e-300)
        for alpha in EXPONENTS:
            basis = np.column_stack([np.ones(len(every)), (S1[every] / S1[known[0]]) ** -alpha, -gain])
            mean, variance, fits = _regress(basis, walk + basis @ prior @ basis.T, y, now)
            found.append((mean, variance, fits - 0.5 * (np.log(alpha / USUAL_EXPONENT) / EXPONENT_SPREAD) ** 2))
    means, variances, weights = (np.array(each) for each in zip(*found, strict=True))
    share = np.exp(weights - weights.max())
    share /= share.sum()
    mean = share @ means
    return mean, share @ (variances + (means - mean) ** 2) / mean**2, noise


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
