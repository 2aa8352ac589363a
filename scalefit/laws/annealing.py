"""The learning-rate-annealing law: a whole loss curve under any schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from scalefit.laws.identification import mixed_peaks
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable
from scalefit.schedules import area_blocks, areas

CONVENTIONS = ("real", "peak")


class Annealing(Law):
    """Loss along a run under any learning-rate schedule.

        L(s) = L0 + A S1^-alpha - C S2

    S1(s) = sum of lr_i over steps i <= s is the forward area; S2(s) = sum of m_i over i <= s the annealing area, with
    m_i = decay m_{i-1} + (lr_{i-1} - lr_i) and m_0 = 0: drops of the learning rate that act over about
    1/(1 - decay) steps. Both are summed over every step of the run, never over logged rows. lr is the raw learning
    rate, so A and C depend on its unit, and runs with different peak learning rates do not share one fit.

    Source: arXiv:2408.11029.
    """

    name = "annealing"
    source = "arXiv:2408.11029"
    needs = "logged curves of at least two different schedules at one peak learning rate, batch and model size"
    fails = (
        "does not transfer across peak learning rates (off by 2 to 7 %); rewards steps at zero learning rate; "
        "lets long cooldowns gain too much with decay 0.999; never optimise a schedule freely under it"
    )
    schedules_needed: ClassVar[int] = 2
    published: ClassVar[Sequence[Published]] = (
        Published(
            "refit of the 20 + 20 points of arXiv:2408.11029, warmup at peak",
            {"L0": 2.627797, "A": 0.429665, "C": 0.410772, "alpha": 0.549846},
        ),
        Published(
            "closed form, lr = 1, 1, 0.5, 0.25 and decay 0.9",
            {"L0": 1.0, "A": 2.0, "C": 0.3, "alpha": 0.5},
            (
                ({"S1": 1.0, "S2": 0.0}, 3.0),
                ({"S1": 2.0, "S2": 0.0}, 2.414214),
                ({"S1": 2.5, "S2": 0.5}, 2.114911),
                ({"S1": 2.75, "S2": 1.2}, 1.846045),
            ),
        ),
    )

    decay = Option(0.999, "discount of the annealing area per step", profiled=(0.98, 0.99, 0.995, 0.998))
    warmup = Option("real", "how warmup steps count: at their real learning rate, or at the peak", CONVENTIONS)

    S1 = Variable("lr step", "area under the learning-rate curve so far", span=(0.01, 100.0))
    S2 = Variable(
        "lr step",
        "annealing area: discounted sum of learning-rate drops",
        span=(1e-4, 1.0),
        positive=False,
        may_be_constant=True,
    )

    L0 = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token (lr step)^alpha", "size of the power-law term", linear=True)
    C = Parameter("nats/token per lr step", "gain per unit of annealing area", linear=True)
    alpha = Parameter("1", "exponent of the power-law term", high=5.0, starts=(0.1, 1.5))

    def along(self, lr: Array, warmup: int) -> dict[str, Array]:
        """S1 and S2 at every step from the learning rate at every step."""
        S1, S2 = areas(lr, decay=self.options["decay"], convention=self.options["warmup"], warmup=warmup)
        return {"S1": S1, "S2": S2}

    def along_blocks(self, lr: Array, warmup: int) -> Iterator[dict[str, Array]]:
        """The same, a block of steps at a time, so that a very long run needs no full-length arrays."""
        for S1, S2 in area_blocks(lr, decay=self.options["decay"], convention=self.options["warmup"], warmup=warmup):
            yield {"S1": S1, "S2": S2}

    def doubts(self, paths: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Flags runs with different peak learning rates, between which raw areas do not transfer."""
        return mixed_peaks(paths)

    @staticmethod
    def formula(S1, S2, L0, A, C, alpha):
        return L0 + A * S1**-alpha - C * S2
