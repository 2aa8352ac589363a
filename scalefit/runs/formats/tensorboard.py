"""TensorBoard's event files, read without TensorBoard: every point, scalars and tensors of one number alike.

A folder with event files is a run. What belongs to it may lie in folders below it: `add_scalars` makes one for each of
its curves, `add_hparams` one for the settings, and some trainers one for `train` and one for `validation`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from scalefit.errors import InputError, listed
from scalefit.runs.formats.event_file import Events, read_events
from scalefit.runs.formats.flat_yaml import flat_yaml
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.raw import RawTable, Remark

NAMES = ("*events.out.tfevents.*",)
FOLDER_RANK = 5
EVENTS = "*events.out.tfevents.*"
TRAIN, OTHERS = "train", ("validation", "valid", "val", "eval", "evaluation", "test", "dev")
OTHER_AXIS = re.compile(r"[ _]vs[ _](samples|iterations)$")
EPOCHS = "epoch_"  #: how Keras begins the tags whose steps are epochs
SMALL = 4096  #: bytes of a file that may hold nothing but its version
Point = tuple[int, str, int, float, float]  # session, tag, step, time, value


def sources(folder: Path) -> list[Path]:
    """The folders of runs: each that has event files, unless they belong to the run of the folder above."""
    parts = {file.parent for file in folder.rglob(EVENTS)}
    runs = sorted({part if part == folder else _owner(part) for part in parts})
    if len(runs) < 2:
        return runs
    return [run for run in runs if any(file.stat().st_size > SMALL or _scalars(file) for file in _files(run))]


def read(path: Path) -> RawTable:
    """Read the event files of a run, and those in folders that belong to it; or one file. The index counts rows from 1.

    Files are read in the order of time. One whose tags occurred before is a restart: its rows replace earlier ones of
    the same step. One with other tags is joined by step. Tags over samples or iterations ("... vs samples") are left
    out, and those over epochs ("epoch_...") where others count steps.
    """
    told = list[Remark]()
    found = [(file, read_events(file)) for file in (_files(path) if path.is_dir() else [path])]
    logged = [points for file, each in found if (points := _points(path, file, each))]
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
    told += _passed_over([each for _, each in found])
    table, axis = _one_axis(pd.DataFrame(rows, columns=["run", "key", "step", "time", "value"]), told)
    told.append(Remark("unknown", "values are stored in single precision"))
    frame, again, nans = wide(table)
    frame = frame.drop(columns="run").rename(columns={"step": axis})
    settings = {key: value for _, each in found for key, value in each.settings.items()}
    beside = [flat_yaml(path / name) for name in ("hparams.yaml", "hparams.yml")] if path.is_dir() else []
    scalars = {key: value for part in (*beside, settings) for key, value in part.items()}
    return RawTable(path, frame, scalars, remarks=(*told, *again), nans=nans, single=True)


def _files(run: Path) -> list[Path]:
    """The event files of a run: its own, and those in folders directly below that belong to it."""
    below = [file for file in sorted(run.glob(f"*/{EVENTS}")) if _owner(file.parent) == run]
    return [*sorted(run.glob(EVENTS)), *below]


def _owner(part: Path) -> Path:
    """The folder of the run that the event files of a folder belong to: itself, or the one above."""
    above = part.parent
    names = {file.parent.name for file in above.glob(f"*/{EVENTS}")}
    if TRAIN in names and names & {*OTHERS} and part.name in (TRAIN, *OTHERS):
        return above
    if not any(above.glob(EVENTS)):
        return part
    return above if all(_is_part(part, read_events(file)) for file in part.glob(EVENTS)) else part


def _is_part(part: Path, events: Events) -> bool:
    """Whether a file holds the settings of the run above, or one curve of `add_scalars`, after which it is named."""
    return bool(events.settings) or (len(events.scalars) == 1 and _curve(part, next(iter(events.scalars))) != "")


def _curve(part: Path, tag: str) -> str:
    """The name of a curve of `add_scalars` in the folder `loss_train`: `loss/train`; else nothing."""
    head = f"{tag.replace('/', '_')}_"
    return f"{tag}/{part.name.removeprefix(head)}" if part.name.startswith(head) else ""


def _points(run: Path, file: Path, events: Events) -> list[Point]:
    """The points of a file, under names that say in which folder below the run it lies."""
    part = file.parent
    inner = run.is_dir() and part != run
    split = part.name in (TRAIN, *OTHERS)
    names = {
        tag: (f"{part.name}/{tag}" if split else _curve(part, tag) or tag) if inner else tag for tag in events.scalars
    }
    return [(0, names[tag], *each) for tag, several in events.scalars.items() for each in several]


def _passed_over(events: list[Events]) -> list[Remark]:
    others = sorted({tag for each in events for tag in each.others})
    told = [Remark("dropped", f"tags that are no numbers: {listed(others, 5)}", len(others))] if others else []
    torn = sum(each.torn for each in events)
    if torn:
        text = f"the last {torn} bytes are not whole (a run that was killed, or that goes on): left out"
        told.append(Remark("dropped", text))
    return told


def _one_axis(points: pd.DataFrame, told: list[Remark]) -> tuple[pd.DataFrame, str]:
    """The points whose steps count the same, and what they count: "step" or "epoch"."""
    tags = list(dict.fromkeys(points["key"]))
    axes = {tag: found[1] for tag in tags if (found := OTHER_AXIS.search(tag))}
    epochs = [tag for tag in tags if tag.rpartition("/")[2].startswith(EPOCHS)]
    steps = [tag for tag in tags if tag not in axes and tag not in epochs]
    told += [Remark("dropped", f"tag '{tag}': its axis is {axis}, not steps") for tag, axis in axes.items()]
    if steps and epochs:
        told.append(Remark("dropped", f"tags whose axis is epochs, not steps: {listed(epochs, 5)}", len(epochs)))
    kept = steps or epochs or tags
    return points[points["key"].isin(kept)], "step" if steps or not epochs else "epoch"


def _scalars(file: Path) -> bool:
    return bool(read_events(file).scalars)
