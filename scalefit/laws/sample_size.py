"""How much one more example changes the mean loss: when the loss of a sample has settled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Variable


class SampleSize(Law):
    """Mean change of a loss by one more example: it falls as one over their number, at any fixed parameters.

        |L_(k+1) - L_k| = (s + h distance^2)/(k + 1)

    L_k is the mean loss over the first k ``examples`` at fixed parameters, and ``loss_change`` the absolute change, the
    mean over orders of the examples. s is how far the loss of one example lies from the mean loss, on average: at fixed
    parameters the law is exact. With ``away=yes`` the rows differ in their ``distance`` from the parameters that are
    best for all examples; h is then what the Hessians of single examples add, which the source bounds to second order.
    A change of at most c is reached with k = (s + h distance^2)/c - 1 examples (:func:`enough`). What more examples are
    worth to training is another question: ``power-floor:over=examples``.

    Source: arXiv:2409.11995, section 3.2. It drops Taylor's half in the second term; h has it.
    """

    name = "sample-size"
    source = "arXiv:2409.11995"
    target = "loss_change"
    needs = "mean changes of the loss (column loss_change) at three or more numbers of examples, parameters held"
    fails = (
        "a single order of the examples scatters as much as the change itself: take the mean of many; "
        "far from the best parameters the loss is not quadratic, and the bound does not hold"
    )

    away = Option("no", "whether the rows differ in their distance from the best parameters", ("no", "yes"))

    examples = Variable("examples", "examples of which the loss is the mean", span=(10.0, 1e5))
    distance = Variable("1", "distance of the parameters from the best ones", span=(0.01, 10.0), positive=False)

    s = Parameter("nats/token", "mean distance of one example's loss from the mean loss", linear=True)
    h = Parameter("nats/token", "what the Hessians add at a distance of one", linear=True)

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The number of examples, and the distance where it is asked for."""
        return {name: one for name, one in super().variables.items() if name != "distance" or self._away}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """s, and h where the distance is asked for."""
        return {name: one for name, one in super().parameters.items() if name != "h" or self._away}

    @property
    def _away(self) -> bool:
        return bool(self.options["away"] == "yes")

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse distances that follow the number of examples."""
        if "distance" in variables:
            shifted = {"examples": variables["examples"], "distance": np.maximum(variables["distance"], 1e-12)}
            refuse_tied(self.name, shifted, "examples", "distance", "add another distance at one number of examples")

    @staticmethod
    def formula(examples, s, distance=0.0, h=0.0):
        return (s + h * distance**2) / (examples + 1)


def enough(change: float, s: float, h: float = 0.0, distance: float = 0.0) -> float:
    """The number of examples from which one more changes the mean loss by at most ``change`` (nats/token).

    >>> enough(1e-4, s=0.8)
    7999.0
    """
    return (s + h * distance**2) / change - 1
