"""Measured coordinate checks: how the size of each module's output changes with the size of the model.

    log y = a + slope log size + b_seed + noise

by least squares for each module and step, with a height for each seed and Student's interval of the slope from the
scatter. In a parametrisation that transfers, no slope differs from zero. Source of the check: arXiv:2203.03466,
appendix D.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.answers import Shown, as_lines
from scalefit.errors import InputError, counted, listed
from scalefit.notices import Line, Notice
from scalefit.numerics import FloatArray, flatness, slope_of
from scalefit.runs.formats import read_raw
from scalefit.runs.matching import canonical
from scalefit.runs.quantities import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GATE = 0.1  #: a slope within so much of zero is flat
LEVEL = 0.90  #: of the intervals
SIZES = ("d_model", "n_layer", "N", "N_total", "batch", "d_ff")
MODULE = ("module", "layer", "name", "parameter", "tensor", "coordinate")
LOST = ("nan", "inf", "-inf", "infinity", "none", "null", "")  #: what is written where a measurement was lost
STEP = ("step", "t", "iteration", "iter", "global_step")
#: names of a measured size, the most usual first
MEASURES = ("mean_abs", "abs_mean", "l1", "rms", "l2", "std", "norm", "value", "activation", "size")
NOT_MEASURED = {"lr", "peak_lr", "run", "source", "tokens", "epoch", "loss", "steps"}
COLUMNS = ["module", "slope", "low", "high", "verdict", "step", "first_slope"]


@dataclass(frozen=True, eq=False, repr=False)
class CoordinateSlopes(Shown):
    """The slope of each module's log size in log size of the model, and a verdict on it."""

    over: str  #: the column of the size
    measure: str  #: what was measured
    sizes: tuple[float, ...]
    seeds: int
    gate: float
    table: pd.DataFrame  #: module, slope, low, high, verdict, step of the slope, slope at the first step
    points: pd.DataFrame  #: module, the size, step, seed, mean_abs

    def __getitem__(self, module: str) -> pd.Series:
        """The row of a module."""
        rows = self.table[self.table["module"] == module]
        if not len(rows):
            raise InputError(f'no module "{module}"', todo=f"modules: {listed(self.table['module'], 9)}")
        return rows.iloc[0]

    @property
    def ok(self) -> bool:
        """True when every module keeps its size."""
        return bool((self.table["verdict"] == "flat").all())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """How the size of each module changes with the size of the model, at the step of its slope."""
        from scalefit.plots.coordinates import plot_slopes

        return plot_slopes(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        words = [
            f"{listed(rows['module'], 4)} {(SINGULAR if len(rows) == 1 else PLURAL)[verdict]}"
            for verdict in PLURAL
            if len(rows := self.table[self.table["verdict"] == verdict])
        ]
        head = "; ".join(words) if words else "pass: every module keeps its size"
        ends = "none" if self.table["low"].isna().all() else f"{100 * LEVEL:.0f} %"
        lines: list[Line] = [f"{head} as {self.over} grows from {self.sizes[0]:g} to {self.sizes[-1]:g}", ""]
        lines += [f"slope of log {self.measure} in log {self.over} at the last step, with its interval ({ends}):"]
        shown = self.table.copy()
        for name in ("slope", "low", "high", "first_slope"):
            shown[name] = ["-" if value != value else f"{value:+.3f}" for value in self.table[name]]
        lines.append(as_lines(shown))
        if ends == "none" and self.table["slope"].notna().any():
            lines.append(
                Notice("no interval: two sizes and one seed leave no scatter to estimate it; add sizes or seeds")
            )
        return lines


PLURAL = {"grows": "grow", "shrinks": "shrink", "not finite": "are not finite", "undecided": "undecided"}
SINGULAR = {verdict: verdict for verdict in PLURAL} | {"not finite": "is not finite"}


def coordinate_slopes(
    table: pd.DataFrame | str | Path, over: str | None = None, measure: str | None = None, gate: float = GATE
) -> CoordinateSlopes:
    """The verdict on a table of measured activations (or of updates, logits): does any grow or shrink with the size?

    ``table``: one row for each module, size and, where there are several, step and seed; or one column for each module.
    ``over``: the column of the size (default: the width, depth or N); ``measure``: that of the measured size (default:
    mean_abs, l1, rms or the like). A slope is that of the last step, as growth shows after some steps; with an interval
    wholly within ``gate`` of zero it is flat, wholly beyond it grows or shrinks, everything else is undecided. A module
    with a value at that step that is missing or not finite is "not finite"; the others are judged. Raises InputError
    for one size, a missing column, or a value that is zero or negative.

    >>> slopes = {"q": 0.0, "logits": 0.5}
    >>> rows = [(name, width, width**slope) for name, slope in slopes.items() for width in (64, 128, 256)]
    >>> found = coordinate_slopes(pd.DataFrame(rows, columns=["module", "width", "mean_abs"]))
    >>> found["logits"]["verdict"], round(float(found["logits"]["slope"]), 3), found["q"]["verdict"], found.ok
    ('grows', 0.5, 'flat', False)
    """
    where = "DataFrame" if isinstance(table, pd.DataFrame) else str(table)
    frame = table if isinstance(table, pd.DataFrame) else read_raw(Path(table)).frame
    points, size, measured = _points(frame.rename(columns=str), over, measure, where)
    sizes = tuple(sorted(points[size].unique().tolist()))
    if len(sizes) < 2:
        todo = "measure at two sizes or more, or name the column of the size (--over COLUMN)"
        raise InputError(f"only one {size}, {sizes[0]:g}: it has no slope", where=where, todo=todo)
    rows = [_judged(str(module), rows, size, gate) for module, rows in points.groupby("module", sort=False)]
    several = pd.DataFrame(rows, columns=COLUMNS)
    return CoordinateSlopes(size, measured, sizes, points["seed"].nunique(), gate, several, points)


def _points(frame: pd.DataFrame, over: str | None, measure: str | None, where: str) -> tuple[pd.DataFrame, str, str]:
    """module, size, step, seed, mean_abs; the names of the size and of the measure."""
    lower = {name.lower().strip(): name for name in reversed(frame.columns)}
    size = over or next((name for each in SIZES for name in frame.columns if canonical(name) == each), "")
    if size not in frame.columns:
        why = f'no column "{over}"' if over else "no column of a size (width, depth, N)"
        raise InputError(why, where=where, todo=f"write --over COLUMN; columns: {listed(frame.columns, 9)}")
    step, seed = _first(lower, STEP), _first(lower, ("seed", "random_seed"))
    module = _first(lower, MODULE)
    named = {name for name in (size, step, seed, module) if name}
    left = [name for name in frame.columns if name not in named and canonical(name) not in NOT_MEASURED]
    numeric = [name for name in left if _is_measured(frame[name])]
    if module:
        value = measure or _first(lower, MEASURES) or (numeric[0] if len(numeric) == 1 else "")
        if value not in frame.columns or value in named:
            why = f'no column "{measure}"' if measure else "which column was measured?"
            raise InputError(why, where=where, todo=f"write --measure COLUMN; columns: {listed(left, 9)}")
    else:
        if not numeric:
            raise InputError("no column of a module", where=where, todo="give columns module, width, step, mean_abs")
        frame = _melted(frame, [name for name in (size, step, seed) if name], numeric)
        module, value = "module", "mean_abs"
    points = pd.DataFrame({"module": frame[module].astype(str), size: _numbers(frame, size, where)})
    points["step"] = _numbers(frame, step, where) if step else 0.0
    points["seed"] = frame[seed].astype(str) if seed else ""
    points["mean_abs"] = _numbers(frame, value, where, measured=True)
    return points, size, measure or value


def _is_measured(column: pd.Series) -> bool:
    """Whether a column holds numbers: some, or nothing but cells of a measurement that was lost (nan, inf)."""
    values = pd.to_numeric(column, errors="coerce")
    return bool(values.notna().any() or column.isna().all() or column.astype(str).str.lower().isin(LOST).all())


def _melted(frame: pd.DataFrame, kept: list[str], modules: list[str]) -> pd.DataFrame:
    """One row for each module of a table with one column for each; the index stays that of the file. A step at which a
    module was not measured at any size is left out, unless there is no other."""
    long = frame.melt(id_vars=kept, value_vars=modules, var_name="module", value_name="mean_abs", ignore_index=False)
    there = pd.to_numeric(long["mean_abs"], errors="coerce").notna()
    step = [name for name in kept if name.lower().strip() in STEP]
    at_step = there.groupby([long["module"], *(long[name] for name in step)]).transform("any")
    return long[at_step | ~there.groupby(long["module"]).transform("any")]


def _first(lower: dict[str, str], names: tuple[str, ...]) -> str:
    return next((lower[name] for name in names if name in lower), "")


def _numbers(frame: pd.DataFrame, name: str, where: str, measured: bool = False) -> FloatArray:
    """A column of numbers above 0 (steps: from 0 on); what was ``measured`` may be lost (NaN)."""
    values = np.asarray(numbers(frame[name], where), dtype=float)
    lost = ~np.isfinite(values)
    values = np.where(lost & measured, np.nan, values)
    bad = ~(values >= 0 if name.lower() in STEP else values > 0) & ~(lost & measured) | lost & (not measured)
    if bad.any():
        row = int(np.argmax(bad))
        more = f" (and {counted(int(bad.sum()) - 1, 'more row')})" if bad.sum() > 1 else ""
        why = f"{name} is {values[row]:g}, not a number above 0{more}"
        place = f"{where}, row {frame.index[row]}, column {name}"
        raise InputError(why, where=place, todo="leave such rows out, or measure mean |x|")
    return values


def _judged(module: str, rows: pd.DataFrame, size: str, gate: float) -> tuple[object, ...]:
    """One row of the answer, from the points of a module."""
    by_step = dict(_slopes(rows, size))
    if not by_step:
        return module, np.nan, np.nan, np.nan, "undecided", np.nan, np.nan
    last, first = max(by_step), min(by_step)
    slope, low, high = by_step[last]
    return module, slope, low, high, flatness(slope, low, high, gate), last, by_step[first][0]


def _slopes(rows: pd.DataFrame, size: str) -> Iterator[tuple[float, tuple[float, float, float]]]:
    """The slope at each step at which two sizes or more were measured, with the ends of its interval (NaN: none)."""
    for step, at in rows.groupby("step"):
        x, y = np.log(at[size].to_numpy(float)), np.log(at["mean_abs"].to_numpy(float))
        if len(np.unique(x)) < 2:
            continue
        yield float(str(step)), slope_of(x, y, at["seed"].to_numpy(str), LEVEL)
