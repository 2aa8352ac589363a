"""Task accuracy from task loss: the second step of the ladder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.law import Array, Law, Parameter, Variable


class TaskLadder(Law):
    """Accuracy of a task as a sigmoid of its loss.

        acc(L) = b - a / (1 + exp(-k (L - L_mid)))

    b is the accuracy at a loss far below L_mid and cannot exceed 1; b - a is that of a model that knows nothing. The
    second step of a ladder: the first fits a law in N and D to the task's loss (bits per byte of the correct answer),
    and the chain of both predicts an accuracy. :func:`scalefit.fitting.stages.task_ladder` is the source's procedure on
    a table of evaluated checkpoints; it averages them, and adds the point of a perfect model (loss 0, accuracy 1),
    which a fit of this law alone does not. The source writes + a with a < 0, and L0 for L_mid. Constants depend on the
    task.

    Source: arXiv:2412.04403 (form and domains as in its code).
    """

    name = "task-ladder"
    source = "arXiv:2412.04403"
    target = "accuracy"
    target_unit = "1"
    log_residuals = False
    needs = "task losses and accuracies of models on both sides of the rise; checkpoints of several runs serve"
    fails = (
        "runs that are all near chance show no rise: a and L_mid are then guesses (ARC-Challenge and OpenBookQA were "
        "missed by 8 to 18 %); the first tenth of the checkpoints of a run lies off the curve"
    )

    loss = Variable(
        "any", "loss of the task: bits per byte of the correct answer in the source", span=(0.3, 2.0), positive=False
    )

    b = Parameter("1", "accuracy far below the middle: the ceiling", high=1.0, linear=True)
    a = Parameter("1", "how far the accuracy falls from there to a model that knows nothing", high=1.0, linear=True)
    k = Parameter("1/loss", "steepness of the rise", high=1e3, starts=(1.0, 40.0))
    L_mid = Parameter("as the loss", "loss halfway up the rise", starts="loss")

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """Refuse accuracies in percent."""
        if np.max(values) > 1:
            raise InputError(
                f"an accuracy of {np.max(values):g} is above 1",
                where=f"law {self.name}",
                todo="give accuracies as shares: divide percent by 100",
            )

    @staticmethod
    def formula(loss, b, a, k, L_mid):
        return b - 0.5 * a * (1 + np.tanh(0.5 * k * (loss - L_mid)))
