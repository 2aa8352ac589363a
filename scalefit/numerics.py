"""Plain array mathematics that several rooms share."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: 1 / (the 75 % quantile of a standard normal): makes the median absolute deviation an estimate of sigma
MAD_TO_SIGMA = 1.4826022185056018

FLAT = 1e-9  #: ratio of a singular value to the largest below which nothing changes in its direction
CLIP = 3.0  #: residuals are clipped at this many sigma where a pattern in them is told from chance

LEAST_BEYOND, MOST_BEYOND = 0.3, 2.0  #: decades beyond the data that are never, and always, called far


def complex_step(
    function: Callable[..., Any], variables: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Derivatives of ``function(**variables, **parameters)`` by each parameter, exact to rounding.

    f'(x) = Im f(x + i h) / h with h = 1e-30 has no subtraction, so no cancellation (Squire and Trapp 1998); the
    function must be built of analytic operations (no ``abs``, no comparison of complex numbers).

    >>> complex_step(lambda x, a: a * x**a, {"x": np.e}, {"a": 2.0})["a"].round(6)
    np.float64(22.167168)
    """
    step = 1e-30
    partials = {}
    for name in parameters:
        shifted = dict(parameters)
        shifted[name] = np.asarray(parameters[name]) + 1j * step
        partials[name] = np.imag(function(**{**variables, **shifted})) / step
    return partials


def robust_sigma(residuals: FloatArray, parameters: int = 0) -> float:
    """The noise of residuals from the median of their absolute values, corrected for fitted parameters.

    sigma = 1.4826 median|r| sqrt(n / (n - p)).

    >>> robust_sigma(np.array([-1.0, 1.0, -1.0, 50.0])).__round__(4)
    1.4826
    """
    n = residuals.size
    return float(MAD_TO_SIGMA * np.median(np.abs(residuals)) * np.sqrt(n / max(n - parameters, 1)))


def unit_columns(slopes: FloatArray) -> FloatArray:
    """Derivatives (n, p), each column of length one: a decomposition then does not depend on the units of parameters.

    What is not finite counts for nothing.

    >>> unit_columns(np.array([[3.0, 0.0], [4.0, 0.0]])).tolist()
    [[0.6, 0.0], [0.8, 0.0]]
    """
    return np.asarray(np.nan_to_num(slopes / np.maximum(np.linalg.norm(slopes, axis=0), 1e-300)))


def spanned(slopes: FloatArray, every: bool = False) -> tuple[FloatArray, int]:
    """Orthonormal directions of the rows, and how many of them, from the first on, the columns of (n, p) span.

    With ``every`` the directions that they do not span follow.

    >>> directions, count = spanned(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]]), every=True)
    >>> directions.shape, count
    ((3, 3), 1)
    """
    directions, sizes, _ = np.linalg.svd(unit_columns(slopes), full_matrices=every)
    return directions, int(np.sum(sizes > FLAT * sizes.max(initial=1e-300)))


def symmetric_root(covariance: FloatArray) -> FloatArray:
    """The symmetric matrix whose square is a positive semi-definite one, (n, n).

    Draws made by it are the same on every machine, up to rounding: those made by eigenvectors alone have their signs,
    which differ between processors.

    >>> symmetric_root(np.array([[5.0, 4.0], [4.0, 5.0]])).round(12).tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def offsets(seed: NDArray[Any]) -> FloatArray:
    """A column of +1 and -1 for each seed but one, (n, seeds - 1): offsets that sum to zero over the seeds."""
    names, place = np.unique(seed, return_inverse=True)
    counts = np.bincount(place)
    if len(names) < 2 or counts.min() < 2:  # the offset of a seed with one run would fit that run exactly
        return np.zeros((len(seed), 0))
    columns = np.eye(len(names))[place][:, 1:]
    columns[place == 0] = -1.0
    return columns


def slope_of(x: FloatArray, y: FloatArray, seed: NDArray[Any], level: float) -> tuple[float, float, float]:
    """Slope of y over x by least squares with a height for each seed, and the ends of Student's interval from the
    scatter; the ends are NaN without a degree of freedom, and so is the slope where a y is not finite. All (n,).

    >>> x = np.array([0.0, 1.0, 2.0, 3.0])
    >>> [round(end, 3) for end in slope_of(x, 0.5 * x + [0.1, -0.1, -0.1, 0.1], np.zeros(4), 0.9)]
    [0.5, 0.315, 0.685]
    """
    from scipy.special import stdtrit

    if not np.isfinite(y).all():
        return np.nan, np.nan, np.nan
    columns = np.column_stack([x - x.mean(), np.ones(len(x)), offsets(seed)])
    constants = np.linalg.lstsq(columns, y, rcond=None)[0]
    freedom, half = len(x) - int(np.linalg.matrix_rank(columns)), np.nan
    if freedom > 0:
        variance = float(np.sum((y - columns @ constants) ** 2)) / freedom
        error = float(np.sqrt(variance * np.linalg.pinv(columns.T @ columns)[0, 0]))
        half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    slope = float(constants[0])
    return slope, slope - half, slope + half


def flatness(slope: float, low: float, high: float, gate: float) -> str:
    """Whether a slope is "flat" (its interval lies within ``gate`` of zero), "grows" or "shrinks" (it lies beyond), or
    "undecided". Without an interval the slope decides alone; one that is no number is "not finite".

    >>> [flatness(0.2, low, 0.3, 0.1) for low in (0.15, 0.05)], flatness(0.02, np.nan, np.nan, 0.1)
    (['grows', 'undecided'], 'flat')
    """
    if not np.isfinite(slope):
        return "not finite"
    low, high = (low, high) if np.isfinite(low) else (slope, slope)
    if -gate < low and high < gate:
        return "flat"
    return "grows" if low >= gate else "shrinks" if high <= -gate else "undecided"


def spread_points(count: int, dimensions: int) -> FloatArray:
    """``count`` points that fill the unit cube evenly: a lattice by powers of the generalised golden ratio.

    Shape (count, dimensions); deterministic. In one dimension they are the centres of ``count`` equal cells.

    >>> spread_points(2, 1).ravel().tolist()
    [0.25, 0.75]
    """
    if dimensions == 1:
        return ((np.arange(count) + 0.5) / count)[:, None]
    ratio = 2.0
    for _ in range(40):  # the root of x^(d+1) = x + 1
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    steps = (1.0 / ratio) ** np.arange(1, dimensions + 1)
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0)


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, for error messages.

    >>> nearest_names("chinchila", ["chinchilla", "power"])
    ['chinchilla']
    """
    names = list(known)
    folded = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), list(folded), n=count, cutoff=0.5)
    return [folded[other] for other in close]


def suggestion(name: str, known: Iterable[str]) -> str:
    """The nearest known name, or all of them.

    >>> suggestion("adam_w", ["adamw", "sgd"]), suggestion("x", ["adamw", "sgd"])
    ("did you mean 'adamw'?", 'choose one of adamw, sgd')
    """
    names = list(known)
    near = nearest_names(name, names)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names) or 'none'}"


def errors(predicted: FloatArray, measured: FloatArray) -> dict[str, float]:
    """Agreement of predictions with measurements.

    r2 = 1 - sum (p - m)^2 / sum (m - mean m)^2; mae and rmse in the unit of the loss; mean_relative and
    worst_relative of |p / m - 1|.

    >>> errors(np.array([2.0, 3.0]), np.array([2.0, 4.0]))["worst_relative"]
    0.25
    """
    difference = predicted - measured
    spread = float(np.sum((measured - measured.mean()) ** 2))
    relative = np.abs(difference / measured)
    return {
        "points": len(measured),
        "r2": 1 - float(np.sum(difference**2)) / spread if spread > 0 else float("nan"),
        "mae": float(np.mean(np.abs(difference))),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "mean_relative": float(relative.mean()),
        "worst_relative": float(relative.max()),
    }
