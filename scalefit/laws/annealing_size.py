"""The annealing law for a family of model sizes."""

from __future__ import annotations

from scalefit.laws.annealing import Annealing
from scalefit.laws.law import Parameter, Published, Variable


class AnnealingSize(Annealing):
    """Loss along a run under any schedule, at any model size.

        L(s, N) = L0 + A S1^-alpha + F (N/1e6)^-beta - C S2 (N/1e6)^gamma

    S1 and S2 are the areas of the law ``annealing``. Larger models gain more from annealing (gamma > 0). N is counted
    in millions inside the law, as in the source, which keeps C and F near 1.

    Source: arXiv:2505.07796, equation 7 (after arXiv:2408.11029).
    """

    name = "annealing-size"
    source = "arXiv:2505.07796"
    needs = "logged curves of at least two schedules at each of three or more model sizes, at one peak learning rate"
    published = (
        Published(
            "arXiv:2505.07796 figure 15, FineWeb, N in millions without embeddings",
            {"L0": 1.829, "A": 0.504, "alpha": 0.537, "C": 0.090, "gamma": 0.235, "F": 3.072, "beta": 0.195},
            # after endless training at a constant learning rate: L0 and the size term
            tuple(
                ({"S1": 1e12, "S2": 0.0, "N": millions * 1e6}, loss)
                for millions, loss in ((106, 3.0663), (594, 2.7132), (1720, 2.5476))
            ),
            rtol=2e-5,
        ),
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))

    F = Parameter("nats/token", "size of the model-size term at a million parameters", linear=True)
    beta = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 1.0))
    gamma = Parameter("1", "growth of the annealing gain with model size", low=-2.0, high=2.0, starts=(-0.3, 0.6))

    @staticmethod
    def formula(S1, S2, N, L0, A, C, alpha, F, beta, gamma):  # type: ignore[override]
        millions = N / 1e6
        return L0 + A * S1**-alpha + F * millions**-beta - C * S2 * millions**gamma
