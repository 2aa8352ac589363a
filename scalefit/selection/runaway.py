"""Laws whose forecast turns: as far again beyond the runs it is worse than every one of them.

A law of many constants can take the scatter of the largest runs for the start of a rise. To eight noisy runs whose loss
falls from .96 to .39 and then is .41, a smoothly broken power law was fitted that forecasts 7 at eight times the
largest of them, and it had more than half of the weight. So a law, or a form of it, does not enter a mixture where at
the point that lies as far beyond the largest run as the smallest lies below it, it forecasts more than the largest
value though values fall with scale, or less than the least though they rise. Of the fits to 123 sets of public and
planted runs this leaves out two, and neither had any weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw


def turns(
    model: BoundLaw, theta: FloatArray, values: FloatArray, scale: FloatArray, powers: Mapping[str, float]
) -> bool:
    """Whether a law of scale alone, at coordinates (p,), is worse far beyond the runs than at any of them.

    ``scale`` (n,) is the logarithm of the product of columns to their ``powers``. Laws that read anything else are left
    as they are: at a learning rate that stays, a loss may well rise with size.
    """
    columns, span = model.law.columns, float(np.ptp(scale))
    if model.law.is_trajectory or not {*columns.values()} <= {*powers, "C"} or not (np.isfinite(span) and span > 0):
        return False
    steps = {column: np.sign(power) * span / sum(map(abs, powers.values())) for column, power in powers.items()}
    steps.setdefault("C", span)
    largest = [int(np.argmax(scale))]
    beyond = {name: model.variables[name][largest] * np.exp(steps[column]) for name, column in columns.items()}
    far = float(replace(model, variables=beyond, position=None).value(theta[None])[0, 0])
    falls = float(np.sum((scale - scale.mean()) * (values - values.mean()))) < 0
    return bool(far > values.max() if falls else far < values.min())
