"""Whether every refit to the smaller runs errs on the same side of the larger ones: a term that the law lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.diagnosis.checks import Check
from scalefit.uncertainty.calibration import Bias

FEWEST = 4  #: refits from which on their agreement says something
MEAN = 1.5  #: mean error of the refits, each in units of its standard error, that chance hardly makes
LARGE = 0.001  #: mean relative error from which it matters


def one_sided(biases: Sequence[Bias], unit: float) -> list[Check]:
    """A warning where all refits predict too low, or all too high; ``unit`` is the size of a residual of 1."""
    if len(biases) < FEWEST:
        return []
    errors = np.array([bias.error for bias in biases])
    sigmas = np.array([bias.error / max(bias.standard_error, 1e-300) for bias in biases])
    same = bool(np.all(errors > 0) or np.all(errors < 0))
    size = abs(float(np.mean(errors))) / unit
    if not same or abs(float(np.mean(sigmas))) < MEAN or size < LARGE:
        return []
    side = "low" if errors[0] > 0 else "high"
    count = f"{len(biases)} of {len(biases)}"
    text = f"the law predicts too {side} at scale: {count} refits to the smaller runs miss the larger ones on that side"
    todo = "an extrapolation would be off on the same side; fit only the larger runs, or a law with another term"
    return [Check("one-sided", f"{text}, by {100 * size:.2g} % on average; {todo}")]
