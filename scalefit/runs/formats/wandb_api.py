"""A run (or all runs of a project) by the public W&B API, through the extra `wandb`: `wandb:entity/project/run`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from scalefit.errors import InputError
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.raw import RawTable, nans_of
from scalefit.runs.formats.text import flattened
from scalefit.runs.formats.wandb_offline import without_counters

PREFIX = "wandb:"


def is_address(source: object) -> bool:
    """Whether a source names runs on a W&B server.

    >>> is_address("wandb:team/project/3k2j1h"), is_address("runs.csv")
    (True, False)
    """
    return isinstance(source, str) and source.startswith(PREFIX)


def fetch(source: str) -> list[RawTable]:
    """Every logged row of a run, or of all runs of a project, with its configuration.

    Rows are requested without naming keys: a request for several keys returns only rows that have all of them.
    Raises InputError if the extra is missing, or the server refuses.
    """
    parts = source.removeprefix(PREFIX).strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise InputError("not the address of a run", where=source, todo="write wandb:entity/project/run")
    try:
        wandb: Any = importlib.import_module("wandb")
    except ImportError as error:
        todo = "install the extra scalefit[wandb], or export the history as CSV where wandb is (docs/logs.md)"
        raise InputError("reading from W&B needs wandb", where=source, todo=todo) from error
    refusals = getattr(getattr(wandb, "errors", None), "Error", OSError), ValueError, OSError
    try:
        api = wandb.Api()
        runs = [api.run("/".join(parts))] if len(parts) == 3 else list(api.runs("/".join(parts)))
        return [_table(run, source) for run in runs]
    except refusals as error:
        todo = "check the address, and that wandb is logged in"
        raise InputError(f"W&B refused the run ({error})", where=source, todo=todo) from error


def _table(run: Any, source: str) -> RawTable:
    records = [flattened(dict(row)) for row in run.scan_history()]
    numbers = list(range(1, len(records) + 1))
    frame, told = framed(records, numbers)
    if frame.empty:
        raise InputError("the run has no history", where=source, todo="give a run that logged something")
    frame, counted = without_counters(frame)
    told.append(counted)
    frame["run"] = str(run.name or run.id)
    config = {key: value for key, value in flattened(dict(run.config)).items() if not key.startswith("_")}
    return RawTable(Path(source), frame, config, tuple(told), nans_of(records, numbers))
