"""The law in model size and data whose two terms interact: between the additive and the nested law."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable

#: the search begins at these exponents, at these interactions, and where the two terms are equal, or one is e^2 times
#: the other, at the mean of ln N and ln D
EXPONENTS, INTERACTIONS, BALANCES = (0.06, 0.12, 0.25, 0.5, 1.0), (0.15, 0.35, 0.7, 1.2), (-2.0, 0.0, 2.0)


class Skaling(Law):
    """Final loss in model size and data, whose two terms interact, above an irreducible loss.

        L(N, D) = E + A (N^(-alpha/k) + (B D^-beta)^(1/k))^k

    alpha is the exponent of model size without a shortage of data, beta that of data without a shortage of size, and k
    says how they join: at k = 1 the terms add up (the law ``chinchilla`` with B for B/A), at k = beta it is the law
    ``kaplan-floor``, and below that the larger of the two terms decides alone. For k < 1 more data make a larger model
    gain more. The source writes ((A N^-a + B D^-b)^k + E): a = alpha/k and b = beta/k. Under C = 6 N D the optimum
    is that of the additive law with the exponents alpha/k and beta/k.

    Source: arXiv:2608.07222.
    """

    name = "skaling"
    source = "arXiv:2608.07222"
    needs = "runs at several N and several D that do not move together, ten or more, some of them far from D = 20 N"
    fails = (
        "E and k compensate for each other, so E is hardly determined; on grids whose runs lie near one ratio of "
        "tokens to parameters it forecasts worse than the additive law; gains less beyond the runs than its back-test "
        "says"
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e8, 1e11))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the reducible loss", linear=True)
    B = Parameter("tokens^beta/parameters^alpha", "weight of the data term beside the size term", starts=(1e-3, 1e6))
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 1.0))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.05, 1.0))
    k = Parameter("1", "how the two terms join; 1: they add up", low=0.01, high=3.0, starts=(0.1, 1.2))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs whose N and D move together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)

    def guesses(self, variables: Mapping[str, Array], values: Array) -> Mapping[str, Array]:
        """A grid of exponents and interactions, with B such that the terms are alike at the mean of ln N and ln D."""
        N, D = (float(np.mean(np.log(variables[name]))) for name in ("N", "D"))
        grid = np.meshgrid(EXPONENTS, EXPONENTS, INTERACTIONS, BALANCES, indexing="ij")
        alpha, beta, k, balance = (axis.ravel() for axis in grid)
        ones = np.ones_like(k)
        return {"E": ones, "A": ones, "B": np.exp(beta * D - alpha * N + balance), "alpha": alpha, "beta": beta, "k": k}

    @staticmethod
    def formula(N, D, E, A, B, alpha, beta, k):
        size, data = -alpha * np.log(N), np.log(B) - beta * np.log(D)
        first = np.real(size) > np.real(data)
        larger, smaller = np.where(first, size, data), np.where(first, data, size)
        return E + A * np.exp(larger + k * np.log1p(np.exp((smaller - larger) / k)))
