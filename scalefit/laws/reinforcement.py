"""Reward of reinforcement learning in its compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.law import Array, Law, Option, Parameter, Variable


class Reinforcement(Law):
    """Reward on held-out prompts along the compute of reinforcement learning: a sigmoid of its logarithm.

        R(C) = R0 + (A - R0) / (1 + (C_mid/C)^B)

    The source fits the mean pass rate of one run on prompts kept out of its training. C counts the compute of
    reinforcement learning alone, in GPU hours there; any unit serves, C_mid is in the same. Recipes are compared by A,
    how far they lead, before B and C_mid, how fast they get there. R0 is the reward before training: hold it with fix
    where it is known. Neither R0 nor A passes the ceiling, 1 for a pass rate: write ``ceiling=inf`` for a reward
    without a largest value.

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

    ceiling = Option(1.0, "the largest possible reward: 1 for a pass rate, inf where there is none")

    C = Variable("any", "compute of reinforcement learning so far: GPU hours in the source", span=(1e2, 1e5))

    R0 = Parameter("1", "reward before training", low=-math.inf, linear=True)
    A = Parameter("1", "reward with endless compute", low=-math.inf, linear=True)
    B = Parameter("1", "steepness in the logarithm of compute", high=10.0, starts=(0.3, 4.0))
    C_mid = Parameter("as C", "compute at which half of the gain is reached", starts="C")

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """R0 and A below the ceiling, B and C_mid."""
        declared = super().parameters
        return {**declared, **{name: replace(declared[name], high=self.options["ceiling"]) for name in ("R0", "A")}}

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """Refuse rewards above the ceiling."""
        ceiling = self.options["ceiling"]
        if np.max(values) > ceiling:
            raise InputError(
                f"a reward of {np.max(values):g} lies above the ceiling {ceiling:g}",
                where=f"law {self.spec}",
                todo="divide percentages by 100, or give the largest possible reward (reinforcement:ceiling=100); "
                "ceiling=inf where there is none",
            )

    def doubts_fitted(
        self, variables: Mapping[str, Array], parameters: Mapping[str, float]
    ) -> Sequence[tuple[str, str]]:
        """A run that ends before the bend does not show how high it will go."""
        last, middle = float(np.max(variables["C"])), parameters["C_mid"]
        if last > middle:
            return ()
        text = f"the last C, {last:.3g}, lies below C_mid = {middle:.3g}: the reward still gains faster each decade"
        return (("bend-not-reached", f"{text}, so that A is not known; train longer, or hold A with --fix"),)

    @staticmethod
    def formula(C, R0, A, B, C_mid):
        return R0 + (A - R0) / (1 + (C_mid / C) ** B)
