"""Advice on the next sweep of learning rates: the chance of each plan to decide the verdict, against its cost."""

from __future__ import annotations

from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.plots import canvas, colours, legend, room, ticks
from scalefit.transfer.further import LIKELY, NextSweeps


def plot_next_sweeps(found: NextSweeps, *, ax: Axes | None = None) -> Axes:
    """Draw each plan as a dot, one colour for each arm, the advised ones ringed and named, above the line of 80 %.

    Raises InputError where every verdict is there already.
    """
    if not len(found.table):
        raise InputError("every verdict is decided: there is no plan to draw", where="plot", todo="see lr-transfer")
    ax = canvas.new_axes(ax)
    ax.set_xscale("log")
    palette = colours.kinds(list(dict.fromkeys(found.table["arm"])))
    for arm, rows in found.table.groupby("arm", sort=False):
        ax.plot(rows["cost"], 100 * rows["chance"], marker="o", linestyle="", color=palette[str(arm)], markersize=5)
    for _, row in found.advised.iterrows():
        colour = palette[row["arm"]]
        ax.plot([row["cost"]], [100 * row["chance"]], marker="o", markersize=12, linestyle="", color=colour,
                markerfacecolor="none", markeredgewidth=1.4)  # fmt: skip
        ax.annotate(row["plan"].replace(", ", ",\n"), (row["cost"], 100 * row["chance"]), (4, -9), color=colour,
                    textcoords="offset points", fontsize="small", gid=room.MARK)  # fmt: skip
    ax.axhline(100 * LIKELY, color=colours.QUIET, linewidth=1.0, linestyle="--")
    ax.set_ylim(-3, 105)
    ax.set_xlabel("cost (runs at the largest size)")
    ax.set_ylabel("chance that the verdict is decided (%)")
    ticks.set_log(ax, "x", ticks.short_number)
    ticks.set_linear(ax, "y", ticks.plain, nbins=6)
    ax.set_xlim(found.table["cost"].min() / 1.5, 1.5 * found.table["cost"].max())
    if len(palette) > 1:
        legend.above(ax, [legend.dots(colour, arm) for arm, colour in palette.items()])
    ax.figure.canvas.figure.draw_without_rendering()
    room.settle_texts(ax)
    return ax
