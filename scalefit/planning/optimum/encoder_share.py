"""How to share parameters between encoder and decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.laws.encoder_decoder import EncoderDecoder
from scalefit.numerics import FloatArray


@dataclass(frozen=True)
class Share:
    """The best split of a number of parameters, and its loss."""

    N_enc: FloatArray  #: encoder parameters
    N_dec: FloatArray  #: decoder parameters
    loss: FloatArray  #: nats/token


def encoder_share(p_enc: float, p_dec: float) -> float:
    """The best encoder share of all parameters: p_enc/(p_enc + p_dec), at every size and floor.

    >>> round(encoder_share(0.18, 0.31), 7)
    0.3673469
    """
    return p_enc / (p_enc + p_dec)


def share_interval(draws: Mapping[str, Any], level: float = 0.9) -> tuple[float, float]:
    """The confidence interval of the best share, from the resampled fits: the middle ``level`` of their shares.

    ``draws`` holds p_enc and p_dec of every draw, as in ``fit.draws``.

    >>> share_interval({"p_enc": [0.1, 0.2, 0.3], "p_dec": [0.3, 0.3, 0.3]}, level=1.0)
    (0.25, 0.5)
    """
    p_enc, p_dec = (np.asarray(draws[name], dtype=float) for name in ("p_enc", "p_dec"))
    low, high = np.quantile(p_enc / (p_enc + p_dec), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def split_parameters(constants: Mapping[str, float], total: Any) -> Share:
    """The split of ``total`` encoder and decoder parameters with the lowest loss under the law ``encoder-decoder``.

    Minimising (1/N_enc)^p_enc (1/N_dec)^p_dec with N_enc + N_dec fixed sets p_enc/N_enc = p_dec/N_dec, so each side
    gets parameters in proportion to its exponent. The loss then falls as a power p_enc + p_dec of the total.
    Source: arXiv:2109.07740 (derived here).

    >>> best = split_parameters({"L_inf": 1.2, "A": 0.5, "p_enc": 0.18, "p_dec": 0.31}, 1e9)
    >>> f"{best.N_enc:.6e} {best.N_dec:.6e}"
    '3.673469e+08 6.326531e+08'
    """
    share = encoder_share(constants["p_enc"], constants["p_dec"])
    whole = np.asarray(total, dtype=np.float64)
    N_enc, N_dec = share * whole, (1 - share) * whole
    return Share(N_enc, N_dec, np.asarray(EncoderDecoder.formula(N_enc, N_dec, **constants)))
