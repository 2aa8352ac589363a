"""Files that appear whole or not at all, and never in place of an input or of a file of another kind."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from scalefit.errors import InputError

HEAD = 1 << 16  #: bytes by which the kind of a file is known
FIGURES = (".png", ".pdf", ".svg")
#: what each kind of file that is written begins with
KINDS = {
    "fit": re.compile(rb'\s*\{(?=[^}]*"schema_version"\s*:)(?=[^}]*"scalefit_version"\s*:)'),
    "figure": re.compile(rb"\x89PNG\r\n|%PDF-|\s*(<\?xml|<!--|<!DOCTYPE svg|<svg)"),
    "report": re.compile(rb"\s*(<!DOCTYPE html>\s*)?<!-- scalefit report"),
    "table": re.compile(rb"[^\r\n\x00]*,[^\r\n\x00]*\r?\n"),
}
WORDS = {"fit": "a saved fit", "figure": "a figure", "report": "a report", "table": "a table with these columns"}


def refuse(path: str | Path, kind: str = "", inputs: Iterable[str | Path] = (), header: str = "") -> Path:
    """The place that ``path`` leads to (a symbolic link is followed); raises InputError where nothing may be written.

    Refused are: a folder or a device; a place whose folder does not exist, or that may not be written; one of the
    ``inputs``, under whatever name; and a file that is not empty and not of this ``kind`` (fit, figure or table; a
    table also where neither holds all columns of the other). ``header``: the first line of the table to be written.
    """
    place = Path(os.path.realpath(path))
    if kind == "figure" and Path(path).suffix.lower() not in FIGURES:
        what, todo = f'a figure cannot be written as "{Path(path).suffix}"', "end it in .png, .pdf or .svg"
        raise InputError(what, where=str(path), todo=todo)
    why = "Is a directory" if place.is_dir() else "" if place.parent.is_dir() else "No such file or directory"
    why = why or ("not a regular file" if place.exists() and not place.is_file() else "")
    if why or not os.access(place.parent, os.W_OK) or (place.exists() and not os.access(place, os.W_OK)):
        todo = "give a file in a folder that exists"
        raise InputError(f"cannot be written ({why or 'Permission denied'})", where=str(path), todo=todo)
    if not place.exists():
        return place
    if any(Path(one).exists() and place.samefile(one) for one in inputs):
        raise InputError("the output is one of the inputs", where=str(path), todo="name another file for the output")
    if kind and not _is(kind, place, header):
        todo = "name another file, or remove this one"
        raise InputError(f"the file exists and is not {WORDS[kind]}", where=str(path), todo=todo)
    return place


def _is(kind: str, place: Path, header: str) -> bool:
    """Whether a file is empty or of a kind that may be replaced."""
    with place.open("rb") as file:
        head = file.read(HEAD)
    if head and header:
        first = head.decode("utf-8", "replace").splitlines()[0].split(",")
        ours = header.rstrip("\r\n").split(",")
        if first[0] != ours[0] or not (set(first) <= set(ours) or set(ours) <= set(first)):
            return False
    return not head or bool(KINDS[kind].match(head))


def write_whole(path: str | Path, write: Callable[[Path], object], kind: str = "", header: str = "") -> Path:
    """Let ``write`` fill a temporary file beside the place, then rename it; what stood there stays until then.

    What is written is on the disk before the rename is. A symbolic link stays one, and the mode of a file is kept. See
    :func:`refuse` for what is not replaced. Raises InputError where the place cannot be written; no temporary file is
    left, whatever stopped the writing.
    """
    place = refuse(path, kind, header=header)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        write(temporary)
        synced(temporary)
        if place.exists():
            temporary.chmod(stat.S_IMODE(place.stat().st_mode))
        temporary.replace(place)
        synced(place.parent)
    except OSError as error:
        todo = "free some space, or give a file in another folder"
        raise InputError(f"cannot be written ({error.strerror})", where=str(path), todo=todo) from error
    finally:
        with suppress(OSError):  # the folder may be what is missing
            temporary.unlink(missing_ok=True)
    return Path(path)


def write_text(path: str | Path, text: str, kind: str = "") -> Path:
    """Write a text file in UTF-8, whole or not at all; for a table, the first line is its header."""
    header = text.partition("\n")[0] if kind == "table" else ""
    return write_whole(path, lambda to: to.write_text(text, encoding="utf-8"), kind, header)


def synced(path: Path) -> None:
    """Wait until a file, or the names of a folder, are on the disk."""
    if os.name != "posix" and path.is_dir():
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
