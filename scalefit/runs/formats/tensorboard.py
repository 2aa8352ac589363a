"""TensorBoard's event files, through the extra `tensorboard`: every point, scalars and scalar tensors alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.raw import RawTable, Remark

NAMES = ("*events.out.tfevents.*",)
FOLDER_RANK = 5
EVENTS = "*events.out.tfevents.*"
Point = tuple[int, str, int, float, float]  # session, tag, step, time, value


def sources(folder: Path) -> list[Path]:
    """The folder itself if it has event files, else all folders below that do: each is a run."""
    if any(folder.glob(EVENTS)):
        return [folder]
    return sorted({file.parent for file in folder.rglob(EVENTS)})


def read(path: Path) -> RawTable:
    """Read the event files of a folder as one run (or one file); the index counts rows from 1.

    Files are read in the order of time. One whose tags occurred before is a restart: its rows replace earlier ones of
    the same step. One with other tags is joined by step. Tags over samples ("... vs samples") are left out. Raises
    InputError if the extra is missing.
    """
    files = sorted(path.glob(EVENTS)) if path.is_dir() else [path]
    told = list[Remark]()
    logged = [points for file in files if (points := _points(file, told))]
    if not logged:
        raise InputError("no scalar was logged", where=str(path), todo="log one with add_scalar")
    logged.sort(key=lambda points: min(point[3] for point in points))
    session, tags, rows = 0, set[str](), list[Point]()
    for points in logged:
        own = {point[1] for point in points}
        session, tags = (session + 1, own) if own & tags else (session, own | tags)
        rows += [(session, *point[1:]) for point in points]
    if len(logged) > 1:
        told.append(Remark("joined", f"{len(logged)} event files of one run, in the order of time", len(logged)))
    told.append(Remark("unknown", "values are stored in single precision"))
    frame, again, nans = wide(pd.DataFrame(rows, columns=["run", "key", "step", "time", "value"]))
    return RawTable(path, frame.drop(columns="run"), remarks=(*told, *again), nans=nans)


def _points(file: Path, told: list[Remark]) -> list[Point]:
    """Every point of one event file; tags over samples are left out."""
    found = list[Point]()
    for tag, points in _series(file).items():
        if tag.endswith(" vs samples"):
            told.append(Remark("dropped", f"tag '{tag}': its axis is samples, not steps"))
            continue
        found += [(0, tag, step, time, value) for step, time, value in points]
    return found


def _series(file: Path) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of every scalar and every tensor of one number, by tag, in the order of the file."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError as error:
        todo = "install the extra scalefit[tensorboard], or export the scalars as CSV"
        raise InputError("reading TensorBoard's events needs tensorboard", where=str(file), todo=todo) from error
    loaded: Any = EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False)
    loaded.Reload()
    tags = loaded.Tags()
    found = {tag: [(e.step, e.wall_time, float(e.value)) for e in loaded.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["tensors"]:
        values = [(event.step, event.wall_time, make_ndarray(event.tensor_proto)) for event in loaded.Tensors(tag)]
        numbers = [(step, time, float(v.item())) for step, time, v in values if v.size == 1 and v.dtype.kind in "fiu"]
        if numbers:
            found.setdefault(tag, []).extend(numbers)
    return found
