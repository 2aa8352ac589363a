"""JSON lines: one object per line. Nested objects become columns `outer/inner`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.json_shapes import rows_of_runs
from scalefit.runs.formats.places_of_records import spread_over_epochs
from scalefit.runs.formats.raw import RawTable, Remark, ends_empty, nans_of
from scalefit.runs.formats.splits import AXES, measured
from scalefit.runs.formats.text import ENDINGS, flattened, lines, parsed
from scalefit.runs.matching import canonical

NAMES = tuple(f"*{kind}{packed}" for kind in (".jsonl", ".ndjson") for packed in ENDINGS)
FOLDER_RANK = 0
OBJECTS = "write one object per line"


def sources(folder: Path) -> list[Path]:
    """The files of JSON lines in a folder and in the folders directly below it."""
    return sorted({*folder.glob("*.jsonl"), *folder.glob("*/*.jsonl")})


def read(path: Path) -> RawTable:
    """Read JSON lines; the index is the line number, from 1.

    An incomplete last line (the run was killed while writing it) is left out, with a remark. Records of a configuration
    (their `event` is hparams, config or summary) become scalars. Raises InputError for a line that is not a JSON
    object.
    """
    records, numbers, scalars, remarks = [], [], dict[str, object](), list[Remark]()
    texts = lines(path)
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        record = _record(text, number, path, is_last=number == len(texts))
        if record is None:
            remarks.append(Remark("dropped", "the last line, which is incomplete"))
        elif record.get("event") in ("hparams", "config", "summary", "finish", "artifact"):
            scalars.update(record)
        else:
            records.append(record)
            numbers.append(number)
    first, settings = settings_before(records)
    if first:
        scalars.update(settings)
        records, numbers = records[first:], numbers[first:]
        told_of = f"settings are those of the records before the first step: {', '.join(settings)}"
        remarks += [Remark("derived", told_of, len(settings))] if settings else []
    if (rows := rows_of_runs(records)) is not records:  # a run a line
        records, numbers = [flattened(row) for row in rows], list(range(1, len(rows) + 1))
    remarks += spread_over_epochs(records)
    frame, told = framed(records, numbers)
    nans = nans_of(records, numbers)
    return RawTable(path, frame, scalars, (*remarks, *told), nans, unsure=ends_empty(records))


def settings_before(records: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """How many records stand before the first step or epoch and measure nothing, and the settings that only they hold.

    >>> settings_before([{"event": "start", "config/d_model": 64}, {"event": "log", "step": 1, "loss": 4.0}])
    (1, {'config/d_model': 64})
    >>> settings_before([{"loss": 4.0}, {"step": 1, "loss": 3.9}]), settings_before([{"N": 1e6, "loss": 3.0}])
    ((0, {}), (0, {}))
    """
    if not records or any(canonical(key) in AXES for key in records[0]):
        return 0, {}
    meant = {key: canonical(key) for key in {key for record in records for key in record}}
    axes = {key for key, name in meant.items() if name in AXES}
    kept = {key for key, name in meant.items() if name in ("run", "loss") or measured(key)}
    start = next((at for at, record in enumerate(records) if axes & record.keys()), 0)
    if any(kept & record.keys() for record in records[:start]):
        return 0, {}
    later = set().union(*records[start:])
    held = {key: value for record in records[:start] for key, value in record.items() if key not in later}
    return start, {key: value for key, value in held.items() if value is not None and not isinstance(value, list)}


def framed(records: list[dict[str, Any]], numbers: list[int]) -> tuple[pd.DataFrame, list[Remark]]:
    """Flat records as a table; columns that hold lists are left out, with a remark, unless each list holds one number.

    A scheduler gives its learning rate as a list, of one number a group of parameters: where these are the same, it is
    the rate.

    >>> frame, told = framed([{"step": 1, "norms": [1, 2]}, {"step": 2}], [1, 2])
    >>> list(frame.columns), told[0].text
    (['step'], 'columns that hold lists: norms')
    """
    lists = dict.fromkeys(key for record in records for key, value in record.items() if isinstance(value, list))
    single = {key for key in lists if all(_one(record[key]) for record in records if isinstance(record.get(key), list))}
    if single:
        records = [{k: v[0] if k in single and isinstance(v, list) else v for k, v in r.items()} for r in records]
        lists = {key: None for key in lists if key not in single}
    if lists:
        records = [{key: value for key, value in record.items() if key not in lists} for record in records]
    told = [Remark("dropped", f"columns that hold lists: {', '.join(lists)}", len(lists))] if lists else []
    return pd.DataFrame(records, index=pd.Index(numbers)), told


def _one(values: list[Any]) -> bool:
    """Whether a list holds one number, once or several times."""
    return bool(values) and all(type(each) in (int, float) and each == values[0] for each in values)


def _record(text: str, number: int, path: Path, is_last: bool) -> dict[str, Any] | None:
    where = f"{path}, row {number}"
    try:
        record = parsed(text)
        if isinstance(record, dict):
            return flattened(record)
    except ValueError as error:
        if is_last and number > 1 and not text.endswith("\n"):
            return None
        raise InputError(
            f"not JSON ({getattr(error, 'msg', error)})", where=where, todo=f"remove the line, or {OBJECTS}"
        ) from error
    except RecursionError as error:
        raise InputError("the objects are nested too deep", where=where, todo=OBJECTS) from error
    raise InputError("not a JSON object", where=where, todo=OBJECTS)
