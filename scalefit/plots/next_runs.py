"""Advice on the next runs: the candidates in size and data, and what each alone would leave of the interval."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from scalefit.planning.allocation.cost import SIZES
from scalefit.planning.next_runs.advice import NextRuns
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks

RAMP = "viridis_r"
SHARES = (1.0, 0.75, 0.5)  #: of the present interval, in the legend


def plot_next_runs(found: NextRuns, *, ax: Axes | None = None) -> Axes:
    """Draw candidates as squares, darker the more of the interval one of them alone takes away; what costs more than
    the budget is hollow. Fitted runs are dots, the advised runs rings with their order, the target a star.
    """
    ax = canvas.new_axes(ax)
    size = next(name for name in SIZES if name in found.candidates.columns)
    table = found.candidates
    left = np.clip(table["half_width"] / found.now, 0, 1)
    for N, D, C, share in zip(table[size], table["D"], table["C"], left, strict=True):
        face = _shade(float(share)) if found.budget >= C else "none"
        ax.plot([N], [D], marker="s", markersize=6, linestyle="", markerfacecolor=face, zorder=2,
                markeredgecolor=_shade(float(share)), markeredgewidth=0.8)  # fmt: skip
    fitted = samples.fitted_rows(found.fit)
    marks.points(ax, fitted[size], fitted["D"], colours.QUIET, size=3.2, zorder=3)
    ax.plot(found.table[size], found.table["D"], marker="o", markersize=12, linestyle="", zorder=5,
            markerfacecolor="none", markeredgecolor=colours.WARNING, markeredgewidth=1.4)  # fmt: skip
    for place, (N, D) in enumerate(zip(found.table[size], found.table["D"], strict=True)):
        ax.annotate(str(place + 1), (N, D), (8, 5), textcoords="offset points", fontsize="small", color=colours.WARNING,
                    zorder=7, path_effects=marks.halo())  # fmt: skip
    ax.plot([found.target[size]], [found.target["D"]], marker="*", markersize=13, linestyle="", color=colours.TARGET,
            markeredgecolor="white", zorder=6)  # fmt: skip
    ax.set_xlabel(labels.axis_label(size, found.fit.law))
    ax.set_ylabel(labels.axis_label("D", found.fit.law))
    ticks.set_log(ax, "x", labels.numbers_of(size))
    ticks.set_log(ax, "y", labels.numbers_of("D"))
    squares = [
        Line2D([], [], linestyle="", marker="s", markersize=6, color=_shade(share), label=f"leaves {100 * share:.0f} %")
        for share in SHARES
    ]
    rings = [legend.dots(colours.QUIET, "fitted"), legend.dots(colours.WARNING, "advised", hollow=True)]
    legend.above(ax, [*squares, *rings, Line2D([], [], linestyle="", marker="*", color=colours.TARGET, label="target")])
    return ax


def _shade(share: float) -> str:
    """Dark for what takes much of the interval away, pale for what takes nothing."""
    return to_hex(matplotlib.colormaps[RAMP](1 - share if share < 1 else 0.0))
