"""Precision of training and of rounding after training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

#: what is stored in few bits: column of its bits, its three parameters, how many parts of the model share it
PARTS = {
    "precision_w": ("gamma_w", "C_w", "n_w", 1),
    "precision_a": ("gamma_a", "C_a", "n_a", 1),
    "precision_kv": ("gamma_kv", "C_kv", "n_kv", 1),
    "precision": ("gamma", "C", "n", 3),
}
CHOICES = {
    "separate": ("precision_w", "precision_a", "precision_kv"),
    "together": ("precision",),
    "weights": ("precision_w",),
}
POST = ("C_T", "gamma_D", "gamma_N", "gamma_post")
FAST = (0.1, 3.0)  #: starts of C_w, C_a, C_kv and C
SHIFTS = (-0.6, 0.2)  #: starts of n_w, n_a, n_kv and n
LEAST = 1e-6  #: share of a model that counts at the least, where a shift would leave none


class Precision(Law):
    """Final loss in size, data and bits: few bits make a model act smaller, and rounding after training adds a loss.

        L = E + A N_eff^-alpha + B D^-beta + C_T D^gamma_D N_eff^-gamma_N exp(-P_post/gamma_post) R

    N_eff = N (1 - exp(-P_w/gamma_w)) (1 - exp(-P_a/gamma_a)) (1 - exp(-P_kv/gamma_kv)) for the bits of weights,
    activations and key-value cache in training (columns precision_w, precision_a, precision_kv). ``parts=together``
    has one number of bits (precision) and one gamma for the three, ``parts=weights`` the weights alone. The last term,
    the loss from rounding after training to P_post bits, is there with ``post=yes`` (column precision_post). Its factor
    R = (1 - exp(-C_w (P_w - P_post))) (1 - exp(-C_a (P_a - P_post))) (1 - exp(-C_kv (P_kv - P_post))) makes a model
    that was trained in few bits lose less: rounding to the bits of training, or to more, costs nothing. Give runs that
    were not rounded their bits of training as P_post.

    ``shift=yes`` writes exp(n_w - P_w/gamma_w), and so with n_a and n_kv for the others (n where they have one number
    of bits), as the source fits it; its text leaves that out.

    Source: arXiv:2411.04330, equation 9, and table 2 for the constants (alpha and beta tied).
    """

    name = "precision"
    source = "arXiv:2411.04330"
    needs = "runs at several N and D, and at four or more numbers of bits that change separately for each part"
    fails = "beyond about 12 bits nothing changes, so gamma is known only from runs at 3 to 8 bits"

    published = (
        Published(
            "arXiv:2411.04330 table 2, with its shifts n",
            {"E": 2.7648, "A": 4.299e3, "B": 1.806e4, "alpha": 0.4965, "beta": 0.4965}
            | {"gamma_w": 2.6745, "gamma_a": 2.2102, "gamma_kv": 0.9578, "n_w": 0.3037, "n_a": 1.4072, "n_kv": 2.4185},
        ),
    )

    parts = Option("separate", "which parts have bits of their own", tuple(CHOICES))
    shift = Option("no", "whether the exponents of the bits have constants n", ("no", "yes"))
    post = Option("no", "whether models were rounded after training", ("no", "yes"))

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))
    precision_w = Variable("bits", "bits of the weights in training", span=(2.0, 16.0))
    precision_a = Variable("bits", "bits of the activations in training", span=(2.0, 16.0))
    precision_kv = Variable("bits", "bits of the key-value cache in training", span=(2.0, 16.0))
    precision = Variable("bits", "bits of weights, activations and key-value cache", span=(2.0, 16.0))
    precision_post = Variable("bits", "bits to which the weights are rounded after training", span=(1.5, 3.0))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.1, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.1, 0.8))
    gamma_w = Parameter("bits", "bits that make weights count, by a factor e", high=50.0, starts=(0.5, 8.0))
    gamma_a = Parameter("bits", "bits that make activations count, by a factor e", high=50.0, starts=(0.5, 8.0))
    gamma_kv = Parameter("bits", "bits that make the cache count, by a factor e", high=50.0, starts=(0.5, 8.0))
    gamma = Parameter("bits", "bits that make all three count, by a factor e", high=50.0, starts=(0.5, 8.0))
    n_w = Parameter("1", "shift of the exponent of the weights' bits", low=-10.0, high=10.0, starts=SHIFTS)
    n_a = Parameter("1", "the same for the activations", low=-10.0, high=10.0, starts=SHIFTS)
    n_kv = Parameter("1", "the same for the cache", low=-10.0, high=10.0, starts=SHIFTS)
    n = Parameter("1", "the same for all three", low=-10.0, high=10.0, starts=SHIFTS)
    C_T = Parameter("nats/token", "size of the loss from rounding", linear=True)
    C_w = Parameter("1/bits", "how fast that loss grows with the bits taken from the weights", high=50.0, starts=FAST)
    C_a = Parameter("1/bits", "the same for the bits of the activations in training", high=50.0, starts=FAST)
    C_kv = Parameter("1/bits", "the same for the bits of the cache in training", high=50.0, starts=FAST)
    C = Parameter("1/bits", "the same where all three are trained in the same bits", high=50.0, starts=FAST)
    gamma_D = Parameter("1", "growth of that loss with data", high=5.0, starts=(0.1, 1.0))
    gamma_N = Parameter("1", "fall of that loss with size", high=5.0, starts=(0.1, 1.0))
    gamma_post = Parameter("bits", "bits that remove it, by a factor e", high=50.0, starts=(0.3, 3.0))

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Size, data and the bits that the options ask for."""
        kept = ("N", "D", *CHOICES[self.options["parts"]], *(["precision_post"] if self._rounded else []))
        return {name: super(Precision, self).variables[name] for name in kept}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Those of the additive law, one gamma for each number of bits, and the loss from rounding."""
        parts = [PARTS[part] for part in CHOICES[self.options["parts"]]]
        gammas, growths = [part[0] for part in parts], [part[1] for part in parts]
        shifts = [part[2] for part in parts] if self.options["shift"] == "yes" else []
        kept = ("E", "A", "B", "alpha", "beta", *gammas, *shifts, *([*POST, *growths] if self._rounded else []))
        return {name: super(Precision, self).parameters[name] for name in kept}

    @property
    def _rounded(self) -> bool:
        return bool(self.options["post"] == "yes")

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse sizes and data that move together, and parts whose bits always change together."""
        todo = "add a run with another ratio of tokens to parameters"
        refuse_tied(self.name, variables, "N", "D", todo, additive=True)
        for first, second in combinations(CHOICES[self.options["parts"]], 2):
            todo = "add runs that change one of them alone, or fit precision:parts=together"
            refuse_tied(self.name, variables, first, second, todo)

    @staticmethod
    def formula(N, D, E, A, B, alpha, beta, **bits):
        useful, kept = N, 1.0
        for part, (gamma, growth, shift, power) in PARTS.items():
            if shift in bits:
                share = 1 - np.exp(bits[shift] - bits[part] / bits[gamma])
                useful = useful * np.maximum(share, LEAST) ** power
            elif gamma in bits:
                useful = useful * (1 - np.exp(-bits[part] / bits[gamma])) ** power
            if growth in bits:
                taken = np.maximum(bits[part] - bits["precision_post"], 0)
                kept = kept * (1 - np.exp(-bits[growth] * taken)) ** power
        loss = E + A * useful**-alpha + B * D**-beta
        if "C_T" not in bits:
            return loss
        grown = D ** bits["gamma_D"] * useful ** -bits["gamma_N"]
        return loss + bits["C_T"] * grown * np.exp(-bits["precision_post"] / bits["gamma_post"]) * kept
