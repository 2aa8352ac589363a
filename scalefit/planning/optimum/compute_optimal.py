"""The compute-optimal size and data of laws in N and D, in closed form, under C = 6 N D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.numerics import FloatArray

FLOP_PER = 6.0  #: FLOP per parameter and token

Constants = Mapping[str, Any]  #: numbers, or arrays of them that broadcast against compute


@dataclass(frozen=True)
class Optimum:
    """The best size and data for given compute; one entry a budget."""

    C: FloatArray  #: FLOP
    N: FloatArray  #: parameters
    D: FloatArray  #: tokens
    loss: FloatArray  #: nats/token


def size_factor(constants: Mapping[str, float]) -> float:
    """G of N* = G (C/6)^a, for E + A N^-alpha + B D^-beta.

    G = (alpha A / (beta B))^(1/(alpha+beta)); D* = (C/6)^(1-a) / G. Source: arXiv:2203.15556.

    >>> round(size_factor({"A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}), 6)
    1.344711
    """
    A, B, alpha, beta = (constants[name] for name in ("A", "B", "alpha", "beta"))
    return float((alpha * A / (beta * B)) ** (1 / (alpha + beta)))


def size_exponent(constants: Mapping[str, float]) -> float:
    """a of N* ~ C^a: beta/(alpha+beta), with the exponent of *data* above; D* ~ C^(1-a).

    >>> round(size_exponent({"alpha": 0.34, "beta": 0.28}), 6)
    0.451613
    """
    return constants["beta"] / (constants["alpha"] + constants["beta"])


def _additive(constants: Constants, C: FloatArray) -> FloatArray:
    A, B, alpha, beta = (constants[name] for name in ("A", "B", "alpha", "beta"))
    return np.asarray((alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (C / FLOP_PER) ** (beta / (alpha + beta)))


def _over_trained(constants: Constants, C: FloatArray) -> FloatArray:
    eta = constants["eta"]
    sizes = {"A": constants["a"], "B": constants["b"], "alpha": 2 * eta, "beta": 2 * eta}
    return _additive(sizes, C)


def _nested(constants: Constants, C: FloatArray) -> FloatArray:
    A, B, alpha, beta = (constants[name] for name in ("A", "B", "alpha", "beta"))
    size = alpha * A ** (alpha / beta) / (beta * B) * C / FLOP_PER
    return np.asarray(size ** (beta / (alpha + beta)))


def _interacting(constants: Constants, C: FloatArray) -> FloatArray:
    power = 1 / constants["k"]  # the sum inside the power has its least value where the law has
    inside = {"A": 1.0, "B": constants["B"] ** power, "alpha": constants["alpha"] * power}
    return _additive({**inside, "beta": constants["beta"] * power}, C)


def _kaplan(constants: Constants, C: FloatArray) -> FloatArray:
    names = {"A": "N_c", "B": "D_c", "alpha": "alpha_N", "beta": "alpha_D"}
    return _nested({new: constants[old] for new, old in names.items()}, C)


#: the best size of each law that has a closed form, from its constants and compute; both may be arrays
CLOSED_FORMS: dict[str, Callable[[Constants, FloatArray], FloatArray]] = {
    "chinchilla": _additive,
    "over-training": _over_trained,
    "kaplan-floor": _nested,
    "kaplan": _kaplan,
    "skaling": _interacting,
}


def compute_optimal(law: str, constants: Mapping[str, float], C: Any) -> Optimum:
    """The size and data of least loss for compute C (FLOP; a number or an array), where C = 6 N D.

    ``constants`` are the law's parameters, such as ``fit.parameters``. Laws: chinchilla, over-training, kaplan-floor,
    kaplan, skaling. Raises :class:`InputError` for a law without a closed form.

    >>> published = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    >>> best = compute_optimal("chinchilla", published, 5.76e23)
    >>> f"{best.N:.6e} {best.D:.6e} {best.loss:.6f}"
    '3.218986e+10 2.982306e+12 1.930748'
    """
    if law not in CLOSED_FORMS:
        todo = f"the laws with one: {', '.join(CLOSED_FORMS)}; minimise the others numerically"
        raise InputError(f'no closed form for the law "{law}"', where="compute_optimal", todo=todo)
    budget = np.asarray(C, dtype=np.float64)
    if np.any(budget <= 0):
        raise InputError(f"compute {budget.min():g} FLOP is not positive", where="compute_optimal")
    N = CLOSED_FORMS[law](constants, budget)
    D = budget / (FLOP_PER * N)
    loss = find_law(law).evaluate({"N": N, "D": D}, constants)
    return Optimum(budget, N, D, np.asarray(loss))
