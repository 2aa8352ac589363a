"""Cells that hold dictionaries, as tables of runs with a column `config` and a column `summary` have them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from typing import Any

import pandas as pd

from scalefit.errors import listed
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import flattened

#: names of columns whose cells are taken apart
NAMES = frozenset(["config", "summary", "params", "parameters", "hparams", "settings", "args", "metrics", "results"])
LONGEST, MOST = 100_000, 500  #: letters of a cell, and entries of the cells of one column


def with_entries(raw: RawTable) -> RawTable | None:
    """The table with a column for each entry, `config/lr`; entries that hold lists are left out."""
    named = [name for name in map(str, raw.frame.columns) if re.split(r"[./_ ]", name.lower())[-1] in NAMES]
    found = {name: cells for name in named if (cells := _dictionaries(raw.frame[name]))}
    if not found:
        return None
    frame = raw.frame.drop(columns=list(found))
    for name, cells in found.items():
        rows = [{f"{name}/{key}": value for key, value in flattened(cell).items()} for cell in cells]
        plain = [
            {key: value for key, value in row.items() if not isinstance(value, list | tuple | set)} for row in rows
        ]
        names = list(dict.fromkeys(key for row in plain for key in row if key.rpartition("/")[2][:1] != "_"))[:MOST]
        made = pd.DataFrame({each: [row.get(each) for row in plain] for each in names}, index=raw.frame.index)
        frame = frame.join(made[[each for each in names if each not in frame.columns]])
    text = f"the cells of {listed(found)} hold dictionaries: a column for each of their entries"
    return replace(raw, frame=frame, remarks=(*raw.remarks, Remark("derived", text)))


def _dictionaries(column: pd.Series) -> list[dict[str, Any]]:
    """The cells as dictionaries, where all are; else none."""
    if pd.api.types.is_numeric_dtype(column.dtype) or not str(column.iloc[0]).lstrip().startswith("{"):
        return []
    found = [_read(str(cell)) for cell in column]
    return [each for each in found if each is not None] if all(found) else []


def _read(cell: str) -> dict[str, Any] | None:
    """The dictionary in a cell, as JSON or as Python prints it."""
    text = cell.strip()
    if not (text.startswith("{") and text.endswith("}")) or len(text) > LONGEST:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None
    return None
