"""What a run would tell about a target: expected variances, chosen runs, failures.

The losses at the target and at the candidates have a covariance (:mod:`scalefit.planning.next_runs.belief`). A run
measures one of them with the noise of the fit, which leaves the variance

    Var(t | y) = Var(t) - Cov(t, y)^2 / (Var(y) + sigma^2)

at the target, whatever it measures. A batch is chosen run by run and then improved by exchanges; a run that fails tells
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray

EXCHANGES = 3  #: passes over a batch in which each of its runs may be exchanged
MOST_PATTERNS = 8  #: runs up to which patterns of failures are counted
LEAST_GAIN = 0.005  #: share of the interval that a further run must take away


@dataclass(frozen=True)
class Design:
    """Covariances of the log losses at a target (the first) and at candidates, and what candidates cost."""

    covariance: FloatArray  #: (1 + n, 1 + n)
    noise: float  #: standard deviation of one run
    costs: FloatArray  #: (n,)
    width: float = 1.0  #: half width of the interval in standard deviations
    failure: float = 0.0  #: chance that a run fails

    def after(self, batch: tuple[int, ...]) -> FloatArray:
        """The covariances that the runs of a batch leave."""
        if not batch:
            return self.covariance
        chosen = 1 + np.array(batch)
        among = self.covariance[np.ix_(chosen, chosen)] + self.noise**2 * np.eye(len(chosen))
        cross = self.covariance[:, chosen]
        return np.asarray(self.covariance - cross @ np.linalg.lstsq(among, cross.T)[0])  # twice one run without noise

    def half_width(self, batch: tuple[int, ...]) -> float:
        """The half width of the interval after a batch that does not fail."""
        return float(self.width * np.sqrt(np.maximum(self.after(batch)[0, 0], 0.0)))

    def with_one_more(self, batch: tuple[int, ...]) -> FloatArray:
        """(n,) the half width expected after a batch and each candidate, which may fail."""
        left = self.after(batch)
        more = left[0, 1:] ** 2 / np.maximum(np.diag(left)[1:] + self.noise**2, np.finfo(float).tiny)
        works = self.width * np.sqrt(np.maximum(left[0, 0] - more, 0.0))
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
        """Which candidates the rest of a budget pays."""
        return np.asarray(self.costs <= (budget - float(self.costs[list(batch)].sum())) * (1 + 1e-12))

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
