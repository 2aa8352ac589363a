"""Accuracy of many public models from one measure of their capability."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.law import Array, Law, Parameter, Variable


class Observational(Law):
    """Accuracy on a task, over models of many families, as a sigmoid of their capability.

        acc(S) = floor + (top - floor) / (1 + exp(-w (S - middle)))

    S is the column ``capability``: one number a model, such as the first principal component of its scores on other
    benchmarks. Families share the curve; what compute gives each family is a line of its own (``power:over=C``).

    Source: arXiv:2405.10938. The form is as we know it and could not be held against the paper; no constants are given,
    since they depend on the benchmarks of S.
    """

    name = "observational"
    source = "arXiv:2405.10938"
    target = "accuracy"
    target_unit = "1"
    log_residuals = False
    needs = "accuracies of ten or more models on both sides of the bend, with one capability each (column capability)"
    fails = "before the bend middle and top are open; S must not contain the task that is explained"

    capability = Variable("1", "capability of a model, from other benchmarks", span=(0.05, 10.0), positive=False)

    floor = Parameter("1", "accuracy of a model that knows nothing", high=1.0, linear=True)
    top = Parameter("1", "accuracy with endless capability", high=1.0, linear=True)
    w = Parameter("1", "steepness", high=100.0, starts=(0.3, 4.0))
    middle = Parameter("1", "capability at which half of the gain is reached", low=-1e6, high=1e6, starts="capability")

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """Refuse values that are no share."""
        if np.any(values < 0) or np.any(values > 1):
            worst = values[(values < 0) | (values > 1)][0]
            todo = "divide percentages by 100"
            raise InputError(f"an accuracy of {worst:g} is no share", where=f"law {self.name}", todo=todo)

    @staticmethod
    def formula(capability, floor, top, w, middle):
        return floor + (top - floor) / (1 + np.exp(-w * (capability - middle)))
