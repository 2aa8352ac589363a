"""Steps to one loss against the batch size, with the hyperbola and the critical batch that it gives."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.planning.batch import BatchAnswer
from scalefit.plots import canvas, colours, legend, marks, ticks

LINE_POINTS = 120


def plot_batch(found: BatchAnswer, *, ax: Axes | None = None) -> Axes:
    """Draw the fewest steps at each batch size as dots, and S_min (1 + B_crit/batch) as a line.

    The critical batch is a vertical line with its 90 % interval as a band; the line is dashed beyond the batch sizes
    that were measured. Raises InputError where the log gives no steps to one loss.
    """
    if not len(found.reached):
        raise InputError("there are no steps to one loss to draw", todo="give the loss along runs at two batch sizes")
    ax = canvas.new_axes(ax)
    batch, steps = (found.reached[name].to_numpy(float) for name in ("batch", "steps"))
    entries = [legend.dots(colours.FITTED, f"fewest steps to {found.loss:.4g}")]
    if found.tradeoff is not None:
        low, high = float(batch.min()), float(batch.max())
        critical = found.critical
        for first, last, style in (
            (low, high, "-"),
            (min(low, critical.value), low, "--"),
            (high, critical.value, "--"),
        ):
            if last > first:
                x = np.geomspace(first, last, LINE_POINTS)
                ax.plot(x, found.tradeoff.steps(x), color=colours.FITTED, linewidth=1.5, linestyle=style)
        ax.axvline(critical.value, color=colours.TARGET, linewidth=1.0, linestyle=":")
        if np.isfinite(critical.low):
            ax.axvspan(critical.low, critical.high, color=colours.TARGET, alpha=0.15, linewidth=0)
        entries.append(legend.stroke(colours.TARGET, f"critical batch, {critical.value:.3g}", dashed=True))
    marks.points(ax, batch, steps, colours.FITTED)
    ax.set_xlabel(f"batch size ({found.counts})")
    ax.set_ylabel("optimiser steps")
    ticks.set_log(ax, "x", ticks.power_of_ten)
    ticks.set_log(ax, "y", ticks.plain)
    canvas.warn_of(ax, [found.doubt] if found.doubt else [])
    legend.place(ax, entries)
    return ax
