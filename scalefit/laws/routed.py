"""Routed language models: dense size and number of experts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

BASE = 1e8  #: dense parameters at which K and b hold


#: router: a, b, c, d, E_start and E_max of the source's log10 L = a log10 N + b log10 Eh + c log10 N log10 Eh + d
TABLE_3 = {
    "S-Base": (-0.082, -0.108, 0.009, 1.104, 1.847, 314.478),
    "RL-R": (-0.083, -0.126, 0.012, 1.111, 1.880, 469.982),
    "Hash": (-0.087, -0.136, 0.012, 1.157, 4.175, 477.741),
}


def from_source(a: float, b: float, c: float, d: float, E_start: float, E_max: float) -> dict[str, float]:
    """The constants of this law from those of the source's decimal logarithms.

    >>> {name: round(value, 4) for name, value in from_source(*TABLE_3["S-Base"]).items()}
    {'K': 2.8054, 'a': 0.082, 'b': 0.036, 'c': 0.0039, 'E_start': 1.847, 'E_max': 314.478}
    """
    middle = math.log10(BASE)
    K, gain = 10 ** (d + a * middle), -(b + c * middle)
    return {"K": K, "a": -a, "b": gain, "c": c / math.log(10), "E_start": E_start, "E_max": E_max}


def useful_experts(experts: Array, E_start: Array, E_max: Array) -> Array:
    """Experts that count, between E_start for a dense model and E_max; shapes broadcast.

    >>> round(float(useful_experts(1.0, 1.847, 314.478)), 3)
    1.847
    """
    return 1 / (1 / (experts - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max)


class Routed(Law):
    """Loss of routed models in dense size and number of experts, whose gain saturates and shrinks with size.

        L(N, experts) = K (N/1e8)^-a Eh^-(b - c ln(N/1e8))

    1/Eh = 1/(experts - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max saturates the number of experts between E_start (one
    expert: the dense model) and E_max. N is the size of the dense model, that is of the path one token takes. The
    source writes ln L = a' ln N + b' ln Eh + c ln N ln Eh + d: a' = -a, b' = -b - c ln 1e8; with decimal logarithms
    its c is ln(10) times as large.

    The source has no floor, so that its loss falls to zero with size. ``floor=yes`` adds one, E, as in laws of dense
    models; ``compare`` tells which of the two predicts held-out runs better.

    Source: arXiv:2202.01169, table 3.
    """

    name = "routed"
    source = "arXiv:2202.01169"
    needs = "runs at several dense sizes, each with numbers of experts from 1 to a hundred and more, equally long"
    fails = "E_start and E_max are known only from few and from very many experts; training length is not in the law"

    published = tuple(
        Published(f"arXiv:2202.01169 table 3, {router}", from_source(*row)) for router, row in TABLE_3.items()
    )

    floor = Option(
        "no", "whether an irreducible loss E is added, which the source does not have", ("no", "yes"), judged=("yes",)
    )

    alike: ClassVar[Sequence[str]] = ("D", "steps")

    N = Variable("parameters", "size of the dense model", span=(1e7, 1e9))
    experts = Variable("1", "number of experts, 1 for a dense model", span=(1.0, 512.0))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    K = Parameter("nats/token", "loss of one expert-equivalent at 1e8 dense parameters", linear=True)
    a = Parameter("1", "exponent of dense size", low=-1.0, high=2.0, starts=(0.01, 0.4))
    b = Parameter("1", "exponent of experts at 1e8 dense parameters", low=-1.0, high=2.0, starts=(0.01, 0.2))
    c = Parameter("1", "how fast the gain of experts shrinks with size", low=-0.5, high=0.5, starts=(-0.01, 0.03))
    E_start = Parameter("1", "experts that a dense model counts for", starts=(1.0, 4.0))
    E_max = Parameter("1", "experts beyond which more do not help", starts=(30.0, 3000.0))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Those of the source, and E with ``floor=yes``."""
        declared = super().parameters
        return declared if self.options["floor"] == "yes" else {k: v for k, v in declared.items() if k != "E"}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse numbers of experts that follow the dense size."""
        refuse_tied(self.name, variables, "N", "experts", "add a run with another number of experts at one dense size")

    @staticmethod
    def formula(N, experts, K, a, b, c, E_start, E_max, E=0.0):
        log_N = np.log(N / BASE)
        gain = (b - c * log_N) * np.log(useful_experts(experts, E_start, E_max))
        return E + K * np.exp(-a * log_N - gain)
