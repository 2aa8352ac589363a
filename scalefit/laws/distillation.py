"""Distillation: a student's loss in its size, its tokens, its teacher's loss and its own without a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable

#: the search begins at these exponents, where the terms of size and data are alike, or one is e^2 times the other, at
#: the mean of ln N and ln D, and at these bends (c1, d1, f1) and exponents of a teacher that the student can follow
EXPONENTS, POWERS, BALANCES = (0.2, 0.6, 2.0), (0.25, 0.7), (-2.0, 0.0, 2.0)
BENDS, FOLLOWED = ((1.0, 1.0, 0.1), (20.0, 1.0, 0.1), (80.0, 1.2, 0.12), (200.0, 1.5, 0.17)), (0.3, 1.5)
#: supervised losses of the source's models, (A N^-alpha + B D^-beta)^gamma + E: what ``loss_supervised`` stands for
SUPERVISED = {"A": 3355.0, "B": 18186.0, "E": 1.220, "alpha": 0.408, "beta": 0.431, "gamma": 0.452}


def supervised(N: Array, D: Array) -> Array:
    """The loss that a model of the source reaches without a teacher, nats/token; table 6, shapes broadcast.

    >>> round(float(supervised(1.82e9, 20 * 1.82e9)), 3)
    2.251
    """
    s = SUPERVISED
    return s["E"] + (s["A"] * N ** -s["alpha"] + s["B"] * D ** -s["beta"]) ** s["gamma"]


def from_source(A: float, B: float, alpha: float, beta: float, gamma: float, **others: float) -> dict[str, float]:
    """The constants of this law from those of the source, whose (A N^-alpha + B D^-beta)^gamma has two sizes inside.

    >>> round(from_source(A=2243.0, B=24181.0, alpha=0.321, beta=0.637, gamma=0.764)["K"], 2)
    363.11
    """
    return {"K": A**gamma, "B": B / A, "alpha": alpha, "beta": beta, "gamma": gamma, **others}


class Distillation(Law):
    """Loss of a student in its size, its tokens of distillation, its teacher's loss and its own without a teacher.

        L = L_T + K L_T^-c0 (1 + (L_T/(d1 L_S))^(1/f1))^(-c1 f1) (N^-alpha + B D^-beta)^gamma

    N is the student, D the tokens of distillation. L_T is the column ``loss_teacher``; L_S the column
    ``loss_supervised``, the loss of a model of the same N and D that learned without a teacher, measured or predicted
    by a law of size and data. The better the teacher the lower L_T, but the worse the student follows it: far enough
    below L_S a better teacher makes a worse student (the capacity gap). The best teacher for a student is
    :func:`~scalefit.planning.optimum.best_teacher.best_teacher`. The source writes (A N^-alpha + B D^-beta)^gamma:
    K = A^gamma, and B here is its B/A.

    Source: arXiv:2502.08606, equation 8 and table 6.
    """

    name = "distillation"
    source = "arXiv:2502.08606"
    needs = (
        "students of several N and D, each of three or more teachers (columns loss_teacher and loss_supervised), some "
        "of them better than the student would be, some worse"
    )
    fails = (
        "the loss never falls below the teacher's, so that students that beat their teacher lie below it; "
        "c1 and d1 trade against one another unless some teachers lie beyond the bend; "
        "over a factor of four in size alpha and beta run to their bounds while gamma falls: only their products with "
        "gamma are known; "
        "pure distillation at temperature 1 is meant: a share of labels among the targets has other constants"
    )
    published = (
        Published(
            "arXiv:2502.08606 table 6",
            from_source(
                A=2243.0, B=24181.0, alpha=0.321, beta=0.637, gamma=0.764, c0=2.549, c1=522.6, d1=1.315, f1=0.090
            ),
        ),
    )
    hardly: ClassVar = ("c1", "d1")

    N = Variable("parameters", "size of the student", span=(1e8, 1e10))
    D = Variable("tokens", "tokens of distillation", span=(1e9, 1e12))
    loss_teacher = Variable("nats/token", "loss of the teacher", span=(1.6, 3.2))
    loss_supervised = Variable("nats/token", "loss of the student's size and tokens without a teacher", span=(2.0, 3.0))

    K = Parameter("nats/token (nats/token)^c0", "size of what the student misses of the teacher", linear=True)
    B = Parameter("tokens^beta/parameters^alpha", "weight of the data term beside the size term", starts=(1e-2, 1e5))
    alpha = Parameter("1", "exponent of the student's size", high=5.0, starts=(0.1, 0.6))
    beta = Parameter("1", "exponent of tokens", high=5.0, starts=(0.1, 0.8))
    gamma = Parameter("1", "exponent of both", high=5.0, starts=(0.3, 1.2))
    c0 = Parameter("1", "exponent of a teacher that the student can follow", high=20.0, starts=(0.5, 4.0))
    c1 = Parameter("1", "exponent added beyond the bend", high=1e5, starts=(1.0, 60.0))
    d1 = Parameter("1", "ratio of the teacher's loss to the student's at the bend", high=10.0, starts=(0.6, 1.4))
    f1 = Parameter("1", "width of the bend", low=0.01, high=5.0, starts=(0.06, 0.5))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse sizes that move with the tokens, and one teacher for each student."""
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of tokens to size", additive=True)
        ratio = np.log(variables["loss_teacher"]) - np.log(variables["loss_supervised"])
        if np.ptp(ratio) < 1e-6:
            raise IdentificationError(
                "loss_teacher follows loss_supervised in every row: the bend cannot be seen",
                where=f"law {self.name}",
                todo="distil one student from another teacher",
            )

    def guesses(self, variables: Mapping[str, Array], values: Array) -> Mapping[str, Array]:
        """A grid of exponents and bends, with B such that size and data weigh about alike: from even covers of the
        ranges too few starts find the valley in which exponents grow as the power of both falls."""
        N, D = (float(np.mean(np.log(variables[name]))) for name in ("N", "D"))
        axes = (EXPONENTS, EXPONENTS, POWERS, BALANCES, FOLLOWED, range(len(BENDS)))
        alpha, beta, gamma, balance, c0, bend = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        c1, d1, f1 = np.array(BENDS)[bend.astype(int)].T
        sizes = {"K": np.ones_like(alpha), "B": np.exp(beta * D - alpha * N + balance)}
        return {**sizes, "alpha": alpha, "beta": beta, "gamma": gamma, "c0": c0, "c1": c1, "d1": d1, "f1": f1}

    @staticmethod
    def formula(N, D, loss_teacher, loss_supervised, K, B, alpha, beta, gamma, c0, c1, d1, f1):
        bend = (loss_teacher / (d1 * loss_supervised)) ** (1 / f1)
        missed = loss_teacher**-c0 * np.exp(-c1 * f1 * np.log1p(bend))
        return loss_teacher + K * missed * (N**-alpha + B * D**-beta) ** gamma
