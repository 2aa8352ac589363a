"""What epochs of the same data are worth."""

from __future__ import annotations

import numpy as np


def worth_of_repeats(epochs: float, R_D: float) -> float:
    """The epochs of fresh data that epochs of the same data are worth: 1 + R_D (1 - exp(-(epochs - 1)/R_D)).

    >>> round(worth_of_repeats(4, 15.387756), 3), round(worth_of_repeats(40, 15.387756), 2)
    (3.726, 15.17)
    """
    repeats = max(epochs - 1.0, 0.0)
    return float(min(epochs, 1.0) - R_D * np.expm1(-repeats / R_D))
