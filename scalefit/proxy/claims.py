"""Which process may train a run: a lock where the file system has locks, else a lease with a heartbeat.

Some network file systems know no locks. There a process takes ``lease.json``, which only one can create, and renews it
every BEAT seconds. A lease that was not renewed for STALE seconds by the clock of the file system (for two beats where
its process is dead on this host) is taken over; the process that lost it writes nothing more.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

from scalefit.errors import ScalefitError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

BEAT, STALE = 30.0, 600.0  #: seconds
TRIES, MOMENT = 5, 0.01  #: how often, and after how many seconds, a lock is tried that a reader may hold for a moment
LEASE = "lease.json"


class Lock:
    """A lock of the file system, which ends with the process."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def check(self) -> None:
        """Nobody else can have it."""

    def release(self) -> None:
        """Give the lock up."""
        self.file.close()


class Lease:
    """A file that says who trains the run, renewed in the background until it is given up."""

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.name, self._over = place, name, threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease of {place.parent.name}", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError):  # the file system may be away for a moment; `check` sees a lost lease
                if _holder(self.place).get("name") == self.name:
                    os.utime(self.place)

    def check(self) -> None:
        """Raise ScalefitError where another process has taken the lease over."""
        holder = _holder(self.place)
        if holder.get("name") != self.name:
            what = f"process {holder.get('pid', '?')} of host {holder.get('host', '?')} has taken this run over"
            raise ScalefitError(what, where=str(self.place.parent), todo="let it finish; nothing more is written here")

    def release(self) -> None:
        """Give the lease up, if it is still ours."""
        self._over.set()
        if _holder(self.place).get("name") == self.name:
            self.place.unlink(missing_ok=True)


def claim(folder: Path) -> Lock | Lease | None:
    """Take a folder for this process; None where another has it. Raises OSError where the folder cannot be written."""
    (folder / "lock").touch()
    file = (folder / "lock").open("a", encoding="utf-8")
    locked = _lock(file)
    for _ in range(TRIES):
        if locked is not False:
            break
        time.sleep(MOMENT)
        locked = _lock(file)
    if locked:
        return Lock(file)
    file.close()
    return None if locked is False else _lease(folder / LEASE)


def is_claimed(folder: Path) -> bool:
    """Whether a process has taken a folder."""
    if not (folder / "lock").exists():
        return False
    with (folder / "lock").open(encoding="utf-8") as file:
        locked = _lock(file)
    if locked is not None:
        return not locked
    return (folder / LEASE).exists() and not _is_stale(folder / LEASE)


def _lock(file: IO[str]) -> bool | None:
    """Whether an open file could be locked; None where the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _lease(place: Path) -> Lease | None:
    name = uuid.uuid4().hex
    text = json.dumps({"name": name, "host": socket.gethostname(), "pid": os.getpid()})
    for _ in range(2):  # once more after a stale lease was taken away
        try:
            number = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            judged = _holder(place).get("name")
            if not _is_stale(place) or not _taken_away(place, judged):
                return None
            continue
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return Lease(place, name)
    return None


def _holder(place: Path) -> dict[str, object]:
    """What a lease says; empty where there is none, or where it is still being written."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_stale(place: Path) -> bool:
    """Whether a lease was not renewed for too long: for STALE seconds, or for two beats where its process is dead."""
    holder, most = _holder(place), STALE
    if holder.get("host") == socket.gethostname() and isinstance(holder.get("pid"), int):
        if _alive(int(str(holder["pid"]))):
            return False
        most = 2 * BEAT  # not at once: hosts may share a name
    probe = place.with_name(f".clock.{uuid.uuid4().hex}")  # the file system's clock may not be ours
    try:
        probe.touch()
        return probe.stat().st_mtime - place.stat().st_mtime > most
    except FileNotFoundError:
        return False
    finally:
        probe.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _taken_away(place: Path, judged: object) -> bool:
    """Remove a stale lease, unless another process has replaced it since it was judged; only one can."""
    aside = place.with_name(f".stale.{uuid.uuid4().hex}")
    try:
        place.rename(aside)
    except FileNotFoundError:
        return True  # another process was faster; whoever creates the next one has it
    ours = _holder(aside).get("name") == judged
    if not ours:
        with suppress(FileExistsError):
            os.link(aside, place)
    aside.unlink(missing_ok=True)
    return ours
