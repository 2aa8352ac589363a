"""The whole loss trajectory of a model of any size trained with any batch, an implicit law."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable

ROUNDS = 60  #: Newton steps that always suffice
SETTLED = 1e-15  #: relative step at which the root is exact to rounding
POLISH = 2  #: steps in the arithmetic of the caller: complex steps and extended precision pass through them


class Trajectory(Law):
    """Loss after any number of steps with any batch, at a learning rate that is not annealed.

        L = (N_c/N)^alpha_N + ((S_c/step) (1 + (B_star/batch) L^(-1/alpha_B)))^alpha_S

    The loss stands on both sides: at a batch below the critical batch B_crit(L) = B_star L^(-1/alpha_B) steps count
    for less, step = S_min (1 + B_crit(L)/batch), and the critical batch grows while the loss falls. The right side
    falls in L and is convex, so there is one root; Newton steps from below reach it without overshooting.

    Source: arXiv:2001.08361, sections 5 and 6; the constants must be estimated anew for every setup, arXiv:2403.06563,
    for which ``scalefit.planning.stepwise`` has a step-by-step procedure.
    """

    name = "trajectory"
    source = "arXiv:2001.08361"
    needs = "curves of several model sizes, at several batch sizes of which one is far above the critical batch"
    fails = (
        "has no floor in N and knows nothing of the learning-rate schedule: rows during warmup and learning-rate "
        "decay do not follow it; B_star and alpha_B are known only where some batch is near or below the critical one"
    )
    published = (
        Published(
            "arXiv:2001.08361 tables 3 and 5",
            {"N_c": 6.5e13, "S_c": 2.1e3, "B_star": 2.1e8, "alpha_N": 0.077, "alpha_S": 0.76, "alpha_B": 0.21},
            (
                ({"N": 1e8, "step": 1e4, "batch": 524288.0}, 3.366069),
                ({"N": 1e8, "step": 1e5, "batch": 524288.0}, 2.936465),
                ({"N": 1e8, "step": 1e4, "batch": 1e30}, 3.108227),
            ),
        ),
    )

    N = Variable("parameters", "model size, without embeddings in the source", span=(1e6, 1e9))
    step = Variable("optimiser steps", "steps done, after warmup", span=(1e3, 1e6))
    batch = Variable("tokens", "tokens per step", span=(1e4, 1e7))

    N_c = Parameter("parameters", "model size at which its term alone is 1 nat", starts=(1e9, 1e18))
    S_c = Parameter("optimiser steps", "steps at which their term alone is 1 nat", starts=(1e1, 1e6))
    B_star = Parameter("tokens", "critical batch at a loss of 1 nat", starts=(1e6, 1e10))
    alpha_N = Parameter("1", "exponent of model size", high=5.0, starts=(0.02, 0.5))
    alpha_S = Parameter("1", "exponent of steps", high=1.0, starts=(0.3, 0.95))
    alpha_B = Parameter("1", "exponent of the loss against the critical batch", high=5.0, starts=(0.1, 0.6))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse batches that follow the model size."""
        refuse_tied(self.name, variables, "N", "batch", "add the curve of another batch at one model size")

    @staticmethod
    def formula(N, step, batch, N_c, S_c, B_star, alpha_N, alpha_S, alpha_B):
        floor = (N_c / N) ** alpha_N
        return _root(floor, S_c / step, B_star / batch, alpha_S, alpha_B)


def _root(floor: Array, steps: Array, noise: Array, alpha_S: Array, alpha_B: Array) -> Array:
    """The L that solves L = floor + (steps (1 + noise L^(-1/alpha_B)))^alpha_S; shapes broadcast."""
    given = (floor, steps, noise, alpha_S, alpha_B)
    real = np.broadcast_arrays(*(np.real(value) for value in given))
    L = _below(*real)
    for _ in range(ROUNDS):
        change = _newton(L, *real)
        L = L + change
        if not np.any(np.abs(change) > SETTLED * np.abs(L)):
            break
    for _ in range(POLISH):
        L = L + _newton(L, *given)
    return L


def _below(floor: Array, steps: Array, noise: Array, alpha_S: Array, alpha_B: Array) -> Array:
    """A bound from below: the largest of what each part alone would give."""
    alone = (steps * noise) ** (alpha_S * alpha_B / (alpha_B + alpha_S))
    return np.maximum(floor + steps**alpha_S, alone)


def _newton(L: Array, floor: Array, steps: Array, noise: Array, alpha_S: Array, alpha_B: Array) -> Array:
    """The Newton step towards the root of L - right side."""
    small = noise * L ** (-1 / alpha_B)
    term = (steps * (1 + small)) ** alpha_S
    slope = 1 + alpha_S * term * small / ((1 + small) * alpha_B * L)
    return (floor + term - L) / slope
