"""Probes of small runs: one against size with its fit, limit and target; sharpness over training, a line a width."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.errors import InputError
from scalefit.plots import canvas, colours, labels, legend, ticks
from scalefit.runs import Runs
from scalefit.stability.forecast import Forecast, Forecasts, forecast

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
) -> Axes:
    """Draw a probe against size at some learning rates: runs as dots, the fit and its band up to ``size``, the limit.

    ``name``: of a forecast, such as "largest attention logit"; ``held``: runs that the fit does not see, drawn hollow.
    Raises InputError where there is no such forecast.
    """
    ax = canvas.new_axes(ax)
    canvas.tidy(ax)
    table = runs.table if isinstance(runs, Runs) else runs
    entries = []
    for rate, colour in zip(rates, colours.ramp(rates), strict=True):
        largest = float(table[over].max())
        grid = np.unique([*np.geomspace(float(table[over].min()), size, POINTS), largest])
        found = [_named(forecast(runs, float(at), rate, over), name) for at in grid]
        measured, beyond = grid <= largest, grid >= largest
        middle = np.array([each.value.value for each in found])
        ax.plot(grid[measured], middle[measured], color=colour, linewidth=1.3)
        ax.plot(grid[beyond], middle[beyond], color=colour, linewidth=1.3, linestyle="--")
        low, high = (np.array([getattr(each.value, end) for each in found]) for end in ("low", "high"))
        ax.fill_between(grid[beyond], low[beyond], high[beyond], color=colour, alpha=0.13, linewidth=0)
        for rows, hollow in ((table, False), (held, True)):
            if rows is not None:
                near = rows[np.isclose(rows["lr"], rate, rtol=1e-3)]
                ax.plot(near[over], near[found[0].column], linestyle="", **legend.marker(colour, hollow))
        entries.append(legend.dots(colour, f"lr {rate:.2g}", line="-"))
    ax.axhline(found[0].limit, color=colours.WARNING, linewidth=1.0, linestyle=":")
    entries.append(legend.stroke(colours.WARNING, f"limit {found[0].limit:g}", dashed=True))
    entries += [] if held is None else [legend.dots(colours.TARGET, "held out", hollow=True)]
    ticks.set_log(ax, "x", labels.numbers_of(over))
    ax.set_yscale("log")
    ax.set_xlabel(labels.axis_label(over))
    ax.set_ylabel(name)
    _place_legend(ax, entries)

    return ax


def _place_legend(ax: Axes, entries: list[Line2D], title: str | None = None) -> None:
    """On a white ground: the line of a limit may pass behind it."""
    shown = legend.place(ax, entries, title)
    shown.set(frame_on=True, zorder=3)
    shown.get_frame().set(edgecolor="none", alpha=0.9)


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
    canvas.tidy(ax)
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
    _place_legend(ax, entries, over)
    return ax
