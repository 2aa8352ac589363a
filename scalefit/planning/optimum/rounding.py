"""Rounding after training: the number of tokens above which more tokens make the rounded model worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.numerics import FloatArray


def critical_tokens(constants: Mapping[str, float], N: Any, bits: Any) -> FloatArray:
    """D_crit in tokens for a model rounded to ``bits`` under the law ``precision:post=yes``.

    N counts the parameters that training in few bits leaves useful: N_eff of the law, which is N where training used 16
    bits. The law's factor for the bits taken away counts as 1, as it does for models trained in many more bits than
    ``bits``; below that, C_T times the factor takes the place of C_T, and D_crit is larger.

    D_crit = (beta B N^gamma_N e^(bits/gamma_post) / (gamma_D C_T))^(1/(gamma_D + beta)): here the gain of another
    token in the data term equals its cost in the loss from rounding. Source: arXiv:2411.04330.

    >>> constants = {"B": 410.7, "beta": 0.28, "C_T": 0.06, "gamma_D": 0.5, "gamma_N": 0.5, "gamma_post": 0.6}
    >>> f"{critical_tokens(constants, 1e9, 4):.2e}"
    '1.19e+14'
    """
    gained = constants["beta"] * constants["B"] * np.asarray(N, dtype=float) ** constants["gamma_N"]
    lost = constants["gamma_D"] * constants["C_T"] * np.exp(-np.asarray(bits, dtype=float) / constants["gamma_post"])
    return np.asarray((gained / lost) ** (1 / (constants["gamma_D"] + constants["beta"])))
