"""The multi-power law: a whole loss curve, with every drop of the learning rate remembered by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from scalefit.laws.identification import mixed_peaks
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable
from scalefit.schedules import areas, gaps_at

AUTHORS = {
    "25M": (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
    "100M": (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    "400M": (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
}


class MultiPower(Law):
    """Loss along a run, every learning-rate drop with its own power law.

        L(t) = L0 + A S1^-alpha - B sum_k gap_k (1 - (1 + C gap_lr_k^-gamma gap_area_k)^-beta)

    The sum goes over the steps k <= t at which the learning rate changed: gap holds the drops lr_{k-1} - lr_k, gap_lr
    the learning rates lr_k after them, and gap_area the sums of lr_i over k <= i <= t. S1 is the sum of lr_i over
    i <= t with the warmup at its real learning rate. Many small gaps (a cosine) are grouped into a few nodes a row
    whose sum agrees with the exact one to 1e-8.

    On three curves C, beta and gamma trade against one another: a lower objective forecasts no better. The law
    ``multi-power-fading`` holds them and lets the gain of a drop fade; it forecasts better on the same curves.

    ``warmup="exclude"`` (the default) lets the sum begin after the first warmup. ``warmup="include"`` also sums the
    rises of the warmup as negative gaps, as the authors' code does; that adds a nearly constant 0.1 to 0.2 nats which
    L0 absorbs, so L0 of the two conventions differ.

    Source: arXiv:2503.12811.
    """

    name = "multi-power"
    source = "arXiv:2503.12811"
    needs = "logged curves of at least two schedules at one peak learning rate, one of which lowers it"
    fails = (
        "C, beta and gamma trade against one another on few curves; very slow anneals gain less than any choice of "
        "them says; does not transfer across peak learning rates (off by 2 to 7 %)"
    )
    schedules_needed: ClassVar[int] = 2
    published = (
        *(
            Published(
                f"arXiv:2503.12811, the authors' fit of {size} parameters (with warmup=include)",
                dict(zip(("L0", "A", "alpha", "B", "C", "beta", "gamma"), constants, strict=True)),
            )
            for size, constants in AUTHORS.items()
        ),
        Published(
            "closed form, lr = 1, 1, 0.5, 0.25",
            {"L0": 1.0, "A": 2.0, "alpha": 0.5, "B": 0.3, "C": 2.0, "beta": 0.7, "gamma": 0.4},
            (
                ({"S1": 1.0, "gap": (), "gap_lr": (), "gap_area": ()}, 3.0),
                ({"S1": 2.0, "gap": (), "gap_lr": (), "gap_area": ()}, 2.414214),
                ({"S1": 2.5, "gap": (0.5,), "gap_lr": (0.5,), "gap_area": (0.5,)}, 2.198148),
                ({"S1": 2.75, "gap": (0.5, 0.25), "gap_lr": (0.5, 0.25), "gap_area": (0.75, 0.25)}, 2.099285),
            ),
        ),
    )

    warmup = Option("exclude", "whether the rises of the first warmup count as gaps", ("exclude", "include"))

    S1 = Variable("lr step", "area under the learning-rate curve so far", span=(20.0, 100.0))
    gap = Variable("1", "drops of the learning rate so far", span=(1e-6, 1e-3), positive=False, many=True, weighs=True)
    gap_lr = Variable("1", "learning rate after each drop", span=(1e-5, 1e-3), many=True, absent=1.0)
    gap_area = Variable(
        "lr step", "area under the learning-rate curve since each drop", span=(1e-3, 10.0), many=True, absent=1.0
    )

    L0 = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token (lr step)^alpha", "size of the power-law term", linear=True)
    B = Parameter("nats/token", "loss that a drop gains at last, per unit of learning rate", linear=True)
    alpha = Parameter("1", "exponent of the power-law term", high=5.0, starts=(0.2, 1.0))
    C = Parameter("lr^gamma / (lr step)", "speed at which the gain of a drop comes", starts=(1e-3, 1e2))
    beta = Parameter("1", "exponent with which the gain of a drop completes", high=5.0, starts=(0.05, 2.0))
    gamma = Parameter("1", "how much faster the gain comes at a lower learning rate", high=3.0, starts=(0.1, 1.5))

    def along(self, lr: Array, warmup: int) -> dict[str, Array]:
        """The forward area at every step."""
        return {"S1": areas(lr, warmup=warmup)[0]}

    def at_steps(self, lr: Array, warmup: int, steps: Array, **marks: float) -> dict[str, Array]:
        """The forward area (n,) and the gaps (n, K) at some steps."""
        after = warmup if self.options["warmup"] == "exclude" else 0
        found = gaps_at(lr, steps, after=after)
        S1 = self.along(lr, warmup)["S1"]
        return {"S1": S1[steps], "gap": found.gap, "gap_lr": found.lr, "gap_area": found.area}

    def doubts(self, paths: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Flags runs with different peak learning rates, between which raw areas do not transfer."""
        return mixed_peaks(paths)

    @staticmethod
    def formula(S1, gap, gap_lr, gap_area, L0, A, B, alpha, C, beta, gamma):
        C, beta, gamma = (np.expand_dims(value, -1) for value in (C, beta, gamma))
        done = 1 - np.exp(-beta * np.log(1 + C * gap_area * np.exp(-gamma * np.log(gap_lr))))
        return L0 + A * S1**-alpha - B * np.einsum("...k,...k->...", gap, done)
