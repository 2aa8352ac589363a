"""The folder that DVCLive writes: a TSV of steps and values for each metric."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats import delimited
from scalefit.runs.formats.flat_yaml import flat_yaml
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.quantities import numbers

NAMES = ()
FOLDER_RANK = 1


def sources(folder: Path) -> list[Path]:
    """The folder itself if it has plots/metrics, else those of its folders that do."""
    found = [part for part in (folder, folder / "dvclive") if _metrics(part)]
    return found[:1] or sorted(part for part in folder.iterdir() if part.is_dir() and _metrics(part))


def read(path: Path) -> RawTable:
    """Join the metrics by step, and add the settings of `params.yaml`. The index counts steps from 1.

    Raises InputError if a file has no column step, or no column of its own name.
    """
    parts = []
    root = path / "plots" / "metrics"
    for file in _metrics(path):
        key, frame = file.relative_to(root).with_suffix("").as_posix(), delimited.read(file).frame
        value = next((name for name in (file.stem, key) if name in frame.columns), None)
        if "step" not in frame.columns or value is None:
            todo = f"give it the columns step and {file.stem}"
            raise InputError("not a metric of DVCLive", where=str(file), todo=todo)
        steps = numbers(frame["step"], str(file))
        parts.append(pd.DataFrame({"run": "", "key": key, "step": steps, "time": 0, "value": frame[value].to_numpy()}))
    frame, told, nans = wide(pd.concat(parts, ignore_index=True))
    told.append(Remark("unknown", "steps count the calls of next_step(), unless they were set"))
    told.append(Remark("joined", f"{len(parts)} files, one for each metric, by step", len(parts)))
    return RawTable(path, frame.drop(columns="run"), flat_yaml(path / "params.yaml"), tuple(told), nans, single=True)


def _metrics(folder: Path) -> list[Path]:
    return sorted((folder / "plots" / "metrics").rglob("*.tsv"))
