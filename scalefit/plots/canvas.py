"""What every figure is drawn on: its style and size, new axes, the panel below, the warning above, and the file."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec

from scalefit.fitting.result import Fit
from scalefit.plots.colours import WARNING
from scalefit.plots.dark import in_dark
from scalefit.plots.narrow import finished
from scalefit.writing import refuse, write_whole

SIZE = (6.0, 4.2)  #: inches, of a figure that was not given axes
DOTS = 200  #: per inch, in a PNG
PANEL_SHARE = (3.6, 1.0)  #: heights of the main axes and of the learning-rate panel
MOST_LINES = 2  #: of a warning; twice as many where they are short
LETTERS = 16.5  #: of a small text, an inch
NARROW_COLUMNS = 60  #: letters of a line below which it is short
#: applies while a file is written only: text stays text in a PDF, equal figures give equal files
FILE_SETTINGS: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "scalefit"}
DATELESS: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}

#: what a style sets while figures are made; dark colours are turned round when the file is written
STYLES: dict[str, Any] = {
    "screen": {},
    "dark": {},
    "paper": {"font.size": 8, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6},
}
LEAST_ROW, ROUND_ROWS = 0.17, 1.4  #: inches, of a row of a small text, and of what stands above and below all rows
NARROW = 5.0  #: inches, of a figure below which letters are those of a paper
TALLER = 0.25  #: how much of the height that a narrow figure would lose is kept
PAPER_WIDTH = 5.5  #: inches, of a figure for a paper unless another width is given
_chosen: ContextVar[tuple[str, float | None]] = ContextVar("style", default=("screen", None))


@contextmanager
def styled(style: str = "screen", width: float | None = None) -> Iterator[None]:
    """Make and write figures inside in a style (``STYLES``), and with this width in inches.

    >>> with styled("paper", 3.0):
    ...     fitted_size((6.0, 4.0))
    (3.0, 2.5)
    """
    token = _chosen.set((style, width))
    try:
        narrow = width is not None and width < NARROW
        with matplotlib.rc_context(STYLES["paper" if narrow else style]):
            yield
    finally:
        _chosen.reset(token)


def font_name() -> str:
    """The font in which figures are written on this machine."""
    from matplotlib import font_manager

    return str(font_manager.FontProperties(fname=font_manager.findfont(font_manager.FontProperties())).get_name())


def fitted_size(size: tuple[float, float]) -> tuple[float, float]:
    """A size in inches, at the width of the style."""
    style, width = _chosen.get()
    width = width or (PAPER_WIDTH if style == "paper" else size[0])
    share = width / size[0]
    return (width, size[1] * (share + TALLER * max(0.0, 1 - share)))  # letters and legends do not shrink with it


def new_axes(ax: Axes | None, size: tuple[float, float] = SIZE) -> Axes:
    """The given axes, or those of a new figure (made by pyplot, so that a notebook shows it), with a faint grid."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=fitted_size(size), layout="constrained")[1]
    return tidy(ax)


def tidy(ax: Axes) -> Axes:
    """No box, a faint grid below the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def limit(ax: Axes, values: np.ndarray, share: float, last: float) -> None:
    """The x axis from 0 to ``last``, the y axis around values, with this share of their range as a margin."""
    margin = share * max(float(np.ptp(values)), 1e-9)
    ax.set_ylim(values.min() - margin, values.max() + margin)
    ax.set_xlim(0, 1.02 * last)


def rows(ax: Axes, names: Sequence[str]) -> None:
    """One named row for each thing, the first on top; a narrow figure of its own grows until they stand apart."""
    figure = ax.figure.canvas.figure
    if figure.axes == [ax] and ax.get_subplotspec() is not None:
        figure.set_figheight(max(figure.get_figheight(), LEAST_ROW * len(names) + ROUND_ROWS))
    ax.grid(False, axis="y")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def panel_below(
    ax: Axes, name: str = "lr_axes", label: str = "learning rate", shares: tuple[float, float] = PANEL_SHARE
) -> Axes:
    """A thin panel under ``ax`` with the same x axis, cut from the room of ``ax``; reachable as ``ax.<name>``.

    Axes of a grid give up part of their cell; axes that were placed by hand give up part of their rectangle.
    """
    present = getattr(ax, name, None)
    if isinstance(present, Axes) and present in ax.figure.axes:
        return present
    spec = ax.get_subplotspec()
    if spec is not None:
        parts = GridSpecFromSubplotSpec(2, 1, spec, height_ratios=list(shares), hspace=0.07)
        ax.set_subplotspec(parts[0])
        panel = ax.figure.add_subplot(parts[1], sharex=ax)
    else:
        left, bottom, width, height = ax.get_position().bounds
        low = height * shares[1] / (sum(shares) * 1.06)
        ax.set_position((left, bottom + 1.2 * low, width, height - 1.2 * low))
        panel = ax.figure.add_axes((left, bottom, width, low), sharex=ax)
    setattr(ax, name, panel)
    panel.set_label(label)
    ax.tick_params(axis="x", labelbottom=False)
    return tidy(panel)


def warn(ax: Axes, fit: Fit) -> None:
    """A short red line above the axes with the fit's first warning and the number of others."""
    warn_of(ax, [check.text for check in fit.warnings], f"{fit.status}: ")


def warn_of(ax: Axes, texts: Sequence[str], head: str = "", *, across: bool = False) -> None:
    """A short red line above the axes with the first of some warnings and the number of others.

    ``across`` the figure, which has no other axes: names of rows leave the axes little of its width.
    """
    if not texts:
        return
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    width = ax.figure.bbox.width if across else ax.get_window_extent().width
    columns = max(30, int(width / ax.figure.dpi * LETTERS))
    whole = f"{head}{texts[0]}".replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(whole, columns)
    if len(lines) == MOST_LINES:  # no single word on the second line
        lines = textwrap.wrap(whole, min(columns, len(whole) // 2 + 10))
    most = MOST_LINES if columns >= NARROW_COLUMNS else 2 * MOST_LINES
    if len(lines) > most:
        lines = lines[:most]
        whole_words = lines[-1][: columns - len(more) - 2].rpartition(" ")[0]
        lines[-1] = f"{whole_words.rstrip(' ,;:')} …"
    how: dict[str, Any] = {"color": WARNING, "fontsize": "small"}
    if across:
        ax.figure.suptitle("\n".join(lines) + more, x=0.01, ha="left", **how)
    else:
        ax.set_title("\n".join(lines) + more, loc="left", **how)


def as_svg(ax: Axes) -> tuple[str, str]:
    """The figure of these axes as SVG for a light and for a dark page, texts as outlines; the figure is closed."""
    import matplotlib.pyplot as plt

    figure = ax.figure.canvas.figure
    light, dark = io.StringIO(), io.StringIO()
    how: Any = {"format": "svg", "bbox_inches": "tight", "metadata": DATELESS["svg"]}
    how["transparent"] = True  # the page shows through
    try:
        with finished(figure), matplotlib.rc_context({**FILE_SETTINGS, "svg.fonttype": "path"}):
            figure.savefig(light, **how)
            in_dark(figure)
            figure.savefig(dark, **how)
    finally:
        plt.close(figure)
    return light.getvalue(), dark.getvalue()


def save_figure(ax: Axes, path: str | Path, *, close: bool = False) -> Path:
    """Write the figure of these axes as PNG, PDF or SVG; the file appears whole or not at all.

    ``close``: give its memory back, since it is not shown. Raises :class:`InputError` for another suffix, or where the
    place cannot be written.
    """
    place = Path(path)
    refuse(place, "figure")
    suffix = place.suffix.lower().lstrip(".")
    figure = ax.figure.canvas.figure
    style, width = _chosen.get()
    how: dict[str, Any] = {"format": suffix, "dpi": DOTS, "metadata": DATELESS[suffix]}
    how["bbox_inches"] = None if width else "tight"  # a width that was asked for is kept
    try:
        with finished(figure), matplotlib.rc_context(FILE_SETTINGS):
            if style == "dark":
                in_dark(figure)
            return write_whole(place, lambda to: figure.savefig(to, **how), "figure")
    finally:
        if close:  # the figure was made by pyplot, which keeps it
            import matplotlib.pyplot as plt

            plt.close(figure)
