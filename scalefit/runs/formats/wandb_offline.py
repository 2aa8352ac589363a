"""W&B's own files of a run, `run-<id>.wandb` of an offline or a synced run, read without wandb.

The file is a log of blocks of 32 KiB, after a header of 7 bytes. A chunk is its checksum (u32), its length (u16), its
type (u8: 1 a whole record, 2 the first part of one, 3 a middle one, 4 the last) and its bytes; no chunk crosses a
block. A record is a protobuf message: field 2 a row of the history, 5 a change of the configuration, 17 the run.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.protobuf import DAMAGE, fields, text
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.text import flattened, parsed
from scalefit.runs.matching import match

NAMES = ("*.wandb",)
FOLDER_RANK = 2
BLOCK, HEADER, CHUNK = 1 << 15, 7, struct.Struct("<IHB")
MAGIC = b":W&B"
WHOLE, FIRST, LAST = 1, 2, 4
HISTORY, CONFIG, RUN = 2, 5, 17  #: fields of a record
RUN_ID, RUN_CONFIG, DISPLAY_NAME = 1, 4, 8  #: fields of a run
KEY, NESTED_KEY, VALUE = 1, 2, 16  #: fields of an item of a history or a configuration
CLOCKS, COUNTER = ("_runtime", "_timestamp"), "_step"


def sources(folder: Path) -> list[Path]:
    """The files of runs in a folder, in folders of runs (`offline-run-...`) and in a folder `wandb`."""
    patterns = ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb")
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if "latest-run" not in path.parts})


def read(path: Path) -> RawTable:
    """Every row that was logged, under the run's name and identifier, with its configuration.

    A run that was resumed has a file for each part, all with one identifier, and is one run. A file that ends within a
    record (the run was killed, or goes on) is read up to there, and a remark says so. Raises InputError for a file that
    is not of this kind.
    """
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise InputError("not a run file of W&B", where=str(path), todo="give the run-<id>.wandb that wandb wrote")
    rows: list[dict[str, Any]] = []
    config: dict[str, object] = {}
    told: list[Remark] = []
    identity, name = path.stem.removeprefix("run-"), ""
    try:
        for record in map(fields, _records(data, told)):
            rows += [_items(row) for row in record.get(HISTORY, [])]
            changes = list(record.get(CONFIG, []))
            for run in map(fields, record.get(RUN, [])):
                identity, name = text(run, RUN_ID) or identity, text(run, DISPLAY_NAME) or name
                changes += run.get(RUN_CONFIG, [])
            config |= {key: value for change in changes for key, value in _items(change).items()}
    except DAMAGE as error:
        raise InputError(
            "a damaged run file of W&B", where=str(path), todo="give the file as wandb wrote it"
        ) from error
    numbers = list(range(1, len(rows) + 1))
    frame, lists = framed(rows, numbers)
    if frame.empty:
        raise InputError("the run has no history", where=str(path), todo="give a run that logged something")
    frame, counted = without_counters(frame)
    told.append(counted)
    frame["run"] = f"{name} ({identity})" if name not in ("", identity) else identity
    config = {key: value for key, value in config.items() if not key.startswith("_")}
    return RawTable(path, frame, config, (*told, *lists), nans_of(rows, numbers), identified=True)


def without_counters(frame: pd.DataFrame, counter: str = COUNTER) -> tuple[pd.DataFrame, Remark]:
    """A history without its clocks, and without the count of the calls of log() where steps were logged as well."""
    frame = frame.drop(columns=[clock for clock in CLOCKS if clock in frame.columns])
    others = [name for name in map(str, frame.columns) if name != counter]
    steps = [binding.source for binding in match(others, ties={}) if binding.name == "step"]
    if counter in frame.columns and steps and frame[steps[0]].notna().all():
        said = f"{counter} counts the calls of log(); the steps are in the column '{steps[0]}'"
        return frame.drop(columns=counter), Remark("dropped", said)
    return frame, Remark("unknown", f"{counter} counts the calls of log(), which need not be optimiser steps")


def _records(data: bytes, told: list[Remark]) -> Iterator[bytes]:
    """The records of the log, up to the first chunk that is cut or damaged."""
    at, parts = HEADER, list[bytes]()
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < CHUNK.size:
            at += left
            continue
        checksum, length, kind = CHUNK.unpack_from(data.ljust(at + CHUNK.size, b"\0"), at)
        body = data[at + CHUNK.size : at + CHUNK.size + length]
        if len(body) < length or zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
            said = f"the last {len(data) - at} bytes are not whole (a run that was killed, or that goes on): left out"
            told.append(Remark("dropped", said))
            return
        parts = [body] if kind in (WHOLE, FIRST) else [*parts, body]
        if kind in (WHOLE, LAST):
            yield b"".join(parts)
        at += CHUNK.size + length


def _items(message: bytes) -> dict[str, Any]:
    """The keys and values of a row or of a configuration, nested ones as `outer/inner`."""
    found: dict[str, Any] = {}
    for item in map(fields, fields(message).get(1, [])):
        nested = [part.decode("utf-8", "replace") for part in item.get(NESTED_KEY, [])]
        key = "/".join(nested) or text(item, KEY)
        found |= flattened({key: parsed(text(item, VALUE) or "null")})
    return found
