"""How an answer is shown: as text, with its tables in aligned lines, and as escaped HTML in a notebook."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from scalefit.escaping import lines_of, one_line
from scalefit.notices import Line, doubts_of, without_doubts

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"mean_relative", "worst_relative", "final", "relative_error"}  #: columns shown in percent
FORMATS = {"points": ".0f", "r2": ".5f", "mae": ".4g", "rmse": ".4g", "decades_beyond": ".2f"}
MOST_LETTERS = 240  #: of one cell or item; the rest is counted
LOPSIDED = 0.1  #: by how much the nearer limit lies nearer than half of the interval, from which both are shown
LEAST_PLAIN, MOST_PLAIN = 3, 5  #: numbers from 1e-3 and below 1e5 are written without a power of ten
FEWEST_LINES, FEWEST_CELLS = 2, 3  #: of what is shown as a table in a notebook
WARNED = "color:#c52"  #: how warnings look there
LEAST_FAR, MOST_FAR = 0.005, 300  #: decades beyond the fitted runs that are called none; that are beyond words
SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))  #: of sizes and amounts
MOST_NAMED = 4  #: items that a note names before it only counts them


class Shown:
    """An answer whose ``str()`` is written for people: its repr is that text; in a notebook its tables are tables."""

    @property
    def lines(self) -> Sequence[Line]:
        """What is said, line by line; the first is the verdict."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.lines)


def as_html(lines: Sequence[Line]) -> str:
    """An answer for a notebook: the verdict, which is the first line, then texts and tables, then the doubts.

    >>> from scalefit.notices import Notice
    >>> as_html(["calm <1>", Notice("few rows")])
    "<div><p><strong>calm &lt;1&gt;</strong></p><ul style='color:#c52'><li>few rows</li></ul></div>"
    """
    warnings = doubts_of(lines)
    first, *rest = lines_of("\n".join(without_doubts(lines))).splitlines() or [""]
    blocks: list[list[str]] = [[]]
    for line in rest:
        if blocks[-1] and len(_cells(line)) != len(_cells(blocks[-1][-1])):
            blocks.append([])
        blocks[-1].append(line)
    head = f"<p><strong>{escape(first)}</strong></p>" if first else ""
    said = "".join(f"<li>{escape(one_line(line))}</li>" for line in warnings)
    warned = f"<ul style='{WARNED}'>{said}</ul>" if warnings else ""
    return f"<div>{head}{warned}{''.join(_block(block) for block in blocks if any(block))}</div>"


def _cells(line: str) -> list[str]:
    """The cells of a line of :func:`as_lines`; the whole of a line that is none."""
    return re.split(" {2,}", line.strip()) if line.startswith("  ") else [line]


def _block(lines: list[str]) -> str:
    """Lines of as many cells as a table, others as they are."""
    rows = [[escape(cell) for cell in _cells(line)] for line in lines]
    if len(rows) < FEWEST_LINES or len(rows[0]) < FEWEST_CELLS:
        return f"<pre>{escape(chr(10).join(lines))}</pre>"
    head, *body = ["".join(f"<{tag}>{cell}</{tag}>" for cell in row) for tag, row in _tagged(rows)]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table>"


def _tagged(rows: list[list[str]]) -> list[tuple[str, list[str]]]:
    return [("th", rows[0]), *(("td", row) for row in rows[1:])]


def brief(text: str, most: int = MOST_LETTERS) -> str:
    r"""A text on one line without control characters, cut where it is very long.

    >>> brief("a\x1b[2J"), brief("x" * 500, 10)
    ('a\\x1b[2J', 'xxxxxxxxxx … (500 letters)')
    """
    shown = one_line(text)
    return shown if len(shown) <= most else f"{shown[:most]} … ({len(shown)} letters)"


def as_lines(table: pd.DataFrame, digits: int = 6) -> str:
    """A table as aligned text; relative errors in percent; empty for a table without columns."""
    if not len(table.columns):
        return ""

    def shown(column: str, value: Any) -> str:
        if not isinstance(value, float):
            return brief(str(value))
        if column in SHARES:
            return f"{100 * value:z.2f} %"
        return format(value, FORMATS.get(column, f".{digits}g"))

    named = table.reset_index() if table.index.name else table
    rows = [[one_line(str(column)) for column in named.columns]]
    rows += [
        [shown(str(column), value) for column, value in zip(named.columns, values, strict=True)]
        for values in named.itertuples(index=False, name=None)
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    first_is_text = any(not isinstance(value, (int, float)) for value in named.iloc[:, 0])
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0]) if first_is_text else cells[0]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def alike(notes: Mapping[str, str]) -> list[str]:
    """Notes by what they concern, as lines; notes of the same words become one line that names and counts them.

    >>> alike({"a": "too few rows", "b": "no loss", "c": "too few rows"})
    ['a, c: too few rows', 'b: no loss']
    >>> alike(dict.fromkeys("abcdef", "too few rows"))
    ['6 (a, b, c, d, ...): too few rows']
    """
    groups: dict[str, list[str]] = {}
    for name, text in notes.items():
        groups.setdefault(text, []).append(name)
    return [f"{_named(names)}: {text}" for text, names in groups.items()]


def _named(names: list[str]) -> str:
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{len(names)} ({', '.join(names[:MOST_NAMED])}, ...)"


#: what may differ between notes that say the same: numbers, names in quotes, files, and the name after "run"
_NAMES = re.compile(r"""'[^']*'|"[^"]*"|(?<=\brun )[^\s:,]+|[^\s:,]*[\d/][^\s:,]*|[\w-]+\.[a-z]{2,7}\b""")


def grouped(notes: Iterable[str]) -> list[str]:
    """Notes in their order, those that differ only in a name or a number as one line with their count.

    >>> grouped(["run a: 3 rows left out", "steps count from 0", "run b: 12 rows left out"])
    ['run a: 3 rows left out (and 1 more like this)', 'steps count from 0']
    """
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(re.sub(r"s\b", "", _NAMES.sub("#", note)), []).append(note)
    return [first + (f" (and {len(rest)} more like this)" if rest else "") for first, *rest in alike.values()]


def interval(ends: tuple[float, float, float], form: str = ".3g") -> str:
    """A value with the ends of its interval, or alone where there is none.

    >>> interval((0.5, 0.25, 1.0)), interval((0.5, float("nan"), float("nan")))
    ('0.5 [0.25, 1]', '0.5')
    """
    value, low, high = (format(each, form) for each in ends)
    return f"{value} [{low}, {high}]" if ends[1] == ends[1] else value


def said(value: float) -> str:
    """A size or an amount as people say it; whole numbers of up to five digits in full, as widths and depths are.

    >>> said(7.02e9), said(2.373e11), said(999.8e6), said(1.5e18), said(2048.0), said(float("inf"))
    ('7.02B', '237B', '1B', '1.5e+18', '2048', 'unlimited')
    """
    if math.isinf(value):
        return "unlimited"
    if value < 10**MOST_PLAIN and float(value).is_integer():
        return f"{value:.0f}"
    for unit, suffix in SUFFIXES:
        if 0.9995 * unit <= value < 1e4 * unit:  # what rounds to a unit is told in it
            return f"{value / unit:.3g}{suffix}" if value < 999.5 * unit else f"{value / unit:.0f}{suffix}"
    return f"{value:.3g}"


def place(values: Mapping[str, float]) -> str:
    """A point in the variables of a law; compute, in FLOP, as a power of ten.

    >>> place({"N": 7e9, "d_model": 4096, "C": 1e12})
    'N = 7B, d_model = 4096, C = 1e+12'
    """
    return ", ".join(
        f"{name} = {value:.3g}" if name == "C" else f"{name} = {said(value)}" for name, value in values.items()
    )


def far_out(decades: float, side: str = "beyond") -> str:
    """How far a point lies outside the fitted runs, and on which side of them, as text.

    >>> far_out(0.74), far_out(3.2, "below"), far_out(0.001)
    ('5.5 times beyond the fitted runs', '1,600 times below the fitted runs', 'within the fitted runs')
    """
    if not decades >= LEAST_FAR:
        return "within the fitted runs"
    factor = float(f"{10**decades:.2g}") if decades < MOST_FAR else math.inf
    return f"{f'{factor:g}' if factor < 100 else f'{factor:,.0f}'} times {side} the fitted runs"


def rounded(value: float, low: float, high: float) -> str:
    """A value rounded to its interval, two digits of whose half width are kept; both limits where it is lopsided.

    >>> rounded(0.34123, 0.3211, 0.3613), rounded(406.4, 310.0, 612.0), rounded(1.69, float("nan"), float("nan"))
    ('0.341 ± 0.020', '406 [310, 612]', '1.69')
    >>> rounded(4.0612e10, 3.9e10, 4.22e10), rounded(2.0, 2.0, 2.0), rounded(3.0, 1.5, float("inf"))
    ('(4.06 ± 0.16)e10', '2', '3 [1.5, inf]')
    """
    if math.isinf(low) or math.isinf(high):
        return f"{value:.4g} [{low:.4g}, {high:.4g}]"
    half, near = 0.5 * (high - low), min(high - value, value - low)
    if not (math.isfinite(value) and math.isfinite(half) and half > 0):
        return f"{value:.4g}"
    even = near > (1 - LOPSIDED) * half
    size = math.floor(math.log10(max(abs(value), half)))
    shift = size if not -LEAST_PLAIN <= size < MOST_PLAIN else 0
    places = max(0, 1 - math.floor(math.log10(half if even or near <= 0 else near)) + shift)
    parts = [f"{each / 10.0**shift:.{places}f}" for each in (value, half, low, high)]
    power = f"e{shift}" if shift else ""
    if not even:
        return f"{parts[0]}{power} [{parts[2]}{power}, {parts[3]}{power}]"
    plain = f"{parts[0]} ± {parts[1]}"
    return f"({plain}){power}" if power else plain
