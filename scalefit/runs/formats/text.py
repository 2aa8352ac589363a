"""The text of a file in any compression and encoding, recognised by its first bytes and not by its name."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import re
import zlib
from pathlib import Path
from typing import Any

from scalefit.errors import InputError

#: First bytes of a file -> its compression, as pandas names it.
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
OPENERS: dict[str | None, Any] = {None: open, "gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
BYTE_ORDER_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32"}
BYTE_ORDER_MARKS |= {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
UTF, LATIN = "utf-8-sig", "cp1252"
HEAD = 1 << 20  #: bytes by which an encoding is told
#: bytes of accented letters, and of the dashes, quotes and signs that Windows adds to Latin-1; and what it has not:
#: other bytes, or words of them
ACCENTED = re.compile(rb"[\x80\x85\x91-\x97\x99\xa0-\xff]")
OF_OTHERS = re.compile(rb"[\x81-\x84\x86-\x90\x98\x9a-\x9f]|[\x80-\xff]{3}|(?<![A-Za-z])[\x80-\xff]{2}(?![A-Za-z])")
PLAIN = (*b"\t\n\r", *range(32, 127))  #: bytes of plain text
ENDINGS = ("", ".gz", ".bz2", ".xz")
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error)
MOST_UNPACKED, BLOCK = 1 << 29, 1 << 20  #: bytes of a packed file, unpacked, and of one block of it
MOST_DIGITS = 300  #: of a whole number in JSON
DECODER = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < MOST_DIGITS else float(digits))


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
    """UTF-8 (with or without a mark), UTF-16 or UTF-32 by their marks or zeros; else Latin-1 as Windows extends it.

    Raises InputError for text in yet another encoding.
    """
    found = _encoding(path, packed)
    if found is None:
        what = "the text is not UTF-8, nor UTF-16 or Latin-1: it may be Shift-JIS, GBK, Windows-1251, or no text"
        raise InputError(what, where=str(path), todo="save it as UTF-8 (iconv -f ENCODING -t UTF-8)")
    return found


def is_latin(path: Path) -> bool:
    """Whether a file is text that is read as Latin-1, since it is not UTF-8."""
    return _encoding(path, packing(path)) == LATIN


def _encoding(path: Path, packed: str | None) -> str | None:
    """The encoding of a text by its beginning; None where it is none of those that are known."""
    try:
        with OPENERS[packed](path, "rb") as file:
            head = file.read(HEAD)
    except DAMAGE as error:
        raise _unreadable(path) from error
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    if marked or b"\x00" in head:
        return marked or _by_zeros(head)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return LATIN if _is_latin(head) else None
    return UTF


def _by_zeros(head: bytes) -> str:
    """UTF-16 without a mark, in which every other byte of most letters is zero; else UTF-8.

    >>> _by_zeros("step,loss".encode("utf-16-le")), _by_zeros("step,loss".encode("utf-16-be")), _by_zeros(b"a\\0\\0b")
    ('utf-16-le', 'utf-16-be', 'utf-8-sig')
    """
    halves = {"utf-16-le": (head[1::2], head[::2]), "utf-16-be": (head[::2], head[1::2])}
    for name, (zeros, letters) in halves.items():
        plain = sum(letters.count(sign) for sign in PLAIN)
        if 4 * zeros.count(0) > 3 * len(zeros) and 4 * plain > 3 * len(letters):
            return name
    return UTF


def _is_latin(head: bytes) -> bool:
    """Whether letters beyond ASCII stand alone between others, as accented ones do, and no byte is of other alphabets.

    >>> [_is_latin("Größe – ±".encode("cp1252")), _is_latin("опыт".encode("cp1251")), _is_latin("実験".encode("sjis"))]
    [True, False, False]
    """
    return ACCENTED.search(head) is not None and not OF_OTHERS.search(head)


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
    return DECODER.decode(text if isinstance(text, str) else text.decode(json.detect_encoding(text), "surrogatepass"))


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


def flattened(record: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as one level: `{"a": {"b": 1}}` is `{"a/b": 1}`.

    >>> flattened({"step": 1, "metrics": {"train": {"loss": 2.0}}})
    {'step': 1, 'metrics/train/loss': 2.0}
    """
    if not any(isinstance(value, dict) for value in record.values()):
        return record
    flat: dict[str, Any] = {}
    left = [(str(key), value) for key, value in reversed(record.items())]
    while left:  # however deep
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{name}/{key}", inner) for key, inner in reversed(value.items())]
        else:
            flat[name] = value
    return flat
