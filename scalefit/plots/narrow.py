"""What a figure gets before it is written: words that fit on it and, where it is narrow, smaller marks and lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def finished(figure: Figure) -> Iterator[None]:
    """A figure to be written: its marks fit its width and its words do not stick out of it.

    Its axes have their room then, so that inside they are not laid out again.
    """
    engine = figure.get_layout_engine()
    if not finish(figure) or engine is None:
        yield
        return
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def finish(figure: Figure) -> bool:
    """Make marks and lines fit the width, and break labels and titles that stick out; whether the axes keep their room.

    Once for a figure: it may be changed and written again.
    """
    if getattr(figure, DONE, False):
        return False
    setattr(figure, DONE, True)
    if figure.get_figwidth() < NARROW:
        _slim(figure)
    if not any(_words(ax) for ax in figure.axes):
        return False
    for _ in range(2):  # where words are broken the axes move
        engine = figure.get_layout_engine()
        if engine is None:
            figure.draw_without_rendering()
        else:  # what drawing the figure begins with
            engine.execute(figure)
        broken = [_broken(figure, text, upright) for ax in figure.axes for text, upright in _words(ax)]
        if not any(broken):
            return True
    return False


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
