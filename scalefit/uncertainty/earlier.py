"""The calibration of fits saved by earlier versions, so that they still predict what they predicted.

    S = sqrt(k^2 (s^2 + PER_RUN^2 + (PER_DECADE d)^2) + sigma^2)

for a prediction d decades beyond the fitted scales: the error of the law scaled with the loss itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.uncertainty.calibration import Reach, student

PER_RUN = 0.001  #: relative error assumed for every law on a held-out run
PER_DECADE = 0.0125  #: and per decade of extrapolation


@dataclass(frozen=True)
class EarlierCalibration(Reach):
    """The factor k and the fitted scales."""

    def missed(self, distance: FloatArray, unit: FloatArray | float) -> FloatArray:
        """The error believed of the law, before k, at some distances; ``unit`` is the size of a residual of 1."""
        return np.asarray(unit * np.hypot(PER_RUN, PER_DECADE * distance))

    def half_width(self, spread: FloatArray, missed: FloatArray, noise: float, level: float) -> FloatArray:
        """How far an interval reaches on one side, where the draws spread and the law misses by this much."""
        wide = np.sqrt(self.factor**2 * (spread**2 + missed**2) + noise**2)
        return np.asarray(wide * student(level, np.inf))
