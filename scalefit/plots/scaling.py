"""A law in one variable: the measured quantity against it, and how far the line is drawn beyond the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.runs import Runs

LINE_POINTS = 160
MOST_DOTS = 500
BEYOND = 1.12  #: the dashed line goes this factor past the furthest held-out point or target


def plot_scaling(
    fit: Fit,
    held_out: Runs | pd.DataFrame | None = None,
    *,
    ax: Axes | None = None,
    target: Mapping[str, Any] | None = None,
    reach: float | None = None,
) -> Axes:
    """Draw a law in one variable: fitted points and line, dashed beyond the fitted range; held-out points hollow.

    ``target`` is a point to predict (``{"C": 1e24}``), or several (``{"C": [1e23, 1e24]}``): each is marked by a star,
    with its value and prediction interval. ``reach`` is a value of the variable to which the line is drawn in any case.
    """
    if len(fit.law.columns) != 1:
        raise InputError(f"law {fit.law.name} has more than one variable", where="plot", todo="use plot_fit")
    column = next(iter(fit.law.columns.values()))
    fitted, held = samples.fitted_rows(fit), samples.held_rows(fit, held_out)
    ax = canvas.new_axes(ax)
    aims = samples.predicted(fit, target) if target else held.iloc[:0]
    everywhere = np.concatenate([fitted[column], held[column], aims[column], [] if reach is None else [reach]])
    log = ticks.suits_log(everywhere)
    solid, dashed = _spans(fitted[column].to_numpy(), everywhere, log)
    spread = np.geomspace if log else np.linspace
    for low, high, style in [(*solid, "-"), *((*span, "--") for span in dashed)]:
        x = spread(low, high, LINE_POINTS)
        marks.line(ax, x, samples.predicted(fit, {column: x}), colours.FITTED, style, 1.6, zorder=2)
    some = fitted.iloc[samples.thinned(len(fitted), MOST_DOTS)]
    marks.points(ax, some[column], some["measured"], colours.FITTED, alpha=0.75)
    marks.held_points(ax, held, column, colours.HELD_OUT)
    for _, aim in aims.iterrows():
        marks.star(ax, float(aim[column]), aim, labels.point_text({column: aim[column]}))
    ax.set_xlabel(labels.axis_label(column, fit.law))
    ax.set_ylabel(labels.target_label(fit))
    (ticks.set_log if log else ticks.set_linear)(ax, "x", labels.numbers_of(column))
    ticks.set_value_axis(ax, "y", fit.settings.residuals == "log")
    entries = [legend.dots(colours.FITTED, "measured"), legend.stroke(colours.FITTED, "fit")]
    entries += [legend.stroke(colours.FITTED, "extrapolation", dashed=True)] if dashed else []
    canvas.warn(ax, fit)
    legend.place(ax, [*entries, *marks.held_entries(fit, held, colours.HELD_OUT)])
    return ax


def _spans(
    fitted: np.ndarray, everywhere: np.ndarray, log: bool
) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """The range of the solid line, and those of the dashed ones beyond it."""
    low, high = float(fitted.min()), float(fitted.max())
    least, most = float(everywhere.min()), float(everywhere.max())
    dashed = []
    if most > high:
        dashed.append((high, most * BEYOND if log else most + (BEYOND - 1) * (most - low)))
    if least < low:
        dashed.append((least / BEYOND if log else least - (BEYOND - 1) * (high - least), low))
    return (low, high), dashed
