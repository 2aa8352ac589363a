"""The law for repeated data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.base import Base
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

UNIT = 1e10  #: unique tokens for which N_opt is the compute-optimal size

ONCE = 1.01  #: runs of at most this many epochs see their data once
SOURCE_DELTA = 1e-3  #: Huber threshold of the source
#: epochs beyond which the law does not hold. Fitted to the public runs of at most 40 epochs it lies 6 to 12 % below the
#: losses of those of more (medians over 40-64, 64-100, 100-300 and more epochs), and 1 % off the others
MOST_EPOCHS = 40

#: constants of arXiv:2305.16264 as its code states them: a, b, e are the logarithms of A, B, E, and alpha = beta
SIZE, DATA, FLOOR, EXPONENT = 6.255414, 7.3049974, 0.6254804, 0.3526596


class DataConstrained(Law):
    """Final loss where training data repeat: both repeated tokens and excess parameters lose their value.

        L(N, D, U) = E + A N'^-alpha + B D'^-beta, B = (alpha/beta) A N_opt^-alpha 1e10^beta

    D' = U_D (1 + R_D (1 - exp(-(D/U_D - 1)/R_D))) with U_D = min(U, D) unique tokens: repeats (epochs less one, not
    epochs) are worth ever less. N' = U_N (1 + R_N (1 - exp(-(N/U_N - 1)/R_N))) with U_N = min(N, the compute-optimal
    size for U_D tokens) = min(N, N_opt (U_D/1e10)^(beta/alpha)).

    The source's third constant is B; here it is N_opt, the optimal size for 1e10 tokens, because U_N depends on it:
    see :meth:`constants_of_source`. R_D and R_N are the source's R_D*, R_N*; with R_N held at 1e9 every parameter
    counts fully.

    The source fits E, A, B, alpha = beta to runs of one epoch first and then R_D and R_N with those held: that is
    ``procedure=stages`` (intervals then take the base law as known). A free fit of all seven is the joint one.

    Source: arXiv:2305.16264 (form and constants as in its code).
    """

    name = "data-constrained"
    source = "arXiv:2305.16264"
    needs = "runs of one epoch at several N and D for the base law, and runs of 2, 4, 10 and more epochs at several N"
    fails = (
        "never lets the loss rise, so runs that overfit (tens of epochs of a large model) lie above it; "
        "R_N is known only from models larger than the optimum of their unique data; "
        "R_D is hardly identified: 57 and 15 fit the public runs within .2 % of the objective; "
        "runs of more than 40 epochs bend it: fitted without them it lies 6 to 12 % below them"
    )
    hardly: ClassVar[Sequence[str]] = ("R_D", "R_N")
    published = (
        Published(
            "arXiv:2305.16264, code constants, C4",
            {
                "E": float(np.exp(FLOOR)),
                "A": float(np.exp(SIZE)),
                "alpha": EXPONENT,
                "beta": EXPONENT,
                "N_opt": float(UNIT * np.exp((SIZE - DATA) / EXPONENT)),
                "R_D": 15.387756,
                "R_N": 5.309743,
            },
            (
                ({"N": 6.34e9, "D": 242e9, "U": 25e9}, 2.2256440890),
                ({"N": 8.67e9, "D": 178e9, "U": 25e9}, 2.2269634075),
                ({"N": 6.34e9, "D": 25e9, "U": 25e9}, 2.3895517),
            ),
            rtol=3e-8,
        ),
    )

    procedure = Option("joint", "all parameters together, or the base law from runs of one epoch", ("joint", "stages"))

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens, repeats counted", span=(1e9, 1e12))
    U = Variable("tokens", "unique training tokens", span=(1e8, 1e11), may_be_constant=True)

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.15, 0.7))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.15, 0.7))
    N_opt = Parameter("parameters", "compute-optimal size for 1e10 unique tokens", starts="N")
    R_D = Parameter("epochs", "repeats after which further ones lose their value", starts=(1.0, 60.0))
    R_N = Parameter("1", "excess of parameters after which further ones lose their value", starts=(0.5, 60.0))

    @staticmethod
    def constants_of_source(parameters: Mapping[str, float]) -> dict[str, float]:
        """B (nats/token tokens^beta) and G, the factor of N* = G (C/6)^(beta/(alpha+beta)), beside the others.

        >>> found = DataConstrained.constants_of_source(DataConstrained.published[0].parameters)
        >>> round(found["B"], 2), round(found["G"], 6)
        (1487.72, 0.225802)
        """
        A, alpha, beta, N_opt = (parameters[name] for name in ("A", "alpha", "beta", "N_opt"))
        B = alpha / beta * A * N_opt**-alpha * UNIT**beta
        G = (N_opt * UNIT ** (-beta / alpha)) ** (alpha / (alpha + beta))
        return {**parameters, "B": B, "G": G}

    @property
    def base(self) -> Base | None:
        """The additive law of the runs of one epoch, with ``procedure=stages``."""
        if self.options["procedure"] == "joint":
            return None
        return Base("chinchilla", _seen_once, {"beta": "alpha"}, held_base, SOURCE_DELTA, "of one epoch")

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse runs without repeated data, and runs that all repeat theirs."""
        epochs = np.asarray(variables["D"]) / np.asarray(variables["U"])
        if epochs.max() <= 1.01:
            raise IdentificationError(
                f"all {len(epochs)} runs see their data once: R_D and R_N are free",
                where=f"law {self.name}",
                todo="add runs of several epochs, or fit chinchilla",
            )
        if epochs.min() > 2:
            raise IdentificationError(
                f"all {len(epochs)} runs see their data {epochs.min():.3g} times or more: the base law is not known",
                where=f"law {self.name}",
                todo="add runs of one epoch at several N and D",
            )

    def doubts_fitted(
        self, variables: Mapping[str, Array], parameters: Mapping[str, float]
    ) -> Sequence[tuple[str, str]]:
        """Runs of more epochs than the law can hold."""
        epochs = np.asarray(variables["D"]) / np.asarray(variables["U"])
        many = int(np.sum(epochs > MOST_EPOCHS * ONCE))
        if not many:
            return ()
        text = f"{many} of {len(epochs)} runs see their data more than {MOST_EPOCHS} times (up to {epochs.max():.3g}): "
        text += "the law never lets the loss rise, and such runs bend R_D and the base law"
        return (("too-many-epochs", f'{text}; leave them out with --where "D <= {MOST_EPOCHS}*U" and compare'),)

    @staticmethod
    def formula(N, D, U, E, A, alpha, beta, N_opt, R_D, R_N):
        U_D = np.minimum(U, D)
        U_N = _lesser(N, N_opt * (U_D / UNIT) ** (beta / alpha))
        useful_N, useful_D = U_N * _worth(N / U_N, R_N), U_D * _worth(D / U_D, R_D)
        return E + A * (useful_N**-alpha + alpha / beta * N_opt**-alpha * (useful_D / UNIT) ** -beta)


def held_base(constants: Mapping[str, float]) -> dict[str, float]:
    """The parameters of the law ``data-constrained`` that an additive law's E, A, B, alpha, beta stand for.

    >>> held = held_base({"E": 1.87, "A": 520.8, "B": 1488.0, "alpha": 0.35, "beta": 0.35})
    >>> f"{held['N_opt']:.2e}"
    '4.98e+08'
    """
    A, B, alpha, beta = (constants[name] for name in ("A", "B", "alpha", "beta"))
    N_opt = (alpha * A / (beta * B) * UNIT**beta) ** (1 / alpha)
    return {"E": constants["E"], "A": A, "alpha": alpha, "beta": beta, "N_opt": N_opt}


def _seen_once(variables: Mapping[str, Array]) -> Array:
    """Whether each run sees its data once."""
    return np.asarray(variables["D"]) <= ONCE * np.asarray(variables["U"])


def _lesser(x: Array, y: Array) -> Array:
    """The smaller, also of complex steps."""
    return np.where(np.real(x) < np.real(y), x, y)


def _worth(times: Array, R: Array) -> Array:
    """How many first uses ``times`` uses are worth."""
    return 1 - R * np.expm1(-(times - 1) / R)
