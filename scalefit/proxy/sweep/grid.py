"""A grid of runs, from a TOML file to jobs.jsonl."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from scalefit.errors import InputError
from scalefit.proxy.config import BASE, Config
from scalefit.proxy.limits import refuse_idle
from scalefit.proxy.run_folder import RunFolder
from scalefit.proxy.sweep.jobs import Job, planned

TABLES = ("base", "grid", "cells")


def plan_sweep(grid: str | Path | Mapping[str, Any], out: str | Path) -> list[Job]:
    """Write ``out``/jobs.jsonl with one job for every point of the grid; returns all jobs, old and new.

    ``grid`` is a TOML file or the same as a dictionary. [base] holds keys of Config for all runs, [grid] lists of
    values whose product is taken, and [[cells]] sets of keys that belong together, each combined with the product. A
    list in a cell is a further axis of its product, or replaces that axis of [grid]. A key inside a table is written
    with a dot: "optimizer_options.beta2" = [0.9, 0.95]. Raises InputError for an unknown key, with the nearest known.
    """
    table, where = _read(grid)
    jobs = {job.id: job for job in planned(out)}
    configs = [Config.read(values, where) for values in _points(table, where)]
    refuse_idle([config.as_dict() for config in configs], BASE.as_dict())
    for config in configs:
        config.refuse_unbuildable()
        jobs.setdefault(config.identity(), Job(config.identity(), replace(config, name=config.identity())))
    lines = (json.dumps({"id": job.id, "config": job.config.as_dict()}) + "\n" for job in jobs.values())
    RunFolder(Path(out)).replace("jobs.jsonl", "".join(lines))
    return list(jobs.values())


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
            what, todo = f"{key} in [grid] is not a list of values", f"write {key} = [{values!r}]"
            raise InputError(what, where=where, todo="give values, or leave the key out" if values == [] else todo)
    for cell in table.get("cells", [{}]):
        own = {**axes, **{key: value for key, value in cell.items() if isinstance(value, list)}}
        if [] in own.values():
            raise InputError("an empty list in [[cells]]", where=where, todo="give values or leave the key out")
        for point in product(*own.values()):
            yield {**table.get("base", {}), **cell, **dict(zip(own, point, strict=True))}
