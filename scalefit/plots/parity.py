"""Predicted against measured, for any law: points on the line y = x were predicted exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scalefit.fitting.result import Fit
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.runs import Runs

SIZE = (4.6, 4.4)
MOST_DOTS = 400
MANY = 300  #: more rows than this are drawn smaller
MARGIN = 0.04


def plot_parity(
    fit: Fit,
    held_out: Runs | pd.DataFrame | None = None,
    *,
    ax: Axes | None = None,
    target: Mapping[str, Any] | None = None,
) -> Axes:
    """Draw the predicted against the measured value of every row, with y = x; held-out rows hollow.

    Rows that are off by more than five times the noise are ringed. A ``target`` has no measured value: its prediction
    is a horizontal line with its value, in the band of its interval.
    """
    fitted, held = samples.fitted_rows(fit), samples.held_rows(fit, held_out)
    held = held[np.isfinite(held["measured"])]
    ax = canvas.new_axes(ax, SIZE)
    size = 4.5 if len(fitted) + len(held) <= MANY else 2.6
    for rows, colour, hollow in ((fitted, colours.FITTED, False), (held, colours.HELD_OUT, True)):
        some = rows.iloc[samples.thinned(len(rows), MOST_DOTS)]
        marks.points(ax, some["measured"], some["predicted"], colour, hollow, size, alpha=0.75)
    far = samples.far_out(fit, fitted)
    marks.rings(ax, fitted["measured"][far], fitted["predicted"][far])
    aims = samples.predicted(fit, target) if target else held.iloc[:0]
    aims = aims.tail(1) if fit.law.is_trajectory else aims  # the end of a predicted curve
    _dress(ax, fit, pd.concat([fitted, held, aims]))
    for _, aim in aims.iterrows():
        _draw_target(ax, fit, aim, target or {})
    handles = [legend.dots(colours.FITTED, "fitted"), *marks.held_entries(fit, held, colours.HELD_OUT)[:1]]
    handles += [marks.ring_entry(int(far.sum()))] if far.any() else []
    canvas.warn(ax, fit)
    legend.place(ax, [*handles, legend.stroke(colours.QUIET, "predicted = measured")])
    return ax


def _draw_target(ax: Axes, fit: Fit, aim: pd.Series, target: Mapping[str, Any]) -> None:
    """A line at a predicted value, with its interval and its text."""
    value, low, high = marks.value_of(aim)
    ax.axhline(value, color=colours.TARGET, linewidth=1.2, linestyle=":")
    if low is not None and high is not None:
        ax.axhspan(low, high, color=colours.TARGET, alpha=marks.BAND / 2, linewidth=0, zorder=0)
    words = labels.point_text({name: aim[name] for name in fit.law.columns.values() if name in aim.index})
    if "schedule" in target:
        words = labels.schedule_text(samples.plan_of(target["schedule"]))
    side: dict[str, Any] = {"xytext": (-2, 3), "textcoords": "offset points", "ha": "right", "fontsize": "small"}
    text = f"{words}: {labels.value_text(value, low, high)}"
    ax.annotate(text, (1, value), xycoords=("axes fraction", "data"), color=colours.TARGET, **side)


def _dress(ax: Axes, fit: Fit, rows: pd.DataFrame) -> None:
    log = fit.settings.residuals == "log"
    for which in ("x", "y"):
        ticks.set_value_axis(ax, which, log)
    values = rows[["measured", "predicted"]].to_numpy(dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    transform = ax.yaxis.get_transform()
    ends = transform.transform(np.array([values.min(), values.max()]))
    margin = MARGIN * max(float(np.ptp(ends)), 1e-9)
    limits = transform.inverted().transform(ends + np.array([-margin, margin]))
    ax.plot(limits, limits, color=colours.QUIET, linewidth=1.1, zorder=1)
    ax.set_box_aspect(1)
    ax.set_xlim(*limits)
    ax.set_ylim(*limits)
    ax.set_xlabel(f"measured {labels.target_label(fit)}")
    ax.set_ylabel(f"predicted {labels.target_label(fit)}")
