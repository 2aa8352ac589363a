"""Trackio's data base, one a project: a JSON object a logged row, read without trackio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalefit.errors import InputError
from scalefit.runs.formats.data_base import labels, rows, tables
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.raw import RawTable, nans_of
from scalefit.runs.formats.text import flattened, parsed
from scalefit.runs.formats.wandb_offline import without_counters

NAMES = ("*.db",)
FOLDER_RANK = 5
METRICS = "SELECT run_id, run_name, step, metrics FROM metrics ORDER BY id"
CONFIGS = "SELECT run_id, config FROM configs"
WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}  #: as JSON has no such numbers


def claims(path: Path) -> bool:
    """Whether the data base has trackio's tables."""
    return {"metrics", "configs", "system_metrics"} <= tables(path)


def sources(folder: Path) -> list[Path]:
    """The data bases of projects in a folder."""
    return [path for path in sorted(folder.glob("*.db")) if claims(path)]


def read(path: Path) -> RawTable:
    """Every logged row with the configuration of its run; the index counts rows from 1.

    A configuration's `opt: {lr: ...}` becomes the column `config/opt/lr`. Raises InputError for a data base of another
    kind, or without a row.
    """
    logged = rows(path, METRICS, "trackio")
    if not logged:
        raise InputError("no run has a metric", where=str(path), todo="log one with trackio.log")
    names = labels({run: name for run, name, _, _ in logged})
    configs = {run: _object(text, path) for run, text in rows(path, CONFIGS, "trackio")}
    records = []
    for run, _, step, text in logged:
        settings = {f"config/{key}": value for key, value in configs.get(run, {}).items() if not key.startswith("_")}
        records.append({"run": names[run], "step": step, **_object(text, path), **settings})
    numbers = list(range(1, len(records) + 1))
    frame, told = framed(records, numbers)
    frame, counted = without_counters(frame, "step")
    told.append(counted)
    return RawTable(path, frame, remarks=tuple(told), nans=nans_of(records, numbers))


def _object(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        found = parsed(text)
        if isinstance(found, dict):
            return {key: WORDS.get(value, value) if isinstance(value, str) else value for key, value in _flat(found)}
    except (ValueError, RecursionError) as error:
        raise InputError(f"a row that is not JSON ({error})", where=str(path), todo="log the run again") from error
    raise InputError("a row that is no JSON object", where=str(path), todo="log the run again")


def _flat(record: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(flattened(record).items())
