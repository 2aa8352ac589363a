"""The vocabulary that gives the least loss for a compute."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import brentq

from scalefit.errors import InputError

LARGEST = 60.0  #: logarithm of the largest vocabulary, in parameters, that is searched


def best_vocabulary(constants: Mapping[str, float], N: float, C: float, width: float) -> float:
    """Entries of the vocabulary with the least loss under the law ``vocabulary`` at C = 6 (N + N_vocab) D FLOP.

    A larger vocabulary lowers the term A2 N_vocab^-alpha2 and leaves fewer tokens D = C/(6 (N + N_vocab)). With
    N_vocab = entries times width the optimum is the root of

        alpha2 A2 N_vocab^-(alpha2 + 1) = beta B D^-beta / (N + N_vocab)

    Source: arXiv:2407.13623, approach 3, which names about 43,000 entries for its first row. Raises
    :class:`InputError` for constants under which no vocabulary is best.

    >>> from scalefit.laws import find_law
    >>> entries = best_vocabulary(find_law("vocabulary").published[0].parameters, N=2.87e9, C=2.3e21, width=3200)
    >>> round(entries, -3)
    42000.0
    """
    beta = constants.get("beta", constants["alpha1"])

    def slope(log_size: float) -> float:
        """Logarithm of what another parameter gains over what it costs."""
        size = math.exp(log_size)
        gained = math.log(constants["alpha2"] * constants["A2"]) - (constants["alpha2"] + 1) * log_size
        tokens = math.log(C / 6) - np.logaddexp(math.log(N), log_size)
        return float(gained - math.log(beta * constants["B"]) + beta * tokens + math.log(N + size))

    if min(constants["A2"], constants["B"], constants["alpha2"], beta) <= 0 or slope(0.0) < 0 or slope(LARGEST) > 0:
        raise InputError(
            "under these constants no vocabulary is best: its term or that of the data is zero",
            where="best_vocabulary",
            todo="add runs that vary the vocabulary at one N and D, and fit again",
        )
    return float(math.exp(brentq(slope, 0.0, LARGEST, xtol=1e-12)) / width)
