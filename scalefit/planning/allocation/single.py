"""Optima of single laws from their constants, by the surface that plans use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.laws.law import Law
from scalefit.planning.allocation.cost import cost_of
from scalefit.planning.allocation.surface import Surface, surface_of


def surface_from(law: Law, constants: Mapping[str, float], **given: float) -> Surface:
    """The surface of a law with these constants, its cost 6 parameters x tokens."""
    table = np.array([[constants[name] for name in law.parameters]])
    return surface_of(law, table, cost_of(None, tuple(law.columns.values()), None, given), given)


@dataclass(frozen=True)
class RepeatedOptimum:
    """The allocation of lowest loss under the law ``data-constrained``."""

    N: float  #: parameters
    D: float  #: tokens, including repeats
    epochs: float  #: D over the unique tokens
    loss: float  #: nats/token


def repeated_optimum(constants: Mapping[str, float], C: float, U: float) -> RepeatedOptimum:
    """The size and tokens of lowest loss for C = 6 N D FLOP with U unique tokens.

    There is no closed form: the minimum is found by the slope, as in :func:`scalefit.plan`. Source: arXiv:2305.16264.

    >>> published = find_law("data-constrained").published[0].parameters
    >>> best = repeated_optimum(published, 1e22, 25e9)
    >>> f"{best.N:.2e} {best.D:.2e} {best.epochs:.1f}"
    '7.03e+09 2.37e+11 9.5'
    """
    if not (C > 0 and U > 0):
        raise InputError(f"C = {C:g} and U = {U:g} must be positive", where="repeated_optimum")
    one = surface_from(find_law("data-constrained"), constants, U=U)
    best = one.optimum(C)
    N, D = float(best["N"][0]), float(best["D"][0])
    return RepeatedOptimum(N, D, D / U, float(one.at(best)[0]))


def best_vocabulary(constants: Mapping[str, float], N: float, C: float, width: float) -> float:
    """Entries of the vocabulary with the least loss under the law ``vocabulary`` at C = 6 (N + N_vocab) D FLOP.

    A larger vocabulary (entries times width = N_vocab parameters) lowers its own term and leaves fewer tokens. Without
    ``beta`` among the constants the exponents of N and D are one, as in the source.

    Source: arXiv:2407.13623, approach 3, which names about 43,000 entries for its first row. Raises
    :class:`InputError` for constants under which no vocabulary is best.

    >>> entries = best_vocabulary(find_law("vocabulary").published[0].parameters, N=2.87e9, C=2.3e21, width=3200)
    >>> round(entries, -3)
    42000.0
    """
    law = find_law("vocabulary:tie=no" if "beta" in constants else "vocabulary:tie=yes")
    found = float(surface_from(law, constants, N=N).optimum(C)["N_vocab"][0])
    if not np.isfinite(found):
        raise InputError(
            "under these constants no vocabulary is best: its term or that of the data is zero",
            where="best_vocabulary",
            todo="add runs that vary the vocabulary at one N and D, and fit again",
        )
    return found / width
