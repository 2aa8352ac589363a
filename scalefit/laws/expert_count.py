"""Mixtures of experts in active size, data and number of experts together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable


class ExpertCount(Law):
    """Final loss of mixtures of experts in active size, data and number of experts, which bend both exponents.

        L = E + A experts^delta N^(-alpha + gamma ln experts) + B experts^omega D^(-beta + zeta ln experts)

    N counts the parameters that one token uses, experts those of each layer (1 for a dense model), which the source
    transforms so that they saturate and the law here does not. With one expert it is ``chinchilla``.

    Source: arXiv:2502.05172. The form is as we know it and could not be held against the paper; no constants are given.
    """

    name = "expert-count"
    source = "arXiv:2502.05172"
    needs = "runs at several N and D, each at three or more numbers of experts, dense ones among them"
    fails = "does not saturate in the number of experts (compare with routed); the four interactions need many runs"

    N = Variable("parameters", "parameters that one token uses", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))
    experts = Variable("1", "number of experts of each layer, 1 for a dense model", span=(1.0, 64.0))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term of one expert", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term of one expert", linear=True)
    alpha = Parameter("1", "exponent of model size of one expert", high=5.0, starts=(0.2, 0.7))
    beta = Parameter("1", "exponent of data of one expert", high=5.0, starts=(0.2, 0.7))
    delta = Parameter("1", "exponent of experts in the model-size term", low=-5.0, high=5.0, starts=(-0.5, 0.5))
    omega = Parameter("1", "exponent of experts in the data term", low=-5.0, high=5.0, starts=(-0.5, 0.5))
    gamma = Parameter("1", "change of the exponent of size with ln experts", low=-1.0, high=1.0, starts=(-0.04, 0.04))
    zeta = Parameter("1", "change of the exponent of data with ln experts", low=-1.0, high=1.0, starts=(-0.04, 0.04))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse sizes that move with the data."""
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of tokens to size", additive=True)

    @staticmethod
    def formula(N, D, experts, E, A, B, alpha, beta, delta, omega, gamma, zeta):
        log = np.log(experts)
        size = A * np.exp(delta * log + (gamma * log - alpha) * np.log(N))
        return E + size + B * np.exp(omega * log + (zeta * log - beta) * np.log(D))
