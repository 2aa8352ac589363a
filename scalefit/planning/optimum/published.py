"""Compute-optimal sizes and data as published, to compare one's own results with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.numerics import FloatArray, nearest_names
from scalefit.planning.optimum.kaplan_frontier import PF_DAY

TOKENS_PER_PARAMETER = 5.0  #: as advised in 2019; fits of N and D jointly give about 20

#: c_0 (petaflop/s-days) and beta of N = (C/c_0)^beta, arXiv:2010.14701 table 1
PUBLISHED_SIZES: dict[str, tuple[float, float]] = {
    "language": (3.3e-13, 0.73),
    "image-8x8": (5.3e-14, 0.64),
    "image-16x16": (4.8e-12, 0.75),
    "image-32x32": (1.6e-13, 0.65),
    "image-vq-16x16": (6.2e-14, 0.64),
    "image-vq-32x32": (9.4e-13, 0.70),
    "text-to-image": (9.4e-13, 0.70),
    "image-to-text": (3.3e-12, 0.72),
    "video": (1.13e-12, 0.71),
    "math": (2.3e-12, 0.69),
}

#: factor and exponent of compute in petaflop/s-days at the critical batch, arXiv:2001.08361 table 6
COMPUTE_EFFICIENT: dict[str, tuple[float, float]] = {
    "N": (1.3e9, 0.73),
    "batch": (2.0e6, 0.24),
    "steps": (5.4e3, 0.03),
    "D": (2e10, 0.27),
}


def one_epoch_allocation(C: float) -> tuple[float, float]:
    """N and D with 5 tokens per parameter for C = 6 N D FLOP: N = sqrt(C/30), D = 5 N.

    Historical; see ``compute_optimal`` beside it. Source: arXiv:1906.06669 (the ratio).

    >>> N, D = one_epoch_allocation(3e21)
    >>> f"{N:.0e} {D:.0e}"
    '1e+10 5e+10'
    """
    N = math.sqrt(C / (6 * TOKENS_PER_PARAMETER))
    return N, TOKENS_PER_PARAMETER * N


def published_size(domain: str, C: Any) -> FloatArray:
    """The published compute-optimal number of parameters of a domain at compute C (FLOP): (C/c_0)^beta.

    Without a correction for the batch size, and with parameters counted without embeddings; the exponents are larger
    than those of jointly fitted N and D (about 0.5). Source: arXiv:2010.14701, table 1. Raises :class:`InputError` for
    other domains.

    >>> f"{published_size('language', 8.64e19):.5e}"
    '1.29266e+09'
    """
    if domain not in PUBLISHED_SIZES:
        near = nearest_names(domain, PUBLISHED_SIZES) or list(PUBLISHED_SIZES)
        raise InputError(f'no domain "{domain}"', where="published_size", todo=f"one of: {', '.join(near)}")
    c_0, beta = PUBLISHED_SIZES[domain]
    return np.asarray((np.asarray(C, dtype=float) / PF_DAY / c_0) ** beta)


def compute_efficient(quantity: str, C: Any) -> FloatArray:
    """N (parameters), batch (tokens), steps or D (tokens) of Kaplan's efficient frontier at compute C (FLOP).

    C counts training far below the critical batch size (C_min). Source: arXiv:2001.08361, table 6. Raises
    :class:`InputError` for other quantities.

    >>> f"{compute_efficient('N', 8.64e19):.2e}"
    '1.30e+09'
    """
    if quantity not in COMPUTE_EFFICIENT:
        known = ", ".join(COMPUTE_EFFICIENT)
        raise InputError(f'no quantity "{quantity}"', where="compute_efficient", todo=f"one of: {known}")
    factor, exponent = COMPUTE_EFFICIENT[quantity]
    return np.asarray(factor * (np.asarray(C, dtype=float) / PF_DAY) ** exponent)
