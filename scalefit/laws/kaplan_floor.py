"""The joint law in model size and data, with an irreducible loss."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class KaplanFloor(Law):
    """Final loss in model size and data, one bottleneck inside the other, above an irreducible loss.

        L(N, D) = E + ((A/N)^(alpha/beta) + B/D)^beta

    alpha is the exponent of model size without a shortage of data, beta that of data without a shortage of size.
    A and B are the sizes at which the reducible loss is 1 nat, so they lie among the sizes of small runs.
    Under C = 6 N D the optimum is N* = (alpha A^(alpha/beta) / (beta B) C/6)^(beta/(alpha+beta)). A shifted power law
    of the loss (``loss-to-loss``) turns this law into one of the same form: see :mod:`scalefit.planning.translation`.

    Source: arXiv:2411.12925 (with a floor); after arXiv:2001.08361, equation 1.5.
    """

    name = "kaplan-floor"
    source = "arXiv:2411.12925"
    needs = "runs at several N and several D that do not move together, each trained to the end of its own schedule"
    fails = (
        "over-predicts about 20 times beyond its runs (4 % on FineWeb-Edu at 1e21 FLOP); "
        "its E differs from that of the additive law: never mix the two"
    )
    published = (
        Published(
            "arXiv:2411.12925, trained on FineWeb-Edu, own validation loss",
            {"E": 1.96690513, "A": 66798878.459, "B": 889955656.432, "alpha": 0.41289807, "beta": 0.4555813},
            (({"N": 3309980160, "D": 50352769083}, 2.2146707), ({"N": 1e8, "D": 2e9}, 3.0278658)),
            rtol=2e-8,
        ),
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e8, 1e11))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("parameters", "model size at which its term alone is 1 nat", starts=(1e5, 1e10))
    B = Parameter("tokens", "training tokens at which their term alone is 1 nat", starts=(1e6, 1e11))
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.1, 1.0))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.1, 1.0))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs whose N and D move together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)

    @staticmethod
    def formula(N, D, E, A, B, alpha, beta):
        return E + ((A / N) ** (alpha / beta) + B / D) ** beta
