"""The text of a file in any compression and encoding, recognised by its first bytes and not by its name."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from pathlib import Path
from typing import Any

from scalefit.errors import InputError

#: First bytes of a file -> its compression, as pandas names it.
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
OPENERS: dict[str | None, Any] = {None: open, "gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
ENDINGS = ("", ".gz", ".bz2", ".xz")
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error)
MOST_UNPACKED, BLOCK = 1 << 29, 1 << 20  #: bytes of a packed file, unpacked, and of one block of it
MOST_DIGITS = 300  #: of a whole number in JSON


def packing(path: Path) -> str | None:
    """ "gzip", "bz2", "xz" or None. Raises InputError for an archive, or for a name with the wrong ending."""
    with path.open("rb") as file:
        first = file.read(6)
    if first.startswith(b"PK\x03\x04"):
        raise InputError("a zip archive or a spreadsheet", where=str(path), todo="unpack it, or save it as CSV")
    if first.startswith(b"\x28\xb5\x2f\xfd"):
        raise InputError("a Zstandard file", where=str(path), todo="unpack it (zstd -d)")
    packed = next((name for magic, name in PACKED.items() if first.startswith(magic)), None)
    if packed is None and path.suffix.lower() in ENDINGS[1:]:
        raise InputError(f"not a {path.suffix} file", where=str(path), todo="name it by what it is")
    return packed


def encoding(path: Path, packed: str | None) -> str:
    """UTF-16 if the file begins with its byte-order mark, else UTF-8 (with or without a mark)."""
    try:
        with OPENERS[packed](path, "rb") as file:
            return BYTE_ORDER_MARKS.get(file.read(2), "utf-8-sig")
    except DAMAGE as error:
        raise _unreadable(path) from error


def lines(path: Path, limit: int | None = None) -> list[str]:
    """The lines of a file (or the first `limit`), with their line ends. Raises InputError if it is not text."""
    packed = packing(path)
    try:
        with OPENERS[packed](path, "rt", encoding=encoding(path, packed)) as file:
            return list(file) if limit is None else [line for line, _ in zip(file, range(limit), strict=False)]
    except (UnicodeError, *DAMAGE) as error:
        raise _unreadable(path) from error


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text; a whole number of more digits than any float has is infinite, as 1e400 is.

    Raises ValueError or RecursionError.
    """
    if not isinstance(text, str | bytes):  # of a data base, whose cells may be of any type
        raise ValueError(f"{text!r} is no text")
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < MOST_DIGITS else float(digits))


def refuse_packed(path: Path) -> None:
    """Raise InputError for a packed file that is damaged or cut off, or that holds more than :data:`MOST_UNPACKED`."""
    packed, size = packing(path), 0
    if packed is None:
        return
    try:
        with OPENERS[packed](path, "rb") as file:
            while block := file.read(BLOCK):
                size += len(block)
                if size > MOST_UNPACKED:
                    what = f"unpacks to more than {MOST_UNPACKED >> 20} MiB"
                    raise InputError(what, where=str(path), todo="unpack it yourself and give the plain file")
    except DAMAGE as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> InputError:
    return InputError("not a table: binary, cut off, or not UTF-8", where=str(path), todo="save it as UTF-8 text")
