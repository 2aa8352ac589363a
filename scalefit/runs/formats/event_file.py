"""One event file of TensorBoard, read without it: records of a length, a checksum, a protobuf message, a checksum.

A message holds a time (field 1), a step (2) and a summary (5) of values (1): each a tag (1), and a number (2), a tensor
(8) or something else, with what it is for (9). Settings that `add_hparams` wrote are in the latter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from scalefit.errors import InputError
from scalefit.runs.formats.protobuf import DAMAGE, Fields, fields, text

LENGTH = struct.Struct("<QI")
TIME, STEP, SUMMARY = 1, 2, 5  #: fields of an event
TAG, NUMBER, TENSOR, META = 1, 2, 8, 9  #: fields of a value
KIND, SHAPE, CONTENT = 1, 2, 4  #: fields of a tensor
#: types of tensors: as NumPy names them, and the field of their numbers
TYPES = {1: ("<f4", 5), 2: ("<f8", 6), 3: ("<i4", 7), 4: ("u1", 7), 5: ("<i2", 7), 6: ("i1", 7), 9: ("<i8", 10)}
TYPES |= {17: ("<u2", 7), 19: ("<f2", 13), 22: ("<u4", 16), 23: ("<u8", 17)}
SETTINGS, SESSION, ENTRIES = "hparams", 3, 1  #: name of their plugin, and fields of what it holds


@dataclass
class Events:
    """What a file holds: (step, time, value) of every scalar by tag, settings, tags of other things, a torn tail."""

    scalars: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    torn: int = 0


def read_events(path: Path) -> Events:
    """Read every scalar, and every tensor of one number. A file that ends within a record is read up to there.

    Raises InputError for a file of another kind.
    """
    data = path.read_bytes()
    if data and _length(data, 0) is None:
        todo = "give a file that TensorBoard's writer wrote"
        raise InputError("not an event file of TensorBoard", where=str(path), todo=todo)
    found = Events()
    try:
        for message in _records(data, found):
            event = fields(message)
            for summary in event.get(SUMMARY, []):
                for value in fields(summary).get(1, []):
                    _take(found, event, fields(value))
    except DAMAGE as error:
        todo = "give the file as TensorBoard's writer wrote it"
        raise InputError("a damaged event file", where=str(path), todo=todo) from error
    return found


def _records(data: bytes, found: Events) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        length, start = _length(data, at), at + LENGTH.size
        if length is None or start + length + 4 > len(data):
            found.torn = len(data) - at
            return
        yield data[start : start + length]
        at = start + length + 4


def _length(data: bytes, at: int) -> int | None:
    """The length of the record that begins here; None where there is none, by its checksum."""
    if at + LENGTH.size > len(data):
        return None
    length, checksum = LENGTH.unpack_from(data, at)
    return int(length) if _masked(data[at : at + 8]) == checksum else None


def _take(found: Events, event: Fields, value: Fields) -> None:
    tag = text(value, TAG)
    content = _settings_of(value)
    if content is not None:
        found.settings |= content
        return
    number = _number(value)
    if number is None:
        found.others.add(tag)
        return
    step = event[STEP][-1] if STEP in event else 0
    step -= (step >> 63) << 64
    (time,) = struct.unpack("<d", event[TIME][-1]) if TIME in event else (0.0,)
    found.scalars.setdefault(tag, []).append((step, time, number))


def _number(value: Fields) -> float | None:
    """The number of a scalar, or of a tensor that holds one; None for anything else."""
    if NUMBER in value:
        return float(struct.unpack("<f", value[NUMBER][-1])[0])
    if TENSOR not in value:
        return None
    tensor = fields(value[TENSOR][-1])
    kind, at = TYPES.get(tensor[KIND][-1] if KIND in tensor else 0, ("", 0))
    sizes = [fields(size).get(1, [0])[-1] for shape in tensor.get(SHAPE, []) for size in fields(shape).get(2, [])]
    if not kind or any(size != 1 for size in sizes):
        return None
    if CONTENT in tensor:
        return float(np.frombuffer(tensor[CONTENT][-1], kind)[0])
    return _stored(tensor[at][-1], kind) if at in tensor else 0.0  # a zero is not written


def _stored(number: int | bytes, kind: str) -> float:
    """A number of a tensor that holds its numbers one by one."""
    if isinstance(number, int):
        whole = number - ((number >> 63) << 64)
        return float(np.array(whole, "<u2").view("<f2") if kind == "<f2" else whole)
    if kind in ("<f4", "<f8"):
        return float(np.frombuffer(number, kind)[0])
    return _stored(fields(b"\x08" + number)[1][0], kind)


def _settings_of(value: Fields) -> dict[str, object] | None:
    """The settings of a run; an empty one where the value only describes them; None where it is no such value."""
    plugin = fields(fields(value[META][-1]).get(1, [b""])[-1]) if META in value else {}
    if text(plugin, 1) != SETTINGS:
        return None
    found: dict[str, object] = {}
    for session in fields(plugin.get(2, [b""])[-1]).get(SESSION, []):
        for entry in map(fields, fields(session).get(ENTRIES, [])):
            setting = fields(entry[2][-1]) if 2 in entry else {}
            if 2 in setting:
                found[text(entry, 1)] = float(struct.unpack("<d", setting[2][-1])[0])
            elif 3 in setting:
                found[text(entry, 1)] = text(setting, 3)
            elif 4 in setting:
                found[text(entry, 1)] = bool(setting[4][-1])
    return found


@cache
def _table() -> tuple[int, ...]:
    """The remainders of single bytes by the polynomial of Castagnoli."""
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)


def _masked(data: bytes) -> int:
    """The checksum of a length, turned by 15 bits and moved, as the writer does."""
    table, rest = _table(), 0xFFFFFFFF
    for byte in data:
        rest = table[(rest ^ byte) & 255] ^ rest >> 8
    rest ^= 0xFFFFFFFF
    return (rest >> 15 | rest << 17) + 0xA282EAD8 & 0xFFFFFFFF
