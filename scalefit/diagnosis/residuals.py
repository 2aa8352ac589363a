"""What the residuals of a finished fit say: a trend with scale, runs too short to follow the law, rows far off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray, robust_sigma
from scalefit.rows.rows import Rows
from scalefit.rows.scale import GROWS_WITH_DATA, scale_of
from scalefit.runs import Runs
from scalefit.runs.table import spans

FEWEST = 8  #: runs that a trend needs
BINS = 16  #: parts into which the rows of a single long curve are gathered
SIGNIFICANT = 1e-3  #: chance of a trend as strong in residuals without one, over all scales tried
ALONG = 1.0  #: decades over which a trend is judged: what it would add a decade further
LARGE = 0.01  #: relative error a decade further that is worth a word
IN_NOISES = 3.0  #: and that in units of the fit's noise
DOMINATES = 1 / 3  #: where the scatter about a trend is less than this share of the noise, the trend is the noise
LATE = 0.25  #: share of a curve's rows, its last ones, that stand for the run
SHORT = 10.0  #: a run with this many times fewer tokens per parameter than the middle one is short
ABOVE = 3.0  #: noises that short runs lie above the law
TOO_FEW = 2.0  #: tokens per parameter below which a run apart from all others is short whatever its residual
FEW = 0.25  #: short runs are at most this share of all
STEEP, STEEPER = 0.15, 3.0  #: slope d log loss / d log step at the end, and times the usual one
BITS = float(np.log(1 / np.log(2.0)))  #: how far a loss in bits lies above one in nats, in the logarithm
FAR_OUT = 8.0  #: noises that an outlier is off
NORMAL_90 = 1.6449  #: the size that 90 % of normal deviates stay within
SHOWN = 3


@dataclass(frozen=True)
class Units:
    """One residual (measured above the law, in residual space) and the scales of each run, or of each row."""

    names: np.ndarray
    residual: FloatArray
    variables: dict[str, FloatArray]


def units_of(law: Law, rows: Rows, residuals: FloatArray) -> Units:
    """Runs where rows follow one another along curves (the last quarter of each), rows otherwise."""
    above = -residuals
    names = rows.frame["run"].astype(str).to_numpy()
    ordinary = {name: values for name, values in rows.variables.items() if values.ndim == 1}
    codes = rows.run_codes
    count = int(codes.max()) + 1
    if not rows.in_curves:
        return Units(names, above, ordinary)
    if count == 1:
        codes = np.arange(len(codes)) * BINS // len(codes)
        late = np.ones(len(codes), dtype=bool)
    else:
        late = _late(codes)
    table = pd.DataFrame({"residual": above, **ordinary})[late].groupby(codes[late]).median()
    first = np.array([names[int(np.argmax(codes == code))] for code in table.index])
    return Units(first, table["residual"].to_numpy(), {name: table[name].to_numpy() for name in ordinary})


def _late(codes: np.ndarray) -> np.ndarray:
    """The last quarter of each run's rows."""
    counts = np.bincount(codes)
    place = pd.Series(codes).groupby(codes).cumcount().to_numpy()
    return np.asarray(place >= np.floor((1 - LATE) * counts[codes]))


def trends(law: Law, units: Units, sigma: float, unit: float) -> list[Check]:
    """Whether the residuals of the larger half of the runs rise or fall with scale, significantly and by much.

    ``unit`` is the size of a residual of 1 in units of the measured value (1 for logarithms).
    """
    if len(units.residual) < 2 * FEWEST - 2:
        return []
    columns = {column: units.variables.get(name) for name, column in law.columns.items()}
    tried = {c: v for c, v in columns.items() if v is not None and c in ("C", "N", *GROWS_WITH_DATA) and np.all(v > 0)}
    scales = {column: np.log10(values) for column, values in tried.items()}
    if {"N", "D"} <= set(tried):
        scales["C"] = scale_of(law, {name: units.variables[name] for name in law.variables if name in units.variables})
    found = []
    for column, scale in scales.items():
        slope, chance, scatter = _upper_slope(scale, units.residual)
        noise = scatter if scatter < DOMINATES * sigma else max(scatter, sigma)
        large = abs(slope) * ALONG > max(LARGE * unit, IN_NOISES * noise)
        if large and chance * len(scales) < SIGNIFICANT:
            found.append((abs(slope), column, slope))
    if not found:
        return []
    _, column, slope = max(found)
    size = f"{100 * slope:+.2g} %" if unit == 1.0 else f"{slope:+.2g}"
    return [
        Check(
            "residual-trend",
            f"the runs bend away from the fit: among the larger half of them the measured values move {size} a decade "
            f"of {column} against the law, which an extrapolation in {column} goes on with: fit the larger runs only, "
            "or a law with another term",
        )
    ]


def _upper_slope(scale: FloatArray, residual: FloatArray) -> tuple[float, float, float]:
    """Slope of the residual over the upper half of a scale, per decade; the chance of a rank correlation as strong; and
    the scatter about the slope.

    The chance is that of Student's t for Spearman's coefficient, in its normal approximation by Fisher's z.
    """
    upper = scale >= np.median(scale)
    x, y = scale[upper], residual[upper]
    if len(x) < FEWEST - 1 or len(np.unique(np.round(x, 6))) < 4:
        return 0.0, 1.0, 0.0
    if np.ptp(y) == 0:
        return 0.0, 1.0, 0.0
    rank = float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])
    z = np.arctanh(np.clip(rank, -0.999999, 0.999999)) * np.sqrt((len(x) - 3) / 1.06)
    slope = _middle_slope(x, y)
    left = y - slope * x
    return slope, float(2 * _normal_tail(abs(z))), robust_sigma(left - np.median(left), 2)


def _ranks(values: FloatArray) -> FloatArray:
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _middle_slope(x: FloatArray, y: FloatArray) -> float:
    """The median slope over all pairs (Theil and Sen); an even choice of pairs where there are many."""
    keep = np.linspace(0, len(x) - 1, min(len(x), 400)).astype(int)
    i, j = np.triu_indices(len(keep), 1)
    run, rise = x[keep][j] - x[keep][i], y[keep][j] - y[keep][i]
    apart = np.abs(run) > 0.1 * np.ptp(x)
    return float(np.median(rise[apart] / run[apart])) if apart.any() else 0.0


def _normal_tail(z: float) -> float:
    from math import erfc

    return 0.5 * erfc(z / 2**0.5)


def under_trained(law: Law, units: Units, sigma: float) -> list[Check]:
    """Short runs that lie above the law: few tokens per parameter beside the others, and a loss that shows it."""
    by_column = {column: units.variables.get(name) for name, column in law.columns.items()}
    size, data = by_column.get("N", by_column.get("N_total")), by_column.get("D")
    if size is None or data is None or len(size) < FEWEST or not sigma > 0:
        return []
    ratio = np.log10(data / size)
    order = np.argsort(ratio)
    gap = np.flatnonzero(np.diff(ratio[order]) >= 1.0)  # a decade that no run fills, below the middle
    apart = int(gap[0]) + 1 if len(gap) and gap[0] + 1 <= FEW * len(ratio) else 0
    apart = apart if 10 ** ratio[order[max(apart - 1, 0)]] < TOO_FEW else 0
    count = _short_and_above(ratio[order], units.residual[order], sigma)
    above = count > 0
    if not above and not apart:
        return []
    chosen = np.isin(np.arange(len(ratio)), order[: count if above else apart])
    rest = 10 ** float(np.median(ratio[~chosen]))
    seen = f"and lie {np.median(units.residual[chosen]) / sigma:.2g} sigma above the law" if above else "far from all"
    return [
        Check(
            "under-trained",
            f"{int(chosen.sum())} runs ({_named(units.names[chosen])}) saw {10 ** ratio[chosen].max():.2g} tokens per "
            f"parameter or fewer, the others {rest:.2g} in the middle, {seen}: too short to follow it; leave them out "
            "with --where and compare",
        )
    ]


def _short_and_above(ratio: FloatArray, residual: FloatArray, sigma: float) -> int:
    """How many of the shortest runs lie above the law; both arrays are ordered by tokens per parameter.

    The most whose median and whose last one lie above: a few that are too short pull the law towards them, and those
    next to them fall below it.
    """
    most = min(int(np.sum(ratio < np.median(ratio) - np.log10(SHORT))), int(FEW * len(ratio)))
    above = ABOVE * sigma
    return max((n for n in range(1, most + 1) if min(np.median(residual[:n]), residual[n - 1]) > above), default=0)


def still_falling(law: Law, rows: Rows, runs: Runs, target: str) -> list[Check]:
    """Curves of which the last loss counts as final although it falls far more steeply than that of the others."""
    if law.is_trajectory or rows.in_curves or runs.curves is None or target not in runs.curves.columns:
        return []
    axis = "step" if "step" in runs.curves.columns else "tokens"
    at, loss = (runs.curves[c].to_numpy(dtype=np.float64) for c in (axis, target))
    slopes = {run: _last_slope(at[a:b], loss[a:b]) for run, a, b in spans(runs.curves)}
    known = {run: slope for run, slope in slopes.items() if np.isfinite(slope)}
    if len(known) < 4:
        return []
    usual = max(-float(np.median(list(known.values()))), 0.0)
    steep = [run for run, slope in known.items() if -slope > max(STEEP, STEEPER * usual)]
    if not steep:
        return []
    return [
        Check(
            "under-trained",
            f"the loss of {len(steep)} runs ({_named(np.array(steep))}) still falls as {axis}^{known[steep[0]]:.2g} at "
            f"their last point, that of the others as {axis}^{-usual:.2g}: too short to count as final; leave them out",
        )
    ]


def _last_slope(at: FloatArray, loss: FloatArray) -> float:
    """d log loss / d log step over the last third of a curve, in the logarithm of the step."""
    good = (at > 0) & np.isfinite(loss) & (loss > 0)
    at, loss = np.log(at[good]), np.log(loss[good])
    late = at >= at[-1] - np.log(1.5) if len(at) else good[:0]
    if late.sum() < 4:
        return float("nan")
    return float(np.polyfit(at[late], loss[late], 1)[0])


def outlier_checks(units: Units, residuals: FloatArray, rows: int, sigma: float, log: bool) -> list[Check]:
    """Runs far from the law and apart from the others; and runs that look like bits among nats.

    Far: more than 8 sigma, and as much further out than the 90 % quantile of all residuals as 8 sigma would be in
    normal noise, so that the tail of a law that is a little wrong everywhere is not called outliers.
    """
    size = np.abs(units.residual)
    tail = float(np.quantile(np.abs(residuals), 0.9)) / NORMAL_90
    least = LARGE * (1.0 if log else sigma / LARGE)
    far = size > max(FAR_OUT * sigma, FAR_OUT * tail, least)
    found = []
    bits = np.abs(size - BITS) < max(5 * sigma, 0.01)
    if log and sigma < BITS / 20 and bits.sum() >= 2:
        found.append(
            Check(
                "mixed-conventions",
                f"{int(bits.sum())} of {len(size)} runs ({_named(units.names[bits])}) lie a factor 1.44 off the law, "
                "the ratio of bits to nats: check the unit of their loss",
            )
        )
    if far.any():
        order = np.flatnonzero(far)[np.argsort(-size[far])]
        what = "runs" if rows != len(size) else "rows"
        found.append(
            Check(
                "outliers",
                f"{int(far.sum())} of {len(size)} {what} ({_named(units.names[order])}) lie apart from the others, "
                f"up to {size.max() / sigma:.2g} sigma off the law: look at them, or leave them out with --where",
            )
        )
    return found


def _named(names: np.ndarray) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
