"""The additive law in model size and data."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class Chinchilla(Law):
    """Final loss as a sum of a model-size term and a data term above an irreducible loss.

        L(N, D) = E + A N^-alpha + B D^-beta

    Under C = 6 N D the compute-optimal size is N* = G (C/6)^(beta/(alpha+beta)) with
    G = (alpha A / (beta B))^(1/(alpha+beta)), and D* = C / (6 N*).

    Source: arXiv:2203.15556, equation 2 and appendix D.2; refitted in arXiv:2404.10102.
    """

    name = "chinchilla"
    source = "arXiv:2203.15556"
    needs = "runs at several N and several D that do not move together, each trained to the end of its own schedule"
    fails = (
        "points from the middle of a cosine schedule count as too high a loss; "
        "N with and without embeddings gives different exponents; a few under-trained runs move beta by a quarter; "
        "exponents rounded to two digits move N* at 5.76e23 FLOP from 4.04e10 to 3.22e10: plan with unrounded ones"
    )
    published = (
        Published(
            "arXiv:2203.15556 appendix D.2, as printed",
            {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
            (({"N": 70e9, "D": 1.4e12}, 1.936645), ({"N": 280e9, "D": 3e11}, 1.993258)),
        ),
        Published(
            "arXiv:2203.15556, unrounded (ln A, ln B and ln E in the source of the paper)",
            {"E": math.exp(0.5267228), "A": math.exp(6.0073404), "B": math.exp(6.0179186)}
            | {"alpha": 0.33917084, "beta": 0.2849083},
            (({"N": 70e9, "D": 1.4e12}, 1.920846), ({"N": 280e9, "D": 3e11}, 1.967243)),
        ),
        Published(
            "arXiv:2404.10102",
            {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
            (({"N": 70e9, "D": 1.4e12}, 1.973882), ({"N": 280e9, "D": 3e11}, 1.999608)),
        ),
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 1.5))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.05, 1.5))

    def check(self, variables: Mapping[str, Array]) -> None:
        """The two terms can be separated only where N and D do not move together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)

    @staticmethod
    def formula(N, D, E, A, B, alpha, beta):
        return E + A * N**-alpha + B * D**-beta
