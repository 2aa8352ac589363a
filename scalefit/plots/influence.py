"""Which runs a prediction hangs on: how far it moves when each run is left out of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.plots import canvas, colours, labels, legend, ticks
from scalefit.runs import Runs
from scalefit.schedules import Schedule

WIDTH, ROW, MARGIN = 6.0, 0.26, 1.35  #: inches
MOST_ROWS = 14


def plot_influence(
    fit: Fit,
    data: Runs | pd.DataFrame | None = None,
    *,
    schedule: str | Schedule | None = None,
    ax: Axes | None = None,
    **at: Any,
) -> Axes:
    """Draw how far the prediction at one point moves without each run, the furthest on top.

    Runs that stand out are red; a grey bar is the size of change that is likely because of chance for that run. The
    point is given as for :meth:`Fit.predict`.
    """
    table = fit.influence(data, schedule=schedule, **at)
    known = table[np.isfinite(table["change"])]
    if not len(known):
        todo = "fit more runs, so that the others identify the law"
        raise InputError("no run can be left out of this fit", where="plot", todo=todo)
    shown = known.head(MOST_ROWS)
    unit = 100.0 if fit.settings.residuals == "log" else 1.0
    ax = canvas.new_axes(ax, (WIDTH, MARGIN + ROW * len(shown)))
    chance = unit * shown["by_chance"].to_numpy()
    ax.barh(range(len(shown)), 2 * chance, left=-chance, height=0.62, color="0.9", linewidth=0, zorder=0)
    ax.axvline(0, color=colours.QUIET, linewidth=1.0, zorder=1)
    for row, (change, far) in enumerate(zip(shown["change"], shown["influential"], strict=True)):
        colour = colours.WARNING if far else colours.FITTED
        ax.plot([0, unit * change], [row, row], color=colour, linewidth=1.4, zorder=2)
        ax.plot(unit * change, row, color=colour, marker="o", markersize=5, zorder=3)
    _dress(ax, fit, shown, known, unit)
    return ax


def _dress(ax: Axes, fit: Fit, shown: pd.DataFrame, known: pd.DataFrame, unit: float) -> None:
    names = [str(run) for run in shown.index]
    canvas.rows(ax, [labels.short_names(names)[name] for name in names])
    ticks.set_linear(ax, "x", ticks.plain)
    ax.margins(x=0.08)
    what = "change of the predicted " + fit.target
    ax.set_xlabel(f"{what} without the run ({'%' if unit == 100 else labels.unit_of(fit.target)})")
    entries = [Line2D([], [], color=colours.FITTED, marker="o", markersize=5, label="run left out")]
    if shown["influential"].any():
        entries.append(Line2D([], [], color=colours.WARNING, marker="o", markersize=5, label="stands out"))
    entries.append(Line2D([], [], color="0.88", linewidth=7, label="likely because of chance"))
    legend.above(ax, entries)
    if left := len(known) - len(shown):
        ax.set_xlabel(f"{ax.get_xlabel()}\n{left} more runs move it less")
