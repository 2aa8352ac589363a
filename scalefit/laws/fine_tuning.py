"""Fine-tuning: loss against the number of examples."""

from __future__ import annotations

from scalefit.laws.law import Law, Parameter, Variable


class FineTuning(Law):
    """Loss after fine-tuning in the number of examples, with what the model knew before.

        L(D) = E + B / (D_l + D^beta)

    D is the column ``examples``. Far below D_l^(1/beta) examples the loss hardly falls, beyond it as a power: a plain
    power law misses that bend. One fit for each model and data set.

    Source: arXiv:2402.02314. The form is as others report it; the printed equation and its constants were not at hand.
    """

    name = "fine-tuning"
    source = "arXiv:2402.02314"
    needs = "test losses of one model fine-tuned on five or more subset sizes, over two decades or more"
    fails = "without points before the bend D_l and B trade places; without points beyond it beta is free"

    examples = Variable("examples", "examples of the fine-tuning set", span=(1e2, 1e6))

    E = Parameter("nats/token", "irreducible loss, with unlimited examples", linear=True)
    B = Parameter("nats/token examples^beta", "size of the term that examples remove", linear=True)
    D_l = Parameter("examples^beta", "what earlier training is worth", starts=(1.0, 1e4))
    beta = Parameter("1", "exponent of examples", high=5.0, starts=(0.1, 1.5))

    @staticmethod
    def formula(examples, E, B, D_l, beta):
        return E + B / (D_l + examples**beta)
