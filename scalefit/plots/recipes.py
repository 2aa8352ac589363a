"""Recipes compared: one curve each with its runs, and the target with its intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scalefit.planning.recipes.answer import RecipeComparison
from scalefit.plots import canvas, colours, labels, legend, marks, ticks
from scalefit.plots.ticks import power_of_ten

LINE_POINTS = 120
APART = 0.025  #: of the x axis, between the predictions of two recipes at one target


def plot_recipes(found: RecipeComparison, *, ax: Axes | None = None) -> Axes:
    """Draw the loss of each recipe against compute: runs as dots, the joint fit as lines, dashed beyond the runs.

    Lines of a law in N and D have the D/N of the target. The predictions there are marked, with their intervals, side
    by side.
    """
    ax = canvas.new_axes(ax)
    own = _compute(found.rows)
    goal = float(_compute({name: np.array([value]) for name, value in found.at.items()})[0])
    low, high = float(own.min()), float(own.max())
    paint = colours.kinds(list(found.joint.names))
    for k, name in enumerate(found.joint.names):
        mine = found.rows["recipe"] == name
        marks.points(ax, own[mine], found.rows["loss"][mine], paint[name])
        for first, last, style in ((low, high, "-"), (high, max(high, goal), "--"), (min(low, goal), low, "--")):
            if last > first:
                C = np.geomspace(first, last, LINE_POINTS)
                power = 1.0 if found.joint.kind == "C" else 0.5
                values = {column: value * (C / goal) ** power for column, value in found.at.items()}
                ax.plot(
                    C, found.joint.losses(k, values)[0], color=paint[name], linewidth=1.5, linestyle=style, zorder=3
                )
    for place, (_, row) in enumerate(found.table.iterrows()):
        colour = paint[row["recipe"]]
        x = goal * (max(high, goal) / min(low, goal)) ** (APART * (place - (len(found.table) - 1) / 2))
        if np.isfinite(row["low"]):
            ax.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1.0, marker="_", zorder=4)
        ax.plot([x], [row["loss"]], color=colour, marker="*", markersize=11, markeredgecolor="white", zorder=5)
    ax.set_xlabel("training compute $C$ (FLOP)" if found.joint.kind == "C" else "training compute $C = 6ND$ (FLOP)")
    ax.set_ylabel(labels.axis_label("loss"))
    ticks.set_log(ax, "x", power_of_ten)
    ticks.set_value_axis(ax, "y", True)
    canvas.warn_of(ax, [check.text for check in found.cautions])
    legend.place(ax, [legend.dots(paint[name], name, line="-") for name in found.joint.names], title=found.by)
    return ax


def _compute(values: pd.DataFrame | dict[str, np.ndarray]) -> np.ndarray:
    """C, or 6 N D."""
    return np.asarray(values["C"] if "C" in values else 6.0 * values["N"] * values["D"], dtype=np.float64)
