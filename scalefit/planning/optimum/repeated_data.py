"""The best size and number of epochs when unique data are limited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.data_constrained import DataConstrained

DECADES = 4.0  #: range of the search on either side of the middle size
POINTS = 400  #: sizes compared in one pass of the search
PASSES = 6


@dataclass(frozen=True)
class RepeatedOptimum:
    """The allocation of lowest loss under the law ``data-constrained``."""

    N: float  #: parameters
    D: float  #: tokens, including repeats
    epochs: float  #: D over the unique tokens
    loss: float  #: nats/token


def worth_of_repeats(epochs: float, R_D: float) -> float:
    """The epochs of fresh data that epochs of the same data are worth: 1 + R_D (1 - exp(-(epochs - 1)/R_D)).

    >>> round(worth_of_repeats(4, 15.387756), 3), round(worth_of_repeats(40, 15.387756), 2)
    (3.726, 15.17)
    """
    repeats = max(epochs - 1.0, 0.0)
    return float(min(epochs, 1.0) - R_D * np.expm1(-repeats / R_D))


def repeated_optimum(constants: Mapping[str, float], C: float, U: float) -> RepeatedOptimum:
    """The size and tokens of lowest loss for C = 6 N D FLOP with U unique tokens.

    There is no closed form: the minimum is found to six digits on successively finer grids of sizes.
    Source: arXiv:2305.16264.

    >>> published = DataConstrained.published[0].parameters
    >>> best = repeated_optimum(published, 1e22, 25e9)
    >>> f"{best.N:.2e} {best.D:.2e} {best.epochs:.1f}"
    '7.03e+09 2.37e+11 9.5'
    """
    if not (C > 0 and U > 0):
        raise InputError(f"C = {C:g} and U = {U:g} must be positive", where="repeated_optimum")
    middle, width = 0.5 * np.log(C / 6), DECADES * np.log(10)
    for _ in range(PASSES):
        N = np.exp(np.linspace(middle - width, middle + width, POINTS))
        variables = {"N": N, "D": C / (6 * N), "U": np.full(len(N), U)}
        losses = np.asarray(DataConstrained().evaluate(variables, constants))
        best = int(np.argmin(losses))
        middle, width = float(np.log(N[best])), 4 * width / POINTS
    D = C / (6 * float(N[best]))
    return RepeatedOptimum(float(N[best]), D, D / U, float(losses[best]))
