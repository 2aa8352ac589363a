"""The CSV that the W&B web page exports from a chart: a step column and one column for each run and metric."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from scalefit.runs.formats import delimited
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.formats.uneven import cells_of

NAMES = tuple(f"*.csv{packed}" for packed in ENDINGS)
BOUNDS = re.compile(r"__(MIN|MAX)$")
SEPARATOR = " - "
TIME = re.compile(r"\btime\b|_runtime|_timestamp", re.IGNORECASE)  #: Relative Time (Process), Wall Time


def claims(path: Path) -> bool:
    """Whether the header is that of a chart: an x column, and for each column `run - metric` a __MIN and a __MAX."""
    head = lines(path, limit=1)
    names = cells_of(head[0], ",") if head else []
    plain = [name for name in names[1:] if not BOUNDS.search(name)]
    return len(plain) > 0 and all(SEPARATOR in name and f"{name}__MIN" in names for name in plain)


def read(path: Path) -> RawTable:
    """Read a chart's export as rows of run, step and metrics; the index is the line in the file.

    The columns __MIN and __MAX are left out: they equal the value unless the chart groups runs, or shows fewer points
    than were logged (then the value is a mean over a bin, as a remark says).
    """
    raw = delimited.read(path)
    axis, *rest = [str(name) for name in raw.frame.columns]
    plain = [name for name in rest if not BOUNDS.search(name)]
    runs: dict[str, dict[str, str]] = {}
    for name in plain:
        run, _, metric = name.rpartition(SEPARATOR)
        runs.setdefault(run, {})[name] = metric
    parts = []
    for run, metrics in runs.items():
        part = raw.frame[[axis, *metrics]].rename(columns=metrics).dropna(how="all", subset=list(metrics.values()))
        part.insert(0, "run", run)
        parts.append(part)
    frame = pd.concat([part for part in parts if len(part)] or parts)
    told = [Remark("dropped", f"{len(rest) - len(plain)} columns __MIN and __MAX", len(rest) - len(plain))]
    unequal = [name for name in plain if _spread(raw.frame, name)]
    if unequal:
        text = "differ from __MIN or __MAX: they are means of grouped runs or of several steps"
        told.append(Remark("suspect", f"{len(unequal)} columns {text}, e.g. '{unequal[0]}'", len(unequal)))
    if axis == "Step":
        text = "Step is the x axis of the chart: by default the calls of log(), which need not be optimiser steps"
        told.append(Remark("unknown", text))
    told.append(Remark("named", f"run and metric are taken from the column names, e.g. '{plain[0]}'", len(plain)))
    return RawTable(path, frame, raw.scalars, (*raw.remarks, *told), clock=axis if TIME.search(axis) else "")


def _spread(frame: pd.DataFrame, name: str) -> bool:
    """Whether the values of a column differ from its __MIN or __MAX."""
    value = frame[name]
    bounds = [frame[f"{name}__{end}"] for end in ("MIN", "MAX") if f"{name}__{end}" in frame.columns]
    return any(bool(((bound != value) & bound.notna() & value.notna()).any()) for bound in bounds)
