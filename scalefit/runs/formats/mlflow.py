"""MLflow's stores: the database (`mlflow.db`) and the older folders (`mlruns`), read without MLflow."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.flat_yaml import flat_yaml, scalar
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import lines
from scalefit.runs.matching import canonical

NAMES = ("mlflow.db", "*.db", "*.sqlite", "*.sqlite3")
FOLDER_RANK = 4
LARGEST = 1.7976931348623157e308  #: the number as which the database stores infinity
SYSTEM = "system/"  #: what MLflow logs of the machine
POINTS = "SELECT run_uuid, key, step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics ORDER BY rowid"
COLUMNS = ["run", "key", "step", "time", "value"]


def sources(folder: Path) -> list[Path]:
    """`mlflow.db` or `mlruns` in the folder; else the folder itself if it is a store, an experiment or a run."""
    if (folder / "mlflow.db").is_file():
        return [folder / "mlflow.db"]
    inner = folder / "mlruns"
    return [inner] if inner.is_dir() and _runs(inner) else [folder] if _runs(folder) else []


def read(path: Path) -> RawTable:
    """Read the metrics and parameters of every run that is not deleted; the index counts rows from 1.

    Raises InputError if the file is not a database of MLflow, or no run has a metric.
    """
    points, params, names, deleted = _from_folder(path) if path.is_dir() else _from_database(path)
    if points.empty:
        raise InputError("no run has a metric", where=str(path), todo="log one with mlflow.log_metric")
    own = points["key"].str.startswith(SYSTEM)
    points = points[~own].copy()
    if points.empty:
        raise InputError("no run has a metric of its own", where=str(path), todo="log one with mlflow.log_metric")
    points["value"] = points["value"].where(points["value"].abs() < LARGEST, points["value"] * 2)
    frame, told, nans = wide(points)
    metrics = set(frame.columns)
    for name in dict.fromkeys(name for own in params.values() for name in own):
        column = f"params/{name}" if name in metrics or canonical(name) == "lr" else name  # a setting is no curve
        frame[column] = pd.Series([params.get(run, {}).get(name) for run in frame["run"]], index=frame.index)
    shown = [names.get(run, run) for run in dict.fromkeys(points["run"])]
    labels = {run: name if shown.count(name) == 1 else f"{name} ({run[:8]})" for run, name in names.items()}
    frame["run"] = frame["run"].map(labels)
    left = [Remark("dropped", f"{deleted} runs that are marked as deleted", deleted)] if deleted else []
    left += [Remark("dropped", "metrics of the system, whose steps count samples", int(own.sum()))] if own.any() else []
    told = [*left, Remark("unknown", "steps are those given to log_metric"), *told]
    return RawTable(path, frame, remarks=tuple(told), nans=nans)


#: Points, parameters by run, names by run, and how many runs are deleted.
Store = tuple[pd.DataFrame, dict[str, dict[str, object]], dict[str, str], int]


def _from_database(path: Path) -> Store:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            runs = base.execute("SELECT run_uuid, name, lifecycle_stage FROM runs").fetchall()
            points = pd.DataFrame(base.execute(POINTS).fetchall(), columns=COLUMNS)
            entries = base.execute("SELECT run_uuid, key, value FROM params").fetchall()
    except sqlite3.Error as error:
        todo = "give the mlflow.db that the runs were logged to"
        raise InputError(f"not a database of MLflow ({error})", where=str(path), todo=todo) from error
    points = _numbers(points, path)
    live = {run: name or run for run, name, stage in runs if stage != "deleted"}
    params: dict[str, dict[str, object]] = {}
    for run, key, value in entries:
        params.setdefault(run, {})[key] = scalar(value)
    return points[points["run"].isin(live)].copy(), params, live, len(runs) - len(live)


def _numbers(points: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The points with numbers for steps, times and values. Raises InputError that names the first that is none."""
    plain = {name: pd.to_numeric(points[name], errors="coerce") for name in ("step", "time", "value")}
    for name, values in plain.items():
        odd = values.isna() & (points[name].notna() | (name != "value"))
        if odd.any():
            key, cell = points["key"][odd].iloc[0], points[name][odd].iloc[0]
            what, todo = f"the {name} {cell!r} of metric {key!r} is not a number", "log the run again, or mend the row"
            raise InputError(what, where=str(path), todo=todo)
    return points.assign(**{name: values.astype(np.float64 if name == "value" else np.int64)
                            for name, values in plain.items()})  # fmt: skip


def _runs(folder: Path) -> list[Path]:
    """The folders of runs in a store: those with `metrics` and `meta.yaml`."""
    metas = [*folder.glob("meta.yaml"), *folder.glob("*/meta.yaml"), *folder.glob("*/*/meta.yaml")]
    return sorted(meta.parent for meta in metas if (meta.parent / "metrics").is_dir())


def _from_folder(path: Path) -> Store:
    rows, params, names, deleted = list[tuple[object, ...]](), dict[str, dict[str, object]](), dict[str, str](), 0
    for folder in _runs(path):
        meta = flat_yaml(folder / "meta.yaml")
        if meta.get("lifecycle_stage") == "deleted":
            deleted += 1
            continue
        run = folder.name
        names[run] = str(meta.get("run_name") or run)
        rows += [(run, *point) for point in _points(folder / "metrics")]
        given = sorted(file for file in (folder / "params").rglob("*") if file.is_file())
        params[run] = {
            file.relative_to(folder / "params").as_posix(): scalar("".join(lines(file)).strip()) for file in given
        }
    return pd.DataFrame(rows, columns=COLUMNS), params, names, deleted


def _points(folder: Path) -> Iterator[tuple[str, int, int, float]]:
    """(key, step, time, value) of each line `time value step`; a key with slashes is a path of folders."""
    for file in sorted(part for part in folder.rglob("*") if part.is_file()):
        for number, line in enumerate(lines(file), start=1):
            try:
                time, value, *step = line.split()
                yield file.relative_to(folder).as_posix(), int(step[0]) if step else 0, int(time), float(value)
            except ValueError as error:
                where, todo = f"{file}, row {number}", "write: time value step"
                raise InputError(f"'{line.strip()}' is not a metric", where=where, todo=todo) from error
