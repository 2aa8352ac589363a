"""Objects, one a line, in a log or a text file: JSON, or the dictionaries that the Hugging Face Trainer prints."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from scalefit.errors import InputError
from scalefit.runs.formats.jsonl import flattened, framed
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.text import ENDINGS, lines

NAMES = tuple(f"*{kind}{packed}" for kind in (".txt", ".log", ".out", ".stdout") for packed in ENDINGS)
OBJECT = re.compile(r"\{.*\}")
NAN, INF = (re.compile(rf"(?<=[:\s-]){word}(?=[,}}\s])") for word in ("nan", "inf"))  #: as Python prints them
FEWEST = 2  #: lines that make a file one of objects
LONGEST = 100_000  #: letters of a line that is tried
SUMMARY = ("train_runtime", "eval_runtime")  #: keys of records that sum up a training or time an evaluation


def claims(path: Path) -> bool:
    """Whether two of the first hundred lines are objects of numbers, and most of the filled ones are."""
    head = [text for text in lines(path, limit=100) if text.strip()]
    found = [record for record in map(_record, head) if record]
    return len(found) >= FEWEST and 2 * len(found) >= len(head)


def read(path: Path) -> RawTable:
    """Read every line that is an object; the index is its line. Other lines are counted in a remark.

    The record that closes a training (`train_runtime`) holds the mean loss of the whole run and is left out.
    """
    records, numbers, other, sums = list[dict[str, Any]](), list[int](), 0, 0
    for number, text in enumerate(lines(path), start=1):
        record = _record(text)
        if record is None:
            other += bool(text.strip())
        elif SUMMARY[0] in record:
            sums += 1
        else:
            records.append({key: value for key, value in record.items() if key not in SUMMARY})
            numbers.append(number)
    if not records:
        raise InputError("no line is an object", where=str(path), todo="write one JSON object a line")
    frame, told = framed(records, numbers)
    told += [Remark("dropped", f"{other} lines that are no objects", other)] if other else []
    told += [Remark("dropped", "the closing record: its train_loss is the mean of the whole run")] if sums else []
    return RawTable(path, frame, remarks=tuple(told), nans=nans_of(records, numbers))


def _record(text: str) -> dict[str, Any] | None:
    """The object of a line, nested ones as `outer/inner`; None where it holds none."""
    text = text.strip()
    if not text.startswith("{") or not OBJECT.fullmatch(text) or len(text) > LONGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(INF.sub("1e999", NAN.sub("'NaN'", text)))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        return None
    return {key: float("nan") if value == "NaN" else value for key, value in flattened(found).items()}
