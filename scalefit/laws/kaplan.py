"""The joint law in model size and data, with nothing irreducible."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class Kaplan(Law):
    """Early-stopped loss in model size and data, without an irreducible loss.

        L(N, D) = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D

    With much data it is (N_c/N)^alpha_N, with a large model (D_c/D)^alpha_D: ``power:over=N`` and ``power:over=D``.
    The constants of those single fits differ from those of the joint fit and must not be mixed with them.

    Source: arXiv:2001.08361, equation 1.5; constants of table 2.
    """

    name = "kaplan"
    source = "arXiv:2001.08361"
    needs = "runs at several N and several D that do not move together, with the lowest validation loss of each"
    fails = (
        "has no floor, so it bends away near an irreducible loss (compare with kaplan-floor); its exponents depend on "
        "counting parameters without embeddings, on a long warmup and on learning rates that were not tuned per size"
    )
    published = (
        Published(
            "arXiv:2001.08361 table 2",
            {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            (({"N": 1e8, "D": 1e9}, 2.956734), ({"N": 1e9, "D": 22e9}, 2.369316)),
        ),
    )

    N = Variable("parameters", "model size, without embeddings in the source", span=(1e6, 1e9))
    D = Variable("tokens", "training tokens", span=(1e8, 1e11))

    N_c = Parameter("parameters", "model size at which its term alone is 1 nat", starts=(1e9, 1e18))
    D_c = Parameter("tokens", "data at which its term alone is 1 nat", starts=(1e9, 1e18))
    alpha_N = Parameter("1", "exponent of model size", high=5.0, starts=(0.02, 0.5))
    alpha_D = Parameter("1", "exponent of data", high=5.0, starts=(0.02, 0.5))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs whose N and D move together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)

    @staticmethod
    def formula(N, D, N_c, D_c, alpha_N, alpha_D):
        return ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D
