"""Tables whose columns are separated by white space, often with a header that begins with `#`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.matching import canonical

NAMES = tuple(
    f"*{kind}{packed}" for kind in (".dat", ".txt", ".out", ".log", ".csv", ".tsv", ".rst") for packed in ENDINGS
)
MISSING = {"-", "n/a", "none", "null", "nan"}
#: also with thousands set apart by commas, or with a unit: 1,000,000 and 40M
NUMBER = re.compile(
    r"[+-]?(\d{1,3}(?:,\d{3})+|\d+(?:\.\d*)?|\.\d+)([eEdD][+-]?\d+|[kKmMbBgGtT])?|[+-]?inf(inity)?|nan|-", re.IGNORECASE
)
DRAWN = re.compile(r"(?:={2,}|-{3,})(?:\s+(?:={2,}|-{3,}))*")  #: a line below the header, or at the end
PRINTED = re.compile(r"\[\d+ rows x \d+ columns\]")
COUNT = "__count"  #: an index that only counts the rows
LOOKED_AT = 60  #: lines by which a file is known


def claims(path: Path) -> bool:
    """Whether a header of as many words as the rows have numbers stands above at least two such rows."""
    return _form(lines(path, limit=LOOKED_AT)) is not None


def read(path: Path) -> RawTable:
    """Read the rows below the header; the index is the line of each row.

    Lines that begin with `#` below the header, and lines drawn between rows, are left out and counted; an empty line is
    passed by. Raises InputError where a row has more or fewer cells than the header.
    """
    texts = lines(path)
    form = _form(texts[:LOOKED_AT])
    if form is None:
        raise InputError("there is no header above columns of numbers", where=str(path), todo="add one: # step loss lr")
    rows, numbers, notes, below = list[list[str]](), list[int](), 0, 0
    for number, text in enumerate(texts[form.start :], start=form.start + 1):
        if not text.strip() or DRAWN.fullmatch(text.strip()):
            continue
        if text.lstrip().startswith("#") or PRINTED.fullmatch(text.strip()):
            notes += 1
            continue
        cells = form.cells(text)
        if len(cells) != len(form.names) and rows and _words_to_the_end(texts[number - 1 :], form):
            below = sum(bool(text.strip()) for text in texts[number - 1 :])
            break
        if len(cells) != len(form.names):
            where, todo = f"{path}, row {number}", "write one cell a column, - where there is no value"
            raise InputError(f"{len(cells)} cells under {len(form.names)} names", where=where, todo=todo)
        rows.append(cells)
        numbers.append(number)
    frame = pd.DataFrame(rows, columns=form.names, index=numbers)
    nans = {name: [int(n) for n in frame.index[frame[name].str.lower() == "nan"]] for name in form.names}
    frame = frame.mask(frame.isin(MISSING) | frame.apply(lambda column: column.str.lower().isin(MISSING)))
    frame = frame.apply(_plain).drop(columns=COUNT, errors="ignore")
    told = [Remark("converted", "the cells are separated by white space")]
    above = form.start - 1
    told += [Remark("dropped", f"{above} lines before the header", above)] if above else []
    told += [Remark("dropped", f"{below} lines below the table", below)] if below else []
    told += (
        [Remark("dropped", f"{notes} lines that begin with # below the header, or sum it up", notes)] if notes else []
    )
    return RawTable(path, frame, remarks=tuple(told), nans=nans)


def _words_to_the_end(texts: list[str], form: _Form) -> bool:
    """Whether no line has as many cells as the table or begins with a number."""
    cells = [form.cells(text) for text in texts if text.strip()]
    return all(len(each) != len(form.names) and not NUMBER.fullmatch(each[0]) for each in cells)


def _plain(column: pd.Series) -> pd.Series:
    """A column as numbers where all its cells are (Fortran writes 1.0D-3)."""
    values = pd.to_numeric(column.str.replace(r"[dD](?=[+-]?\d+$)", "e", regex=True), errors="coerce")
    return values if (values.notna() == column.notna()).all() else column


@dataclass(frozen=True)
class _Form:
    """The names of the columns, the line below the header (from 0), and whether one blank belongs to a cell."""

    names: list[str]
    start: int
    wide: bool = False

    def cells(self, text: str) -> list[str]:
        """The cells of a line."""
        return _wide_words(text) if self.wide else text.split()


def _words(text: str) -> list[str]:
    return text.lstrip().lstrip("#%").split()


def _wide_words(text: str) -> list[str]:
    """The words of a line in which one blank belongs to a word: they stand two blanks apart."""
    return [word.strip() for word in re.split(r"\s{2,}|\t", text.strip().lstrip("#%").strip())]


def _form(head: list[str]) -> _Form | None:
    """How a table is written whose header stands above at least two rows of as many cells; None where there is none."""
    filled = [number for number, text in enumerate(head) if text.strip() and not DRAWN.fullmatch(text.strip())]
    rows_only = [number for number in filled if not head[number].lstrip().startswith("#")]
    for number in filled:
        below = [head[row] for row in rows_only if row > number][:3]
        if not below:
            return None
        if any(sign in head[number] for sign in ",;|\t{=:"):
            continue
        found = _below(head[number], number, below)
        if found is not None:
            return found
    return None


def _below(header: str, number: int, below: list[str]) -> _Form | None:
    """The form of a table with this header, where the next rows have as many cells."""
    rows = [text.split() for text in below[:2]]
    for names in (_words(header), _wide_words(header)):
        if _named(names) and all(len(row) == len(names) and all(map(NUMBER.fullmatch, row)) for row in rows):
            return _Form(names, number + 1)
    index, skipped = _index_of(below)
    names, kept = [index, *_words(header)], [text.split() for text in below[skipped : skipped + 2]]
    if index and _named(names) and all(len(row) == len(names) and all(map(NUMBER.fullmatch, row[1:])) for row in kept):
        return _Form(names, number + 1 + skipped)
    known = sum(canonical(name) in COLUMNS for name in names[1:])
    if index == COUNT and known > 1 and _named(names) and all(len(row) == len(names) for row in kept):
        return _Form(names, number + 1)
    names, wide = _wide_words(header), [_wide_words(text) for text in below[:2]]
    numeric = len(wide) > 1 and any(
        all(NUMBER.fullmatch(row[at]) for row in wide if at < len(row)) for at in range(1, len(names))
    )
    known = sum(canonical(name) in COLUMNS for name in names)
    if _named(names) and numeric and known > 1 and all(len(row) == len(names) for row in wide):
        return _Form(names, number + 1, wide=True)
    return None


def _named(names: list[str]) -> bool:
    """Whether these are names of columns: several different words that are no numbers."""
    return len(names) > 1 and not any(NUMBER.fullmatch(name) for name in names) and len(set(names)) == len(names)


def _index_of(below: list[str]) -> tuple[str, int]:
    """The name of the column of an index as pandas prints it, which the header lacks, and the lines that name it.

    It may be named on a line of its own; else it counts from 0, or holds words, which are then the names of runs.
    """
    first = [text.split()[0] for text in below]
    if len(below) > 2 and len(below[0].split()) == 1 and not NUMBER.fullmatch(first[0]):
        return first[0], 1
    if first[:2] == ["0", "1"]:
        return COUNT, 0
    return ("run" if len(first) > 1 and not any(map(NUMBER.fullmatch, first[:2])) else ""), 0
