"""How far what is asked for lies from the fitted rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.numerics import FloatArray


def decades_beyond(
    ranges: Mapping[str, tuple[float, float]], variables: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """How far each row lies outside the fitted range of each variable, in decades (n,); negative inside.

    Below a range that begins at 0 (no annealing yet) nothing counts as outside.

    >>> {name: far.tolist() for name, far in decades_beyond({"N": (1e6, 1e8)}, {"N": np.array([1e7, 1e9])}).items()}
    {'N': [-1.0, 1.0]}
    """
    found = {}
    with np.errstate(divide="ignore"):
        for name, (low, high) in ranges.items():
            if name in variables and high > 0:
                values = np.maximum(variables[name], 0.0)
                above = np.log10(values / high)
                found[name] = np.maximum(above, np.log10(low / values)) if low > 0 else above
    return found
