"""Steps to a loss at any batch: few large steps or many small ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from scalefit.errors import IdentificationError
from scalefit.laws.identification import move_together
from scalefit.laws.law import Array, Law, Parameter, Published, Variable


class CriticalBatch(Law):
    """Steps that one model needs to reach a loss, for a batch of any size.

        step = S_c (loss - L_N)^(-1/alpha_S) (1 + B_crit/batch), with B_crit = B_star loss^(-1/alpha_B)

    The first two factors are S_min(loss), the steps at an endlessly large batch; L_N is the loss at which this model
    size converges. With E = batch x step examples and E_min = B_crit S_min it is the trade-off
    (S/S_min - 1)(E/E_min - 1) = 1: at the critical batch twice the least steps and twice the least examples. It is
    the law ``trajectory`` of one model size, solved for the steps.

    Source: arXiv:2001.08361, sections 5.1 and 5.2, after arXiv:1812.06162.
    """

    name = "critical-batch"
    source = "arXiv:2001.08361"
    target = "step"
    target_unit = "optimiser steps"
    needs = "loss curves of one model size at three or more batch sizes, below and above the critical batch"
    fails = (
        "all rows of one model size; needs each batch at its best learning rate, and a schedule that is not annealed; "
        "with all batches far above the critical one B_star is not known"
    )
    published = (
        Published(
            "arXiv:2001.08361 tables 3 and 5, at 1e8 parameters",
            {
                "S_c": 2.1e3,
                "L_N": (6.5e13 / 1e8) ** 0.077,
                "alpha_S": 0.76,
                "B_star": 2.1e8,
                "alpha_B": 0.21,
            },
            (
                ({"loss": 3.366069, "batch": 524288.0}, 1e4),
                ({"loss": 2.936465, "batch": 524288.0}, 1e5),
                ({"loss": 3.366069, "batch": 1e30}, 4469.3),
                ({"loss": 2.936465, "batch": 1e30}, 29665.7),
            ),
            rtol=2e-5,
        ),
    )

    alike: ClassVar[Sequence[str]] = ("N", "d_model", "n_layer")
    floors: ClassVar[Mapping[str, str]] = {"L_N": "loss"}

    loss = Variable("nats/token", "loss that was reached", span=(2.5, 6.0))
    batch = Variable("tokens", "tokens per step", span=(1e4, 1e7))

    S_c = Parameter("optimiser steps", "least steps at one nat above the converged loss", linear=True)
    L_N = Parameter("nats/token", "loss at which this model size converges", starts=(0.5, 2.4))
    alpha_S = Parameter("1", "exponent of steps", high=5.0, starts=(0.3, 1.5))
    B_star = Parameter("tokens", "critical batch at a loss of 1 nat", starts=(1e6, 1e10))
    alpha_B = Parameter("1", "exponent of the loss against the critical batch", high=5.0, starts=(0.1, 0.6))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse rows in which one batch belongs to each loss."""
        if move_together(variables["loss"], variables["batch"]):
            raise IdentificationError(
                "loss and batch move together in all rows: steps and batch cannot be traded",
                where=f"law {self.name}",
                todo="add the curve of another batch size through the same losses",
            )

    @staticmethod
    def formula(loss, batch, S_c, L_N, alpha_S, B_star, alpha_B):
        S_min = S_c * (loss - L_N) ** (-1 / alpha_S)
        B_crit = B_star * loss ** (-1 / alpha_B)
        return S_min * (1 + B_crit / batch)
