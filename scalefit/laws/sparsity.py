"""Mixtures of experts of any sparsity: size, data and the share of parameters that stay idle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable


class Sparsity(Law):
    """Final loss of mixtures of experts in total size, data and sparsity, with what sparsity does to size.

        L(N, D, S) = e + a N_total^-alpha + b D^-beta + c (1 - S)^-lam + d (1 - S)^-delta N_total^-gamma

    S (the column ``sparsity``) is the share of experts, or of parameters, that one token leaves idle: 0 for a dense
    model, 63/64 where one of 64 experts is active. The last two terms are the price of idle parameters, the second one
    the smaller the larger the model.

    Source: arXiv:2501.12370, equation 6, held against an account by others. No constants are given: none was found to
    check.
    """

    name = "sparsity"
    source = "arXiv:2501.12370"
    needs = "runs at several N_total and several D, each at four or more sparsities from dense to 90 % and more"
    fails = "the two price terms trade places where the sizes span less than a decade; routing costs are not in the law"

    N_total = Variable("parameters", "parameters of all experts and the rest", span=(1e8, 1e11))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))
    sparsity = Variable(
        "1", "share of the experts that a token leaves idle", span=(0.05, 0.99), positive=False, share="part"
    )

    e = Parameter("nats/token", "irreducible loss", linear=True)
    a = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    b = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    c = Parameter("nats/token", "price of idle parameters at S = 0, whatever the size", linear=True)
    d = Parameter("nats/token parameters^gamma", "the same, for the part that falls with size", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.05, 0.8))
    lam = Parameter("1", "exponent of active shares", low=-5.0, high=5.0, starts=(-1.0, 1.0))
    delta = Parameter("1", "exponent of active shares in the term that falls with size", high=5.0, starts=(0.1, 1.5))
    gamma = Parameter("1", "exponent of size in that term", high=5.0, starts=(0.05, 0.8))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse shares outside 0 to 1, and sizes that move with the data or the sparsity."""
        shares = np.asarray(variables["sparsity"])
        if np.any(shares < 0) or np.any(shares >= 1):
            wrong = shares[(shares < 0) | (shares >= 1)][0]
            raise InputError(
                f"a sparsity of {wrong:g} is no share of idle experts",
                where=f"law {self.name}",
                todo="write it as 1 - active/experts: 0 for a dense model, .984375 for one of 64",
            )
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N_total", "D", todo, additive=True)

    @staticmethod
    def formula(N_total, D, sparsity, e, a, b, c, d, alpha, beta, lam, delta, gamma):
        active = 1 - sparsity
        return e + a * N_total**-alpha + b * D**-beta + c * active**-lam + d * active**-delta * N_total**-gamma
