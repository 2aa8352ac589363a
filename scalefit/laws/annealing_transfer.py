"""An annealing law whose constants carry over from one peak learning rate to another."""

from __future__ import annotations

from typing import ClassVar

from scalefit.laws.law import Array, Law, Option, Parameter, Variable
from scalefit.schedules import powered_area, relaxed_rate


class AnnealingTransfer(Law):
    """Loss along a run under any schedule, at any peak learning rate near those fitted.

        L(s) = L0 + A R1^-alpha + C R2

    R1(s) is the sum of lr_i^q over steps i <= s, and R2 the noise level: lr^p, followed with a delay of ``relax`` in
    area under the learning-rate curve,

        R2_s = R2_{s-1} + (1 - e^(-lr_s/relax)) (lr_s^p - R2_{s-1})

    from zero before the warmup. The annealing law is the case q = p = 1 with a delay in steps, up to L0: there the
    noise level is measured from the peak, here from zero, so that runs at several peaks share one fit.

    The options q, p and relax were chosen on 97 runs of a 124M model at peaks 5e-4, 1e-3 and 2e-3 (AdamW). With them,
    fits of two peaks predict the final losses at the third with mean errors of 0.22, 0.18 and 0.38 %, where the law
    ``annealing`` is off by 6.8, 3.3 and 7.0 %. Chosen anew from the two peaks alone, they give 0.22, 0.22 and 0.96 %.

    Source: none states this law; it is this package's own, after arXiv:2408.11029, back-tested on the runs of
    arXiv:2501.18965.
    """

    name = "annealing-transfer"
    source = "arXiv:2408.11029"
    needs = (
        "logged curves of at least two schedules, at best at two or more peak learning rates, of one model and batch"
    )
    fails = (
        "reaches about a factor of two beyond the fitted peaks: at a fifth of the lowest it is 2 % too low; "
        "q, p and relax belong to the optimiser they were chosen for; at one peak other laws are closer"
    )
    schedules_needed: ClassVar[int] = 2

    q = Option(0.5, "power of the learning rate in the progress R1")
    p = Option(0.4, "power of the learning rate in the noise level R2")
    relax = Option(0.1, "area under the learning-rate curve over which the noise level follows, lr step")

    R1 = Variable("lr^q step", "progress: powered area under the learning-rate curve so far", span=(1.0, 1000.0))
    R2 = Variable("lr^p", "noise level: powered learning rate, followed with a delay", span=(0.01, 0.1))

    L0 = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token (lr^q step)^alpha", "size of the power-law term", linear=True)
    C = Parameter("nats/token per lr^p", "loss per unit of noise level", linear=True)
    alpha = Parameter("1", "exponent of the power-law term", high=5.0, starts=(0.1, 1.5))

    def along(self, lr: Array, warmup: int) -> dict[str, Array]:
        """R1 and R2 at every step from the learning rate at every step."""
        q, p, relax = (self.options[name] for name in ("q", "p", "relax"))
        return {"R1": powered_area(lr, q), "R2": relaxed_rate(lr, p, relax)}

    @staticmethod
    def formula(R1, R2, L0, A, C, alpha):
        return L0 + A * R1**-alpha + C * R2
