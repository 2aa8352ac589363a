"""Targets outside the measured sizes: impossible ones are refused, those far beyond are warned about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.diagnosis.reach import too_far
from scalefit.errors import InputError

DECADE = float(np.log2(10))  #: octaves


def refuse_target(size: float, over: str = "size") -> None:
    """Raise InputError for a target that is not a number above 0."""
    if not 0 < size < np.inf:
        raise InputError(f"the target {over} is {size:g}", todo="give a size above 0")


def far_beyond(over: str, sizes: Sequence[float], target: float) -> str:
    """Why a target is too far beyond the measured sizes, or "": by the same rule as ``predict``.

    It is too far where it lies further beyond them than they span (counted as at least 0.3 and at most 2 decades).

    >>> far_beyond("d_model", [64, 128, 256, 512], 2048)
    ''
    >>> far_beyond("d_model", [64, 128], 4096)
    'd_model 4096 lies a factor of 32 beyond the measured 64 to 128 (a factor of 2): measure a size nearer to it'
    >>> far_beyond("d_model", [64, 128], 2)
    'd_model 2 lies a factor of 32 below the measured 64 to 128 (a factor of 2): measure a size nearer to it'
    """
    low, high = min(sizes), max(sizes)
    span, beyond = float(np.log2(high / low)), float(np.log2(max(target / high, low / target)))
    if not too_far(beyond / DECADE, span / DECADE):
        return ""
    measured = f"{low:g} to {high:g} (a factor of {2**span:.3g})" if high > low else f"{low:g}"
    todo = "measure a size nearer to it"
    where = "below" if target < low else "beyond"
    return f"{over} {target:g} lies a factor of {2**beyond:.3g} {where} the measured {measured}: {todo}"
