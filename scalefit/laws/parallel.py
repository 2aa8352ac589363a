"""Parallel streams of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class Parallel(Law):
    """Loss in model size and the number of parallel streams through one set of parameters.

        L(N, P) = E + A / (N (k ln P + 1))^alpha

    P streams (the column ``streams``) act like a model k ln P + 1 times as large. The source writes the size inside the
    power, (A'/N)^alpha: its A' in parameters is A^(1/alpha).

    Source: arXiv:2505.10475 (equation 5), whose losses ship as ``parallel_streams``: by its own objective the law takes
    the k that it states, .39 on code and .33 on text, and explains as much of the losses.
    """

    name = "parallel"
    source = "arXiv:2505.10475"
    needs = "runs at three or more sizes and at 1, 2, 4 and 8 streams, on the same tokens"
    fails = "streams buy compute at equal memory, so compare at equal cost; eight streams are the most its source tried"

    published = (
        Published(
            "arXiv:2505.10475, its 24 losses on code: k .39 (stated), the others by its own objective",
            {"E": 0.6912070, "A": 21.657586, "alpha": 0.18935825, "k": 0.39345678},
            (({"N": 4353203200.0, "streams": 1.0}, 1.0213), ({"N": 4414502408.0, "streams": 8.0}, 0.9794)),
            rtol=7e-3,  # the largest miss of the fit
        ),
        Published(
            "arXiv:2505.10475, its 24 losses on text: k .33 (stated), the others by its own objective",
            {"E": 1.2885876, "A": 42.488669, "alpha": 0.19628145, "k": 0.33444241},
            (({"N": 4353203200.0, "streams": 1.0}, 1.8451), ({"N": 4414502408.0, "streams": 8.0}, 1.7772)),
            rtol=7e-3,  # the largest miss of the fit
        ),
    )
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
