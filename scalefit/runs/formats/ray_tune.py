"""Ray Tune's trials: a folder each, with `params.json`, and what was reported in `result.json` (or `progress.csv`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats import delimited
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.text import flattened, lines
from scalefit.runs.matching import match

NAMES = ("result.json", "progress.csv")
FOLDER_RANK = -1  #: before the event files and the logs that lie beside
RESULTS, PROGRESS, PARAMS = "result.json", "progress.csv", "params.json"
TRIAL, COUNTER = "trial_id", "training_iteration"
#: what Tune adds to every result
OWN = {
    *("timestamp", "checkpoint_dir_name", "done", TRIAL, "date", "time_this_iter_s", "time_total_s", "pid", "hostname"),
    *("node_ip", "time_since_restore", "iterations_since_restore", "timesteps_total", "episodes_total", "warmup_time"),
    *("should_checkpoint", "experiment_tag", "timesteps_since_restore", "hist_stats"),
}
IDENTITY = re.compile(r"^.*_[0-9a-f]{5,}_\d{5}_(?=\d+)")  #: in a trial's name before its number and settings
DATE = re.compile(r"_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$")


def claims(path: Path) -> bool:
    """Whether the first line names a trial and its count of results, as each of Tune's does."""
    head = "".join(lines(path, limit=1))
    return TRIAL in head and COUNTER in head


def sources(folder: Path) -> list[Path]:
    """The folders of trials in a folder, and in folders below."""
    found = [params.parent for params in sorted(folder.rglob(PARAMS))]
    return [trial for trial in found if _results(trial) is not None]


def read(path: Path) -> RawTable:
    """Every result of a trial; the index is its line. A result that was NaN is stored as null.

    The step is what the trial reported under a known name, else the count of its results. Raises InputError if the file
    is not such a log.
    """
    trial = path if path.is_dir() else path.parent
    log = (_results(trial) or path) if path.is_dir() else path
    frame, nans, told = _of_objects(log) if log.name == RESULTS else _of_table(log)
    counter = frame[COUNTER] if COUNTER in frame.columns else None
    frame = frame[[name for name in map(str, frame.columns) if name not in OWN | {COUNTER} and name[:7] != "config/"]]
    if counter is not None and not any(each.name == "step" for each in match(map(str, frame.columns), ties={})):
        frame = frame.assign(step=counter)
        told.append(Remark("unknown", f"step is {COUNTER}, the count of results, which need not be optimiser steps"))
    params = trial / PARAMS
    settings = flattened(_object("".join(lines(params)), params)) if params.is_file() else {}
    tag = DATE.sub("", trial.name)
    return RawTable(log, frame, settings, tuple(told), nans, name=IDENTITY.sub("", tag), single=True)


def _results(trial: Path) -> Path | None:
    """The log of a trial; `progress.csv` lacks what was not in the first result."""
    found = (trial / name for name in (RESULTS, PROGRESS))
    return next((log for log in found if log.is_file() and log.stat().st_size and claims(log)), None)


def _of_objects(log: Path) -> tuple[pd.DataFrame, dict[str, list[int]], list[Remark]]:
    records, numbers, told = list[dict[str, Any]](), list[int](), list[Remark]()
    texts = lines(log)
    for number, text in enumerate(texts, start=1):
        if number == len(texts) and number > 1 and not text.endswith("\n"):
            told.append(Remark("dropped", "the last line, which is incomplete"))
        elif text.strip():
            record = {key: value for key, value in _object(text, log, number).items() if key not in OWN | {"config"}}
            records.append({key: float("nan") if value is None else value for key, value in flattened(record).items()})
            numbers.append(number)
    frame, lists = framed(records, numbers)
    return frame, nans_of(records, numbers), [*told, *lists]


def _of_table(log: Path) -> tuple[pd.DataFrame, dict[str, list[int]], list[Remark]]:
    raw = delimited.read(log)
    text = f"{log.name} lacks what was not in the first result, such as evaluations; {RESULTS} has all"
    return raw.frame, raw.nans or {}, [*raw.remarks, Remark("unknown", text)]


def _object(text: str, path: Path, number: int = 1) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        todo = "give the file as Ray Tune wrote it"
        raise InputError("not JSON", where=f"{path}, row {number}", todo=todo) from error
    if not isinstance(found, dict):
        raise InputError("not a JSON object", where=f"{path}, row {number}", todo="give the file of a trial")
    return found
