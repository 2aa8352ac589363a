"""Draws: the fit repeated on resampled runs, in one batch of the same solver that starts near the optimum.

Rows along one run are correlated, so whole runs are resampled (for a table with one row per run, rows). Every resample
is re-optimised fully.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.numerics import FloatArray, spanned, symmetric_root
from scalefit.parallel import each
from scalefit.solver.derivatives import own_rows, second_derivatives
from scalefit.solver.descent import refit
from scalefit.solver.expansion import Expansion
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.uncertainty.covariance import sandwich
from scalefit.uncertainty.pieces import pieces

Method = Literal["auto", "pairs", "bayesian", "wild", "parametric", "sandwich"]

METHODS = ("auto", "pairs", "bayesian", "wild", "parametric", "sandwich")
FEW_BLOCKS = 20  #: below this many runs, runs get random weights: drawing them with replacement is too coarse
FEWER_BLOCKS = 6  #: below this many, residuals change sign: with random weights the law may not be identified
TOLERANCE = 1e-11  #: a refit stops when a further step would lower the objective by less than this share
BLOCK = 1 << 17  #: elements of predictions held at a time
CHUNK = 250  #: draws that share one random stream, whatever the number of workers
MOST_LEVERAGE = 0.7  #: leverages above this are cut off: the residual of such a row hardly depends on its error
MANY_SIGNS = 12  #: from this many blocks on, random signs give enough different resamples
SIGNS = np.array([-1.0, 1.0])
#: Webb's six-point distribution: mean 0, variance 1, for few blocks
WEBB = np.sqrt(np.array([1.5, 1.0, 0.5, 0.5, 1.0, 1.5])) * np.array([-1, -1, -1, 1, 1, 1])


def bootstrap(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray,
    theta: FloatArray,
    blocks: NDArray[np.intp],
    *,
    draws: int,
    seed: int,
    method: Method,
    sigma: float,
    workers: int | None = None,
) -> FloatArray:
    """Coordinates of ``draws`` refits, (draws, p).

    ``blocks`` (n,) numbers the run of each row. ``pairs``: whole blocks with replacement; ``bayesian``: exponential
    weights on blocks, of mean one; ``wild``: residuals divided by 1 - leverage, with a random sign for each block
    (Davidson and Flachaire 2008, doi:10.1016/j.jeconom.2008.08.003), or Webb's six-point weights where blocks are few;
    ``parametric``: normal noise of the given ``sigma``; ``sandwich``: no refits, normal draws from the covariance of
    :func:`~scalefit.uncertainty.covariance.sandwich`, refused where that is not valid. ``auto`` is ``pairs`` from 20
    blocks on, ``bayesian`` from 6, else ``wild``, which keeps every row, so that the law stays identified.
    The draws depend on the seed only, not on ``workers`` (see :func:`scalefit.parallel.each`).
    """
    if method not in METHODS:
        raise InputError(f'bootstrap method "{method}" is not known', todo=f"choose one of {', '.join(METHODS)}")
    count = int(blocks.max()) + 1
    if method == "auto":
        method = "pairs" if count >= FEW_BLOCKS else "bayesian" if count >= FEWER_BLOCKS else "wild"
    resampled: Literal["weights", "values"] = "weights" if method in ("pairs", "bayesian") else "values"
    sizes = [min(CHUNK, draws - begin) for begin in range(0, draws, CHUNK)]
    jobs = list(zip(sizes, np.random.SeedSequence(seed).spawn(len(sizes)), strict=True))
    model = model.condensed_at(theta)
    second = second_derivatives(model, theta)
    expansion = Expansion.at(model, objective, theta, second)
    if method == "sandwich":
        spread = sandwich(expansion, objective, values, weights, blocks)
        steps = np.random.default_rng(seed).standard_normal((draws, len(theta))) @ symmetric_root(spread)
        return expansion.moved(steps)
    centre = objective.target(expansion.value)
    residual = (objective.target(values) - centre) / (1 - leverage(expansion.slope, weights))
    near = Near(model, objective, values, weights, resampled, expansion, second)

    def chunk(job: tuple[int, np.random.SeedSequence]) -> FloatArray:
        size, stream = job
        rng = np.random.default_rng(stream)
        if resampled == "weights":
            return near.refits(_block_weights(rng, method, size, count)[:, blocks] * weights)
        if method == "wild":  # factors of the residuals of each block, of mean 0 and variance 1
            factors = rng.choice(SIGNS if count >= MANY_SIGNS else WEBB, size=(size, count))
            made = centre + residual * factors[:, blocks]
        else:
            made = centre + sigma * rng.standard_normal((size, len(values)))
        return near.refits(np.exp(made) if objective.space == "log" else made)

    return np.vstack(each(chunk, jobs, workers, threads=True))


def resampled_as_one(residuals: FloatArray, runs: NDArray[np.intp], method: Method) -> tuple[NDArray[np.intp], Method]:
    """Which rows are resampled together, and how: whole runs; of few curves, pieces whose residuals change sign."""
    count = int(runs.max()) + 1
    if method == "auto" and count < FEW_BLOCKS and count < len(runs):
        return pieces(residuals, runs), "wild"
    return runs, method


@dataclass(frozen=True)
class Near:
    """Refits to the same rows with other weights or other values, started near the optimum."""

    model: BoundLaw
    objective: Objective
    values: FloatArray
    weights: FloatArray
    resampled: Literal["weights", "values"]
    expansion: Expansion
    second: FloatArray

    def refits(self, drawn: FloatArray) -> FloatArray:
        """Coordinates (B, p) of refits to drawn weights or values (B, n)."""
        rows = self._rows(drawn)
        return refit(self.model, self.objective, *rows, self._starts(drawn), self.second, TOLERANCE).theta

    def _rows(self, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (self.values, drawn) if self.resampled == "weights" else (drawn, self.weights)

    def _starts(self, drawn: FloatArray) -> FloatArray:
        """Starts: the optimum of the second-order expansion where it is better than the fit itself, else the fit."""
        values, weights = self._rows(drawn)
        target = self.objective.target(values)
        residual = self.objective.residuals(self.expansion.value, target)
        ahead = self.expansion.optima(self.objective, residual, weights)
        here = np.sum(weights * self.objective.rho(residual), axis=-1)
        there = np.empty(len(drawn))
        step = max(1, BLOCK // self.model.size)
        with np.errstate(all="ignore"):
            for i in range(0, len(drawn), step):
                part = slice(i, i + step)
                left = self.objective.residuals(self.model.value(ahead[part]), own_rows(target, part))
                there[part] = np.sum(own_rows(weights, part) * self.objective.rho(left), axis=-1)
        return np.where((there < here)[:, None], ahead, self.expansion.theta)


def _block_weights(rng: np.random.Generator, method: str, draws: int, count: int) -> FloatArray:
    """Weights of the blocks, (draws, count), of mean one."""
    if method == "pairs":
        chosen = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        return np.bincount(chosen.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float64)
    drawn = rng.exponential(size=(draws, count))
    return np.asarray(drawn / drawn.mean(axis=1, keepdims=True))


def leverage(slope: FloatArray, weights: FloatArray) -> FloatArray:
    """The leverage of each row, (n,): the diagonal of the hat matrix, at most MOST_LEVERAGE.

    >>> leverage(np.ones((4, 1)), np.ones(4)).round(6).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    directions, count = spanned(slope * np.sqrt(weights)[:, None])
    pull: FloatArray = np.sum(directions[:, :count] ** 2, axis=1)
    return np.minimum(pull, MOST_LEVERAGE)
