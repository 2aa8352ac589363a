"""The law of repeated data that overfits, and that ends at the loss of a model that knows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Published, Variable

UNIT = 1e8  #: model size for which U_1 is stated
ONCE = 1.01  #: runs of at most this many epochs see their data once
GAP = 1e9  #: a distance to L_0 at which the law is the additive one


class Overfitting(Law):
    """Final loss where data repeat: too small a model, too short a training and too few unique tokens add up.

        L(N, D, U) = E + (L_0 - E) h/(1 + h), h = (N_0/N)^alpha + (D_0/D)^beta + (U_1/U)^delta (N/1e8)^gamma

    The three terms of h are undercapacity, undertraining and overfitting, the only one that grows with the model: at
    few unique tokens U a larger model is worse. However large h is, the loss ends at L_0, that of a model that knows
    nothing: for language ln(vocabulary), which can be held (``--fix L_0=10.82`` for 50257 tokens). Where h is small and
    data are ample it is the additive law ``chinchilla``.

    The source writes h = a/N^alpha + b/T^beta + c N^gamma/D^delta with T the tokens seen, our D, and D the unique ones,
    our U: see :meth:`constants_of_source`. It takes L_0 as known; here it is fitted where it is not held.

    Source: arXiv:2605.09189, whose abstract states the form; its tables were not at hand.
    """

    name = "overfitting"
    source = "arXiv:2605.09189"
    needs = "runs at several N, D and U, of which some see few unique tokens many times with a model too large for them"
    fails = (
        "more passes never raise the loss, only larger models do, so a run that climbs again lies above it; "
        "L_0 is open where no loss comes near it: hold it; "
        "fitted to public runs of at most 40 epochs it lies 6 % below those of more (data-constrained 8 %)"
    )
    hardly: ClassVar[Sequence[str]] = ("L_0",)
    published = (
        Published(
            "closed form: far from L_0 and with ample data the additive law, with the constants of arXiv:2203.15556",
            {"E": 1.69, "L_0": 1.69 + GAP, "N_0": (406.4 / GAP) ** (1 / 0.34), "D_0": (410.7 / GAP) ** (1 / 0.28)}
            | {"U_1": 1e-30, "alpha": 0.34, "beta": 0.28, "gamma": 0.5, "delta": 1.0},
            (({"N": 67e9, "D": 1.5e12, "U": 1.5e12}, 1.9347765),),
            rtol=1e-7,
        ),
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens, repeats counted", span=(1e9, 1e12))
    U = Variable("tokens", "unique training tokens", span=(1e8, 1e11))

    E = Parameter("nats/token", "loss with endless size, training and data", linear=True)
    L_0 = Parameter("nats/token", "loss of a model that knows nothing", linear=True)
    N_0 = Parameter("parameters", "model size that alone leaves half of what there is to learn", starts=(1e3, 1e8))
    D_0 = Parameter("tokens", "training tokens that alone leave half of it", starts=(1e5, 1e9))
    U_1 = Parameter("tokens", "unique tokens with which a model of 1e8 overfits to half of it", starts=(1e4, 1e9))
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.15, 0.8))
    beta = Parameter("1", "exponent of training tokens", high=5.0, starts=(0.15, 0.8))
    gamma = Parameter("1", "exponent of model size in overfitting", high=5.0, starts=(0.1, 1.5))
    delta = Parameter("1", "exponent of unique tokens", high=5.0, starts=(0.3, 2.0))

    @staticmethod
    def constants_of_source(parameters: Mapping[str, float]) -> dict[str, float]:
        """The source's a (parameters^alpha), b (tokens^beta) and c (tokens^delta parameters^-gamma) beside the others.

        >>> sizes = {"N_0": 1e6, "D_0": 1e8, "U_1": 1e6}
        >>> found = Overfitting.constants_of_source({**sizes, "alpha": 0.5, "beta": 0.5, "gamma": 0.25, "delta": 0.5})
        >>> {name: round(found[name], 6) for name in "abc"}
        {'a': 1000.0, 'b': 10000.0, 'c': 10.0}
        """
        N_0, D_0, U_1, gamma = (parameters[name] for name in ("N_0", "D_0", "U_1", "gamma"))
        a, b = N_0 ** parameters["alpha"], D_0 ** parameters["beta"]
        return {**parameters, "a": a, "b": b, "c": U_1 ** parameters["delta"] * UNIT**-gamma}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs without repeated data, and sizes that move with either kind of data."""
        epochs = np.asarray(variables["D"]) / np.asarray(variables["U"])
        if epochs.max() <= ONCE:
            raise IdentificationError(
                f"all {len(epochs)} runs see their data once: overfitting cannot be told from undertraining",
                where=f"law {self.name}",
                todo="add runs of several epochs, or fit chinchilla",
            )
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)
        refuse_tied(self.name, variables, "N", "U", "add a model of another size with as many unique tokens")

    @staticmethod
    def formula(N, D, U, E, L_0, N_0, D_0, U_1, alpha, beta, gamma, delta):
        h = (N_0 / N) ** alpha + (D_0 / D) ** beta + (U_1 / np.minimum(U, D)) ** delta * (N / UNIT) ** gamma
        return E + (L_0 - E) * h / (1 + h)
