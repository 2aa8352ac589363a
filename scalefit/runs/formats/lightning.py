"""`metrics.csv` of the Lightning CSVLogger: one row per call of `log`, so that one step may have several rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scalefit.runs.formats import delimited
from scalefit.runs.formats.flat_yaml import flat_yaml
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import lines

NAMES = ("metrics.csv",)
FOLDER_RANK = 3


def claims(path: Path) -> bool:
    """Whether the header has the logger's two columns, epoch and step."""
    head = lines(path, limit=1)
    return bool(head) and {"epoch", "step"} <= {name.strip() for name in head[0].split(",")}


def sources(folder: Path) -> list[Path]:
    """`metrics.csv` in the folder and in its versions (`lightning_logs/version_N`)."""
    found = [*folder.glob("metrics.csv"), *folder.glob("*/metrics.csv"), *folder.glob("*/version_*/metrics.csv")]
    return [path for path in sorted(set(found)) if path.stat().st_size and claims(path)]


def read(path: Path) -> RawTable:
    """Join the rows of one step (the last value of each column counts), and add the settings of `hparams.yaml`.

    The index is the line of the last row that was joined. Only adjacent rows are joined: a step that comes again after
    a larger one is a restart.
    """
    raw = delimited.read(path)
    frame = raw.frame.dropna(subset=["step"])
    without = len(raw.frame) - len(frame)
    told = [Remark("dropped", f"{without} rows without a step", without)] if without else []
    block = (frame["step"] != frame["step"].shift()).cumsum().to_numpy()
    joined = frame.groupby(block).last()
    joined.index = frame.index.to_series().groupby(block).last().to_numpy()
    if len(joined) < len(frame):
        count = len(frame) - len(joined)
        told.append(Remark("joined", f"{count} rows with others of the same step (the last value counts)", count))
    told.append(Remark("unknown", "step counts from 0: the values at step 0 are those of the first optimiser step"))
    scalars = flat_yaml(path.with_name("hparams.yaml"))
    last = joined.index.to_numpy()
    named = {name: [row for row in rows if row <= last[-1]] for name, rows in (raw.nans or {}).items()}
    nans = {name: last[np.searchsorted(last, rows)].tolist() for name, rows in named.items()}
    return RawTable(path, joined, scalars, (*raw.remarks, *told), nans, single=True)
