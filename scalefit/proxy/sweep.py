"""A grid of runs: planned into jobs.jsonl, trained in packs of equal shape, collected into tables.

A job is a configuration, and its id the configuration's hash: planning again adds nothing, running again trains
nothing twice, and a run that was killed continues from its last checkpoint.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalefit.errors import InputError
from scalefit.proxy.config import UNIDENTIFYING, Config
from scalefit.proxy.run_folder import DONE, RunFolder, loaded
from scalefit.proxy.train import Progress, train_members

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("base", "grid", "cells")
NOT_OF_RUN = (
    "run",
    "flops_formula",
    "step",
    "members",
)  #: entries of run.json that say nothing about how it was trained


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    id: str
    config: Config


def plan_sweep(grid: str | Path | Mapping[str, Any], out: str | Path) -> list[Job]:
    """Write ``out``/jobs.jsonl with one job for every point of the grid; returns all jobs, old and new.

    ``grid`` is a TOML file or the same as a dictionary. [base] holds keys of Config for all runs, [grid] lists of
    values whose product is taken, and [[cells]] sets of keys that belong together, each combined with the product. A
    list in a cell is a further axis of its product, or replaces that axis of [grid]. A key inside a table is written
    with a dot: "optimizer_options.beta2" = [0.9, 0.95]. Raises InputError for an unknown key, with the nearest known.
    """
    table, where = _read(grid)
    jobs = {job.id: job for job in planned(out)}
    for values in _points(table, where):
        config = Config.read(values, where)
        config.lr_schedule()
        jobs.setdefault(config.identity(), Job(config.identity(), replace(config, name=config.identity())))
    lines = (json.dumps({"id": job.id, "config": job.config.as_dict()}) + "\n" for job in jobs.values())
    RunFolder(Path(out)).replace("jobs.jsonl", "".join(lines))
    return list(jobs.values())


def planned(out: str | Path) -> list[Job]:
    """The jobs of a sweep; none where nothing is planned yet."""
    path = Path(out) / "jobs.jsonl"
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    return [_job(line, f"{path}, row {number}") for number, line in enumerate(lines, start=1)]


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


def run_sweep(
    out: str | Path,
    *,
    device: str | None = None,
    members: int = 64,
    index: int | None = None,
    chunk: int = 1,
    job: str | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Train every job that is not done, in packs of at most ``members``; returns the status of all.

    For arrays of a scheduler: ``index`` trains only the job of that number in jobs.jsonl, from 0, or with ``chunk`` so
    many jobs from index * chunk on; ``job`` only that of this id; ``most`` at most so many of what is left. What is
    done already is left as it is, so each can be repeated.

    A diverged run counts as done. Raises Stopped after SIGTERM or SIGINT; the same call continues from there. Several
    processes may run one sweep at the same time: each skips what another is training.
    """
    chosen = _chosen(_known(out), index, chunk, job, str(out))
    left = len(chosen) if most is None else most
    while packs := _packs(Path(out), chosen, device, members, left):
        left -= sum(map(len, packs)) if most is not None else 0
        for number, pack in enumerate(packs, 1):
            if progress:
                progress(f"pack {number} of {len(packs)}: {len(pack)} runs of d_model {pack[0].d_model}")
            train_members(pack, out, progress, leave_claimed=True)
    return sweep_status(out)


def _chosen(jobs: list[Job], index: int | None, chunk: int, job: str | None, where: str) -> list[Job]:
    """The jobs of one task of an array, or that of one id; all where neither is given."""
    if index is not None:
        found = jobs[index * chunk : (index + 1) * chunk] if index >= 0 else []
        what, todo = f"there is no job {index}", f"give 0 to {-(-len(jobs) // chunk) - 1} for {len(jobs)} jobs"
    elif job is not None:
        found = [each for each in jobs if each.id == job]
        what, todo = f'there is no job "{job}"', f"scalefit sweep status --out {where} lists them"
    else:
        return jobs
    if not found:
        raise InputError(what, where=where, todo=todo)
    return found


def _packs(out: Path, jobs: Sequence[Job], device: str | None, members: int, most: int) -> list[list[Config]]:
    """The first jobs that no process has trained or is training, in packs of equal shape."""
    waiting: dict[str, list[Config]] = {}
    open_jobs = [job for job in jobs if _status(out, job)["status"] not in (*DONE, "running")]
    for job in open_jobs[:most]:
        config = replace(job.config, device=device or job.config.device)
        waiting.setdefault(config.pack_key(), []).append(config)
    return [group[at : at + members] for group in waiting.values() for at in range(0, len(group), members)]


def sweep_status(out: str | Path) -> list[dict[str, Any]]:
    """One dictionary per job: id, status, step, steps, val_loss, and the keys that vary.

    The status is planned, running, stopped (also after a kill), finished or diverged.
    """
    jobs = _known(out)
    keys = varied([job.config for job in jobs])
    return [_status(Path(out), job) | {key: getattr(job.config, key) for key in keys} for job in jobs]


def collect_sweep(out: str | Path, *, curves: bool = False) -> pd.DataFrame:
    """All runs that have begun in one table: a row per run with its final losses, or with ``curves`` a row per step.

    The column ``run`` is the job's id; the keys that vary over the sweep come next, then what ``run.json`` says (N, D,
    C, status), then every other setting, whether it varies or not: the table says of the runs what their folders say.
    Raises InputError where no run has begun.
    """
    import pandas as pd

    jobs = _known(out)
    keys = varied([job.config for job in jobs])
    begun = [job for job in jobs if (Path(out) / job.id / "run.json").exists()]
    if not begun:
        raise InputError(f"none of {len(jobs)} runs has begun", where=str(out), todo=f"scalefit sweep run --out {out}")
    rows: list[dict[str, Any]] = []
    for job in begun:
        labels = _labels(Path(out), job, keys)
        rows += [labels | row for row in RunFolder(Path(out) / job.id).rows()] if curves else [labels]
    return pd.DataFrame(rows)


def _labels(out: Path, job: Job, keys: Sequence[str]) -> dict[str, Any]:
    """Everything that is known of a run but its rows; what ``run.json`` says goes before the configuration."""
    facts = RunFolder(out / job.id).facts()
    known = {key: value for key, value in facts.items() if key not in NOT_OF_RUN and not isinstance(value, dict)}
    known["status"] = _status(out, job)["status"]
    settings = {key: value for key, value in job.config.as_dict().items() if key not in UNIDENTIFYING}
    first = {key: getattr(job.config, key) for key in keys}
    return {key: _cell(value) for key, value in ({"run": job.id} | first | settings | known | first).items()}


def varied(configs: Sequence[Config]) -> list[str]:
    """The keys other than the name in which configurations differ, in the order of Config.

    >>> varied([Config(lr=0.1), Config(lr=0.2)])
    ['lr']
    """
    names = [f.name for f in fields(Config) if f.name != "name"]
    return [name for name in names if len({json.dumps(getattr(c, name), sort_keys=True) for c in configs}) > 1]


def _cell(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value


def _read(grid: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    if isinstance(grid, Mapping):
        return grid, "grid"
    try:
        return tomllib.loads(Path(grid).read_text(encoding="utf-8")), str(grid)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(error), where=str(grid), todo="give a TOML file with [base] and [grid]") from error


def _points(table: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The values of each run: the base, overridden by the cell, overridden by a point of the product."""
    for name in table:
        if name not in TABLES:
            raise InputError(f"unknown table [{name}]", where=where, todo="use [base], [grid] and [[cells]]")
        rows = table[name] if name == "cells" else [table[name]]
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise InputError(f"{name} is not a table", where=where, todo="use [base], [grid] and [[cells]]")
    axes: Mapping[str, Any] = table.get("grid", {})
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise InputError(
                f"{key} in [grid] is not a list of values", where=where, todo=f"write {key} = [{values!r}]"
            )
    for cell in table.get("cells", [{}]):
        own = {**axes, **{key: value for key, value in cell.items() if isinstance(value, list)}}
        if [] in own.values():
            raise InputError("an empty list in [[cells]]", where=where, todo="give values or leave the key out")
        for point in product(*own.values()):
            yield _nested({**table.get("base", {}), **cell, **dict(zip(own, point, strict=True))})


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        outer, dot, inner = key.partition(".")
        nested[outer] = {**nested.get(outer, {}), inner: value} if dot else value
    return nested


def _known(out: str | Path) -> list[Job]:
    jobs = planned(out)
    if not jobs:
        raise InputError("no jobs are planned here", where=str(out), todo="plan them first, from a TOML file")
    return jobs


def _status(out: Path, job: Job) -> dict[str, Any]:
    folder = RunFolder(out / job.id)
    facts = folder.facts()
    row = {"id": job.id, "status": folder.status(), "step": folder.last_row().get("step", 0), "steps": job.config.steps}
    note = {"note": facts["note"]} if "note" in facts else {}
    return row | {"val_loss": facts.get("val_loss")} | note
