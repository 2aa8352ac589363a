"""Parallel streams of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable


class Parallel(Law):
    """Loss in model size and the number of parallel streams through one set of parameters.

        L(N, P) = E + A / (N (k ln P + 1))^alpha

    P streams (the column ``streams``) act like a model k ln P + 1 times as large.

    Source: arXiv:2505.10475. The form is as others report it; the printed equation and its constants were not at hand.
    """

    name = "parallel"
    source = "arXiv:2505.10475"
    needs = "runs at three or more sizes and at 1, 2, 4 and 8 streams, on the same tokens"
    fails = "streams buy compute at equal memory, so compare at equal cost; eight streams are the most its source tried"

    alike: ClassVar[Sequence[str]] = ("D", "steps")

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e8, 1e10))
    streams = Variable("1", "parallel streams, 1 for an ordinary model", span=(1.0, 16.0))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 1.0))
    k = Parameter("1", "gain in effective size per unit of ln P", starts=(0.03, 3.0))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse streams that follow the model size."""
        refuse_tied(self.name, variables, "N", "streams", "add a run with another number of streams at one size")

    @staticmethod
    def formula(N, streams, E, A, alpha, k):
        return E + A * (N * (k * np.log(streams) + 1)) ** -alpha
