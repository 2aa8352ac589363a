"""The law in model size and data whose data term has a size and an exponent that depend on model size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable

REFERENCE = 1e9  #: the model size at which E, B and h hold
FLAT = 1e-6  #: a bend below this is none
#: the search begins at these values of h, a, b and e, without bends
GRID = ((0.08, 0.15, 0.3, 0.5, 0.8), (-0.15, 0.0, 0.15), (-1.0, -0.5, -0.15, 0.1), (-0.1, -0.03, 0.0))


class Farseer(Law):
    """Final loss as a data term whose size and exponent depend on model size, above a floor that falls with it.

        L(N, D) = E exp(e Z(gamma)) + B exp(b Z(beta)) D^-(h exp(a Z(alpha)))

    Z(p) = ((N/1e9)^p - 1)/p, which is ln(N/1e9) at p = 0: E, B and h hold at 1e9 parameters; e, b and a are their
    changes there, per factor e in size; gamma, beta and alpha say how these changes grow (positive) or fade (negative)
    with size. The source writes exp(a3 N^gamma + b3) + exp(a2 N^beta + b2) D^-exp(a1 N^alpha + b1) for the same curve:
    a3 = e/gamma 1e9^-gamma and b3 = ln E - e/gamma, likewise a2 and b2 with b and ln B, a1 and b1 with a and ln h;
    where an exponent is near 0 its constants grow without bound and mean little, those used here do not.

    Source: arXiv:2506.10972. Its constants were not at hand, so none are given.
    """

    name = "farseer"
    source = "arXiv:2506.10972"
    needs = "a grid of at least four N and four D each, 20 or more runs with little noise"
    fails = (
        "nine parameters: on fewer runs, or noisy ones, the exponents of N are not determined and the forecast is "
        "worse than that of the additive law; has no irreducible loss of its own"
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e8, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))

    E = Parameter("nats/token", "loss with endless data at 1e9 parameters", linear=True)
    B = Parameter("nats/token tokens^h", "size of the data term at 1e9 parameters", linear=True)
    e = Parameter("1", "change of ln E with ln N at 1e9 parameters", low=-5.0, high=1.0, starts=(-0.3, 0.05))
    gamma = Parameter("1", "how that change grows with size", low=-1.5, high=1.5, starts=(-0.3, 0.4))
    b = Parameter("1", "change of ln B with ln N at 1e9 parameters", low=-10.0, high=5.0, starts=(-1.5, 0.4))
    beta = Parameter("1", "how that change grows with size", low=-1.5, high=1.5, starts=(-0.4, 0.3))
    h = Parameter("1", "exponent of data at 1e9 parameters", high=5.0, starts=(0.05, 1.0))
    a = Parameter("1", "change of ln h with ln N at 1e9 parameters", low=-2.0, high=2.0, starts=(-0.25, 0.15))
    alpha = Parameter("1", "how that change grows with size", low=-1.5, high=1.5, starts=(-0.3, 0.4))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs whose N and D move together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)

    def guesses(self, variables: Mapping[str, Array], values: Array) -> Mapping[str, Array]:
        """A grid of the exponent of data and of the three changes with size."""
        h, a, b, e = (axis.ravel() for axis in np.meshgrid(*GRID, indexing="ij"))
        ones, none = np.ones_like(h), np.zeros_like(h)
        return {"E": ones, "B": ones, "e": e, "gamma": none, "b": b, "beta": none, "h": h, "a": a, "alpha": none}

    @staticmethod
    def formula(N, D, E, B, e, gamma, b, beta, h, a, alpha):
        size = np.log(N / REFERENCE)
        exponent = h * np.exp(a * _bent(size, alpha))
        return E * np.exp(e * _bent(size, gamma)) + B * np.exp(b * _bent(size, beta) - exponent * np.log(D))


def _bent(x: Array, p: Array) -> Array:
    """(e^(p x) - 1)/p, and x (1 + p x / 2) where p is next to 0; also of complex steps."""
    flat = np.abs(np.real(p)) < FLAT
    safe = np.where(flat, 1.0, p)
    return np.where(flat, x + 0.5 * p * x * x, np.expm1(safe * x) / safe)
