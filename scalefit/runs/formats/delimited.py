"""CSV and TSV, plain or compressed (gzip, bz2, xz), as pandas reads them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark, refuse_long_names
from scalefit.runs.formats.text import ENDINGS, encoding, lines, packing
from scalefit.runs.formats.uneven import cells_of, whole_rows
from scalefit.runs.matching import LARGE, canonical, match
from scalefit.runs.quantities import is_quantity

NAMES = tuple(f"*{kind}{packed}" for kind in (".csv", ".tsv", ".tab") for packed in ENDINGS)
FEW_ROWS = 5  #: below a header, by which its separator is told
TITLES = 10  #: lines above a header at most
POINT = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")  #: thousands set apart by points
DECIMAL = r"[+-]?\d*,\d+(?:e[+-]?\d+)?"  #: a number with a decimal comma
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read(path: Path) -> RawTable:
    """Read a delimited file with a header; the index is the line number, from 1 (the header, in most files).

    The separator is that of the header (comma, tab, semicolon, bar). Empty lines, and lines with `#` before the header,
    are skipped. Raises InputError if the file is not a table: binary, ragged, or with different columns of the same
    name that matter.
    """
    head = lines(path, limit=200)
    start = _header_line(head, path)
    separator = separator_of(head[start], head[start + 1 :])
    decimal = _decimal(head[start + 1 :], separator)
    header = cells_of(head[start], separator)
    refuse_long_names(header or [head[start]], str(path))
    names = _whole_names(header, head[start + 1 :], separator, path)
    frame = _parsed(path, start, separator, decimal, header, names)
    header = names or header
    if any("\x00" in str(name) for name in frame.columns):
        raise InputError("not a table: the file is binary", where=str(path), todo="save it as UTF-8 text")
    words = [str(name) for name in frame.columns if not str(name).startswith("Unnamed: ")]
    words = words if len(words) > 1 else head[start].split()
    if all(is_quantity(name) or is_quantity(name.split(".")[0] or "x") for name in words):
        todo = "add a header, e.g. step,lr,loss"
        raise InputError("the first line holds numbers, not column names", where=str(path), todo=todo)
    frame.index = pd.RangeIndex(start + 2, start + len(frame) + 2)
    remarks = []
    if start:
        remarks.append(Remark("dropped", f"{start} lines before the header", start))
    tabs = re.search(r"\.(tsv|tab)\b", path.name.lower()) and ".csv" not in path.name.lower()
    if separator != ("\t" if tabs else ","):
        comma = ", the decimal mark is a comma" * (decimal == ",")
        remarks.append(Remark("converted", f"the cells are separated by {SEPARATORS[separator]}{comma}"))
    frame, copies = _without_copies(frame, header, path)
    unnamed = [name for name in frame.columns if str(name).startswith("Unnamed: ") and frame[name].isna().all()]
    if unnamed:  # separators at the ends of lines
        frame = frame.drop(columns=unnamed)
        copies.append(Remark("dropped", f"{len(unnamed)} columns without a name and without a value", len(unnamed)))
    if frame.empty:
        return RawTable(path, frame)
    frame, uneven, says_nan = whole_rows(path, frame, separator)
    if all(frame[name].hasnans for name in frame.columns):  # else no line is empty
        frame = frame.dropna(how="all").infer_objects()
    if decimal == ",":
        frame, points = _without_points(_with_points(frame), path)
        uneven += points
    nans = nan_cells(path) if says_nan else {}
    return RawTable(path, frame, remarks=(*remarks, *copies, *uneven), nans=nans, unsure=True)


def nan_cells(path: Path) -> dict[str, list[int]]:
    """The lines, by column, whose cell holds the word NaN, which pandas reads as it reads an empty cell."""
    head = lines(path, limit=200)
    start = _header_line(head, path)
    separator = separator_of(head[start], head[start + 1 :])
    header = [cell.strip().strip('"') for cell in head[start].rstrip("\r\n").split(separator)]
    whole = _whole_names(cells_of(head[start], separator), head[start + 1 :], separator, path)
    text = _cells(path, start, separator, whole, dtype=str, keep_default_na=False)
    text.index = pd.RangeIndex(start + 2, start + len(text) + 2)
    names = {str(name): _numbered(whole or header, at) or str(name) for at, name in enumerate(text.columns)}
    return {
        new: [int(n) for n in text.index[text[name].str.strip().str.lower() == "nan"]] for name, new in names.items()
    }


def _whole_names(header: list[str], body: list[str], separator: str, path: Path) -> list[str]:
    """The names of a header in which separators stand within brackets, as in `N (params, M),loss`; [] for any other.

    Raises InputError for a header of more names than every row has cells.
    """
    counts = {len(cells_of(line, separator)) for line in body if line.strip() and not line.startswith("#")}
    if len(body) < 2 or not counts or max(counts) >= len(header) or header[max(counts) :] == [""] * len(header):
        return []
    whole = list[str]()
    for cell in header:
        inside = whole and whole[-1].count("(") + whole[-1].count("[") > whole[-1].count(")") + whole[-1].count("]")
        whole[-1:] = [f"{whole[-1]}{separator} {cell}"] if inside else [*whole[-1:], cell]
    if len(counts) == 1 and len(whole) == max(counts) and len(set(whole)) == len(whole):
        return whole
    if any(name.strip() for name in header[max(counts) :]):
        what = f"the header has {len(header)} names, and no row has more than {max(counts)} cells"
        raise InputError(what, where=str(path), todo="put names that hold a separator in quotes, or fill the rows")
    return []


def _parsed(path: Path, start: int, separator: str, decimal: str, header: list[str], whole: list[str]) -> pd.DataFrame:
    names = [name for name in dict.fromkeys(whole or header) if [b.name for b in match([name])] == ["run"]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # mixed columns are read cell by cell later
            warnings.simplefilter("error", pd.errors.ParserWarning)
            spelled = dict.fromkeys(names, str)  # names of runs keep their spelling: 1e-3, 01
            return _cells(path, start, separator, whole, decimal=decimal, dtype=spelled)
    except pd.errors.ParserWarning as error:
        todo = "put cells that hold a separator in quotes"
        raise InputError("not a table: rows have more cells than the header", where=str(path), todo=todo) from error
    except UnicodeError as error:
        todo = "save it as UTF-8 text"
        raise InputError("not a table: the file is binary, or not UTF-8", where=str(path), todo=todo) from error
    except (ValueError, EOFError, OSError) as error:
        todo = "give a CSV with a header"
        raise InputError(f"not a table: {str(error).strip()}", where=str(path), todo=todo) from error


def _cells(path: Path, start: int, separator: str, whole: list[str], **how: Any) -> pd.DataFrame:
    """The table below a header, or below the ``whole`` names that it holds, as pandas reads it."""
    packed = packing(path)
    frame: Any = pd.read_csv(  # chunks are not asked for, so it is a table
        path,
        sep=separator,
        names=whole or None,
        header=None if whole else 0,
        compression=packed,  # type: ignore[arg-type]
        encoding=encoding(path, packed),
        skiprows=start + bool(whole),
        skip_blank_lines=False,
        skipinitialspace=True,
        index_col=False,
        **how,
    )
    return _trimmed(frame)


def _trimmed(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with names of columns without the blanks that align them, where these stay different."""
    names = [str(name).strip() for name in frame.columns]
    return frame if len(set(names)) < len(names) or not all(names) else frame.set_axis(names, axis=1)


def separator_of(line: str, body: Sequence[str] = ()) -> str:
    """The separator of a header: the one that it contains most often outside quotes.

    Of several that it contains, one by which the rows below it have as many cells, and most of them numbers.

    >>> separator_of("step;loss"), separator_of("run, step, loss|nats"), separator_of("loss")
    (';', ',', ',')
    >>> separator_of("N, M;D, B;loss", ["10;0,2;3,51", "20;0,4;3,32"])
    ';'
    """
    plain = re.sub(r'"[^"]*"', "", line)
    rows = [text for text in body if text.strip()][:FEW_ROWS] if sum(map(plain.count, SEPARATORS)) else []

    def fits(separator: str) -> tuple[float, int]:
        count = plain.count(separator)
        below = [cells_of(text, separator) for text in rows] if count and len({*plain} & {*SEPARATORS}) > 1 else []
        even = bool(below) and all(len(cells) == count + 1 for cells in below)
        figures = [cell for cells in below for cell in cells if is_quantity(cell.replace(",", "."))]
        return len(figures) / sum(map(len, below)) if even else 0.0, count

    return max(SEPARATORS, key=fits)


def _header_line(head: list[str], path: Path) -> int:
    """The index of the header; a line with `#` is the header if the next line has as many cells.

    Lines with one filled cell, their first, above a line of several words are titles.
    """
    filled = [index for index, line in enumerate(head) if line.strip()]
    filled = filled[_titles([head[index] for index in filled[:TITLES]]) :]
    for index, following in zip(filled, [*filled[1:], -1], strict=False):
        line, after = head[index], head[following]
        separator = separator_of(line)
        if not line.lstrip().startswith("#") or (following > 0 and line.count(separator) == after.count(separator) > 0):
            return index
    raise InputError("there is no table in the file", where=str(path), todo="give a CSV with a header")


def _titles(head: list[str]) -> int:
    """How many of the first lines are titles above the header."""
    for count, line in enumerate(head):
        cells = cells_of(line, separator_of(line))
        words = [cell for cell in cells if cell.strip()]
        if line.lstrip().startswith("#") or line.count('"') % 2:
            return 0
        if len(words) > 1:
            return 0 if any(map(is_quantity, words)) else count
        if not cells or (words and (cells[0] not in words or is_quantity(cells[0]))):
            return 0
    return 0


def _with_points(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a decimal point in numbers before a unit, as `1,4B`, which pandas takes for words."""
    for name in map(str, frame.columns):
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            said = frame[name].astype(str).str.fullmatch(rf"\s*{DECIMAL}\s*[A-Za-z]{{1,8}}\s*").fillna(False)
            frame = frame.assign(**{name: frame[name].where(~said, frame[name].astype(str).str.replace(",", "."))})
    return frame


def _without_points(frame: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[Remark]]:
    """Where decimals follow a comma, a point sets thousands apart in counts (`1.000` steps).

    Raises InputError for another known column in which it may be either.
    """
    told = list[Remark]()
    for name in map(str, frame.columns):
        column, known = frame[name], COLUMNS.get(canonical(name))
        if known is None or not known.numeric or pd.api.types.is_numeric_dtype(column.dtype):
            continue
        cells = column.dropna().astype(str).str.strip()
        pointed = cells.str.fullmatch(POINT)
        if not pointed.any() or not (pointed | ~cells.str.contains(".", regex=False)).all():
            continue
        if known.unit not in LARGE and not (cells.str.count(r"\.") > 1).any():
            where, todo = f"{path}, row {cells.index[pointed][0]}, column {name}", "write thousands without a point"
            raise InputError(f"'{cells[pointed].iloc[0]}' may be a thousand or a decimal", where=where, todo=todo)
        plain = column.astype(str).str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        frame = frame.assign(**{name: plain.where(column.notna())})
        told.append(Remark("converted", f"the points in column '{name}' set thousands apart"))
    return frame, told


def _decimal(body: list[str], separator: str) -> str:
    """The decimal mark: a comma only if semicolons or tabs separate the cells and some look like 3,25.

    Between tabs `3,250` may be a thousand, and a point in another cell a decimal one.
    """
    if separator not in ";\t":
        return "."
    cells = [cell.strip().strip('"') for line in body for cell in line.split(separator)]
    found = [cell for cell in cells if re.fullmatch(rf"{DECIMAL}\s*[kmbgt]?", cell, re.IGNORECASE)]
    if separator == "\t":
        pointed = any(re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", cell, re.IGNORECASE) for cell in cells)
        found = [] if pointed else [cell for cell in found if not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", cell)]
    return "," if found else "."


def _numbered(header: list[str], position: int) -> str:
    """The name of a column that ends in a digit and has been there before: w128 (2); "" for any other.

    >>> _numbered(["lr", "w128", "w128"], 2), _numbered(["lr", "w128", "w128"], 1)
    ('w128 (2)', '')
    """
    name = header[position].strip() if position < len(header) else ""
    times = [each.strip() for each in header[: position + 1]].count(name)
    return f"{name} ({times})" if times > 1 and name[-1:].isdigit() else ""


def _without_copies(frame: pd.DataFrame, header: list[str], path: Path) -> tuple[pd.DataFrame, list[Remark]]:
    """Columns of the same name: an exact copy is left out, another one gets the name that pandas gives it, or, where
    the name ends in a digit, its number in brackets: the second 128 is no 128.1.
    """
    told, copies, names = [], list[str](), list(map(str, frame.columns))
    for position, name in enumerate(header):
        first = header.index(name)
        if first == position or not name.strip():
            continue
        one, other = frame.columns[first], frame.columns[position]
        if frame[one].equals(frame[other]):
            copies.append(other)
            told.append(Remark("dropped", f"column {position + 1} is a copy of column {first + 1}, '{name}'"))
        elif match([name]):
            todo = "rename one of them"
            raise InputError(f"two columns are named '{name}' and differ", where=str(path), todo=todo)
        else:
            names[position] = _numbered(header, position) or names[position]
            told.append(Remark("named", f"two columns are named '{name}': the later one is now '{names[position]}'"))
    kept = [name for name, column in zip(names, frame.columns, strict=True) if column not in copies]
    return frame.drop(columns=copies).set_axis(kept, axis=1), told
