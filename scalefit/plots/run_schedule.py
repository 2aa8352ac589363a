"""The schedule that suits a run, and below it why: gradient norms, or sharpness against its threshold."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.planning.run_schedule import RunSchedule
from scalefit.plots import canvas, colours, labels, legend, samples, ticks

SHARES = (1.4, 1.0)  #: heights of the schedule and of the measurements below it
MOST_DOTS = 400


def plot_run_schedule(found: RunSchedule, *, ax: Axes | None = None) -> Axes:
    """Draw the refined schedule beside a linear decay, the shortest warmup, and the measurements below.

    The lower panel, ``ax.measured_axes``, holds lr times sharpness with its threshold where the log has it, else the
    gradient norms. Raises InputError where the log has neither.
    """
    if found.lr is None and not len(found.sharpness):
        raise InputError("there is no schedule to draw", todo="log the gradient norm or the sharpness")
    ax = canvas.new_axes(ax)
    panel = canvas.panel_below(ax, "measured_axes", "measured", SHARES)
    entries = []
    if found.lr is not None:
        ax.plot(np.arange(1, len(found.lr)), found.lr[1:], color=colours.FITTED, linewidth=1.6)
        ax.plot([0, found.steps], [found.peak_lr, 0], color=colours.TARGET, linewidth=1.0, linestyle="--")
        entries = [legend.stroke(colours.FITTED, "refined"), legend.stroke(colours.TARGET, "linear", dashed=True)]
    if np.isfinite(found.warmup):
        steps = [found.warmup] if found.lr is not None else [found.warmup, found.steps]
        ax.plot([0, *steps], [0, *[found.peak_lr] * len(steps)], color=colours.HELD_OUT, linewidth=1.6)
        entries.append(legend.stroke(colours.HELD_OUT, f"shortest warmup, {found.warmup:.0f} steps"))
    _measured(panel, found)
    ax.set_ylim(0, 1.08 * found.peak_lr)
    ax.set_ylabel(labels.axis_label("lr"))
    panel.set_xlabel(labels.axis_label("step"))
    legend.place(ax, entries)
    return ax


def _measured(panel: Axes, found: RunSchedule) -> None:
    """Sharpness times learning rate with its threshold, or gradient norms, on a log axis."""
    rows, column = (found.sharpness, "product") if len(found.sharpness) else (found.norms, "grad_norm")
    rows = rows.iloc[samples.thinned(len(rows), MOST_DOTS)]
    kept = rows[rows[column] > 0]
    panel.plot(kept["step"], kept[column], color=colours.TARGET, linewidth=0.9)
    if column == "product":
        panel.axhline(found.threshold, color=colours.WARNING, linewidth=1.0, linestyle=":")
        text, place = f"stable below {found.threshold:.3g}", ("axes fraction", "data")
        above = panel.annotate(text, (0.99, found.threshold), (0, 3), xycoords=place, textcoords="offset points")
        above.set(ha="right", color=colours.WARNING, fontsize="small")
    ticks.set_log(panel, "y", ticks.plain)
    panel.set_ylabel("lr × sharpness" if column == "product" else "gradient norm")
