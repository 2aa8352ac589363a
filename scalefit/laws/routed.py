"""Routed language models: dense size and number of experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable

BASE = 1e8  #: dense parameters at which K and b hold


class Routed(Law):
    """Loss of routed models in dense size and number of experts, whose gain saturates and shrinks with size.

        L(N, experts) = K (N/1e8)^-a Eh^-(b - c ln(N/1e8))

    1/Eh = 1/(experts - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max saturates the number of experts between E_start (one
    expert: the dense model) and E_max. N is the size of the dense model, that is of the path one token takes. The
    source writes ln L = a' ln N + b' ln Eh + c ln N ln Eh + d: a' = -a, b' = -b - c ln 1e8; with decimal logarithms
    its c is ln(10) times as large.

    Source: arXiv:2202.01169. The form is as others report it; the printed equation and its constants were not at hand.
    """

    name = "routed"
    source = "arXiv:2202.01169"
    needs = "runs at several dense sizes, each with numbers of experts from 1 to a hundred and more, equally long"
    fails = "E_start and E_max are known only from few and from very many experts; training length is not in the law"

    alike: ClassVar[Sequence[str]] = ("D", "steps")

    N = Variable("parameters", "size of the dense model", span=(1e7, 1e9))
    experts = Variable("1", "number of experts, 1 for a dense model", span=(1.0, 512.0))

    K = Parameter("nats/token", "loss of one expert-equivalent at 1e8 dense parameters", linear=True)
    a = Parameter("1", "exponent of dense size", low=-1.0, high=2.0, starts=(0.01, 0.4))
    b = Parameter("1", "exponent of experts at 1e8 dense parameters", low=-1.0, high=2.0, starts=(0.01, 0.2))
    c = Parameter("1", "how fast the gain of experts shrinks with size", low=-0.5, high=0.5, starts=(-0.01, 0.03))
    E_start = Parameter("1", "experts that a dense model counts for", starts=(1.0, 4.0))
    E_max = Parameter("1", "experts beyond which more do not help", starts=(30.0, 3000.0))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse numbers of experts that follow the dense size."""
        refuse_tied(self.name, variables, "N", "experts", "add a run with another number of experts at one dense size")

    @staticmethod
    def formula(N, experts, K, a, b, c, E_start, E_max):
        log_N = np.log(N / BASE)
        useful = 1 / (1 / (experts - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max)
        return K * np.exp(-a * log_N - (b - c * log_N) * np.log(useful))
