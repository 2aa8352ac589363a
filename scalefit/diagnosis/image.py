"""Where a law has no value: a variable at or below its floor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scalefit.diagnosis.checks import Check
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray

TODO = "ask above the floor, or fit a law whose floor lies lower (larger runs determine it)"


def no_image(law: Law, parameters: Mapping[str, float], variables: Mapping[str, FloatArray]) -> NDArray[np.bool_]:
    """Where the law has no value, (n,): a variable lies at or below its floor."""
    rows = max((len(values) for values in variables.values()), default=1)
    return np.asarray(law.no_image(variables, parameters) | np.zeros(rows, dtype=bool))


def floors(law: Law, parameters: Mapping[str, float]) -> str:
    """The floors of the law, with their values."""
    return " and ".join(
        f"{law.columns[name]} must be above {floor} = {parameters[floor]:.6g}" for floor, name in law.floors.items()
    )


def without_image(law: Law, parameters: Mapping[str, float], variables: Mapping[str, FloatArray]) -> list[Check]:
    """A warning where some of the rows have no prediction."""
    outside = no_image(law, parameters, variables)
    if not outside.any():
        return []
    text = f"{int(outside.sum())} of {len(outside)} rows have no prediction: {floors(law, parameters)}; {TODO}"
    return [Check("no-image", text)]
