"""Make the fixtures again: `python tests/writers/make_written.py [LOGGER ...]`, where the extra `writers` is installed.

Each logger writes the three runs in a process of its own. What names this machine or its user is taken out, what is no
log is left out, and the rest becomes `written/LOGGER.tar.gz`, the same bytes for the same files.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import io
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from conformance import FORMATS, STUDY

HERE = Path(__file__).parent
WRITTEN, VERSIONS = HERE / "written", HERE / "written" / "versions.json"
#: weights, locks, and notes of the loggers about the machine
LEFT_OUT = (
    *("*.pt", "*.pth", "*.bin", "*.safetensors", "*.ckpt", "*.pkl", "*.lock", "train.py", "error.txt"),
    *("debug*.log", "requirements.txt", "experiment_state*", "basic-variant*", ".validate*", "hydra.yaml", "step.json"),
)
ADDRESS = re.compile(rb"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
FAR = 600  #: seconds that a logger may take
PACKAGES = {form.writer: form.package for form in (*FORMATS, STUDY)}


def written_anew(writer: str, folder: Path) -> None:
    """Let a logger write the three runs in an empty folder."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    own = {"HOME": str(home), "USER": "user", "LOGNAME": "user"}
    own |= {"WANDB_ERROR_REPORTING": "false", "PYTHONWARNINGS": "ignore"}
    words = [sys.executable, str(HERE / "write_anew.py"), writer, str(folder)]
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, timeout=FAR, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{writer} failed: {done.stderr[-2000:]}")


def kept(folder: Path) -> Iterator[Path]:
    """The files that are logs, without what names the machine."""
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        if not any(fnmatch(file.name, pattern) for pattern in LEFT_OUT):
            _scrub(file, folder)
            yield file


def _scrub(file: Path, folder: Path) -> None:
    head = file.read_bytes()[:16]
    if head.startswith(b"SQLite format 3"):
        _scrub_base(file, str(folder))
        return
    if file.suffix in (".json", ".csv", ".yaml", ".yml", ".log") or "mlflow." in file.name:
        text = file.read_bytes().replace(str(folder).encode(), b"runs")
        host = socket.gethostname().encode()
        text = re.sub(rb'(?<=[",])' + re.escape(host) + rb'(?=[",])', b"host", text)
        file.write_bytes(ADDRESS.sub(b"127.0.0.1", text))


def _scrub_base(file: Path, place: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as base:
        tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]:
                change = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)'
                base.execute(change, (place, "runs", place))
        base.commit()
        base.execute("VACUUM")
        base.execute("PRAGMA journal_mode = DELETE")


def packed(folder: Path) -> bytes:
    """The logs of a folder as an archive that depends on nothing but their names and bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for file in kept(folder):
            name = file.relative_to(folder).as_posix()
            host = socket.gethostname()
            entry = tarfile.TarInfo(f"{name.removesuffix(host)}host" if name.endswith(f".{host}") else name)
            entry.size = file.stat().st_size
            with file.open("rb") as content:
                archive.addfile(entry, content)
    return gzip.compress(out.getvalue(), 9, mtime=0)


def main(names: list[str]) -> None:
    """Write the fixtures of these loggers, or of all."""
    versions = json.loads(VERSIONS.read_text()) if VERSIONS.exists() else {}
    for writer in names or PACKAGES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / writer
            folder.mkdir()
            written_anew(writer, folder)
            (WRITTEN / f"{writer}.tar.gz").write_bytes(packed(folder))
        versions[writer] = f"{PACKAGES[writer]} {importlib.metadata.version(PACKAGES[writer])}"
        VERSIONS.write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"{writer}: {versions[writer]}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
