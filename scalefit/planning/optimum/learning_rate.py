"""The best learning rate and batch size for a run, from a fitted surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.laws.lr_batch_surface import D_0, N_0
from scalefit.numerics import FloatArray


@dataclass(frozen=True)
class BestSettings:
    """The bottom of the surface at a size and number of tokens."""

    lr: FloatArray  #: peak learning rate
    batch: FloatArray  #: tokens per step


def best_lr_batch(constants: Mapping[str, float], N: Any, D: Any) -> BestSettings:
    """The best peak learning rate and batch size for N parameters and D tokens by the law ``lr-batch-surface``.

    >>> surface = {"lr_0": 1.63e-3, "p": 0.713, "q": 0.307, "batch_0": 1.11e6, "s": 0.571}
    >>> best = best_lr_batch(surface, 7e9, 1.4e12)
    >>> f"{best.lr:.2e} {best.batch:.2e}"
    '9.15e-04 5.01e+06'
    """
    size, data = np.asarray(N, dtype=float) / N_0, np.asarray(D, dtype=float) / D_0
    lr = constants["lr_0"] * size ** -constants["p"] * data ** constants["q"]
    return BestSettings(np.asarray(lr), np.asarray(constants["batch_0"] * data ** constants["s"]))


def as_power_laws(constants: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The parameters of ``optimal-lr-batch`` (of=lr and of=batch) that are equivalent to a surface.

    >>> found = as_power_laws({"lr_0": 1.6325e-3, "p": 0.713, "q": 0.307, "batch_0": 1.107715e6, "s": 0.571})
    >>> round(found["lr"]["K"], 2), round(found["batch"]["K"], 2)
    (1.79, 0.58)
    """
    p, q, s = constants["p"], constants["q"], constants["s"]
    return {
        "lr": {"K": constants["lr_0"] * N_0**p * D_0**-q, "alpha": p, "beta": q},
        "batch": {"K": constants["batch_0"] * D_0**-s, "beta": s},
    }
