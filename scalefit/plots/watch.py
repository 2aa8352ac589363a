"""The health of a run in progress: its loss so far, where it spiked, and when each signal first warned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.errors import counted
from scalefit.plots import canvas, colours, labels, legend, samples, ticks
from scalefit.progress.watch import Watch

SIZE = (6.4, 3.8)
MOST_VERTICES = 2000
MOST_WARNINGS = 6  #: that are drawn; the first ones
NEAR, RISE = 0.03, 0.05  #: shares of the axes: triangles nearer than one stand above one another by the other


def plot_watch(seen: Watch, rows: pd.DataFrame, *, name: str = "", ax: Axes | None = None) -> Axes:
    """Draw the loss of a run against its step, spikes shaded, each warning as a triangle on the axis.

    Triangles that are near stand above one another. ``rows``: those that were watched, with columns step and loss. The
    title is the verdict.
    """
    ax = canvas.new_axes(ax, SIZE)
    rows = rows.sort_values("step")
    kept = rows[np.isfinite(rows["loss"].to_numpy(float)) & (rows["loss"] > 0)]
    some = kept.iloc[samples.thinned(len(kept), MOST_VERTICES)]
    ax.plot(some["step"], some["loss"], color=colours.FITTED, linewidth=1.1)
    entries = [legend.stroke(colours.FITTED, "loss" if len(some) == len(kept) else f"loss ({len(some)} rows drawn)")]
    for spike in seen.spikes:
        ax.axvspan(spike.start, max(spike.stop, spike.start + 1), color=colours.WARNING, alpha=0.2, linewidth=0)
    if seen.spikes:
        entries.append(legend.stroke(colours.WARNING, counted(len(seen.spikes), "spike")))
    first = seen.warnings[:MOST_WARNINGS]
    paint = colours.kinds(["loss itself", *dict.fromkeys(each.signal for each in first)])
    heights = _heights([each.step for each in first], float(np.ptp(rows["step"])) or 1.0)
    for each, height in zip(first, heights, strict=True):  # small triangles, since lines would cross the legend
        ax.plot([each.step], [height], transform=ax.get_xaxis_transform(), clip_on=False, **_mark(paint[each.signal]))
    entries += [Line2D([], [], label=f"{name} warns", **_mark(paint[name])) for name in list(paint)[1:]]
    ticks.set_value_axis(ax, "y", True)
    ax.set_xlabel(labels.axis_label("step"))
    ax.set_ylabel(labels.axis_label("loss"))
    canvas.warn_of(ax, [f"{name + ': ' if name else ''}{seen.status}: {seen.why}"] if seen.status != "calm" else [])
    legend.place(ax, entries)
    return ax


def _heights(steps: list[int], span: float) -> list[float]:
    """How high on the axis each warning's triangle stands: those that would hide one another above one another.

    >>> _heights([100, 100, 900, 110], 1000.0)
    [0.0, 0.05, 0.0, 0.1]
    """
    found: list[float] = []
    for step in steps:
        taken = {height for other, height in zip(steps, found, strict=False) if abs(other - step) < NEAR * span}
        found.append(next(level * RISE for level in range(len(steps)) if level * RISE not in taken))
    return found


def _mark(colour: str) -> dict[str, Any]:
    """The keywords of a warning's mark."""
    return {"linestyle": "", "marker": "^", "markersize": 7, "color": colour, "zorder": 6}
