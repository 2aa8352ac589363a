"""Protobuf messages by the numbers of their fields, as the files of W&B and TensorBoard hold them."""

from __future__ import annotations

import struct
from typing import Any

Fields = dict[int, list[Any]]
#: what reading the fields of a damaged message may raise
DAMAGE = (IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, struct.error)
LONGEST = 63  #: bits that the first byte of a number of ten is moved by at most


def fields(message: bytes) -> Fields:
    """The fields of a message by number: whole numbers, or bytes (of 4 or 8 for a fixed width).

    Raises one of `DAMAGE` for bytes that are no message.

    >>> fields(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69]))
    {1: [150], 2: [b'hi']}
    """
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(message, at)
            found.setdefault(number, []).append(value)
            continue
        length, at = varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + length > len(message):
            raise IndexError("a field goes on beyond its message")
        found.setdefault(number, []).append(message[at : at + length])
        at += length
    return found


def varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (message[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 128:
            return value, at
        if shift > LONGEST:
            raise ValueError("a number of more than ten bytes")


def text(found: Fields, number: int) -> str:
    """The last value of a field as text; none where it is missing."""
    return found[number][-1].decode("utf-8", "replace") if number in found else ""
