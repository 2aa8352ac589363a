"""Mixtures of experts in active size, data and number of experts together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Variable
from scalefit.laws.routed import useful_experts


class ExpertCount(Law):
    """Final loss of mixtures of experts in active size, data and number of experts, which bend both exponents.

        L = E + A Eh^delta N^(-alpha + gamma ln Eh) + B Eh^omega D^(-beta + zeta ln Eh)

    N counts the parameters that one token uses. Eh = ``experts``, those of each layer (1 for a dense model), with which
    it is ``chinchilla`` for one expert. The source saturates them, which ``saturates=yes`` does:
    1/Eh = 1/(experts - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max lies between E_start and E_max, as in ``routed``.

    Source: arXiv:2502.05172, held against two accounts of it by others; no constants are given, since none was found to
    check.
    """

    name = "expert-count"
    source = "arXiv:2502.05172"
    needs = "runs at several N and D, each at three or more numbers of experts, dense ones among them"
    fails = (
        "without saturates=yes it promises gains of ever more experts; the four interactions need many runs, and "
        "E_start and E_max few and very many experts"
    )

    saturates = Option("no", "whether more experts help less and less, up to E_max", ("no", "yes"), judged=("yes",))

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
    E_start = Parameter("1", "experts that a dense model counts for", starts=(1.0, 4.0))
    E_max = Parameter("1", "experts beyond which more do not help", starts=(30.0, 3000.0))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Those of the law without saturation, and E_start and E_max with it."""
        bounded = self.options["saturates"] == "yes"
        return {name: one for name, one in super().parameters.items() if bounded or not name.startswith("E_")}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse sizes that move with the data."""
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of tokens to size", additive=True)

    @staticmethod
    def formula(N, D, experts, E, A, B, alpha, beta, delta, omega, gamma, zeta, E_start=None, E_max=None):
        log = np.log(experts if E_max is None else useful_experts(experts, E_start, E_max))
        size = A * np.exp(delta * log + (gamma * log - alpha) * np.log(N))
        return E + size + B * np.exp(omega * log + (zeta * log - beta) * np.log(D))
