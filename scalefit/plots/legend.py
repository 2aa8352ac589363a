"""Legends: what their entries look like, and a place for them where they cover no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from scalefit.plots import room, samples

Line = Literal["", "-", "--"]

CROWDED = 0.8  #: below this share of the height for the data, a legend of two columns is tried
MOST_IN_A_COLUMN = 4
MOST_ABOVE = 3  #: columns of a legend above axes
BELOW = 0.95  #: of the width of a figure, for a legend below its axes
SMALLEST = 5.5  #: points, of a letter in a legend
STYLE: Any = {"fontsize": "small", "title_fontsize": "small", "frameon": False, "handlelength": 1.7}
ABOVE: Any = {"frameon": False, "fontsize": "small"}
STYLE |= {"labelspacing": 0.35, "columnspacing": 1.2, "borderaxespad": 0.4}


def dots(colour: str, label: str, hollow: bool = False, line: Line = "") -> Line2D:
    """A legend entry for measured points: filled where they were fitted, hollow where they were held out."""
    return Line2D([], [], color=colour, linestyle=line, label=label, **marker(colour, hollow))


def stroke(colour: str, label: str, dashed: bool = False) -> Line2D:
    """A legend entry for a line: solid where it was fitted, dashed where it was not."""
    return Line2D([], [], color=colour, linestyle="--" if dashed else "-", label=label)


def marker(colour: str, hollow: bool, size: float = 4.5) -> dict[str, Any]:
    """The keywords of a measured point."""
    face, edge = ("none", 1.0) if hollow else (colour, 0.0)
    dot = {"marker": "o", "markersize": size, "markerfacecolor": face}
    return {**dot, "markeredgecolor": colour, "markeredgewidth": edge}


def some_of(handles: list[Line2D], most: int) -> list[Line2D]:
    """Some entries of a long legend, evenly spread as colours of a ramp are, and how many others there are."""
    left = len(handles) - most
    some = [handles[place] for place in samples.thinned(len(handles), most)]
    return handles if left <= 0 else [*some, Line2D([], [], linestyle="", label=f"and {left} more")]


def above(ax: Axes, handles: Sequence[Artist]) -> None:
    """Put a legend of a few entries above the axes, in as many columns as its figure has room for."""
    _lay_out(ax)
    whole = ax.figure.canvas.figure.bbox
    for columns in range(MOST_ABOVE, 0, -1):
        legend = ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, **ABOVE)
        legend.set_in_layout(False)
        extent = legend.get_window_extent()
        if extent.x0 >= whole.x0 and extent.x1 <= whole.x1:
            break
    legend.set_in_layout(True)


def below(ax: Axes, handles: Sequence[Artist], title: str | None = None) -> None:
    """Put one legend below all axes of their figure, which grows by its height."""
    figure = ax.figure.canvas.figure
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(handles=list(handles), title=title, ncols=columns, loc="outside lower center", **STYLE)
        extent = legend.get_window_extent()
        if extent.width <= BELOW * figure.bbox.width or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)


def place(ax: Axes, handles: Sequence[Artist], title: str | None = None) -> Legend:
    """Put a legend into the corner where it is in no one's way, growing the y axis where every corner is taken.

    Texts at marks are moved to a free side of their mark before.
    """
    if ax.texts:
        _lay_out(ax)
        room.settle_texts(ax)
    legend = _legend(ax, handles, title, 1)
    _lay_out(ax)  # once: legends have no part in it
    corner, share = room.best_corner(ax, legend)
    if share < CROWDED and len(handles) > MOST_IN_A_COLUMN:
        wide = _legend(ax, handles, title, 2)
        wide_corner, wide_share = room.best_corner(ax, wide)
        if wide_share > share and _width(ax, wide) <= 1:
            legend, corner, share = wide, wide_corner, wide_share
        else:
            legend = _legend(ax, handles, title, 1)
    if _width(ax, legend) > 1:  # a long entry on narrow axes
        for text in (*legend.get_texts(), legend.get_title()):
            text.set_fontsize(max(SMALLEST, float(text.get_fontsize()) / _width(ax, legend)))
    legend.set_loc(corner)
    room.grow(ax, corner, max(share, room.LEAST))
    if len(ax.texts) > 1:  # several marks, which have come closer to each other
        room.settle_texts(ax, legend.get_texts())
    room.lift_texts(ax)
    return legend


def _legend(ax: Axes, handles: Sequence[Artist], title: str | None, columns: int) -> Legend:
    """A legend of some columns, for which the axes do not make room."""
    legend = ax.legend(handles=list(handles), title=title, ncols=columns, loc="upper right", **STYLE)
    legend.set_in_layout(False)
    return legend


def _width(ax: Axes, legend: Legend) -> float:
    """The width of a legend as a share of that of the axes."""
    return float(legend.get_window_extent().width / ax.get_window_extent().width)


def _lay_out(ax: Axes) -> None:
    """Give the axes the room that they will have: what drawing the figure begins with, without drawing it."""
    figure = ax.figure.canvas.figure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
