"""The law for runs trained beyond the compute-optimal ratio of tokens to parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.law import Array, Law, Parameter, Published, Variable

SAME_RATIO = 1.05  #: ratios D/N within this factor count as one


class OverTraining(Law):
    """Final loss in compute and in the ratio of tokens to parameters.

        L(C, M) = E + (a M^eta + b M^-eta) C^-eta, with C = 6 N D and M = D/N

    It is the additive law in N and D with one exponent alpha = beta = 2 eta: A = a 6^-eta, B = b 6^-eta. At a
    fixed M the loss is a power of compute with the same exponent, over-trained or not. At a fixed C the loss is least
    at M* = (b/a)^(1/(2 eta)) tokens a parameter (7.4 with the constants of RedPajama).
    N and D are read from the runs, and C = 6 N D is part of the law.

    Source: arXiv:2403.08540; constants refitted from the released runs.
    """

    name = "over-training"
    source = "arXiv:2403.08540"
    needs = "runs at three or more compute budgets at one ratio M, and one run at a larger M (11M parameters will do)"
    fails = "equal exponents of size and data are an assumption: compare with chinchilla where runs at many M exist"
    published = (
        Published(
            "arXiv:2403.08540, trained on RedPajama, C4 validation loss",
            {"E": 1.8366, "a": 212.2, "b": 366.7, "eta": 0.13643},
            (
                ({"N": 1.4397952e9, "D": 640 * 1.4397952e9}, 2.51976),
                ({"N": 6.88941e9, "D": 20 * 6.88941e9}, 2.44269),
                ({"N": (1e21 / 120) ** 0.5, "D": 20 * (1e21 / 120) ** 0.5}, 2.60505),
            ),
            rtol=3e-4,
        ),
        Published(
            "arXiv:2403.08540, trained on C4, C4 validation loss",
            {"E": 1.5083, "a": 141.3, "b": 189.5, "eta": 0.12124},
            (({"N": (1e21 / 120) ** 0.5, "D": 20 * (1e21 / 120) ** 0.5}, 2.46118),),
            rtol=3e-4,
        ),
        Published(
            "arXiv:2403.08540, trained on RefinedWeb, C4 validation loss",
            {"E": 1.7345, "a": 157.1, "b": 246.2, "eta": 0.12720},
            (({"N": (1e21 / 120) ** 0.5, "D": 20 * (1e21 / 120) ** 0.5}, 2.58366),),
            rtol=3e-4,
        ),
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    a = Parameter("nats/token FLOP^eta", "size of the term that grows with the ratio", linear=True)
    b = Parameter("nats/token FLOP^eta", "size of the term that falls with the ratio", linear=True)
    eta = Parameter("1", "exponent of compute", high=2.5, starts=(0.03, 0.6))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs that all have one ratio of tokens to parameters."""
        ratio = np.asarray(variables["D"]) / np.asarray(variables["N"])
        if ratio.max() <= ratio.min() * SAME_RATIO:
            raise IdentificationError(
                f"all {len(ratio)} runs have D/N = {ratio.mean():.3g}: a and b cannot be told apart",
                where=f"law {self.name}",
                todo="add one small run at a larger ratio, such as D = 320 N",
            )

    @staticmethod
    def formula(N, D, E, a, b, eta):
        C, M = 6 * N * D, D / N
        return E + (a * M**eta + b * M**-eta) * C**-eta
