"""The folder of one run: log.jsonl (rows are only appended), run.json and checkpoint.pt (replaced as a whole), lock."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch

from scalefit.errors import InputError, ScalefitError

try:
    import fcntl
except ImportError:  # Windows: no locks, so only one process may use a folder
    fcntl = None  # type: ignore[assignment]

Row = dict[str, Any]


class RunFolder:
    """Reads and writes one run. A write is complete or absent: a kill loses no row that was flushed.

    Reading changes nothing. A process that writes the log calls `claim` first, which only one can hold at a time; the
    lock is released with the process, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.log, self.last_step = path, path / "log.jsonl", -1
        self._lock: IO[str] | None = None

    def claim(self) -> bool:
        """Take the folder for this process and cut off a half-written last row; False if another process has it."""
        _write(lambda: self.path.mkdir(parents=True, exist_ok=True), self.path)
        _write(lambda: (self.path / "lock").touch(), self.path)
        self._lock = (self.path / "lock").open("a", encoding="utf-8")
        if not _locked(self._lock):
            self.release()
            return False
        if self.log.exists():
            os.truncate(self.log, len(self._whole_lines()))
        self.last_step = int(self.last_row().get("step", -1))
        return True

    def release(self) -> None:
        """Let other processes claim the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_claimed(self) -> bool:
        """Whether a process is training this run now."""
        if not (self.path / "lock").exists():
            return False
        with (self.path / "lock").open(encoding="utf-8") as file:
            return not _locked(file)

    def _whole_lines(self) -> bytes:
        data = self.log.read_bytes()
        return data[: data.rfind(b"\n") + 1]

    def last_row(self) -> Row:
        """The last complete row of the log, empty without one; reads only the end of the file."""
        if not self.log.exists():
            return {}
        with self.log.open("rb") as file:
            file.seek(max(self.log.stat().st_size - 2**16, 0))
            end = file.read()
        lines = end[: end.rfind(b"\n") + 1].splitlines()
        return dict(json.loads(lines[-1])) if lines else {}

    def rows(self) -> list[Row]:
        """The log so far, without a row that is still being written."""
        return [json.loads(line) for line in self._whole_lines().splitlines()] if self.log.exists() else []

    def append(self, rows: Iterable[Row]) -> None:
        """Append the rows after the last logged step; those before it are repeats of a resumed run, and equal."""
        fresh = [row for row in rows if row["step"] > self.last_step]
        if not fresh:
            return
        text = "".join(json.dumps(_strict(row)) + "\n" for row in fresh)

        def add() -> None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(text)

        _write(add, self.log)
        self.last_step = int(fresh[-1]["step"])

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Replace run.json."""
        self.replace("run.json", json.dumps(_strict(dict(facts)), indent=1) + "\n")

    def replace(self, name: str, text: str) -> None:
        """Replace a text file of the folder."""
        _replace(self.path / name, lambda to: to.write_text(text, encoding="utf-8"))

    def facts(self) -> dict[str, Any]:
        """The content of run.json, empty where there is none yet."""
        path = self.path / "run.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Replace checkpoint.pt."""
        memory = io.BytesIO()  # torch itself does not report why it cannot write a file
        torch.save(dict(checkpoint), memory)
        _replace(self.path / "checkpoint.pt", lambda to: to.write_bytes(memory.getbuffer()))

    def checkpoint(self, identity: str) -> dict[str, Any] | None:
        """The checkpoint, or None. Raises InputError when it is damaged or belongs to another configuration."""
        path = self.path / "checkpoint.pt"
        if not path.exists():
            return None
        try:
            saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise InputError("not a checkpoint", where=str(path), todo="delete it to train again") from error
        self.check(saved["identity"], identity, path)
        return saved

    def check(self, held: str, wanted: str, where: Path | None = None) -> None:
        """Raise InputError where the folder holds another run."""
        if held != wanted:
            raise InputError(
                f"belongs to run {held}, but this configuration is run {wanted}",
                where=str(where or self.path),
                todo="choose another name or folder, or delete this one",
            )


def _strict(value: Any) -> Any:
    """The same with None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _locked(file: IO[str]) -> bool:
    """Lock an open file until it is closed; False if another process has locked it."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # others than BlockingIOError come from a file system without locks
        return not isinstance(error, BlockingIOError)
    return True


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside ``path`` and move it there, so that a reader sees either the old file or the new one."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")

    def move() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        beside.replace(path)

    try:
        _write(move, path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _write(action: Callable[[], object], path: Path) -> None:
    try:
        action()
    except OSError as error:
        raise ScalefitError(
            f"cannot be written ({error.strerror or error})",
            where=str(path),
            todo="free some space or choose another folder, then run it again",
        ) from error
