"""The folder of one run: log.jsonl (rows are only appended), run.json and checkpoint.pt (replaced as a whole), lock."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scalefit.errors import InputError, ScalefitError
from scalefit.proxy.claims import Lease, Lock, claim, is_claimed
from scalefit.writing import write_text

Row = dict[str, Any]
STATUSES = ("running", "stopped", "finished", "diverged")
DONE = ("finished", "diverged")
ANEW = "delete the folder to train again"


class RunFolder:
    """Reads and writes one run. A write is complete or absent, and on the disk before the next one begins: neither a
    kill nor a loss of power loses a row that was flushed, or leaves a checkpoint that is ahead of the log.

    Reading changes nothing. What is damaged raises InputError, which names the file and the row. A process that writes
    the log calls `claim` first, which only one can hold at a time (see `scalefit.proxy.claims`); it ends with the
    process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.log, self.last_step = path, path / "log.jsonl", -1
        self.note = ""  #: what was trained again, and why; goes into run.json
        self._claim: Lock | Lease | None = None

    def claim(self) -> bool:
        """Take the folder for this process and cut off a half-written last row; False if another process has it.

        Raises InputError where the folder holds a log but no run.json: it is not ours.
        """
        if self.log.exists() and not (self.path / "run.json").exists():
            what = "a log without the run.json that every run begins with: it was written by something else"
            raise InputError(what, where=str(self.log), todo="choose another name or folder, or delete it")
        _write(lambda: self.path.mkdir(parents=True, exist_ok=True), self.path)
        _write(self._take, self.path)
        if self._claim is None:
            return False
        if self.log.exists():
            os.truncate(self.log, len(self._whole_lines()))
        self.last_step = int(self.last_row().get("step", -1))
        return True

    def _take(self) -> None:
        self._claim = claim(self.path)

    def release(self) -> None:
        """Let other processes claim the folder."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def is_claimed(self) -> bool:
        """Whether a process is training this run now."""
        return is_claimed(self.path)

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
        return _logged(lines[-1], f"{self.log}, last row") if lines else {}

    def rows(self) -> list[Row]:
        """The log so far, without a row that is still being written."""
        lines = self._whole_lines().splitlines() if self.log.exists() else []
        return [_logged(line, f"{self.log}, row {number}") for number, line in enumerate(lines, start=1)]

    def append(self, rows: Iterable[Row]) -> None:
        """Append the rows after the last logged step; those before it are repeats of a resumed run, and equal."""
        fresh = [row for row in rows if row["step"] > self.last_step]
        if not fresh:
            return
        text = "".join(json.dumps(_strict(row)) + "\n" for row in fresh)
        if self._claim is not None:
            self._claim.check()

        def add() -> None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

        _write(add, self.log)
        self.last_step = int(fresh[-1]["step"])

    def add_spike(self, spike: Mapping[str, Any]) -> None:
        """Write the examples behind a spike of the loss to spikes.json; those of later steps there are repeated."""
        path = self.path / "spikes.json"
        found = loaded(path.read_bytes(), str(path), "delete it").get("spikes") if path.exists() else []
        if not isinstance(found, list) or any(not isinstance(each, dict) or "step" not in each for each in found):
            raise InputError("not the spikes of a run", where=str(path), todo="delete it")
        rows = [*(each for each in found if each["step"] < spike["step"]), dict(spike)]
        self.replace("spikes.json", json.dumps(_strict({"spikes": rows}), indent=1) + "\n")

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Replace run.json."""
        self.replace("run.json", json.dumps(_strict(dict(facts)), indent=1) + "\n")

    def replace(self, name: str, text: str) -> None:
        """Replace a text file of the folder."""
        _write(lambda: self.path.mkdir(parents=True, exist_ok=True), self.path)
        write_text(self.path / name, text)

    def facts(self) -> dict[str, Any]:
        """The content of run.json, empty where there is none yet."""
        path = self.path / "run.json"
        if not path.exists():
            return {}
        found = loaded(path.read_bytes(), str(path), ANEW)
        if found.get("status") not in STATUSES or not isinstance(found.get("identity", ""), str):
            raise InputError("not the run.json of a run: status or identity is missing", where=str(path), todo=ANEW)
        return found

    def status(self) -> str:
        """planned, running, stopped (also after a kill, or where rows of the log are lost), finished or diverged."""
        found = self.facts()
        if not found:
            return "planned"
        whole = self.last_row().get("step", -1) >= found.get("step", 0)
        interrupted = found["status"] == "running" and not self.is_claimed()
        return "stopped" if interrupted or (found["status"] in DONE and not whole) else str(found["status"])

    def save(self, checkpoint: Mapping[str, Any], keep: bool = False) -> None:
        """Replace checkpoint.pt; with ``keep`` the one before stays until :meth:`forget`."""
        from scalefit.proxy.checkpoint import write

        if self._claim is not None:
            self._claim.check()
        _write(lambda: write(self.path / "checkpoint.pt", checkpoint, keep), self.path)

    def forget(self) -> None:
        """Remove the earlier checkpoint: every member of the pack has the new one."""
        from scalefit.proxy.checkpoint import EARLIER

        (self.path / EARLIER).unlink(missing_ok=True)

    def steps(self, identity: str) -> list[int]:
        """The steps from which training can go on, the last first: two after a kill while a pack was saved."""
        from scalefit.proxy.checkpoint import EARLIER, read

        saved, earlier = self.checkpoint(identity), self.path / EARLIER
        last = [int(saved["step"]) if saved else 0]
        if not earlier.exists():
            return last
        before = int(read(earlier)["step"]) if earlier.stat().st_size else 0
        return [*last, before] if (self.path / "checkpoint.pt").exists() else [before]

    def go_back(self, step: int) -> None:
        """Make the earlier checkpoint the last one where it is the one of this step."""
        from scalefit.proxy.checkpoint import EARLIER, read

        last, earlier = self.path / "checkpoint.pt", self.path / EARLIER
        if not earlier.exists() or (last.exists() and read(last)["step"] == step):
            return
        if earlier.stat().st_size:
            earlier.replace(last)
        else:
            last.unlink(missing_ok=True)

    def checkpoint(self, identity: str) -> dict[str, Any] | None:
        """The checkpoint; None where there is none, or where the log ends before it, which goes into the note.

        Raises InputError when it is damaged or belongs to another configuration.
        """
        from scalefit.proxy.checkpoint import read

        path = self.path / "checkpoint.pt"
        if not path.exists():
            return None
        saved = read(path)
        self.check(saved["identity"], identity, path)
        if saved["step"] <= self.last_step:
            return saved
        ends = f"ended at step {self.last_step}" if self.last_step >= 0 else "was empty"
        self.note = f"the log {ends}, before its checkpoint at step {saved['step']}: trained again from step 0"
        return None

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


def _write(action: Callable[[], object], path: Path) -> None:
    try:
        action()
    except OSError as error:
        raise ScalefitError(
            f"cannot be written ({error.strerror or error})",
            where=str(path),
            todo="free some space or choose another folder, then run it again",
        ) from error


def loaded(text: str | bytes, where: str, todo: str) -> dict[str, Any]:
    """A JSON object, or InputError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({error})", where=where, todo=todo) from error
    if not isinstance(found, dict):
        raise InputError("not a JSON object", where=where, todo=todo)
    return found


def _logged(line: bytes, where: str) -> Row:
    """A row of the log."""
    row = loaded(line, where, "delete that row and all after it, and run it again")
    if type(row.get("step")) is not int:
        raise InputError("a row without a step", where=where, todo="delete it and all rows after it, and run it again")
    return row
