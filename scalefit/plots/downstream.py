"""A map from one loss to another, or to an accuracy: its pairs, its line, and a target with its whole interval."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from scalefit.fitting.result import Fit
from scalefit.fitting.stages import IDEAL
from scalefit.planning.downstream.answer import Downstream
from scalefit.plots import canvas, colours, marks, room
from scalefit.plots.scaling import plot_scaling


def plot_downstream(found: Downstream, *, ax: Axes | None = None) -> Axes:
    """Draw the second stage with its points; the target is a star, with the intervals of both losses."""
    way, reached = found.on_the_way, found.reached
    ax = plot_scaling(_measured(found.second), ax=ax, reach=way[0])
    if found.second.law.name == "task-ladder":
        ax.set_xlabel("loss of the task")  # in a unit that the table does not tell
    if way[1] == way[1]:
        ax.plot([way[1], way[2]], [reached[0]] * 2, color=colours.TARGET, marker="|", markersize=6, zorder=5)
    row = {"predicted": reached[0]}
    row |= {"low": reached[1], "high": reached[2]} if reached[1] == reached[1] else {}
    marks.star(ax, way[0], pd.Series(row), "")
    legend = ax.get_legend()
    room.settle_texts(ax, legend.get_texts() if legend else ())
    canvas.warn_of(ax, [check.text for check in found.cautions])
    return ax


def _measured(fit: Fit) -> Fit:
    """The fit without the point of a perfect model, which is fitted but was never measured."""
    kept, points = [name != IDEAL for name in fit.points.runs], fit.points

    def some(values: Any) -> Any:
        return None if values is None else tuple(compress(values, kept))

    columns = {name: some(values) for name, values in points.variables.items()}
    parts = {name: some(getattr(points, name)) for name in ("runs", "steps", "values", "area", "fall")}
    return replace(fit, points=replace(points, variables=columns, **parts))
