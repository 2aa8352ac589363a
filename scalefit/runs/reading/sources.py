"""What the user names, as tables: files, folders, patterns of file names, standard input, addresses, data frames."""

from __future__ import annotations

import glob
import hashlib
import json
import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from scalefit.errors import InputError, all_of, listed
from scalefit.parallel import each
from scalefit.runs.formats import RawTable, Remark, is_free_text, read_raw, sources_below, sources_in
from scalefit.runs.formats import pattern as own_pattern
from scalefit.runs.formats.split_files import joined_splits
from scalefit.runs.formats.uneven import cells_of
from scalefit.runs.formats.wandb_api import fetch, is_address
from scalefit.runs.quantities import is_quantity
from scalefit.runs.reading.shapes import shaped
from scalefit.runs.table import Origin

Source = str | PathLike[str] | pd.DataFrame
STANDARD_INPUT = "-"
TEXTS = ("*.log", "*.txt", "*.out", "*.stdout", "*.err", "*.stderr")  #: files of a folder to which a pattern is applied
PER_BYTE, PER_ROW = 1.8e-7, 1.3e-5  #: seconds that all of the reading of many logs takes (one core of 2.5 GHz)
BINARY = {b"PAR1": ".parquet", b"SQLite format 3": ".db"}  #: first bytes of standard input: how it would be named


def raw_tables(
    sources: Sequence[Source], mapped: Container[str], pattern: str | None
) -> tuple[list[RawTable], tuple[Origin, ...]]:
    """The tables of the sources, in the shape that is read, and where they come from.

    ``mapped``: columns that the user mapped, which no change of shape may take away; ``pattern``: that of the lines of
    text files (see :mod:`scalefit.runs.formats.pattern`). Raises InputError, naming the file, for what cannot be read.
    """
    tables = all_of(lambda source: list(_tables(source, mapped, pattern)), sources)
    raws = [raw for each_source in tables for raw, _ in each_source]
    origin = [place for each_source in tables for _, place in each_source]
    if not raws:
        raise InputError("there is nothing to read", todo="give a file, a folder of run logs or a DataFrame")
    return raws, tuple(origin)


def _tables(source: Source, mapped: Container[str], pattern: str | None) -> Iterator[tuple[RawTable, Origin]]:
    if isinstance(source, pd.DataFrame):
        raw = shaped(_from_frame(source), mapped)
        yield raw, Origin("DataFrame", _frame_hash(source), len(source))
    elif not isinstance(source, str | PathLike):
        given = f"a {type(source).__name__} is no run log"
        raise InputError(given, todo="give a file, a folder or a table: pandas.DataFrame(rows)")
    elif is_address(source):
        for raw in fetch(str(source)):
            yield shaped(raw, mapped), Origin(str(source), _frame_hash(raw.frame), len(raw.frame))
    elif fspath(source) == STANDARD_INPUT:
        yield _standard_input(mapped, pattern)
    else:
        raws = [raw for place in _expanded(Path(source)) for raw in _of_path(place, pattern)]
        made = each(partial(shaped, mapped=mapped), raws, seconds=PER_ROW * sum(len(raw.frame) for raw in raws))
        for raw, inside in zip(made, raws, strict=True):
            yield raw, Origin(str(inside.path), _file_hash(inside.path), len(inside.frame))


def _standard_input(mapped: Container[str], pattern: str | None) -> tuple[RawTable, Origin]:
    """Standard input, as a file named by what it holds."""
    data = sys.stdin.buffer.read()
    where = "standard input"
    if not data.strip():
        raise InputError("it is empty", where=where, todo="pipe a run log into the command: cat run.csv | scalefit …")
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"stdin{_ending(data)}"
        path.write_bytes(data)
        try:
            raw = shaped(read_raw(path) if pattern is None else own_pattern.read(path, pattern), mapped)
        except InputError as error:
            place = error.where.replace(str(path), where)
            raise InputError(error.what.replace(str(path), where), where=place, todo=error.todo) from error
        return replace(raw, path=Path("stdin")), Origin(where, _file_hash(path), len(raw.frame))


def _ending(data: bytes) -> str:
    """The ending of a file with this content: binary tables by their first bytes, JSON, CSV, else text."""
    for first, ending in BINARY.items():
        if data.startswith(first):
            return ending
    head = [line.decode("utf-8", "replace") for line in data.lstrip(b"\xef\xbb\xbf").splitlines() if line.strip()][:2]
    if head and head[0].lstrip()[:1] in ("[", "{"):
        try:
            json.loads(head[0])
        except ValueError:
            return ".json" if head[0].strip() in ("[", "{") else ".txt"
        return ".jsonl" if head[0].lstrip()[0] == "{" else ".json"
    for mark in (",", ";", "\t"):
        rows = [cells_of(line, mark) for line in head]
        if len(rows) == 2 and len(rows[0]) == len(rows[1]) > 1 and any(map(is_quantity, rows[1])):
            names = not any(is_quantity(cell) or ": " in cell or "=" in cell for cell in rows[0])
            return ".csv" if names else ".txt"
    return ".txt"


def _expanded(path: Path) -> list[Path]:
    """The files of a pattern such as runs/*.csv, in order of their names; the path itself if it is none."""
    text = str(path)
    if not glob.has_magic(text) or path.exists():
        return [path]
    found = [Path(each) for each in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207  # the pattern is relative
    if not found:
        raise InputError("no file has such a name", where=text, todo="check the pattern; * stands for any letters")
    return found


def _of_path(path: Path, pattern: str | None) -> list[RawTable]:
    """A file as a table, or the run logs of a folder; the first has remarks on files there that are not read.

    A folder may hold texts that are no logs: they are passed over, unless there is nothing else.
    """

    def read(file: Path) -> RawTable:
        return read_raw(file) if pattern is None else own_pattern.read(file, pattern)

    if not path.is_dir():
        if pattern is not None and not path.exists():
            raise InputError("there is no such file", where=str(path), todo="give the path of a run log or of a folder")
        return [read(path)]

    def tried(file: Path) -> RawTable | InputError:
        try:
            return read(file)
        except InputError as error:
            if not is_free_text(file):
                raise
            return error

    found, rest = _in_folder(path, pattern)
    tables, outcomes = list[RawTable](), list[RawTable | InputError]()
    for deeper in (False, True):
        if deeper and not tables and pattern is None:  # pages and notes above the folders of the runs
            found, more = sources_below(path)
            rest = [*rest, *more]
        elif deeper:
            break
        size = sum(file.stat().st_size for file in found if file.is_file())
        outcomes += (made := each(tried, found, seconds=PER_BYTE * size))
        tables = [one for one in made if isinstance(one, RawTable)]
        rest = [*rest, *(file for file, one in zip(found, made, strict=True) if isinstance(one, InputError))]
    if not tables:
        raise next(one for one in outcomes if isinstance(one, InputError))
    tables = joined_splits(tables)
    names = listed([file.name for file in rest], 5)
    left = [Remark("dropped", f"other files in the folder were not read: {names}", len(rest))] if rest else []
    return [replace(tables[0], remarks=(*tables[0].remarks, *left)), *tables[1:]]


def _in_folder(path: Path, pattern: str | None) -> tuple[list[Path], list[Path]]:
    """The run logs of a folder, and its other files; with a pattern its texts."""
    if pattern is None:
        found, rest = sources_in(path)
    else:
        found, rest = sorted({file for name in TEXTS for file in path.rglob(name) if file.is_file()}), []
    if not found:
        todo = "give a file, or a folder with run logs (docs/logs.md lists the formats)"
        what = "the folder holds no run logs" if pattern is None else f"the folder holds no text ({', '.join(TEXTS)})"
        raise InputError(what, where=str(path), todo=todo)
    return found, rest


def _from_frame(frame: pd.DataFrame) -> RawTable:
    if frame.empty:
        raise InputError("the table has no rows", where="DataFrame", todo="give one row for each run or logged step")
    if frame.columns.nlevels > 1:
        frame = frame.set_axis(["/".join(map(str, name)) for name in frame.columns], axis=1)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"two columns are named '{twice[0]}'", where="DataFrame", todo="rename one of them")
    if frame.index.name is not None or isinstance(frame.index, pd.MultiIndex):
        frame = frame.drop(columns=[name for name in frame.index.names if name in frame.columns]).reset_index()
    if not frame.index.is_unique:
        frame = frame.set_axis(pd.RangeIndex(1, len(frame) + 1))
    return RawTable(Path("DataFrame"), frame)


def _file_hash(path: Path) -> str:
    """The SHA-256 of a file; for a folder, that of the hashes of its files in the order of their paths."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    sums = [_file_hash(part) for part in sorted(path.rglob("*")) if part.is_file()]
    return hashlib.sha256("".join(sums).encode()).hexdigest()


def _frame_hash(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256(repr(list(map(str, frame.columns))).encode())
    for start in range(0, len(frame), 1 << 18):
        try:
            values = pd.util.hash_pandas_object(frame.iloc[start : start + (1 << 18)], index=False)
        except TypeError as error:
            todo = "keep only numbers and text"
            raise InputError("a cell holds a list or another object", where="DataFrame", todo=todo) from error
        digest.update(values.to_numpy().tobytes())
    return digest.hexdigest()
