"""Power laws of the best learning rate and the best batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

SAME = 2e-3  #: natural logarithms nearer than this are of one value


class OptimalLrBatch(Law):
    """The best peak learning rate in model size and data, and the best batch in data.

        lr(N, D) = K N^-alpha D^beta; with of=batch: batch(D) = K D^beta

    Each row is the optimum of one (N, D), such as the minimum of a smooth surface through a sweep (the law
    ``lr-batch-surface`` fits all runs at once). Batches count tokens.

    Source: arXiv:2503.04715: bootstrap of log-linear regressions over runs within 0.25 % of the best.
    """

    name = "optimal-lr-batch"
    source = "arXiv:2503.04715"
    needs = "the optima of sweeps at several N and several D that do not move together"
    fails = (
        "the grid point of least loss is a noisy optimum: smooth first; the source decayed every run to 1e-5, so its "
        "constants do not hold for a decay to a tenth of the peak"
    )
    published = (
        Published(
            "arXiv:2503.04715, learning rate (of=lr)",
            {"K": 1.79, "alpha": 0.713, "beta": 0.307},
            (({"N": 1e9, "D": 1e11}, 0.00163250), ({"N": 7e9, "D": 1.4e12}, 9.16557e-4)),
        ),
        Published(
            "arXiv:2503.04715, batch in tokens (of=batch)",
            {"K": 0.58, "beta": 0.571},
            (({"D": 1e11}, 1.107715e6), ({"D": 1.4e12}, 4.998815e6)),
        ),
    )

    of = Option("lr", "what is predicted: the peak learning rate or the batch", ("lr", "batch"))

    N = Variable("parameters", "model size, without embeddings in the source", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))

    K = Parameter("target parameters^alpha tokens^-beta", "size", linear=True)
    alpha = Parameter("1", "how fast the best learning rate falls with size", low=-3.0, high=3.0, starts=(-0.3, 1.2))
    beta = Parameter("1", "growth with training tokens", low=-3.0, high=3.0, starts=(-0.5, 1.2))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        lr = self.options["of"] == "lr"
        self.target, self.target_unit = ("peak_lr", "1") if lr else ("batch", "tokens")  # type: ignore[misc]

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Size and data; data alone for the batch."""
        return {name: v for name, v in super().variables.items() if name != "N" or self.options["of"] == "lr"}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The batch has no exponent of size."""
        return {name: p for name, p in super().parameters.items() if name != "alpha" or self.options["of"] == "lr"}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse optima whose N and D move together."""
        if "N" in variables:
            refuse_tied(self.name, variables, "N", "D", "add a sweep at another ratio of tokens to parameters")

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """Refuse whole sweeps (several learning rates of one size and length are not all the best) and mere recipes."""
        places = np.stack([np.log(np.asarray(column, dtype=float)) for column in variables.values()], axis=1)
        cells, cell = np.unique(np.round(places, 3), axis=0, return_inverse=True)
        most = max(len(np.unique(np.round(np.log(values[cell.ravel() == i]), 3))) for i in range(len(cells)))
        if most > 2:
            at = " and ".join(variables)
            raise IdentificationError(
                f"the rows are not optima: up to {most} values of {self.target} at one {at}",
                where=f"law {self.name}",
                todo=f"keep the run of least loss of each {at}, or fit the whole sweep with the law lr-batch-surface",
            )
        if "N" in variables and _same_at_every_length(places, np.log(values)):
            raise IdentificationError(
                f"the {self.target} is the same at every D of each N: a recipe, not the optima of sweeps",
                where=f"law {self.name}",
                todo=f"give the {self.target} of least loss of each N and D, from sweeps over it",
            )

    @staticmethod
    def formula(D, K, beta, N=1.0, alpha=0.0):
        return K * N**-alpha * D**beta


def _same_at_every_length(places: Array, log_values: Array) -> bool:
    """Whether rows (log N, log D) of one size and several lengths always have one value, and there are such rows."""
    sizes = [np.abs(places[:, 0] - size) < SAME for size in np.unique(np.round(places[:, 0], 3))]
    several = [log_values[rows] for rows in sizes if np.any(rows) and np.ptp(places[rows, 1]) > SAME]
    return bool(several) and all(np.ptp(values) < SAME for values in several)
