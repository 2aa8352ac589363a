"""The teacher's loss at which a student is best, under the law ``distillation``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import InputError
from scalefit.laws import find_law

LEAST, MOST, POINTS = 0.05, 2.0, 4001  #: teachers that are tried, over the student's loss without one
ROUNDS = 3  #: each round looks closer, between the neighbours of the best


def best_teacher(constants: Mapping[str, float], N: float, D: float, loss_supervised: float) -> tuple[float, float]:
    """The teacher's loss that gives the student of N parameters and D tokens its lowest, and that lowest; nats/token.

    ``loss_supervised`` is what the student reaches without a teacher. A better teacher than this one makes the student
    worse, which is the capacity gap. Source: arXiv:2502.08606, figure 7. Raises :class:`InputError` where no teacher is
    best within a factor of two above and of 20 below the student's loss.

    >>> from scalefit.laws.distillation import supervised
    >>> published = find_law("distillation").published[0].parameters
    >>> teacher, student = best_teacher(published, N=1e9, D=2e10, loss_supervised=supervised(1e9, 2e10))
    >>> round(float(supervised(1e9, 2e10)), 2), round(teacher, 2), round(student, 2)
    (2.37, 1.72, 2.25)
    """
    law = find_law("distillation")
    low, high = np.log(LEAST * loss_supervised), np.log(MOST * loss_supervised)
    for _ in range(ROUNDS):
        teachers = np.exp(np.linspace(low, high, POINTS))
        at = {"N": N, "D": D, "loss_teacher": teachers, "loss_supervised": loss_supervised}
        students = law.evaluate(at, constants)
        best = int(np.argmin(students))
        if best in (0, POINTS - 1):
            raise InputError(
                f"no teacher is best: the student gains up to a teacher's loss of {teachers[best]:.3g}",
                where="best_teacher",
                todo="fit distillation to students of teachers on both sides of the bend",
            )
        low, high = np.log(teachers[best - 1]), np.log(teachers[best + 1])
    return float(teachers[best]), float(students[best])
