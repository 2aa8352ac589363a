"""Colours that colour-blind readers can tell apart: a list for kinds, a dark-to-light ramp for sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

#: for runs and schedules; the first eight are those of Okabe and Ito (without yellow), the others darker mixes
KINDS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#555555", "#44AA99", "#332288")
WARNING = "#B22222"
TARGET = "#111111"
FITTED = "#0072B2"
HELD_OUT = "#D55E00"
QUIET = "#8A8A8A"
RAMP = "viridis"
RAMP_ENDS = (0.62, 0.84)  #: of few and of many colours; the pale end cannot be seen on white


def ramp(values: Sequence[float]) -> list[str]:
    """A colour for each value, dark for the smallest, even in the logarithm.

    >>> ramp([1e6, 1e9])[0] == ramp([1e6, 1e8, 1e9])[0]
    True
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    width = float(np.ptp(logs))
    places = (logs - logs.min()) / width if width > 0 else np.zeros(len(logs))
    end = RAMP_ENDS[0] if len(set(values)) < 4 else RAMP_ENDS[1]
    colormap = matplotlib.colormaps[RAMP]
    return [to_hex(colormap(float(place) * end)) for place in places]


Painter = Callable[[float], str]  #: a colour for a value


def painter(low: float, high: float) -> Painter:
    """The ramp between two values as a function: dark for the lower one, even in the logarithm.

    >>> painter(1e6, 1e9)(1e6) == ramp([1e6, 1e7, 1e8, 1e9])[0]
    True
    """

    def paint(value: float) -> str:
        place = np.log(value / low) / np.log(high / low) if high > low else 0.0
        return to_hex(matplotlib.colormaps[RAMP](float(np.clip(place, 0, 1)) * RAMP_ENDS[1]))

    return paint


def kinds(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name: distinct ones while they last, a ramp for more names than that.

    >>> kinds(["a", "b"])
    {'a': '#0072B2', 'b': '#D55E00'}
    """
    if len(names) <= len(KINDS):
        return dict(zip(names, KINDS, strict=False))
    return dict(zip(names, ramp(np.geomspace(1, 2, len(names)).tolist()), strict=True))
