"""The jobs of a sweep: jobs.jsonl, one row a run, named by the hash of its configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from scalefit.errors import InputError
from scalefit.proxy.config import Config
from scalefit.proxy.run_folder import loaded


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    id: str
    config: Config


def planned(out: str | Path) -> list[Job]:
    """The jobs of a sweep; none where nothing is planned yet."""
    path = Path(out) / "jobs.jsonl"
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    return [_job(line, f"{path}, row {number}") for number, line in enumerate(lines, start=1)]


def known(out: str | Path) -> list[Job]:
    """The jobs of a sweep; raises InputError where none is planned."""
    jobs = planned(out)
    if not jobs:
        raise InputError("no jobs are planned here", where=str(out), todo="plan them first, from a TOML file")
    return jobs


def _job(line: bytes, where: str) -> Job:
    todo = "delete that row, and plan the sweep again"
    row = loaded(line, where, todo)
    config = row.get("config")
    if not isinstance(config, dict):
        raise InputError("a job without a configuration", where=where, todo=todo)
    try:
        job = Job(str(row.get("id")), Config.read(config, where))
    except InputError as error:
        raise InputError(error.what, where=where, todo=error.todo) from error
    if job.id != job.config.identity():
        what = f"job {job.id} has the configuration of {job.config.identity()}"
        raise InputError(what, where=where, todo=todo)
    return job


def varied(configs: Sequence[Config]) -> list[str]:
    """The keys other than the name in which configurations differ, in the order of Config.

    >>> varied([Config(lr=0.1), Config(lr=0.2)])
    ['lr']
    """
    names = [f.name for f in fields(Config) if f.name != "name"]
    return [name for name in names if len({json.dumps(getattr(c, name), sort_keys=True) for c in configs}) > 1]
