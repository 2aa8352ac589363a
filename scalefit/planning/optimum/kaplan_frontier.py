"""The compute-efficient frontier of training at the critical batch size, with models stopped before they converge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.numerics import FloatArray

PF_DAY = 8.64e19  #: FLOP in a petaflop/s-day


@dataclass(frozen=True)
class KaplanFrontier:
    """Loss, size and steps of compute-efficient training, all of them powers of compute.

    Compute counts training at the critical batch size, C = 6 N B_crit(L) S. The constants are those of L(N, S_min) and
    of B_crit(L) = B_star/L^(1/alpha_B) in one joint fit; see :func:`kaplan_frontier`.
    Source: arXiv:2001.08361, appendix B.
    """

    alpha_N: float
    alpha_S: float
    alpha_B: float
    N_c: float  #: parameters
    S_c: float  #: optimiser steps
    B_star: float  #: tokens

    @property
    def alpha_C(self) -> float:
        """Exponent of the loss in compute."""
        return 1 / (1 / self.alpha_S + 1 / self.alpha_B + 1 / self.alpha_N)

    @property
    def excess(self) -> float:
        """Loss on the frontier over the converged loss of the same model: 1 + alpha_N/alpha_S."""
        return 1 + self.alpha_N / self.alpha_S

    @property
    def C_c(self) -> float:
        """Compute (FLOP) at which the frontier's loss is 1 nat."""
        power = 1 / self.alpha_S + 1 / self.alpha_N
        ratio = (self.alpha_S / self.alpha_N) ** (1 / self.alpha_S)
        return float(6 * self.N_c * self.B_star * self.S_c * self.excess**power * ratio)

    def loss(self, C: Any) -> FloatArray:
        """Loss (nats/token) at compute C (FLOP): (C_c/C)^alpha_C."""
        return np.asarray((self.C_c / np.asarray(C, dtype=float)) ** self.alpha_C)

    def size(self, C: Any) -> FloatArray:
        """Parameters at compute C (FLOP)."""
        share = np.asarray(C, dtype=float) / self.C_c
        return np.asarray(self.N_c * share ** (self.alpha_C / self.alpha_N) * self.excess ** (1 / self.alpha_N))

    def steps(self, C: Any) -> FloatArray:
        """Steps at the critical batch size at compute C (FLOP)."""
        share = np.asarray(C, dtype=float) / self.C_c
        least = self.C_c / (6 * self.N_c * self.B_star) * self.excess ** (-1 / self.alpha_N)
        return np.asarray(least * share ** (self.alpha_C / self.alpha_S))

    def cost_ratio(self, x: Any) -> FloatArray:
        """Compute for the same loss with a model x times the efficient size, over the minimal compute.

        Below x = (1 + alpha_N/alpha_S)^(-1/alpha_N) the model never reaches that loss: infinite.
        """
        size = np.asarray(x, dtype=float)
        left = 1 + self.alpha_S / self.alpha_N * (1 - size**-self.alpha_N)
        reached = np.where(left > 0, left, np.nan) ** (-1 / self.alpha_S)
        return np.where(left > 0, size * reached, np.inf)


def kaplan_frontier(steps_law: Mapping[str, float], alpha_B: float, B_star: float) -> KaplanFrontier:
    """The frontier from the parameters of the law ``kaplan-steps`` and of the critical batch.

    >>> table_3 = {"A": 6.5e13**0.077, "B": 2.1e3**0.76, "alpha_N": 0.077, "alpha_S": 0.76}
    >>> frontier = kaplan_frontier(table_3, 0.21, 2.1e8)
    >>> round(frontier.alpha_C, 8), f"{frontier.C_c:.6e}"
    (0.05245294, '1.390849e+28')
    """
    if min(*steps_law.values(), alpha_B, B_star) <= 0:
        raise InputError("every constant must be positive", where="kaplan_frontier")
    alpha_N, alpha_S = steps_law["alpha_N"], steps_law["alpha_S"]
    N_c, S_c = steps_law["A"] ** (1 / alpha_N), steps_law["B"] ** (1 / alpha_S)
    return KaplanFrontier(alpha_N, alpha_S, alpha_B, N_c, S_c, B_star)


def overfitting(constants: Mapping[str, float], N: float, D: float) -> float:
    """How much a limited D adds to the loss of the law ``kaplan``, relative to unlimited data.

    (1 + (N/N_c)^(alpha_N/alpha_D) D_c/D)^alpha_D - 1. Source: arXiv:2001.08361, section 4.

    >>> table_2 = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
    >>> round(overfitting(table_2, 1e9, 22e9), 4)
    0.0218
    """
    shortage = (N / constants["N_c"]) ** (constants["alpha_N"] / constants["alpha_D"]) * constants["D_c"] / D
    return float((1 + shortage) ** constants["alpha_D"] - 1)


def stopping_step(gap: Any, S_c: float, alpha_S: float) -> FloatArray:
    """A lower bound on the step at which to stop early: S_c/(L(N, D) - L(N, inf))^(1/alpha_S).

    ``gap`` is that difference in nats/token. Source: arXiv:2001.08361.

    >>> f"{stopping_step(0.5, 2.1e3, 0.76):.1f}"
    '5227.7'
    """
    return np.asarray(S_c / np.asarray(gap, dtype=float) ** (1 / alpha_S))
