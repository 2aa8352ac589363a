"""Residuals: how far each measured value lies above or below the law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.plots.sizes import size_column, suits_sizes, with_compute
from scalefit.runs import Runs

SIZE = (6.0, 3.4)
MOST_NAMED = 4  #: outliers whose run is written beside them
MOST_LINES = 10
MOST_VERTICES = 1500  #: of the line of one run


def plot_residuals(
    fit: Fit,
    held_out: Runs | pd.DataFrame | None = None,
    *,
    against: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far each row lies above the law, in percent (or in the target's unit for linear residuals).

    ``against`` is a variable of the law, ``step``, ``C`` or ``predicted``; by default the step for laws of a
    schedule, C for laws of N and D, else the first variable. Rows that are off by more than five times the noise are
    ringed; the grey band is the noise (the robust standard deviation of the residuals).
    """
    fitted, held = samples.fitted_rows(fit), samples.held_rows(fit, held_out)
    held = held[np.isfinite(held["measured"])]
    column = next(iter(fit.law.columns.values()))
    if suits_sizes(fit):
        fitted, held = (with_compute(rows, size_column(fit)) for rows in (fitted, held))
        column = "C"
    elif fit.law.is_trajectory and "step" in fitted.columns:
        column = "step"
    column = against or column
    if column not in fitted.columns or not pd.api.types.is_numeric_dtype(fitted[column].dtype):
        known = [name for name in fitted.columns if pd.api.types.is_numeric_dtype(fitted[name].dtype)]
        raise InputError(f'no variable "{column}"', where="plot", todo=f"choose one of {', '.join(known)}")
    ax = canvas.new_axes(ax, SIZE)
    unit = 100.0 if fit.settings.residuals == "log" else 1.0
    ax.axhspan(-unit * fit.sigma, unit * fit.sigma, color="0.93", zorder=0)
    ax.axhline(0, color=colours.QUIET, linewidth=1.0, zorder=1)
    handles = _draw(ax, fit, fitted, held, column, unit)
    _mark_outliers(ax, fit, fitted, column, unit)
    _dress(ax, fit, column, np.concatenate([fitted[column], held[column]]))
    noise = labels.percent(fit.sigma) if unit == 100 else f"{fit.sigma:.2g}"
    canvas.warn(ax, fit)
    legend.place(ax, [*handles, Line2D([], [], color="0.88", linewidth=6, label=f"noise {noise}")])
    return ax


def _draw(ax: Axes, fit: Fit, fitted: pd.DataFrame, held: pd.DataFrame, column: str, unit: float) -> list[Line2D]:
    """Lines along runs that are curves, dots otherwise; returns the legend's entries."""
    if fit.law.is_trajectory and column in ("step", "S1"):
        return _draw_lines(ax, fit, fitted, held, column, unit)
    for rows, colour, hollow in ((fitted, colours.FITTED, False), (held, colours.HELD_OUT, True)):
        marks.points(ax, rows[column], unit * samples.residuals(fit, rows), colour, hollow, alpha=0.75, zorder=3)
    return [legend.dots(colours.FITTED, "fitted"), *marks.held_entries(fit, held, colours.HELD_OUT)[:1]]


def _draw_lines(ax: Axes, fit: Fit, fitted: pd.DataFrame, held: pd.DataFrame, column: str, unit: float) -> list[Line2D]:
    names = list(dict.fromkeys([*fitted["run"], *held["run"]]))
    paint, short = colours.kinds(names), labels.short_names(names)
    handles = []
    for table, dashed in ((fitted, False), (held, True)):
        for run, whole in table.groupby("run", sort=False):
            rows = whole.iloc[samples.thinned(len(whole), MOST_VERTICES)]
            y = unit * samples.residuals(fit, rows)
            style = "--" if dashed else "-"
            ax.plot(rows[column], y, color=paint[str(run)], linewidth=1.1, linestyle=style, zorder=3)
            handles.append(legend.stroke(paint[str(run)], short[str(run)], dashed))
    return legend.some_of(handles, MOST_LINES)


def _mark_outliers(ax: Axes, fit: Fit, rows: pd.DataFrame, column: str, unit: float) -> None:
    """Ring the outliers, and name the runs of the largest ones."""
    far = np.flatnonzero(samples.far_out(fit, rows))
    if not len(far):
        return
    x, y = rows[column].to_numpy(dtype=np.float64), unit * samples.residuals(fit, rows)
    if fit.law.is_trajectory:
        ax.plot(x[far], y[far], linestyle="", marker=".", color=colours.WARNING, zorder=4)
        return
    marks.rings(ax, x[far], y[far])
    largest = rows["run"].iloc[far[np.argsort(-np.abs(y[far]))]].drop_duplicates().head(MOST_NAMED)
    short = labels.short_names(list(dict.fromkeys(rows["run"])))
    side: dict[str, Any] = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "fontsize": "x-small"}
    for at, run in zip(rows.index.get_indexer(largest.index), largest, strict=True):
        ax.annotate(short[str(run)], (x[at], y[at]), color=colours.WARNING, **side)


def _dress(ax: Axes, fit: Fit, column: str, values: np.ndarray) -> None:
    name = labels.target_label(fit) if column == "predicted" else labels.axis_label(column, fit.law)
    ax.set_xlabel(f"predicted {name}" if column == "predicted" else name)
    log = column != "step" and ticks.suits_log(values)
    (ticks.set_log if log else ticks.set_linear)(ax, "x", labels.numbers_of(column))
    ticks.set_linear(ax, "y", ticks.plain)
    plain = f"measured − predicted {labels.target_label(fit)}"
    ax.set_ylabel("measured / predicted − 1 (%)" if fit.settings.residuals == "log" else plain)
