"""A map from one loss to another, or to an accuracy: its pairs, its line, and a target with its whole interval."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from scalefit.planning.downstream.answer import Downstream
from scalefit.plots import canvas, colours, marks, room
from scalefit.plots.scaling import plot_scaling


def plot_downstream(found: Downstream, *, ax: Axes | None = None) -> Axes:
    """Draw the second stage with its points; the target is a star, with the intervals of both losses."""
    way, reached = found.on_the_way, found.reached
    ax = plot_scaling(found.second, ax=ax, reach=way[0])
    if way[1] == way[1]:
        ax.plot([way[1], way[2]], [reached[0]] * 2, color=colours.TARGET, marker="|", markersize=6, zorder=5)
    row = {"predicted": reached[0]}
    row |= {"low": reached[1], "high": reached[2]} if reached[1] == reached[1] else {}
    marks.star(ax, way[0], pd.Series(row), "")
    legend = ax.get_legend()
    room.settle_texts(ax, legend.get_texts() if legend else ())
    canvas.warn_of(ax, [check.text for check in found.cautions])
    return ax
