"""What a figure gets before it is written: words that fit on it and, where it is narrow, smaller marks and lines."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

NARROW = 5.0  #: inches, of a figure below which marks are drawn smaller
SLIM = 0.75  #: how much smaller
MARGIN = 2.0  #: pixels that words keep from the edge
LEAST_COLUMNS = 12  #: letters of a line of a wrapped label
DONE = "_scalefit_finished"  #: an attribute of figures that are finished


def finish(figure: Figure) -> None:
    """Make marks and lines fit the width of a figure, and break the labels and titles that stick out of it."""
    if getattr(figure, DONE, False):
        return
    setattr(figure, DONE, True)
    if figure.get_figwidth() < NARROW:
        _slim(figure)
    if not any(_words(ax) for ax in figure.axes):
        return
    figure.draw_without_rendering()
    broken = [_broken(figure, text, upright) for ax in figure.axes for text, upright in _words(ax)]
    if any(broken):  # the axes have moved
        figure.draw_without_rendering()
        for ax in figure.axes:
            for text, upright in _words(ax):
                _broken(figure, text, upright)


def _slim(figure: Figure) -> None:
    for line in figure.findobj(Line2D):
        line.set_linewidth(SLIM * line.get_linewidth())  # type: ignore[attr-defined]
        line.set_markersize(SLIM * line.get_markersize())  # type: ignore[attr-defined]
    for dots in figure.findobj(PathCollection):
        dots.set_sizes([SLIM**2 * size for size in dots.get_sizes()])  # type: ignore[attr-defined]


def _words(ax: Axes) -> list[tuple[Text, bool]]:
    """The labels and titles of some axes that say anything, and whether they stand upright."""
    titles = [getattr(ax, name) for name in ("title", "_left_title", "_right_title")]
    found = [(ax.xaxis.label, False), (ax.yaxis.label, True), *((title, False) for title in titles)]
    return [(text, upright) for text, upright in found if text.get_text().strip() and text.get_visible()]


def _broken(figure: Figure, text: Text, upright: bool) -> bool:
    """Break a text that sticks out of its figure into more lines; whether it was."""
    extent, whole = text.get_window_extent(), figure.bbox
    low, high, least, most = (
        (extent.y0, extent.y1, whole.y0, whole.y1) if upright else (extent.x0, extent.x1, whole.x0, whole.x1)
    )
    if low >= least - MARGIN and high <= most + MARGIN:
        return False
    length = high - low
    if text.get_horizontalalignment() == "left" and not upright:
        room = most - max(low, least) - MARGIN
    else:
        centre = 0.5 * (low + high)
        room = 2 * (min(centre - least, most - centre) - MARGIN)
    words = text.get_text()
    columns = max(LEAST_COLUMNS, int(max(map(len, words.splitlines())) * room / length))
    text.set_text("\n".join(textwrap.wrap(words, columns, break_long_words=False)))
    return True
