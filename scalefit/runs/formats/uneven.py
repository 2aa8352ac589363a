"""Rows of a delimited file that are no whole rows: comments among them, a last one that is cut off, short ones."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd

from scalefit.runs.formats.raw import Remark
from scalefit.runs.formats.summaries import notes_below
from scalefit.runs.formats.text import OPENERS, encoding, lines, packing

SECTION = re.compile(r"[#\s]*(?P<name>[A-Za-z_][\w ]{0,40}?)\s*[=:]\s*(?P<value>[^\s,;=:]+)[,;\s]*")  #: # width=128
TELLS = re.compile(r"(?:\s*[A-Za-z][\w ./-]*:\s+\S.*)?")  #: a setting in words, or an empty cell
NAN = re.compile(r"\bnan\b", re.IGNORECASE)


def whole_rows(path: Path, frame: pd.DataFrame, separator: str) -> tuple[pd.DataFrame, list[Remark], bool]:
    """The table without comments and without a last row that was cut off, what is to be said of it, and whether the
    word NaN stands in the file.

    Only a table that has an empty cell in its last column has such rows; then the file is read once more.
    """
    told = list[Remark]()
    last, cells = frame.columns[-1], len(frame.columns)
    if frame[last].hasnans and len(frame.columns) > 1:
        above = lines(path, limit=int(frame.index[0]) - 2)
        frame, told = _headed(frame, next((text for text in reversed(above) if text.strip()), ""))
        frame, comments = _without_comments(frame)
        told += comments
    if not any(frame[name].hasnans for name in frame.columns):
        return frame, told, False
    says_nan, short, torn = _scanned(path, separator, cells, int(frame.index[0]))
    rows = set(frame.index) - set(notes_below(frame))
    short = [line for line in short if line in rows]
    if torn and len(frame) > 1:
        frame = frame.iloc[:-1].infer_objects()
        told.append(Remark("dropped", "the last line, which is incomplete"))
        short = [line for line in short if line != torn]
    if short and frame[last].hasnans:
        count = len(short)
        text = f"{count} rows have fewer cells than the header, the first is row {short[0]}: the others are empty"
        told.append(Remark("suspect", text, count))
    return frame, told, says_nan


def _headed(frame: pd.DataFrame, above: str) -> tuple[pd.DataFrame, list[Remark]]:
    """The table whose parts each stand below a line such as `# width=128`, with a column of that setting.

    ``above``: the last line above the header.
    """
    first = frame.columns[0]
    if pd.api.types.is_numeric_dtype(frame[first].dtype):
        return frame, []
    alone = frame.iloc[:, 1:].isna().all(axis=1) & frame[first].notna()
    heads = [*frame[first][alone].astype(str)]
    heads = heads if bool(alone.iloc[0]) else [above, *heads]  # the first stands above the header, or below it
    hits = [SECTION.fullmatch(text.strip()) for text in heads]
    names = {hit["name"].strip() for hit in hits if hit}
    if not all(hits) or len(hits) < 2 or len(names) != 1 or names & {*map(str, frame.columns)}:
        return frame, []
    name, values = names.pop(), [hit["value"] for hit in hits if hit]
    column = pd.Series(pd.NA, index=frame.index, dtype=object)
    column[alone] = values[-int(alone.sum()) :]
    again = (frame.astype(str) == [str(each) for each in frame.columns]).all(axis=1)  # the header of each part
    frame = frame.assign(**{name: column.ffill().fillna(values[0])})[~alone & ~again & frame.notna().any(axis=1)]
    text = f"{len(values)} parts of the table stand below lines such as '{heads[0].strip()}': {name} is a column"
    return frame.assign(**{each: _plain(frame[each]) for each in frame.columns}), [Remark("derived", text, len(values))]


def _without_comments(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Remark]]:
    """The table without lines that begin with `#`, or tell settings (`Max LR: 6e-4`), and fill fewer cells than the
    header has."""
    first, last = frame.columns[0], frame.columns[-1]
    if pd.api.types.is_numeric_dtype(frame[first].dtype) or str(first).startswith("#"):
        return frame, []
    comment = frame[first].astype(str).str.lstrip().str.startswith("#") & frame[last].isna()
    settings = frame.astype(object).fillna("").astype(str).apply(lambda cells: cells.str.fullmatch(TELLS)).all(axis=1)
    settings &= frame[last].isna() & ((settings | comment).cumprod() > 0) & ~comment
    if not (comment | settings).any():
        return frame, []
    told = list[Remark]()
    if comment.any():
        told.append(Remark("dropped", f"{comment.sum()} lines that begin with # below the header", int(comment.sum())))
    if settings.any():
        text = f"{settings.sum()} lines of settings below the header, such as '{frame[first][settings].iloc[0]}'"
        told.append(Remark("dropped", text, int(settings.sum())))
    frame = frame[~(comment | settings)]
    plain = {name: _plain(frame[name]) for name in frame.columns}
    return frame.assign(**plain), told


def _plain(column: pd.Series) -> pd.Series:
    """A column as numbers where all its filled cells are."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    values = pd.to_numeric(column, errors="coerce")
    return values if (values.notna() == column.notna()).all() else column


def _scanned(path: Path, separator: str, cells: int, first: int) -> tuple[bool, list[int], int]:
    """Whether the word NaN is in the file, the numbers of rows with fewer cells than the header, and the number of a
    last line that is cut off (0: it is whole)."""
    packed, says_nan, short, number, line = packing(path), False, list[int](), 0, ""
    with OPENERS[packed](path, "rt", encoding=encoding(path, packed)) as file:
        for number, line in enumerate(file, start=1):
            says_nan = says_nan or NAN.search(line) is not None
            if number < first or line.count(separator) >= cells - 1 or '"' in line or not line.strip():
                continue
            if not line.lstrip().startswith("#"):
                short.append(number)
    torn = number if short[-1:] == [number] and not line.endswith(("\n", "\r")) else 0
    return says_nan, short, torn


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line; none where one is longer than any table has."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []
