"""The result of a reader: the table as it was logged, before its columns get their canonical names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.runs.table import Note

Remark = Note  #: one thing that a reader did, or knows about its format; its text does not name the file


@dataclass(frozen=True)
class RawTable:
    """A file as a table. The index is a row's line (or record) in the source, from 1.

    `scalars` are entries for the whole file (configuration, sizes); `remarks` become notes. `nans` are, by column, the
    indices of the rows in which NaN was logged, as opposed to nothing; None if the format does not distinguish them, and
    `unsure` if an empty cell may be a NaN all the same, as pandas writes it. `name` is that of the run of a table which
    has no column for it. `identified`: runs of one name are one run, since the format gives each an identifier.
    """

    path: Path
    frame: pd.DataFrame
    scalars: dict[str, object] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    nans: dict[str, list[int]] | None = None
    unsure: bool = False
    name: str = ""
    identified: bool = False


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
