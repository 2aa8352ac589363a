"""The annealing law for continual pre-training: one run that changes its data once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.identification import mixed_peaks
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable
from scalefit.schedules import areas


class Continual(Law):
    """Loss on one kind of data along pre-training and then continual pre-training on other data.

        L = L0 + A (S1 + S1_cpt)^-alpha - C1 S2 - C2 S2_cpt + B (1 - (1 + E S1_cpt)^-beta)

    S1 and S2 are the forward and annealing areas of the pre-training stage (see the law ``annealing``), S1_cpt and
    S2_cpt those of the continual stage; during pre-training the latter are zero, during the continual stage the former
    keep their last values. Each stage counts its own learning-rate changes after its own warmup, with no momentum
    carried over and no gap at the seam. The last term is the shift to the other data: the loss on the
    pre-training data rises by up to B.

    The log is one curve a run with the columns run, step, lr and loss, steps counted through both stages, and a
    column ``cpt_step``: the first step made on the other data. A run without continual stage has a cpt_step beyond
    its last step.

    Source: arXiv:2505.07796.
    """

    name = "continual"
    source = "arXiv:2505.07796"
    needs = (
        "curves through both stages, of at least two schedules, on one kind of validation data: "
        "columns run, step, lr, loss, cpt_step"
    )
    fails = (
        "the loss on the new data falls where that on the old data rises: give B the sign of the data set with bounds; "
        "one replay ratio and one peak learning rate at a time"
    )
    schedules_needed: ClassVar[int] = 2
    path_columns: ClassVar[Sequence[str]] = ("cpt_step",)
    published = (
        Published(
            "arXiv:2505.07796 figure 3, loss on FineWeb, 106M parameters",
            {
                "L0": 3.057,
                "A": 0.490,
                "alpha": 0.497,
                "C1": 0.299,
                "C2": 0.298,
                "B": 0.366,
                "E": 28.0,
                "beta": 0.189,
            },
        ),
    )

    decay = Option(0.999, "discount of the annealing areas per step", profiled=(0.98, 0.99, 0.995, 0.998))

    S1 = Variable("lr step", "area under the learning-rate curve so far", span=(0.1, 100.0))
    S2 = Variable("lr step", "annealing area: discounted sum of learning-rate drops", span=(1e-4, 1.0), positive=False)
    S1_cpt = Variable("lr step", "forward area of the continual stage so far", span=(1e-3, 10.0), positive=False)
    S2_cpt = Variable(
        "lr step", "annealing area of the continual stage", span=(1e-4, 1.0), positive=False, may_be_constant=True
    )

    L0 = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token (lr step)^alpha", "size of the power-law term", linear=True)
    C1 = Parameter("nats/token per lr step", "gain per unit of annealing area in pre-training", linear=True)
    C2 = Parameter("nats/token per lr step", "gain per unit of annealing area in the continual stage", linear=True)
    B = Parameter("nats/token", "shift of the loss by the other data at last", low=-np.inf, linear=True)
    alpha = Parameter("1", "exponent of the power-law term", high=5.0, starts=(0.1, 1.5))
    E = Parameter("1/(lr step)", "speed of the shift", starts=(0.1, 1e3))
    beta = Parameter("1", "exponent of the shift", high=5.0, starts=(0.05, 1.0))

    def along(self, lr: Array, warmup: int) -> dict[str, Array]:
        """The areas at every step of a run that stays in pre-training."""
        return self.at_steps(lr, warmup, np.arange(len(lr)), cpt_step=len(lr))

    def at_steps(self, lr: Array, warmup: int, steps: Array, **marks: float) -> dict[str, Array]:
        """The four areas (n,) at some steps of a run that changes its data at step ``cpt_step``."""
        mark = marks["cpt_step"]
        if not mark >= 1 or mark != int(mark):
            raise InputError(f"cpt_step is {mark:g}", todo="give the first step made on the other data, 1 or later")
        seam = min(int(mark), len(lr))
        before = self._areas(lr[:seam], warmup)
        last = np.minimum(steps, seam - 1)
        found: dict[str, Any] = {"S1": before[0][last], "S2": before[1][last]}
        after = self._areas(lr[seam:], None) if seam < len(lr) else np.zeros((2, 0))
        for name, own in zip(("S1_cpt", "S2_cpt"), after, strict=True):
            whole = np.concatenate([[0.0], own])
            found[name] = whole[np.maximum(steps - seam + 1, 0)]
        return found

    def _areas(self, lr: Array, warmup: int | None) -> tuple[Array, Array]:
        return areas(lr, decay=self.options["decay"], warmup=warmup)

    def doubts(self, paths: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Flags runs with different peak learning rates, between which raw areas do not transfer."""
        return mixed_peaks(paths)

    @staticmethod
    def formula(S1, S2, S1_cpt, S2_cpt, L0, A, C1, C2, B, alpha, E, beta):
        shift = 1 - (1 + E * S1_cpt) ** -beta
        return L0 + A * (S1 + S1_cpt) ** -alpha - C1 * S2 - C2 * S2_cpt + B * shift
