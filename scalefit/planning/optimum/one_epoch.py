"""The size and data that the one-epoch paper advised: kept for comparison."""

from __future__ import annotations

import math

TOKENS_PER_PARAMETER = 5.0  #: as advised in 2019; fits of N and D jointly give about 20


def one_epoch_allocation(C: float) -> tuple[float, float]:
    """N and D with 5 tokens per parameter for C = 6 N D FLOP: N = sqrt(C/30), D = 5 N.

    Historical; see ``compute_optimal`` beside it. Source: arXiv:1906.06669 (the ratio).

    >>> N, D = one_epoch_allocation(3e21)
    >>> f"{N:.0e} {D:.0e}"
    '1e+10 5e+10'
    """
    N = math.sqrt(C / (6 * TOKENS_PER_PARAMETER))
    return N, TOKENS_PER_PARAMETER * N
