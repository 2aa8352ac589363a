"""Public data sets: fetched from where their authors put them, verified, turned into our columns, and kept.

Of the downloaded numbers a hash is compared with that of an independent copy: neither a changed file nor another
reading goes unnoticed. A download that breaks off goes on where it ended.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException
from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import nearest_names
from scalefit.writing import write_text

REGISTRY = Path(__file__).with_name("public.toml")
PLACE = "SCALEFIT_DATA"  #: the variable that names the folder in which data sets are kept
SECONDS, CHUNK = 30, 1 << 16  #: of patience with a server; bytes that are written at once
LARGEST = 1 << 29  #: bytes of a download
COMPARED = ("N", "D", "C", "loss")  #: columns whose numbers are verified
BY_HAND = "or download it by hand, and give the file: scalefit data fetch {} --from FILE"


@dataclass(frozen=True)
class PublicSet:
    """Where a data set is, on which terms, and how its columns are called."""

    name: str
    title: str
    url: str
    licence: str
    source: str
    advice: str
    values: str  #: SHA-256 of its numbers, see :func:`values_of`
    columns: Mapping[str, str]
    scale: Mapping[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where its table is kept once it was fetched."""
        return kept() / self.name / "runs.csv"


@cache
def public() -> dict[str, PublicSet]:
    """Every public data set by name.

    >>> public()["chinchilla-epoch"].source.startswith("arXiv:2404.10102")
    True
    """
    entries = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))
    return {name: PublicSet(name, **entry) for name, entry in entries.items()}


def kept() -> Path:
    """The folder in which fetched data sets are kept."""
    if os.environ.get(PLACE):
        return Path(os.environ[PLACE])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scalefit"


def fetch(name: str, given: str | Path | None = None) -> Path:
    """The table of a public data set, ``run, N, D, C, loss, …``: the one that is kept, or fetched now.

    ``given``: a file that was downloaded by hand. Raises :class:`InputError` for an unknown name, where no server can
    be reached, or where the numbers are not those that were registered.
    """
    if name not in public():
        near = ", ".join(nearest_names(name, public()))
        todo = f"the nearest names are {near}; scalefit data lists all" if near else f"there are {', '.join(public())}"
        raise InputError(f'no public data set "{name}"', todo=todo)
    one = public()[name]
    if given is None and one.path.is_file() and values_of(pd.read_csv(one.path)) == one.values:
        return one.path
    raw = Path(given) if given is not None else downloaded(one)
    table = _converted(one, raw)
    if values_of(table) != one.values:
        if given is None:
            raw.unlink()
        what = f"its {len(table)} rows are not the numbers that were registered"
        raise InputError(what, where=str(given or one.url), todo=f"compare it with its source, {one.source}")
    one.path.parent.mkdir(parents=True, exist_ok=True)
    write_text(one.path, table.to_csv(index=False))
    if given is None:
        raw.unlink()
    return one.path


def values_of(table: pd.DataFrame) -> str:
    """SHA-256 of the numbers of a table, four digits of each, whatever the order of its rows."""
    named = [column for column in COMPARED if column in table.columns]
    rows = sorted(",".join(f"{value:.3e}" for value in row) for row in table[named].itertuples(index=False))
    return hashlib.sha256("\n".join([",".join(named), *rows]).encode()).hexdigest()


def _converted(one: PublicSet, raw: Path) -> pd.DataFrame:
    """The downloaded table with our columns and units."""
    try:
        theirs = pd.read_csv(raw)
    except (OSError, ValueError) as error:
        what = f"cannot be read as a table ({str(error).splitlines()[0]})"
        raise InputError(what, where=str(raw), todo="download it again") from error
    missing = [name for name in one.columns.values() if name not in theirs.columns]
    if missing:
        todo = f"compare it with its source, {one.source}"
        raise InputError(f"there is no column {', '.join(missing)}", where=str(raw), todo=todo)
    table = pd.DataFrame({ours: theirs[name] for ours, name in one.columns.items()})
    for name, factor in one.scale.items():
        table[name] *= factor
    if "run" not in table.columns:
        table.insert(0, "run", [f"{one.name}-{i}" for i in range(len(table))])
    if "D" not in table.columns:
        table.insert(2, "D", table["C"] / (6 * table["N"]))
    return table


def downloaded(one: PublicSet) -> Path:
    """The file behind the address of a data set; what an earlier attempt left is gone on with."""
    part = kept() / one.name / "download.part"
    todo = f"try again when you are online, {BY_HAND.format(one.name)}"
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        whole = _goes_on(one.url, part)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"cannot be fetched ({reason})", where=one.url, todo=todo) from error
    size = part.stat().st_size
    if whole is not None and size < whole:
        todo = f"the same command goes on from there, {BY_HAND.format(one.name)}"
        raise InputError(f"the download broke off after {size} of {whole} bytes", where=one.url, todo=todo)
    return part


def _goes_on(url: str, part: Path) -> int | None:
    """Append to a file what it lacks of an address; how long the whole is, where the server says so."""
    have = part.stat().st_size if part.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(asked, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:  # the whole is there, or another file is: begin anew
            raise
        part.unlink()
        return _goes_on(url, part)
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        length = answer.headers.get("Content-Length")
        whole = int(length) + (have if answer.status == 206 else 0) if length else None
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            if file.tell() > LARGEST:
                raise OSError(f"more than {LARGEST} bytes")
    return whole
