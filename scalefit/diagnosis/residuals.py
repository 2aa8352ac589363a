"""Warnings from the residuals of a fit: a trend with scale, runs too short to follow the law, outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from scalefit.diagnosis.checks import Check
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray, robust_sigma
from scalefit.rows.rows import Rows
from scalefit.rows.scale import GROWS_WITH_DATA, scale_of
from scalefit.runs import Runs
from scalefit.runs.table import axis_of
from scalefit.runs.trajectory import spans
from scalefit.uncertainty.calibration import student

FEWEST = 8  #: runs that a trend needs
BINS = 16  #: parts into which the rows of a single curve are grouped
SIGNIFICANT = 1e-3  #: chance of a trend as strong in residuals that have none, over all scales tried
LARGE = 0.01  #: relative error per decade from which a trend is reported
IN_NOISES = 3.0  #: and the least such error in units of the fit's noise
DOMINATES = 1 / 3  #: where the scatter about a trend is below this share of the noise, the noise is the trend itself
LATE = 0.25  #: share of a curve's rows, the last ones, whose median residual represents the run
SHORT = 10.0  #: a run with this many times fewer tokens per parameter than the median is short
ABOVE = 3.0  #: how many times the noise short runs lie above the law
TOO_FEW = 2.0  #: tokens per parameter below which a run far from all others is short, whatever its residual
FEW = 0.25  #: short runs are at most this share of all
STEEP, STEEPER = 0.15, 3.0  #: slope d log loss / d log step of the last rows, and how many times the median one
BITS = float(np.log(1 / np.log(2.0)))  #: how far a loss in bits lies above one in nats, in the logarithm
FAR_OUT = 8.0  #: how many times the noise an outlier lies from the law
APART = 3.5  #: and how many times as far as the furthest run that is none
SHOWN = 3


@dataclass(frozen=True)
class Units:
    """One residual (positive where measured above the law) and the scales of each run, or of each row."""

    names: np.ndarray
    residual: FloatArray
    variables: dict[str, FloatArray]


def units_of(law: Law, rows: Rows, residuals: FloatArray) -> Units:
    """One unit per run for curves (the median of its last quarter), one per row otherwise."""
    above = -residuals
    names = rows.frame["run"].astype(str).to_numpy()
    ordinary = {name: values for name, values in rows.variables.items() if values.ndim == 1}
    codes = rows.run_codes
    count = int(codes.max()) + 1
    if not rows.in_curves:
        return Units(names, above, ordinary)
    place = pd.Series(codes).groupby(codes).cumcount().to_numpy()
    late = place >= np.floor((1 - LATE) * np.bincount(codes)[codes])
    if count == 1:
        codes, late = np.arange(len(codes)) * BINS // len(codes), np.ones(len(codes), dtype=bool)
    table = pd.DataFrame({"residual": above, **ordinary})[late].groupby(codes[late]).median()
    first = np.array([names[int(np.argmax(codes == code))] for code in table.index])
    return Units(first, table["residual"].to_numpy(), {name: table[name].to_numpy() for name in ordinary})


def trends(law: Law, units: Units, sigma: float, unit: float) -> list[Check]:
    """Whether the residuals of the larger half of the runs change with scale, significantly and by much.

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
        large = abs(slope) > max(LARGE * unit, IN_NOISES * noise)
        if large and chance * len(scales) < SIGNIFICANT:
            found.append((abs(slope), column, slope))
    if not found:
        return []
    _, column, slope = max(found)
    size = f"{100 * slope:+.2g} %" if unit == 1.0 else f"{slope:+.2g}"
    text = f"the residuals of the larger half of the runs change by {size} per decade of {column}, and an extrapolation"
    todo = "fit only the larger runs, or a law with another term"
    return [Check("residual-trend", f"{text} in {column} would be off by as much; {todo}")]


def _upper_slope(scale: FloatArray, residual: FloatArray) -> tuple[float, float, float]:
    """Over the upper half of a scale: slope of the residual per decade, the chance of a rank correlation as strong in
    residuals without a trend (Spearman's coefficient, normal approximation of Fisher's z), scatter about the slope.
    """
    upper = scale >= np.median(scale)
    x, y = scale[upper], residual[upper]
    if len(x) < FEWEST - 1 or len(np.unique(np.round(x, 6))) < 4 or np.ptp(y) == 0:
        return 0.0, 1.0, 0.0
    rank = pd.Series(x).rank().corr(pd.Series(y).rank())
    z = np.arctanh(np.clip(rank, -0.999999, 0.999999)) * np.sqrt((len(x) - 3) / 1.06)
    slope = _middle_slope(x, y)
    left = y - slope * x
    return slope, float(2 * ndtr(-abs(z))), robust_sigma(left - np.median(left), 2)


def _middle_slope(x: FloatArray, y: FloatArray) -> float:
    """The median slope over all pairs (Theil and Sen), evenly thinned where there are many."""
    keep = np.linspace(0, len(x) - 1, min(len(x), 400)).astype(int)
    i, j = np.triu_indices(len(keep), 1)
    run, rise = x[keep][j] - x[keep][i], y[keep][j] - y[keep][i]
    apart = np.abs(run) > 0.1 * np.ptp(x)
    return float(np.median(rise[apart] / run[apart])) if apart.any() else 0.0


def under_trained(law: Law, units: Units, sigma: float) -> list[Check]:
    """Runs with far fewer tokens per parameter than the others, whose loss lies above the law."""
    by_column = {column: units.variables.get(name) for name, column in law.columns.items()}
    size, data = by_column.get("N", by_column.get("N_total")), by_column.get("D")
    if size is None or data is None or len(size) < FEWEST or not sigma > 0:
        return []
    ratio = np.log10(data / size)
    order = np.argsort(ratio)
    gap = np.flatnonzero(np.diff(ratio[order]) >= 1.0)  # a decade without runs, below the median
    apart = int(gap[0]) + 1 if len(gap) and gap[0] + 1 <= FEW * len(ratio) else 0
    apart = apart if 10 ** ratio[order[max(apart - 1, 0)]] < TOO_FEW else 0
    count = _short_and_above(ratio[order], units.residual[order], sigma)
    if not count and not apart:
        return []
    chosen = np.isin(np.arange(len(ratio)), order[: count or apart])
    rest = 10 ** float(np.median(ratio[~chosen]))
    seen = f"{np.median(units.residual[chosen]) / sigma:.2g} sigma above the law" if count else "no run in between"
    text = (
        f"{_runs(units.names[chosen])} saw at most {10 ** ratio[chosen].max():.2g} tokens per parameter (median of the"
    )
    text += f" others {rest:.2g}; {seen}): too short to follow the law; leave out with --where and compare"
    return [Check("under-trained", text)]


def _short_and_above(ratio: FloatArray, residual: FloatArray, sigma: float) -> int:
    """How many of the shortest runs lie above the law; both arrays are ordered by tokens per parameter.

    The most whose median and whose last one lie above: a few that are too short pull the law towards them, and those
    next to them fall below it.
    """
    most = min(int(np.sum(ratio < np.median(ratio) - np.log10(SHORT))), int(FEW * len(ratio)))
    above = ABOVE * sigma
    return max((n for n in range(1, most + 1) if min(np.median(residual[:n]), residual[n - 1]) > above), default=0)


def still_falling(law: Law, rows: Rows, runs: Runs, target: str) -> list[Check]:
    """Curves whose last loss is taken as final although it still falls far more steeply than that of the others."""
    if law.is_trajectory or rows.in_curves or runs.curves is None or target not in runs.curves.columns:
        return []
    axis = axis_of(runs.curves)
    at, loss = (runs.curves[c].to_numpy(dtype=np.float64) for c in (axis, target))
    slopes = {run: _last_slope(at[a:b], loss[a:b]) for run, a, b in spans(runs.curves)}
    known = {run: slope for run, slope in slopes.items() if np.isfinite(slope)}
    if len(known) < 4:
        return []
    usual = max(-float(np.median(list(known.values()))), 0.0)
    steep = [run for run, slope in known.items() if -slope > max(STEEP, STEEPER * usual)]
    if not steep:
        return []
    text = f"the last loss of {_runs(np.array(steep))} still falls as {axis}^{known[steep[0]]:.2g} (median run: {axis}^"
    return [Check("under-trained", f"{text}{-usual:.2g}): too short for a final loss; leave out with --where")]


def _last_slope(at: FloatArray, loss: FloatArray) -> float:
    """d log loss / d log step over the last third of a curve's steps."""
    good = (at > 0) & np.isfinite(loss) & (loss > 0)
    at, loss = np.log(at[good]), np.log(loss[good])
    late = at >= at[-1] - np.log(1.5) if len(at) else good[:0]
    if late.sum() < 4:
        return float("nan")
    return float(np.polyfit(at[late], loss[late], 1)[0])


def outlier_checks(units: Units, residuals: FloatArray, rows: int, sigma: float, log: bool) -> list[Check]:
    """Runs far from the law, and runs whose loss looks like bits among nats.

    Far: more than 8 sigma, and 8 times what the 90 % quantile of all residuals would be for sigma 1, so that the tail
    of a law that is a little wrong everywhere does not count as outliers; and apart from all other runs, since the
    largest of residuals that grow little by little (runs of ever fewer tokens per parameter) is no fault of one run.
    """
    size = np.abs(units.residual)
    tail = float(np.quantile(np.abs(residuals), 0.9)) / student(0.9, np.inf)
    least = LARGE * (1.0 if log else sigma / LARGE)
    far = _apart(size, max(FAR_OUT * sigma, FAR_OUT * tail, least))
    found = []
    bits = np.abs(size - BITS) < max(5 * sigma, 0.01)
    if log and sigma < BITS / 20 and bits.sum() >= 2:
        text = (
            f"{_runs(units.names[bits])} of {len(size)} lie off the law by a factor of 1.44, the ratio of bits to nats"
        )
        found.append(Check("mixed-conventions", f"{text}; check the unit of their loss"))
    if far.any():
        order = np.flatnonzero(far)[np.argsort(-size[far])]
        what = "run" if rows != len(size) else "row"
        text = f"outliers: {_runs(units.names[order], what)} of {len(size)}, up to {size.max() / sigma:.2g} sigma from"
        found.append(Check("outliers", f"{text} the law; check the logs, or leave out with --where"))
    return found


def _apart(size: FloatArray, least: float) -> np.ndarray:
    """Which residuals are larger than ``least`` and APART times as large as every other one."""
    ordered = np.sort(size)[::-1]
    gaps = ordered[:-1] >= APART * ordered[1:]
    beyond = np.flatnonzero(gaps & (ordered[:-1] > least))
    return size >= ordered[beyond[-1]] if len(beyond) else np.zeros(len(size), dtype=bool)


def _runs(names: np.ndarray, what: str = "run") -> str:
    """How many runs, and the names of the first."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} {what}{'s' * (len(names) != 1)} ({', '.join(names[:SHOWN])}{more})"
