"""Reward of reinforcement learning in its compute."""

from __future__ import annotations

import math

from scalefit.laws.law import Law, Parameter, Variable


class Reinforcement(Law):
    """Reward on held-out prompts along the compute of reinforcement learning: a sigmoid of its logarithm.

        R(C) = R0 + (A - R0) / (1 + (C_mid/C)^B)

    The source fits the mean pass rate of one run on prompts kept out of its training. C counts the compute of
    reinforcement learning alone, in GPU hours there; any unit serves, C_mid is in the same. Recipes are compared by A,
    how far they lead, before B and C_mid, how fast they get there. R0 is the reward before training: hold it with fix
    where it is known.

    Source: arXiv:2510.13786, equation 1. Its constants depend on model, prompts and recipe; none are stated here.
    """

    name = "reinforcement"
    source = "arXiv:2510.13786"
    target = "reward"
    target_unit = "1"
    log_residuals = False
    needs = (
        "rewards on held-out prompts along a run (columns C and reward) to beyond C_mid, where the gain of a further "
        "decade falls; without the earliest ones (the source begins its fits near 1500 GPU hours)"
    )
    fails = (
        "a run that is still gaining faster each decade does not identify A; "
        "training that becomes unstable leaves the curve; "
        "A repeats within 0.02 over runs of one recipe in the source, so smaller differences mean nothing"
    )

    C = Variable("any", "compute of reinforcement learning so far: GPU hours in the source", span=(1e2, 1e5))

    R0 = Parameter("1", "reward before training", low=-math.inf, linear=True)
    A = Parameter("1", "reward with endless compute", low=-math.inf, linear=True)
    B = Parameter("1", "steepness in the logarithm of compute", high=10.0, starts=(0.3, 4.0))
    C_mid = Parameter("as C", "compute at which half of the gain is reached", starts="C")

    @staticmethod
    def formula(C, R0, A, B, C_mid):
        return R0 + (A - R0) / (1 + (C_mid / C) ** B)
