"""Continual pre-training on a mixture: size, tokens and the share of the domain."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_shares, refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable


class ContinualRatio(Law):
    """Loss on a domain after continual pre-training in size, tokens and the share of them from the domain.

        L(N, D, r) = E + A N^-alpha + B r^eta D^-beta + C (r + shift)^-gamma

    r is the column ``domain_share``. More of the domain lowers the last term and slows what further tokens give. One
    fit for each domain that is judged (the domain itself, with r; general text, with r its own share).

    Source: arXiv:2406.01375. The form was held against two accounts of it by others, not the paper; no constants are
    given.
    """

    name = "continual-ratio"
    source = "arXiv:2406.01375"
    needs = "runs at several N and D, each at four or more shares of the domain (column domain_share) from 5 to 95 %"
    fails = "shift and gamma trade against one another unless some shares lie below a tenth; no schedule is in the law"

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e8, 1e10))
    D = Variable("tokens", "tokens of continual pre-training", span=(1e8, 1e11))
    domain_share = Variable("1", "share of the tokens that is of the domain", span=(0.03, 0.97), share="part")

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term with all tokens of the domain", linear=True)
    C = Parameter("nats/token", "size of the term that the share removes", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.05, 0.8))
    eta = Parameter("1", "exponent of the share in the data term", high=5.0, starts=(0.1, 1.5))
    gamma = Parameter("1", "exponent of the share", high=5.0, starts=(0.1, 1.5))
    shift = Parameter("1", "share that the model has seen before", high=2.0, starts=(0.01, 0.3))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse shares beyond one, and sizes that move with the data."""
        refuse_shares(self.name, variables, "domain_share")
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of tokens to size", additive=True)

    @staticmethod
    def formula(N, D, domain_share, E, A, B, C, alpha, beta, eta, gamma, shift):
        data = B * domain_share**eta * D**-beta
        return E + A * N**-alpha + data + C * (domain_share + shift) ** -gamma
