"""The result of a reader: the table as it was logged, before its columns get their canonical names."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.escaping import one_line
from scalefit.runs.table import Note

BREAK = re.compile(r"\s*[\r\n]+\s*")  #: the end of a line within a name
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  #: letters without a width, which people paste
EMPTY_END = 3  #: records without a loss at the end of a log that may be those of a run that diverged
LONGEST_NAME = 2000  #: letters of the name of a column
BEYOND = 1 << 1023  #: whole numbers from here on are infinite
Remark = Note  #: one thing that a reader did, or knows about its format; its text does not name the file


@dataclass(frozen=True)
class RawTable:
    """A file as a table. The index is a row's line (or record) in the source, from 1.

    `scalars` are entries for the whole file (configuration, sizes); `remarks` become notes. `nans` are, by column, the
    indices of the rows in which NaN was logged, as opposed to nothing; None if the format does not distinguish them,
    and `unsure` if an empty cell may be a NaN all the same, as pandas writes it. `name` is that of the run of a table
    which has no column for it, and `single` says that all its rows are one run. `identified`: runs of one name are one
    run, since the format gives each an identifier. `along`: another table, of values along the runs, which is read
    instead if a column that only it has is mapped. `clock`: a column of times along which the rows of a run stand,
    which is no step.
    """

    path: Path
    frame: pd.DataFrame
    scalars: dict[str, object] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    nans: dict[str, list[int]] | None = None
    unsure: bool = False
    name: str = ""
    single: bool = False
    identified: bool = False
    along: pd.DataFrame | None = None
    clock: str = ""


def reshaped(raw: RawTable, frame: pd.DataFrame, kind: str, text: str, nans: dict[str, list[int]] | None) -> RawTable:
    """The same table in another shape, with a remark on what was done and the NaNs of its new rows."""
    unsure = raw.unsure and nans is raw.nans
    return replace(raw, frame=frame, remarks=(*raw.remarks, Remark(kind, text)), nans=nans, unsure=unsure)


def refuse_clock(raw: RawTable, known: Container[str]) -> None:
    """Raise InputError for rows along times of which no column of steps, tokens or epochs is known."""
    if raw.clock and not any(name in known for name in ("step", "tokens", "epoch")):
        what = f"the x axis of the chart is '{raw.clock}', which is no step"
        todo = "give the values by step (export the chart with it as its x axis), or name a column: --map step=COLUMN"
        raise InputError(what, where=str(raw.path), todo=todo)


def refuse_long_names(names: Iterable[object], where: str) -> None:
    """Raise InputError for a column whose name has more letters than :data:`LONGEST_NAME`."""
    longest = max((len(str(name)) for name in names), default=0)
    if longest > LONGEST_NAME:
        what = f"a column has a name of {longest} letters, and {LONGEST_NAME} are the most"
        raise InputError(what, where=where, todo="mend the line of names")


def settled(raw: RawTable) -> RawTable:
    """The same table with plain cells only: numbers, words without control characters, dates.

    Bytes are read as UTF-8, whole numbers that no float holds become infinite, control characters in texts and in the
    names of columns are escaped; columns that hold lists or objects are left out, with a remark. Raises InputError
    where two columns then have the same name, or none is left.
    """
    refuse_long_names(raw.frame.columns, str(raw.path))
    names = {each: one_line(BREAK.sub(" ", INVISIBLE.sub("", str(each)))) for each in raw.frame.columns}
    names = {each: plain for each, plain in names.items() if plain != each and isinstance(each, str)}
    frame = raw.frame.rename(columns=names) if names else raw.frame
    if names and not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"two columns are named '{twice}'", where=str(raw.path), todo="rename one of them")
    objects = [name for name in frame.columns if _holds_objects(frame[name])]
    if objects and len(objects) == len(frame.columns):
        what, todo = "every column holds lists or objects", "write a column for each number of them"
        raise InputError(what, where=str(raw.path), todo=todo)
    frame = frame.drop(columns=objects) if objects else frame
    changed = {name: plain for name in frame.columns if (plain := _plain_cells(frame[name])) is not None}
    scalars = {one_line(str(name)): _plain(value) for name, value in raw.scalars.items()}
    if not names and not objects and not changed and scalars == raw.scalars:
        return raw
    told = f"columns that hold lists or objects: {', '.join(map(str, objects))}"
    remarks = (*raw.remarks, Remark("dropped", told, len(objects))) if objects else raw.remarks
    nans = raw.nans and {names.get(name, name): rows for name, rows in raw.nans.items()}
    return replace(raw, frame=frame.assign(**changed), scalars=scalars, nans=nans, remarks=remarks)


def _holds_objects(column: pd.Series) -> bool:
    """Whether a cell is neither a number, a word, a date nor missing."""
    if column.dtype != object:
        return not isinstance(column.dtype, np.dtype) and type(column.dtype).__name__ == "ArrowDtype"
    return any(issubclass(kind, list | dict | tuple | set | np.ndarray) for kind in set(map(type, column)))


def _plain_cells(column: pd.Series) -> pd.Series | None:
    """The column with plain cells; None where they are so already."""
    if column.dtype.kind in "iufbcmM":
        return None
    values = column.dtype.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.unique()
    new = {each: plain for each in values if (plain := _plain(each)) is not each and type(each) is not float}
    return column.map(lambda cell: new.get(cell, cell)) if new else None


def _plain(value: Any) -> Any:
    """A cell or an entry without control characters, bytes, or numbers beyond all floats."""
    if isinstance(value, str):
        return one_line(INVISIBLE.sub("", value))
    if isinstance(value, bytes | bytearray | memoryview):
        return one_line(bytes(value).decode("utf-8", "replace"))
    if isinstance(value, int) and abs(value) >= BEYOND:
        return float("inf") if value > 0 else float("-inf")
    return value


def ends_empty(records: list[dict[str, Any]]) -> bool:
    """Whether a loss that every record names is null from some record to the end, as JSON writers store NaN.

    >>> ends_empty([{"loss": 3.0}] * 4 + [{"loss": None}] * 4), ends_empty([{"loss": 3.0}] * 4 + [{"loss": None}])
    (True, False)
    """
    last = records[-EMPTY_END:]
    named = [key for key in (last[-1] if last else {}) if "loss" in key.lower() or "nll" in key.lower()]
    lost = [key for key in named if all(key in record and record[key] is None for record in last)]
    return len(records) > EMPTY_END and any(
        all(key in record for record in records) and any(record[key] is not None for record in records) for key in lost
    )


def nans_of(records: list[dict[str, Any]], numbers: list[int]) -> dict[str, list[int]]:
    """The numbers of the records in which a key holds NaN, by key; also as the word, where JSON has no NaN.

    >>> nans_of([{"loss": 1.0}, {"loss": float("nan")}, {}], [1, 2, 3])
    {'loss': [2]}
    """
    found: dict[str, list[int]] = {}
    for record, number in zip(records, numbers, strict=True):
        for key, value in record.items():
            if (isinstance(value, float) and value != value) or (isinstance(value, str) and value.lower() == "nan"):
                found.setdefault(key, []).append(number)
    return found
