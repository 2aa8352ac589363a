"""Whether every refit to the smaller runs errs on the same side of the larger ones: a term that the law lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.uncertainty.calibration import Bias

FEWEST = 4  #: refits from which on their agreement says something
MEAN = 2.0  #: mean error of the refits, each in units of its standard error, that chance hardly makes
LARGE = 0.001  #: mean relative error from which it matters


def one_sided(biases: Sequence[Bias], unit: float) -> str:
    """What to say where all refits predict too low, or all too high; ``unit`` is the size of a residual of 1."""
    if len(biases) < FEWEST:
        return ""
    errors = np.array([bias.error for bias in biases])
    sigmas = np.array([bias.error / max(bias.standard_error, 1e-300) for bias in biases])
    same = bool(np.all(errors > 0) or np.all(errors < 0))
    size = abs(float(np.mean(errors))) / unit
    if not same or abs(float(np.mean(sigmas))) < MEAN or size < LARGE:
        return ""
    side, count = "low" if errors[0] > 0 else "high", f"{len(biases)} of {len(biases)}"
    text = f"predicts too {side} at scale: in {count} refits it misses the larger runs on that side"
    return f"{text}, by {100 * size:.2g} % on average; the law lacks a term, or only the larger runs follow it"
