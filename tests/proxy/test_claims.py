"""One process trains a run: by a lock, and by a lease where the file system knows no locks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch")

from scalefit.errors import ScalefitError
from scalefit.proxy import claims
from scalefit.proxy.run_folder import RunFolder


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that answers as one without locks does."""

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(claims.fcntl, "flock", refuse)


def forged(folder, *, host, pid, age):
    """The lease of another process, renewed so many seconds ago."""
    folder.mkdir(exist_ok=True)
    (folder / "lock").touch()
    place = folder / claims.LEASE
    place.write_text(json.dumps({"name": "another", "host": host, "pid": pid}))
    os.utime(place, (time.time() - age, time.time() - age))
    return place


def dead_pid():
    done = subprocess.Popen([sys.executable, "-c", "pass"])
    done.wait()
    return done.pid


@pytest.mark.parametrize("locks", [True, False])
def test_only_one_holds_a_folder_and_the_next_has_it_afterwards(tmp_path, locks, request):
    if not locks:
        request.getfixturevalue("without_locks")
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    assert first.claim()
    assert not second.claim()
    assert second.is_claimed()
    first.release()
    assert not second.is_claimed()
    assert second.claim()
    second.release()


@pytest.mark.parametrize(
    ("host", "alive", "age", "taken"),
    [
        (None, True, 10 * claims.STALE, False),  # this host, a process that lives: never
        (None, False, 3 * claims.BEAT, True),
        (None, False, claims.BEAT, False),  # hosts may share a name: two beats must have passed
        ("elsewhere", False, claims.STALE + 60, True),
        ("elsewhere", False, claims.STALE - 60, False),
    ],
)
def test_which_leases_are_taken_over(tmp_path, without_locks, host, alive, age, taken):
    forged(tmp_path, host=host or socket.gethostname(), pid=os.getpid() if alive else dead_pid(), age=age)
    folder = RunFolder(tmp_path)
    assert folder.is_claimed() is not taken
    assert folder.claim() is taken
    folder.release()
    assert sorted(path.name for path in tmp_path.iterdir()) == (["lock"] if taken else [claims.LEASE, "lock"])


def test_a_lease_that_was_replaced_after_it_was_judged_is_put_back(tmp_path):
    place = forged(tmp_path, host="elsewhere", pid=1, age=0)
    before = place.read_text()
    assert not claims._taken_away(place, "the one that was judged")
    assert place.read_text() == before
    assert claims._taken_away(place, "another")
    assert not place.exists()


def test_who_lost_the_lease_writes_nothing_more(tmp_path, without_locks):
    folder = RunFolder(tmp_path)
    assert folder.claim()
    folder.describe({"status": "running", "identity": "a", "step": 0})
    folder.append([{"step": 0, "loss": 3.0}])
    forged(tmp_path, host="elsewhere", pid=1, age=0)
    with pytest.raises(ScalefitError, match="process 1 of host elsewhere has taken this run over"):
        folder.append([{"step": 1, "loss": 2.0}])
    assert [row["step"] for row in folder.rows()] == [0]
    folder.release()
    assert (tmp_path / claims.LEASE).exists(), "the other's lease stays"


def test_a_lease_is_renewed_while_it_is_held(tmp_path, without_locks, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    folder = RunFolder(tmp_path)
    assert folder.claim()
    place = tmp_path / claims.LEASE
    os.utime(place, (1, 1))
    until = time.monotonic() + 20
    while place.stat().st_mtime < 100 and time.monotonic() < until:
        time.sleep(0.01)
    assert place.stat().st_mtime > 100
    folder.release()


HOLD = """
import fcntl, sys, time
from pathlib import Path
from scalefit.proxy import claims
def refuse(*_):
    raise OSError(95, "Operation not supported")
claims.fcntl.flock = refuse
assert claims.claim(Path(sys.argv[1])) is not None
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_process_gives_its_lease_up_to_the_next(tmp_path, without_locks):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        assert not RunFolder(tmp_path).claim()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    os.utime(tmp_path / claims.LEASE, (time.time() - 3 * claims.BEAT,) * 2)
    folder = RunFolder(tmp_path)
    assert folder.claim()
    folder.release()
