"""The annealing law for a family of model sizes."""

from __future__ import annotations

import numpy as np

from scalefit.laws.annealing import Annealing
from scalefit.laws.law import Array, Parameter, Published, Variable


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
    def formula(  # type: ignore[override]
        S1: Array, S2: Array, N: Array, L0: Array, A: Array, C: Array, alpha: Array, F: Array, beta: Array, gamma: Array
    ) -> Array:
        millions = N / 1e6
        return L0 + A * S1**-alpha + F * millions**-beta - C * S2 * millions**gamma

    @staticmethod
    def jacobian(  # type: ignore[override]
        S1: Array, S2: Array, N: Array, L0: Array, A: Array, C: Array, alpha: Array, F: Array, beta: Array, gamma: Array
    ) -> dict[str, Array]:
        log_S1, log_N = np.log(S1), np.log(N / 1e6)
        power, size, gain = np.exp(-alpha * log_S1), np.exp(-beta * log_N), -S2 * np.exp(gamma * log_N)
        return {
            "L0": np.ones_like(power),
            "A": power,
            "C": gain,
            "alpha": -A * power * log_S1,
            "F": size,
            "beta": -F * size * log_N,
            "gamma": C * gain * log_N,
        }
