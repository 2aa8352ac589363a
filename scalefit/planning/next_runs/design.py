"""What a run would tell about a target: the expected error of the law that is fitted with it.

The law is linear in its constants about the fit, so that its value at the target is, after a fit to some runs, a sum of
their losses with known weights w (least squares, every run alike, the constants normal beforehand):

    error = delta(t) - w delta + (x_t - w X) theta - w noise

delta is the error of the law, alike for runs near one another (:mod:`scalefit.planning.next_runs.belief`). Its expected
square is known before any run is made. So runs count that hold the law at the target, many cheap ones that pull it
elsewhere count against it, and noise is averaged. A batch is chosen run by run and then improved by exchanges; a run
that fails tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray

EXCHANGES = 3  #: passes over a batch in which each of its runs may be exchanged
MOST_PATTERNS = 8  #: runs up to which patterns of failures are counted
LEAST_GAIN = 0.003  #: share of the interval that a further run must take away


@dataclass(frozen=True)
class Known:
    """What runs say, with the noise variance v of one: X their slopes, K the covariance of the law's errors."""

    information: FloatArray  #: (p, p) X' X / v
    wrong: FloatArray  #: (p, p) X' K X / v^2
    shared: FloatArray  #: (p, 1 + n) X' K / v, with the errors at the target and at candidates

    @classmethod
    def of(cls, slopes: FloatArray, among: FloatArray, across: FloatArray, variance: float) -> Known:
        """From the slopes (m, p) of runs, their covariance (m, m) and that with target and candidates (m, 1 + n)."""
        scaled = slopes.T / variance
        return cls(scaled @ slopes, scaled @ among @ scaled.T, scaled @ across)


@dataclass(frozen=True)
class Design:
    """A law at a target (the first place) and at candidates, what the fitted runs say, and what candidates cost."""

    slopes: FloatArray  #: (1 + n, p) of the log losses, in constants of variance 1 beforehand
    errors: FloatArray  #: (1 + n, 1 + n) the covariance of the law's errors
    known: Known  #: by the fitted runs
    noise: float  #: standard deviation of one run
    costs: FloatArray  #: (n,)
    width: float = 1.0  #: half width of the interval in standard deviations
    failure: float = 0.0  #: chance that a run fails

    def after(self, batch: tuple[int, ...]) -> Known:
        """What the fitted runs say with those of a batch."""
        if not batch:
            return self.known
        chosen, old, variance = 1 + np.array(batch), self.known, self.noise**2
        new = Known.of(self.slopes[chosen], self.errors[np.ix_(chosen, chosen)], self.errors[chosen], variance)
        both = old.shared[:, chosen] @ self.slopes[chosen] / variance
        wrong = old.wrong + new.wrong + both + both.T
        return Known(old.information + new.information, wrong, old.shared + new.shared)

    def half_width(self, batch: tuple[int, ...]) -> float:
        """The half width of the interval after a batch that does not fail."""
        known, target = self.after(batch), self.slopes[0]
        pull = np.linalg.solve(known.information + np.eye(len(target)), target)  # w = X pull / v
        left = target - known.information @ pull
        square = pull @ known.information @ pull + left @ left
        square += self.errors[0, 0] - 2 * pull @ known.shared[:, 0] + pull @ known.wrong @ pull
        return float(self.width * np.sqrt(max(square, 0.0)))

    def with_one_more(self, batch: tuple[int, ...]) -> FloatArray:
        """(n,) the half width expected after a batch and each candidate, which may fail."""
        known, target, x, variance = self.after(batch), self.slopes[0], self.slopes[1:], self.noise**2
        inverse = np.linalg.inv(known.information + np.eye(len(target)))
        least = max(variance, np.finfo(float).tiny)
        gain = x @ inverse / (least + np.einsum("np,pq,nq->n", x, inverse, x))[:, None]
        pull = inverse @ target - gain * (x @ inverse @ target)[:, None]
        own = np.sum(x * pull, axis=1) / least  # the weight of the candidate itself
        reached = pull @ known.information + own[:, None] * x
        square = np.sum(pull * reached, axis=1) + np.sum((target - reached) ** 2, axis=1)
        square += self.errors[0, 0] - 2 * (pull @ known.shared[:, 0] + own * self.errors[0, 1:])
        square += np.einsum("np,pq,nq->n", pull, known.wrong, pull)
        square += 2 * own * np.einsum("np,pn->n", pull, known.shared[:, 1:]) + own**2 * np.diag(self.errors)[1:]
        works = self.width * np.sqrt(np.maximum(square, 0.0))
        return np.asarray((1 - self.failure) * works + self.failure * self.half_width(batch))

    def expected(self, batch: tuple[int, ...]) -> float:
        """The half width after a batch, averaged over the failures of its runs."""
        if not self.failure or not batch or len(batch) > MOST_PATTERNS:
            return self.half_width(batch)
        mean = 0.0
        for works in product([True, False], repeat=len(batch)):
            share = np.prod([1 - self.failure if each else self.failure for each in works])
            mean += float(share) * self.half_width(tuple(k for k, each in zip(batch, works, strict=True) if each))
        return mean

    def best(self, budget: float, runs: int) -> tuple[int, ...]:
        """The batch of at most so many runs within a budget with the least half width that is found."""
        greedy = (self._greedy(budget, runs, per_cost) for per_cost in (False, True))
        return min((self._exchanged(batch, budget) for batch in greedy), key=self.half_width)

    def _able(self, batch: tuple[int, ...], budget: float) -> NDArray[np.bool_]:
        """Which candidates the rest of a budget pays that are not in the batch."""
        able = np.asarray(self.costs <= (budget - float(self.costs[list(batch)].sum())) * (1 + 1e-12))
        able[list(batch)] = False
        return able

    def _greedy(self, budget: float, runs: int, per_cost: bool) -> tuple[int, ...]:
        """Run by run the one that helps most, or most for its cost, as long as one helps."""
        batch: tuple[int, ...] = ()
        for _ in range(runs):
            now, able = self.half_width(batch), self._able(batch, budget)
            gain = np.where(able, now - self.with_one_more(batch), -np.inf)
            if not gain.max() > LEAST_GAIN * now:
                break
            worth = np.where(gain > LEAST_GAIN * now, gain / (self.costs if per_cost else 1.0), -np.inf)
            batch = (*batch, int(np.argmax(worth)))
        return batch

    def _exchanged(self, batch: tuple[int, ...], budget: float) -> tuple[int, ...]:
        """The batch after exchanging its runs one by one for better ones."""
        least = self.half_width(batch)
        for _ in range(EXCHANGES if batch else 0):
            before = batch
            for i in range(len(batch)):
                rest = batch[:i] + batch[i + 1 :]
                made = np.where(self._able(rest, budget), self.with_one_more(rest), np.inf)
                found = (*rest, int(np.argmin(made)))
                width = self.half_width(found)
                if width < least * (1 - 1e-9):
                    batch, least = found, width
            if batch == before:
                break
        return batch
