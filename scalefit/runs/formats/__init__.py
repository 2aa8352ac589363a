"""One file per log format; the folder is the registry.

A reader module has `NAMES` (patterns of file names) and `read(path) -> RawTable`. It may have `claims(path)`: then it
reads only the files for which that is true, and the next reader whose pattern fits gets the others. It may have
`sources(folder)`, the paths of the runs that it finds in a folder; readers are asked in the order of `FOLDER_RANK`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

from scalefit.errors import InputError
from scalefit.runs.formats import text_log
from scalefit.runs.formats.beside import with_config
from scalefit.runs.formats.hydra import with_settings
from scalefit.runs.formats.json_document import documents
from scalefit.runs.formats.markdown import PAGES
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import is_latin, refuse_packed

__all__ = ["RawTable", "Remark", "is_free_text", "patterns", "read_raw", "sources_below", "sources_in"]


@functools.cache
def _readers() -> tuple[ModuleType, ...]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return tuple(module for module in modules if hasattr(module, "NAMES"))


def patterns() -> tuple[str, ...]:
    """The patterns of all file names that can be read.

    >>> "*.csv.gz" in patterns(), "trainer_state.json" in patterns()
    (True, True)
    """
    return tuple(dict.fromkeys(pattern for reader in _readers() for pattern in reader.NAMES))


def read_raw(path: Path) -> RawTable:
    """Read one source with the reader for its name and content (as a CSV if neither is known).

    Raises InputError if the file is missing, empty or not a table, or is a folder but not a run.
    """
    if not path.exists():
        raise InputError("there is no such file", where=str(path), todo="give the path of a run log or of a folder")
    if not path.is_file() and not path.is_dir():
        raise InputError("not a file (a pipe or a device)", where=str(path), todo="write it to a file, and give that")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError("the file is empty", where=str(path), todo="give a table with a row of column names")
    try:
        if path.is_file():
            refuse_packed(path)
        table = _reader(path).read(path)
    except UnicodeError as error:
        raise InputError("not UTF-8 text", where=str(path), todo="save it as UTF-8") from error
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise InputError(what, where=str(error.filename or path), todo="check the path and its permissions") from error
    if not isinstance(table, RawTable):
        raise TypeError(f"the reader of {path} returned a {type(table).__name__}")
    if table.frame.empty:
        todo = "give a table with one row for each run or logged step"
        raise InputError("the table has no rows", where=str(path), todo=todo)
    return with_settings(with_config(_with_encoding(table, path)))


def _with_encoding(table: RawTable, path: Path) -> RawTable:
    """The table, with a remark where its text is not UTF-8."""
    if not path.is_file() or not is_latin(path):
        return table
    told = Remark("converted", "the text is not UTF-8: it is read as Latin-1 (Windows-1252)")
    return replace(table, remarks=(*table.remarks, told))


def is_free_text(path: Path) -> bool:
    """Whether a file is named as texts of any kind are (job.log, notes.txt, README.md), which need not be run logs.

    >>> is_free_text(Path("train.log")), is_free_text(Path("train.csv"))
    (True, False)
    """
    return any(fnmatchcase(path.name.lower(), pattern) for pattern in (*text_log.NAMES, *(f"*{end}" for end in PAGES)))


def _reader(path: Path) -> ModuleType:
    """The reader with the longest pattern that fits the name; readers that claim files by content come first."""
    if path.is_dir():
        for reader in _readers():
            if hasattr(reader, "sources") and reader.sources(path) == [path]:
                return reader
        raise InputError("the folder is not a run log", where=str(path), todo="give a file or a folder of run logs")
    fitting = _fitting(path.name.lower()) or _fitting("x.txt")  # of an unknown name the content decides
    for claims, _, reader in sorted(fitting, key=lambda entry: entry[:2], reverse=True):
        if not claims or reader.claims(path):
            return reader
    return importlib.import_module(f"{__name__}.delimited")


@functools.lru_cache(maxsize=1 << 10)
def _fitting(name: str) -> list[tuple[bool, int, ModuleType]]:
    """The readers for a name: whether they claim files, the length of the pattern, the reader."""
    found = []
    for reader in _readers():
        lengths = [len(pattern) for pattern in reader.NAMES if fnmatchcase(name, pattern)]
        if lengths:
            found.append((hasattr(reader, "claims"), max(lengths), reader))
    return found


def sources_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """What to read in a folder (the sources of the first reader that finds some, else every file with a known name),
    and the files with known names that are not read."""
    known = [pattern for pattern in patterns() if pattern not in ("*.json", "*.db", "*.yaml", "*.yml")]
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    rest = [file for file in files if any(fnmatchcase(file.name.lower(), pattern) for pattern in known)]
    for reader in sorted((r for r in _readers() if hasattr(r, "sources")), key=lambda r: r.FOLDER_RANK):
        found = reader.sources(folder)
        if found:
            more, others = _elsewhere(folder, reader, found)
            read = set(found)
            return found + more, [file for file in rest if read.isdisjoint((file, *file.parents))] + others
    if not rest and (own := documents(folder)):
        return own, [file for file in files if fnmatchcase(file.name.lower(), "*.json") and file not in own]
    return (rest, []) if rest else sources_below(folder)


def sources_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """As :func:`sources_in`, for what lies in the folders of a folder, any number of levels down."""
    parts = [sources_in(part) for part in _folders(folder)]
    return [path for found, _ in parts for path in found], [path for _, left in parts for path in left]


def _elsewhere(folder: Path, reader: ModuleType, found: list[Path]) -> tuple[list[Path], list[Path]]:
    """What folders hold that have none of the runs that were found: more of the same kind, and logs of other kinds.

    The folders inside that of a run belong to the run: nothing is looked for in them.
    """
    more, others = list[Path](), list[Path]()
    if any(source == folder or (source.is_file() and source.parent == folder) for source in found):
        return more, others
    holding = {place for source in found for place in (source, *source.parents)}
    for part in _folders(folder):
        if part not in holding:
            same = _below(reader, part)
            more += same
            others += [] if same else sources_in(part)[0]
    return more, others


def _below(reader: ModuleType, folder: Path) -> list[Path]:
    """The runs of one kind in a folder, or any number of levels down."""
    found: list[Path] = reader.sources(folder)
    if found:
        return found + _elsewhere(folder, reader, found)[0]
    return [source for part in _folders(folder) for source in _below(reader, part)]


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder that may hold runs: no hidden ones, and no checkpoints."""
    skipped = (".", "_", "checkpoint-")
    return [part for part in sorted(folder.iterdir()) if part.is_dir() and not part.name.startswith(skipped)]
