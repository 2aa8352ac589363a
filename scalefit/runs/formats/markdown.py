"""Tables of Markdown pages: the rows between bars below a line of dashes."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import lines

NAMES = ("*.md", "*.markdown", "*.txt", "*.csv", "*.log", "*.out")
LOOKED_AT = 400  #: lines by which a file of another name is known
RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
BAR = re.compile(r"(?<!\\)\|")
MARKS = re.compile(r"^(\*\*|__|`|\*|_)(.*)\1$")


def claims(path: Path) -> bool:
    """Whether it is a page by its name, or holds a line of dashes and bars below a line with as many cells."""
    return path.suffix.lower() in (".md", ".markdown") or bool(_tables(lines(path, limit=LOOKED_AT)))


def read(path: Path) -> RawTable:
    """Read the longest table of the page; the index is the line of each row. Others are counted in a remark.

    Marks of emphasis around a cell are left out; an empty cell, a dash and n/a are missing values.
    """
    texts = lines(path)
    found = _tables(texts)
    if not found:
        raise InputError(
            "there is no table on the page", where=str(path), todo="write | step | loss |, then a line of dashes"
        )
    start, stop = max(found, key=lambda pair: pair[1] - pair[0])
    names = _cells(texts[start])
    rows = [(_cells(text) + [""] * len(names))[: len(names)] for text in texts[start + 2 : stop]]
    if not rows:
        raise InputError("the table has no rows", where=f"{path}, row {start + 1}", todo="add a row")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"two columns are named '{twice}'", where=f"{path}, row {start + 1}", todo="give one another name"
        )
    frame = pd.DataFrame(rows, columns=names, index=range(start + 3, stop + 1))
    frame = frame.mask(frame.isin(["", "-", "–", "—", "n/a", "N/A"]))
    for name in names:
        plain = pd.to_numeric(frame[name], errors="coerce")
        if (plain.notna() == frame[name].notna()).all():
            frame[name] = plain
    told = [Remark("dropped", f"{len(found) - 1} other tables of the page", len(found) - 1)] if len(found) > 1 else []
    return RawTable(path, frame, remarks=tuple(told))


def _tables(texts: list[str]) -> list[tuple[int, int]]:
    """Header and end, as line numbers from 0, of each table."""
    found = []
    for number in range(1, len(texts)):
        if not RULE.match(texts[number]) or "|" not in texts[number - 1]:
            continue
        if len(_cells(texts[number])) != len(_cells(texts[number - 1])) or len(_cells(texts[number])) < 2:
            continue
        stop = number + 1
        while stop < len(texts) and "|" in texts[stop] and texts[stop].strip():
            stop += 1
        found.append((number - 1, stop))
    return found


def _cells(text: str) -> list[str]:
    """The cells of a line, without bars, blanks and marks of emphasis."""
    parts = BAR.split(text.strip())
    parts = parts[1:] if parts and not parts[0].strip() else parts
    parts = parts[:-1] if parts and not parts[-1].strip() and len(parts) > 1 else parts
    cells = []
    for part in parts:
        cell = part.strip().replace("\\|", "|")
        while found := MARKS.match(cell):
            cell = found[2].strip()
        cells.append(cell)
    return cells
