"""The result of a reader: the table as it was logged, before its columns get their canonical names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.escaping import one_line, plain_words
from scalefit.runs.table import Note

Remark = Note  #: one thing that a reader did, or knows about its format; its text does not name the file


@dataclass(frozen=True)
class RawTable:
    """A file as a table. The index is a row's line (or record) in the source, from 1.

    `scalars` are entries for the whole file (configuration, sizes); `remarks` become notes. `nans` are, by column, the
    indices of the rows in which NaN was logged, as opposed to nothing; None if the format does not distinguish them, and
    `unsure` if an empty cell may be a NaN all the same, as pandas writes it. `name` is that of the run of a table which
    has no column for it. `identified`: runs of one name are one run, since the format gives each an identifier.
    `along`: another table, of values along the runs, which is read instead if a column that only it has is mapped.
    """

    path: Path
    frame: pd.DataFrame
    scalars: dict[str, object] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    nans: dict[str, list[int]] | None = None
    unsure: bool = False
    name: str = ""
    identified: bool = False
    along: pd.DataFrame | None = None


def printable(raw: RawTable) -> RawTable:
    """The same table with control characters escaped in the names of its columns and in its words.

    Raises InputError where two columns then have the same name.
    """
    names = {each: one_line(each) for each in raw.frame.columns if isinstance(each, str) and one_line(each) != each}
    frame = raw.frame.rename(columns=names) if names else raw.frame
    if names and not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"two columns are named '{twice}'", where=str(raw.path), todo="rename one of them")
    words = {name: _words(frame[name]) for name in frame.columns}
    changed = {name: frame[name].map(lambda cell, new=new: new.get(cell, cell)) for name, new in words.items() if new}
    scalars = plain_words(raw.scalars)
    if not names and not changed and scalars == raw.scalars:
        return raw
    nans = raw.nans and {names.get(name, name): rows for name, rows in raw.nans.items()}
    return replace(raw, frame=frame.assign(**changed), scalars=scalars, nans=nans)


def _words(column: pd.Series) -> dict[str, str]:
    """The words of a column that hold control characters, and how they are written without."""
    if column.dtype.kind in "iufbcmM":
        return {}
    values = column.dtype.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.unique()
    return {each: one_line(each) for each in values if isinstance(each, str) and one_line(each) != each}


def nans_of(records: list[dict[str, Any]], numbers: list[int]) -> dict[str, list[int]]:
    """The numbers of the records in which a key holds NaN, by key.

    >>> nans_of([{"loss": 1.0}, {"loss": float("nan")}, {}], [1, 2, 3])
    {'loss': [2]}
    """
    found: dict[str, list[int]] = {}
    for record, number in zip(records, numbers, strict=True):
        for key, value in record.items():
            if isinstance(value, float) and value != value:
                found.setdefault(key, []).append(number)
    return found
