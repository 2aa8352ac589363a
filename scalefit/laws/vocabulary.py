"""Vocabulary size."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

SOURCE = {"E": 5.533, "A1": 1.831, "A2": 0.196, "B": 2.124, "alpha1": 0.447, "alpha2": 0.671}
SCALES = {
    "A1": (1e6, "alpha1"),
    "A2": (1e6, "alpha2"),
    "B": (1e9, "alpha1"),
}  #: units of the source: millions and billions


class Vocabulary(Law):
    """Loss, normalised by a unigram model, in the model without its vocabulary, the vocabulary, and data.

        L_u = -E + A1 N^-alpha1 + A2 N_vocab^-alpha2 + B D^-beta

    L_u is the loss less that of a unigram model of the same vocabulary, which makes vocabularies of different size
    comparable; it is mostly negative, so residuals are differences, not logarithms. N_vocab is entries times width. D
    counts tokens as each run's own tokenizer cuts them: a larger vocabulary makes fewer tokens of one text, and at one
    compute C = 6 (N + N_vocab) D it leaves less D. So vocabulary, size and data interact, and there is an optimum
    (:func:`~scalefit.planning.allocation.single.best_vocabulary`). ``tie=yes``, as in the source, takes
    beta = alpha1: few tables determine both.

    Source: arXiv:2407.13623, approach 3; its constants count N and N_vocab in millions and D in billions.
    """

    name = "vocabulary"
    source = "arXiv:2407.13623"
    log_residuals = False
    needs = "runs that vary the vocabulary at fixed N and D, beside runs at several N and several D"
    fails = (
        "logarithmic residuals do not apply to a loss below zero; raw losses of different vocabularies do not compare"
    )
    published = (
        Published(
            "arXiv:2407.13623, approach 3 (units of the source turned into parameters and tokens)",
            {
                name: value * SCALES[name][0] ** SOURCE[SCALES[name][1]] if name in SCALES else value
                for name, value in SOURCE.items()
            },
        ),
    )

    tie = Option("yes", "whether model size and data have one exponent, as in the source", ("yes", "no"))

    N = Variable("parameters", "parameters without the vocabulary", span=(1e7, 1e10))
    N_vocab = Variable("parameters", "parameters of the vocabulary: entries times width", span=(1e6, 1e9))
    D = Variable("tokens", "training tokens, as the tokenizer of the run cuts them", span=(1e9, 1e12))

    E = Parameter("nats/token", "gain over a unigram model with everything unlimited", linear=True)
    A1 = Parameter("nats/token parameters^alpha1", "size of the model-size term", linear=True)
    A2 = Parameter("nats/token parameters^alpha2", "size of the vocabulary term", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    alpha1 = Parameter("1", "exponent of model size", high=5.0, starts=(0.05, 1.0))
    alpha2 = Parameter("1", "exponent of vocabulary size", high=5.0, starts=(0.05, 1.0))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.05, 1.0))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """All, or without beta where it is tied to alpha1."""
        declared = super().parameters
        return declared if self.options["tie"] == "no" else {k: v for k, v in declared.items() if k != "beta"}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse vocabularies, or data, that grow with the model."""
        todo = "add a run with another vocabulary at the same model size"
        refuse_tied(self.name, variables, "N", "N_vocab", todo, additive=True)
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of data to parameters", additive=True)

    @staticmethod
    def formula(N, N_vocab, D, E, A1, A2, B, alpha1, alpha2, beta=None):
        exponent = alpha1 if beta is None else beta
        return -E + A1 * N**-alpha1 + A2 * N_vocab**-alpha2 + B * D**-exponent
