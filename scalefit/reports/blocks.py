"""What a page is made of: sections of texts, tables and figures, which know nothing of HTML or Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pandas as pd

from scalefit.answers import FORMATS, SHARES
from scalefit.answers import brief as brief
from scalefit.errors import ScalefitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS = 3  #: of a line from which on it is one of a table
MOST_ROWS = 40  #: of one table; the others are counted


@dataclass(frozen=True)
class Text:
    """Paragraphs, or with ``kind`` a list of notes or of warnings, or lines that keep their spaces (``code``)."""

    lines: Sequence[str]
    kind: str = "paragraphs"  #: paragraphs, notes, warnings or code

    @property
    def parts(self) -> list[tuple[bool, list[str]]]:
        """Lines of code in turns: those of tables, which must keep their length, and others, which may be broken."""
        rows = ((len(re.split(r"\s{2,}", line.strip())) >= CELLS, line) for line in self.lines)
        return [(wide, [line for _, line in each]) for wide, each in groupby(rows, key=lambda row: row[0])]


@dataclass(frozen=True)
class Table:
    """A table of texts with a caption."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: int = 0  #: rows that are not shown

    @classmethod
    def of(cls, caption: str, frame: pd.DataFrame, digits: int = 5, most: int = MOST_ROWS) -> Table:
        """The first rows of a data frame; numbers with some digits, relative errors in percent."""
        named = frame.reset_index() if frame.index.name else frame

        def shown(column: str, value: Any) -> str:
            if isinstance(value, float) and value != value:
                return "–"
            if not isinstance(value, float):
                return brief(str(value))
            return f"{100 * value:z.2f} %" if column in SHARES else format(value, FORMATS.get(column, f".{digits}g"))

        rows = [
            [shown(str(name), value) for name, value in zip(named.columns, values, strict=True)]
            for values in named.head(most).itertuples(index=False, name=None)
        ]
        return cls(caption, [brief(str(name)) for name in named.columns], rows, max(0, len(named) - most))


@dataclass(frozen=True)
class Figure:
    """A figure as SVG, on a light and on a dark page."""

    caption: str
    alt: str
    light: str
    dark: str

    @classmethod
    def of(cls, caption: str, alt: str, draw: Callable[[], Axes]) -> Figure | Text:
        """The drawn figure, or the reason why it cannot be drawn."""
        from scalefit.plots.canvas import as_svg

        try:
            light, dark = as_svg(draw())
        except ScalefitError as error:
            which = f'The figure "{caption.rstrip(".")}"' if caption else "A figure"
            return Text([f"{which} was not drawn: {error}"], "notes")
        return cls(caption, alt, light, dark)


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A titled part of a page."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
