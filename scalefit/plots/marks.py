"""Marks that several figures share: intervals, predicted points, held-out points with their error, outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from scalefit.fitting.result import Fit
from scalefit.plots import colours, labels, legend, room, samples

BAND = 0.18  #: opacity of an interval
RING = 8.5  #: size of the ring round an outlier


def band(ax: Axes, x: Any, rows: pd.DataFrame, colour: str) -> None:
    """The interval of a predicted line, where the prediction has one."""
    if {"low", "high"} <= set(rows.columns):
        ax.fill_between(x, rows["low"], rows["high"], color=colour, alpha=BAND, linewidth=0, zorder=1)


def line(
    ax: Axes, x: Any, rows: pd.DataFrame, colour: str, style: str = "-", width: float = 1.5, zorder: float = 3
) -> None:
    """A predicted line with its interval."""
    ax.plot(x, rows["predicted"], color=colour, linewidth=width, linestyle=style, zorder=zorder)
    band(ax, x, rows, colour)


def star(ax: Axes, x: float, row: pd.Series, what: str, colour: str = colours.TARGET, *, named: bool = True) -> None:
    """A prediction: a star, its interval as a bar and, where it is ``named``, its value with the interval below it."""
    value, low, high = value_of(row)
    if low is not None and high is not None:
        ax.plot([x, x], [low, high], color=colour, marker="_", markersize=6, zorder=5)  # a line, so that texts avoid it
    dot: dict[str, Any] = {"marker": "*", "markersize": 12, "markerfacecolor": colour, "markeredgecolor": "white"}
    ax.plot([x], [value], linestyle="", zorder=6, clip_on=False, **dot)
    if not named:
        return
    text = labels.value_text(value, low, high)
    place: dict[str, Any] = {"xytext": room.SIDES[0][:2], "textcoords": "offset points", "gid": room.MARK, "zorder": 6}
    place["path_effects"] = halo()
    words = f"{what}\n{text}" if what else text
    ax.annotate(words, (x, value), fontsize="small", color=colour, linespacing=1.25, **place)


def halo() -> list[withStroke]:
    """The stroke round a text that may lie on something; each text has its own, which a dark figure turns round."""
    return [withStroke(linewidth=2.5, foreground="white")]


def value_of(row: pd.Series) -> tuple[float, float | None, float | None]:
    """A predicted value and the ends of its interval, where it has one."""
    low, high = (float(row[name]) if name in row.index else None for name in ("low", "high"))
    return float(row["predicted"]), low, high


def points(ax: Axes, x: Any, y: Any, colour: str, hollow: bool = False, size: float = 4.5, **how: Any) -> None:
    """Measured points: filled where fitted, hollow where held out; joined by a line where ``how`` has a linestyle."""
    ax.plot(x, y, **{"linestyle": "", "color": colour, **legend.marker(colour, hollow, size), **how})


def held_points(ax: Axes, rows: pd.DataFrame, column: str, colour: str) -> None:
    """Held-out points: hollow where measured, a cross where predicted, the interval as a bar."""
    if not len(rows):
        return
    if {"low", "high"} <= set(rows.columns):
        reach = [rows["predicted"] - rows["low"], rows["high"] - rows["predicted"]]
        ax.errorbar(rows[column], rows["predicted"], yerr=reach, linestyle="", color=colour, linewidth=1, capsize=2)
    ax.plot(rows[column], rows["predicted"], "x", markersize=4.5, markeredgewidth=1.0, color=colour, zorder=3)
    seen = rows[np.isfinite(rows["measured"])]
    points(ax, seen[column], seen["measured"], colour, hollow=True, size=5.0, zorder=4)


def held_entries(fit: Fit, rows: pd.DataFrame, colour: str) -> list[Line2D]:
    """What the legend says of held-out points: their mean error, and the cross of a prediction."""
    if not len(rows):
        return []
    text = samples.error_text(fit, rows)
    cross = Line2D([], [], linestyle="", marker="x", markersize=4.5, color=colour, label="predicted")
    measured = legend.dots(colour, f"held out ({text} mean error)", hollow=True)
    return [measured, cross] if text else [cross]


def rings(ax: Axes, x: Any, y: Any) -> None:
    """Red rings round outliers."""
    points(ax, x, y, colours.WARNING, hollow=True, size=RING, zorder=4)


def ring_entry(count: int) -> Line2D:
    """The legend entry of ringed points."""
    words = f"{count} row{'s' if count > 1 else ''} more than {samples.SIGMAS:g}σ off"
    return Line2D([], [], linestyle="", label=words, **legend.marker(colours.WARNING, hollow=True, size=RING))
