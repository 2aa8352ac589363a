"""The text of a file in any compression and encoding, recognised by its first bytes and not by its name."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

from scalefit.errors import InputError

#: First bytes of a file -> its compression, as pandas names it.
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
OPENERS: dict[str | None, Any] = {None: open, "gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
ENDINGS = ("", ".gz", ".bz2", ".xz")


def packing(path: Path) -> str | None:
    """ "gzip", "bz2", "xz" or None. Raises InputError for an archive, or for a name with the wrong ending."""
    with path.open("rb") as file:
        first = file.read(6)
    if first.startswith(b"PK\x03\x04"):
        raise InputError("a zip archive or a spreadsheet", where=str(path), todo="unpack it, or save it as CSV")
    packed = next((name for magic, name in PACKED.items() if first.startswith(magic)), None)
    if packed is None and path.suffix.lower() in ENDINGS[1:]:
        raise InputError(f"not a {path.suffix} file", where=str(path), todo="name it by what it is")
    return packed


def encoding(path: Path, packed: str | None) -> str:
    """UTF-16 if the file begins with its byte-order mark, else UTF-8 (with or without a mark)."""
    try:
        with OPENERS[packed](path, "rb") as file:
            return BYTE_ORDER_MARKS.get(file.read(2), "utf-8-sig")
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise _unreadable(path) from error


def lines(path: Path, limit: int | None = None) -> list[str]:
    """The lines of a file (or the first `limit`), with their line ends. Raises InputError if it is not text."""
    packed = packing(path)
    try:
        with OPENERS[packed](path, "rt", encoding=encoding(path, packed)) as file:
            return list(file) if limit is None else [line for line, _ in zip(file, range(limit), strict=False)]
    except (UnicodeError, EOFError, OSError, lzma.LZMAError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> InputError:
    return InputError("not a table: binary, cut off, or not UTF-8", where=str(path), todo="save it as UTF-8 text")
