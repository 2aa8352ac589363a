"""The scale along which a law extrapolates: compute if it reads size and data, else the one that it reads."""

from __future__ import annotations

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray

GROWS_WITH_DATA = ("D", "S1", "step", "tokens")  #: columns that are larger for a run with more training
FALLS = ("loss_source", "loss")  #: columns that are smaller for a better run


def scale_of(law: Law, variables: dict[str, FloatArray]) -> FloatArray:
    """The decimal logarithm of the scale along which a prediction extrapolates, one value per row.

    The scale is compute if the law reads C, or N and D. For a law of size alone, or of data or schedule area alone, it
    is the square of that: compute, if size and data grow alike. For a law that reads a loss, it grows as the loss
    falls; a loss of 0 is that of no run, but of a perfect model, and its scale is infinite. For other laws it is the
    product of their positive variables. A step of zero, which formulas may read, counts as the first one after it.
    """
    by_column = {column: variables[name] for name, column in law.columns.items()}
    if "C" in by_column:
        return _logarithm(by_column["C"])
    data = next((by_column[name] for name in GROWS_WITH_DATA if name in by_column), None)
    if "N" in by_column and data is not None:
        return _logarithm(6.0 * by_column["N"] * data)
    if "N" in by_column or data is not None:
        return 2.0 * _logarithm(by_column["N"] if data is None else data)
    fallen = next((by_column[name] for name in FALLS if name in by_column), None)
    if fallen is not None:
        return np.asarray(-np.log10(fallen, out=np.full(np.shape(fallen), -np.inf), where=fallen > 0))
    positive = [v for name, v in variables.items() if v.ndim == 1 and law.variables[name].positive and np.all(v > 0)]
    if not positive:
        return np.zeros(len(next(iter(variables.values()))))
    return np.asarray(sum(np.log10(v) for v in positive))


def _logarithm(values: FloatArray) -> FloatArray:
    """The decimal logarithm of values, those that are not positive counted as the least one that is."""
    least = float(np.min(values, where=values > 0, initial=np.inf))
    return np.asarray(np.log10(np.maximum(values, least if np.isfinite(least) else 1.0)))


def reads_scale(law: Law) -> bool:
    """Whether a law reads size, data or compute."""
    return bool({"C", "N", *GROWS_WITH_DATA} & set(law.columns.values()))


def maps_a_loss(law: Law) -> bool:
    """Whether a law reads a loss instead: it has no time in it, and rows along a run are as good as runs."""
    return not reads_scale(law) and bool({*FALLS} & set(law.columns.values()))


def maps_losses(law: Law) -> bool:
    """Whether a law leads from a loss to another loss."""
    return maps_a_loss(law) and law.target == "loss"
