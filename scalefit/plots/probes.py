"""Probes of small runs: one against size with its fit, limit and target; sharpness over training, a line a width."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.plots import canvas, colours, labels, legend, marks, ticks
from scalefit.runs import Runs
from scalefit.stability.forecast import Forecast, Forecasts, forecast
from scalefit.stability.probes import column_of
from scalefit.stability.probes import measured as measured_of

POINTS = 40  #: of a drawn fit


def plot_forecast(
    runs: Runs | pd.DataFrame,
    name: str,
    size: float,
    rates: list[float],
    *,
    over: str = "N",
    held: pd.DataFrame | None = None,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draw a probe against size at some learning rates: runs as dots, the fit and its band up to ``size``, the limit.

    ``name``: of a forecast, such as "largest attention logit"; ``held``: held-out runs, drawn hollow.
    A cross on the limit marks the size at which the fit crosses it, where that lies in the figure. ``options`` as in
    :func:`scalefit.stability.forecast`. Raises InputError where there is no such forecast.
    """
    ax = canvas.new_axes(ax)
    entries = []
    for rate, colour in zip(rates, colours.ramp(rates), strict=True):
        found = _named(forecast(runs, size, rate, over, **options), name)
        _draw_forecast(ax, found, size, colour)
        _draw_runs(ax, found, runs, rate, over, colour, hollow=False)
        if held is not None:
            _draw_runs(ax, found, held, rate, over, colour, hollow=True)
        entries.append(legend.dots(colour, f"lr {rate:.2g}", line="-"))
    ax.axhline(found.limit, color=colours.WARNING, linewidth=1.0, linestyle="--")
    entries.append(legend.stroke(colours.WARNING, f"limit {found.limit:g}", dashed=True))
    entries += [] if held is None else [legend.dots(colours.TARGET, "held out", hollow=True)]
    ticks.set_log(ax, "x", labels.numbers_of(over))
    if found.probe.log:
        ticks.set_log(ax, "y", ticks.plain)
    ax.set_xlabel(labels.axis_label(over))
    ax.set_ylabel(name)
    legend.place(ax, entries)
    return ax


def _draw_forecast(ax: Axes, found: Forecast, size: float, colour: str) -> None:
    """The fit over the sizes measured, dashed with its band beyond them, and a cross where it meets the limit."""
    line = found.line
    measured = np.geomspace(line.smallest, line.largest, POINTS)
    ax.plot(measured, found.curve(measured)[0], color=colour, linewidth=1.3)
    if size > line.largest:
        beyond = np.geomspace(line.largest, size, POINTS)
        middle, low, high = found.curve(beyond)
        ax.plot(beyond, middle, color=colour, linewidth=1.3, linestyle="--")
        ax.fill_between(beyond, low, high, color=colour, alpha=0.13, linewidth=0)
    at = found.crossing.value
    if line.smallest <= at <= max(size, line.largest):
        ax.plot([at], [found.limit], linestyle="", marker="X", markersize=8, color=colour, markeredgecolor="white")


def _draw_runs(
    ax: Axes, found: Forecast, runs: Runs | pd.DataFrame, rate: float, over: str, colour: str, hollow: bool
) -> None:
    """What was measured at a learning rate."""
    table = measured_of(runs)
    _, values = column_of(table, found.probe)
    if not len(values):
        return
    near = np.isclose(table["lr"], rate, rtol=1e-3)
    shown = np.exp(values) if found.probe.log else values
    marks.points(ax, table.loc[near, over], shown[near], colour, hollow)


def _named(found: Forecasts, name: str) -> Forecast:
    for each in found.found:
        if each.name == name:
            return each
    why = found.missing.get(name, f"forecasts: {', '.join(each.name for each in found.found)}")
    raise InputError(f'no forecast of "{name}"', todo=why)


def plot_sharpness(
    curves: pd.DataFrame, *, threshold: float | None = None, over: str = "d_model", ax: Axes | None = None
) -> Axes:
    """Draw sharpness over training, one line a size (means over seeds), and the threshold it must not cross.

    ``curves``: columns step, sharpness, and the size; ``threshold``: of the sharpness, such as 2/lr.
    """
    ax = canvas.new_axes(ax)
    sizes = sorted(curves[over].unique())
    for size, colour in zip(sizes, colours.ramp(sizes), strict=True):
        means = curves[curves[over] == size].groupby("step")["sharpness"].mean()
        ax.plot(means.index, means, color=colour, linewidth=1.4)
    number = labels.numbers_of(over)
    entries = [legend.stroke(c, number(size)) for size, c in zip(sizes, colours.ramp(sizes), strict=True)]
    if threshold is not None:
        ax.axhline(threshold, color=colours.WARNING, linestyle="--", linewidth=1.0)
        entries.append(legend.stroke(colours.WARNING, f"threshold {threshold:g}", dashed=True))
    ax.set_xlabel(labels.axis_label("step"))
    ax.set_ylabel("sharpness (1/lr)")
    ax.set_ylim(bottom=0)
    legend.place(ax, entries, over)
    return ax
