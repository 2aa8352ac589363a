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
HEADING = re.compile(r"^\s*(?:#+\s+\S|\*\*[^|]+\*\*:?\s*$)")
SETTING = re.compile(
    r"(?P<name>[A-Za-z_][\w ./-]*?)\s*(?:=|:|\s)\s*(?P<value>[\d.]+(?:e[+-]?\d+)?[kmbt]?)", re.IGNORECASE
)
BAR = re.compile(r"(?<!\\)\|")
MARKS = re.compile(r"^(\*\*|__|`|\*|_)(.*)\1$")


def claims(path: Path) -> bool:
    """Whether it is a page by its name, or holds a line of dashes and bars below a line with as many cells."""
    return path.suffix.lower() in (".md", ".markdown") or bool(_tables(lines(path, limit=LOOKED_AT)))


def read(path: Path) -> RawTable:
    """Read the longest table of the page and those with the same header; the index is the line of each row.

    The heading above each of several tables tells them apart: as a setting where it is a name and a number
    (`## width 128`), else as a word. Tables with other headers are named in a remark.

    Marks of emphasis around a cell are left out; an empty cell, a dash and n/a are missing values.
    """
    texts = lines(path)
    found = _tables(texts)
    if not found:
        raise InputError(
            "there is no table on the page", where=str(path), todo="write | step | loss |, then a line of dashes"
        )
    start, _ = max(found, key=lambda pair: pair[1] - pair[0])
    names = _cells(texts[start])
    same = [pair for pair in found if _cells(texts[pair[0]]) == names]
    rows = [(_cells(texts[at]) + [""] * len(names))[: len(names)] for low, high in same for at in range(low + 2, high)]
    if not rows:
        raise InputError("the table has no rows", where=f"{path}, row {start + 1}", todo="add a row")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"two columns are named '{twice}'", where=f"{path}, row {start + 1}", todo="give one another name"
        )
    frame = pd.DataFrame(rows, columns=names, index=[at + 1 for low, high in same for at in range(low + 2, high)])
    told = _sections(texts, same, frame)
    names = [str(name) for name in frame.columns]
    frame = frame.mask(frame.isin(["", "-", "–", "—", "n/a", "N/A"]))
    for name in names:
        plain = pd.to_numeric(frame[name], errors="coerce")
        if (plain.notna() == frame[name].notna()).all():
            frame[name] = plain
    others = [pair for pair in found if pair not in same]
    if others:
        shown = "; ".join(f"row {low + 1}: {' | '.join(_cells(texts[low]))}"[:80] for low, _ in others[:3])
        told.append(Remark("dropped", f"{len(others)} other tables of the page ({shown})", len(others)))
    return RawTable(path, frame, remarks=tuple(told))


def _sections(texts: list[str], same: list[tuple[int, int]], frame: pd.DataFrame) -> list[Remark]:
    """Put the headings of several tables into a column of the frame, and say that they were joined."""
    if len(same) < 2:
        return []
    heads = [next((texts[at] for at in range(low - 1, -1, -1) if HEADING.match(texts[at])), "") for low, _ in same]
    plain = [head.strip().strip("#* :_").strip() for head in heads]
    sizes = [high - low - 2 for low, high in same]
    told = f"{len(same)} tables of the page have the same header and are read as one"
    if len(set(plain)) > 1:
        found = [SETTING.fullmatch(head) for head in plain]
        named = {hit["name"].strip() for hit in found if hit}
        setting = len(named) == 1 and all(found) and not named & set(frame.columns)
        name = named.pop() if setting else "section"
        values = [hit["value"] if setting and hit else head for hit, head in zip(found, plain, strict=True)]
        frame.insert(0, name, [value for value, size in zip(values, sizes, strict=True) for _ in range(size)])
        told += f"; the heading above each is its {name}"
    return [Remark("joined", told, len(same))]


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
