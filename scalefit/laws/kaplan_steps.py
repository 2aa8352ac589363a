"""The law in model size and steps at an unlimited batch."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class KaplanSteps(Law):
    """Loss along training in model size and the steps that an unlimited batch would need.

        L(N, S_min) = A N^-alpha_N + B S_min^-alpha_S

    S_min = S / (1 + B_crit(L)/batch), where S steps were made at a batch of that many tokens. The source writes
    (N_c/N)^alpha_N + (S_c/S_min)^alpha_S: N_c = A^(1/alpha_N), S_c = B^(1/alpha_S). No overfitting, no floor.

    Source: arXiv:2001.08361, equation 1.6; constants of table 3.
    """

    name = "kaplan-steps"
    source = "arXiv:2001.08361"
    needs = "points after warmup of runs at several N, each with its S_min: the critical batch must be known"
    fails = "steps during warmup do not follow it; the learning-rate schedule is absent, so its decay looks like steps"
    published = (
        Published(
            "arXiv:2001.08361 table 3",
            {"A": 6.5e13**0.077, "B": 2.1e3**0.76, "alpha_N": 0.077, "alpha_S": 0.76},
            (({"N": 1e8, "S_min": 1e4}, 3.108227),),
        ),
    )

    N = Variable("parameters", "model size, without embeddings in the source", span=(1e6, 1e9))
    S_min = Variable("optimiser steps", "steps at a batch far above the critical one", span=(1e3, 1e6))

    A = Parameter("nats/token parameters^alpha_N", "size of the model-size term", linear=True)
    B = Parameter("nats/token steps^alpha_S", "size of the training term", linear=True)
    alpha_N = Parameter("1", "exponent of model size", high=5.0, starts=(0.02, 0.5))
    alpha_S = Parameter("1", "exponent of steps", high=5.0, starts=(0.2, 1.5))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs whose N and S_min move together."""
        todo = "use several points of each run (--points all), or add a run of another length"
        refuse_tied(self.name, variables, "N", "S_min", todo, additive=True)

    @staticmethod
    def formula(N, S_min, A, B, alpha_N, alpha_S):
        return A * N**-alpha_N + B * S_min**-alpha_S
