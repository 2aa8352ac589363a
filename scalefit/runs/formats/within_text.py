"""A table in a text that holds other things too: the losses that a notebook shows below a progress bar."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scalefit.runs.formats.log_rows import LogRows, Value, number, passed_over, shortened
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.splits import measured
from scalefit.runs.formats.text_patterns import NUMBER
from scalefit.runs.matching import canonical

AXES = ("step", "epoch")
MOST_CELLS, FEWEST = 40, 2  #: cells of a header, and rows below it
PLAIN = re.compile(NUMBER)
UNLOGGED = frozenset({"", "-", "no log", "none", "n/a"})  #: what stands for a loss that was not logged
CUTS: tuple[Callable[[str], list[str]], ...] = (
    lambda text: text.rstrip(" ").split("\t"),
    lambda text: re.split(r"\s{2,}", text.strip()),
    str.split,
)


def table_within(path: Path, texts: list[str]) -> RawTable | None:
    """The rows below headers that name a step or epoch and a loss; None where no such header has rows below it.

    Rows below several headers, as each training prints one, follow one another. The index is the line of a row.
    """
    found, taken, at = LogRows(), set[int](), 0
    header = ""
    while at < len(texts):
        rows = next((rows for cut in CUTS if (rows := _rows_below(texts, at, cut))), [])
        for line, values in rows:
            found.add(values, line)
            taken.add(line)
        if rows:
            header = header or texts[at]
            taken.add(at + 1)
        at = rows[-1][0] if rows else at + 1
    if not found.rows:
        return None
    told = [Remark("derived", f"the rows of a table within the text, below '{shortened(header)}'", len(found.rows))]
    return found.table(path, [*told, *found.remarks(), *passed_over(texts, taken)])


def _rows_below(texts: list[str], at: int, cut: Callable[[str], list[str]]) -> list[tuple[int, dict[str, Value]]]:
    """The rows below a header, each with its line; none where the line is no header."""
    names = [name.strip() for name in cut(texts[at])]
    if not 2 <= len(names) <= MOST_CELLS or len(set(names)) < len(names) or not any(map(measured, names)):
        return []
    axis = next((name for name in names if canonical(name) in AXES), None)
    if axis is None or any(PLAIN.fullmatch(name) for name in names):
        return []
    keys = [canonical(name) if name == axis else name for name in names]
    rows = list[tuple[int, dict[str, Value]]]()
    for line, text in enumerate(texts[at + 1 :], start=at + 2):
        cells = [cell.strip() for cell in cut(text)]
        if len(cells) != len(names) or not PLAIN.fullmatch(cells[names.index(axis)]) or "," in text:
            break  # a comma may be a decimal mark
        rows.append((line, {key: _value(cell) for key, cell in zip(keys, cells, strict=True) if not _unlogged(cell)}))
    return rows if len(rows) >= FEWEST else []


def _unlogged(cell: str) -> bool:
    return cell.lower() in UNLOGGED


def _value(cell: str) -> Value:
    return number(cell) if PLAIN.fullmatch(cell) else cell
