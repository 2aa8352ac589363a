"""Tables whose columns are separated by white space, often with a header that begins with `#`."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines

NAMES = tuple(f"*{kind}{packed}" for kind in (".dat", ".txt", ".out", ".log", ".csv", ".tsv") for packed in ENDINGS)
MISSING = {"-", "n/a", "none", "null", "nan"}
NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eEdD][+-]?\d+)?|[+-]?inf(inity)?|nan|-", re.IGNORECASE)
LOOKED_AT = 60  #: lines by which a file is known


def claims(path: Path) -> bool:
    """Whether a header of as many words as the rows have numbers stands above at least two such rows."""
    head = lines(path, limit=LOOKED_AT)
    start = _header(head)
    return start is not None


def read(path: Path) -> RawTable:
    """Read the rows below the header; the index is the line of each row.

    Lines that begin with `#` below the header are left out and counted; an empty line is passed by. Raises InputError
    where a row has more or fewer cells than the header.
    """
    texts = lines(path)
    start = _header(texts[:LOOKED_AT])
    if start is None:
        raise InputError("there is no header above columns of numbers", where=str(path), todo="add one: # step loss lr")
    names = _names(texts, start)
    rows, numbers, notes = list[list[str]](), list[int](), 0
    for number, text in enumerate(texts[start + 1 :], start=start + 2):
        if not text.strip():
            continue
        if text.lstrip().startswith("#"):
            notes += 1
            continue
        cells = text.split()
        if len(cells) != len(names):
            where, todo = f"{path}, row {number}", "write one cell a column, - where there is no value"
            raise InputError(f"{len(cells)} cells under {len(names)} names", where=where, todo=todo)
        rows.append(cells)
        numbers.append(number)
    frame = pd.DataFrame(rows, columns=names, index=numbers)
    nans = {name: [int(n) for n in frame.index[frame[name].str.lower() == "nan"]] for name in names}
    frame = frame.mask(frame.isin(MISSING) | frame.apply(lambda column: column.str.lower().isin(MISSING)))
    frame = frame.apply(_plain)
    told = [Remark("converted", "the cells are separated by white space")]
    told += [Remark("dropped", f"{start} lines before the header", start)] if start else []
    told += [Remark("dropped", f"{notes} lines that begin with # below the header", notes)] if notes else []
    return RawTable(path, frame, remarks=tuple(told), nans=nans)


def _plain(column: pd.Series) -> pd.Series:
    """A column as numbers where all its cells are (Fortran writes 1.0D-3)."""
    values = pd.to_numeric(column.str.replace(r"[dD](?=[+-]?\d+$)", "e", regex=True), errors="coerce")
    return values if (values.notna() == column.notna()).all() else column


def _words(text: str) -> list[str]:
    return text.lstrip().lstrip("#%").split()


def _wide_words(text: str) -> list[str]:
    """The names of a header in which one blank belongs to a name: they stand two blanks apart."""
    return [word.strip() for word in re.split(r"\s{2,}|\t", text.strip().lstrip("#%").strip())]


def _names(texts: list[str], start: int) -> list[str]:
    """The names of the header: as many as the row below has cells."""
    below = next(text.split() for text in texts[start + 1 :] if text.strip() and not text.lstrip().startswith("#"))
    plain = _words(texts[start])
    return plain if len(plain) == len(below) else _wide_words(texts[start])


def _header(head: list[str]) -> int | None:
    """The line of the header: words, as many as the two next rows have numbers (lines with # may lie between)."""
    filled = [number for number, text in enumerate(head) if text.strip()]
    rows_only = [number for number in filled if not head[number].lstrip().startswith("#")]
    for number in filled:
        after, next_after, *_ = *(row for row in rows_only if row > number), None, None
        if after is None:
            return None
        names, below = _names(head, number), head[after].split()
        if len(names) < 2 or len(names) != len(below) or any(sign in head[number] for sign in ",;|\t{=:"):
            continue
        if any(NUMBER.fullmatch(name) for name in names) or len(set(names)) < len(names):
            continue
        rows = [below] if next_after is None else [below, head[next_after].split()]
        if all(len(row) == len(names) and all(map(NUMBER.fullmatch, row)) for row in rows):
            return number
    return None
