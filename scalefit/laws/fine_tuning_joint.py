"""Fine-tuning: loss in the number of examples and in the scale of what is fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Variable


class FineTuningJoint(Law):
    """Loss after fine-tuning: one product of powers in the scale of the model and in the number of examples.

        L(x, examples) = E + A x^-alpha examples^-beta

    x is one scale of what is fine-tuned: model size (``over=N``, the default), tokens of
    pre-training (``over=D``), or parameters of the adapter (``over=adapter``). Size and examples multiply: a larger
    model makes every example worth more. One fit for each method (all parameters, prompt, LoRA) and task.

    Source: arXiv:2402.17193, equation 1. Its constants depend on task and method; none are stated here.
    """

    name = "fine-tuning-joint"
    source = "arXiv:2402.17193"
    needs = "test losses at three or more scales x, each fine-tuned on three or more numbers of examples"
    fails = "has no bend for what the model knew before: with few examples compare with fine-tuning"

    over = Option("N", "the column that is x: N, D (tokens of pre-training) or another column, such as adapter")

    x = Variable("any", "scale of what is fine-tuned", span=(1e7, 1e10))
    examples = Variable("examples", "examples of the fine-tuning set", span=(1e2, 1e6))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token x^alpha examples^beta", "size of the term that scale and examples remove", linear=True)
    alpha = Parameter("1", "exponent of the scale x", high=5.0, starts=(0.02, 0.8))
    beta = Parameter("1", "exponent of examples", high=5.0, starts=(0.02, 0.8))

    @property
    def columns(self) -> dict[str, str]:
        """x is read from the column that the option ``over`` names."""
        return {"x": self.options["over"], "examples": "examples"}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse numbers of examples that follow the scale."""
        refuse_tied(self.name, variables, "x", "examples", "add a run with another number of examples at one scale")

    @staticmethod
    def formula(x, examples, E, A, alpha, beta):
        return E + A * x**-alpha * examples**-beta
