"""Where a law has no value: a variable at or below the floor that the law takes from it, or a formula without one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scalefit.diagnosis.checks import Check
from scalefit.numerics import FloatArray
from scalefit.uncertainty.estimate import Estimate

TODO = "ask above the floor, or fit a law whose floor lies lower (larger runs determine it)"


def no_image(fit: Estimate, variables: Mapping[str, FloatArray], rows: int) -> NDArray[np.bool_]:
    """Where the law has no value, (n,)."""
    with np.errstate(all="ignore"):
        value = fit.value(variables) + np.zeros(rows)
    return np.asarray(fit.law.no_image(variables, fit.parameters) | ~np.isfinite(value))


def floors(fit: Estimate) -> str:
    """The floors of the law, with their values; what is wrong where it declares none."""
    found = [
        f"{fit.law.columns[name]} must be above {floor} = {fit.parameters[floor]:.6g}"
        for floor, name in fit.law.floors.items()
    ]
    return " and ".join(found) or "its formula gives no finite number"


def without_image(fit: Estimate, variables: Mapping[str, FloatArray]) -> list[Check]:
    """A warning where some of the rows have no prediction."""
    rows = max((len(values) for values in variables.values()), default=1)
    count = int(no_image(fit, variables, rows).sum())
    return [Check("no-image", f"{count} of {rows} rows have no prediction: {floors(fit)}; {TODO}")] if count else []
