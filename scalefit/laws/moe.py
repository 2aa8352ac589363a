"""Fine-grained mixtures of experts."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class Moe(Law):
    """Final loss of mixtures of experts in total size, data and granularity.

        L(N, D, G) = c + (g G^-gamma + a) N_total^-alpha + b D^-beta

    N_total counts all experts, G says how many times finer an expert is than the feed-forward layer that it replaces.
    The number of experts (per granularity) is fixed: 64 in the source.

    Source: arXiv:2402.07871.
    """

    name = "moe"
    source = "arXiv:2402.07871"
    needs = "runs at several sizes, several D and three or more granularities, at one expansion rate"
    fails = "says nothing about the number of experts (see routed); the cost of routing grows with granularity"
    published = (
        Published(
            "arXiv:2402.07871, 64 experts",
            {"c": 0.47, "a": 18.1, "b": 30.8, "g": 2.1, "alpha": 0.115, "beta": 0.147, "gamma": 0.58},
            (({"N_total": 64e9, "D": 28.94e9, "granularity": 16.0}, 2.421826),),
        ),
    )

    N_total = Variable("parameters", "parameters of all experts and the rest", span=(1e8, 1e11))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))
    granularity = Variable("1", "how many times finer an expert is than a feed-forward layer", span=(1.0, 32.0))

    c = Parameter("nats/token", "irreducible loss", linear=True)
    a = Parameter("nats/token parameters^alpha", "size of the model-size term at infinite granularity", linear=True)
    b = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    g = Parameter("nats/token parameters^alpha", "what granularity adds at G = 1", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.03, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.03, 0.8))
    gamma = Parameter("1", "exponent of granularity", high=10.0, starts=(0.1, 2.0))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs whose size and data, or size and granularity, move together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N_total", "D", todo, additive=True)
        refuse_tied(self.name, variables, "N_total", "granularity", "add a run with another granularity at one size")

    @staticmethod
    def formula(N_total, D, granularity, c, a, b, g, alpha, beta, gamma):
        return c + (g * granularity**-gamma + a) * N_total**-alpha + b * D**-beta
