"""What several processes of one run wrote at the same steps, or one wrote for parts of a step: one of them is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import listed
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.splits import TELLING, measured
from scalefit.runs.matching import canonical, match, normalised

OF = r"rank|process|proc|worker|gpu|device|replica|node|host"  #: of what a column gives the number
NAME = re.compile(rf"(?:\w+[_/])?(?:{OF})(?:_?(?:id|idx|index|no|num|number|rank))?")
#: the number of a process in a line: [rank1]:, [Rank 0], local_rank=1, [default0]:, what mpirun and srun put in front
LINE = re.compile(
    r"(?:^|[\[\](){}<>,:;|\s])(?:(?:global|local|dp|node)[ _-]?)?(?:rank|process|proc|worker|replica)[ _:=#-]*(\d+)\b"
    r"|^\[default(\d+)\]:|^\[\d+,(\d+)\]<std(?:out|err)>:|^\s*(\d+): ",
    re.IGNORECASE,
)
PART = re.compile(r"micro|accum|grad_norm|time|second", re.IGNORECASE)  #: of names of parts of a step, and measurements
SHARED = 0.5  #: share of its steps that a process has in common with the first
FEWEST = 3  #: steps that stand several times
SETTINGS = TELLING | {"n_head", "d_ff", "seq_len", "vocab", "warmup", "batch", "D", "C", "lr"} - {"run"}
AXES = ("step", "tokens", "epoch")


def axis_of_rows(frame: pd.DataFrame, renames: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The column of steps (else tokens, else epochs) and that of runs, as the file names them; none where two could be
    that of steps and the user mapped neither."""
    ties = dict[str, str]()
    mapped = {name: target for name, target in renames.items() if name in frame.columns}
    bound = {binding.name: binding.source for binding in match(frame.columns, mapped, ties=ties)}
    axis = None if set(AXES) & {*ties} else next((bound[name] for name in AXES if name in bound), None)
    return axis, bound.get("run")


def of_one_process(raw: RawTable, renames: Mapping[str, str]) -> RawTable | None:
    """The rows of the first process, where a column such as `rank` tells apart rows of several at the same steps."""
    frame = raw.frame
    names = [str(name) for name in frame.columns if NAME.fullmatch(normalised(str(name)))]
    names = [name for name in names if frame[name].nunique() > 1 and frame[name].notna().all()]
    if len(names) != 1:
        return None
    axis, run = axis_of_rows(frame.drop(columns=names), renames)
    if axis is None:
        return None
    name = names[0]
    keys = [each for each in map(str, frame.columns) if each != name and (each in (axis, run) or _tells(each))]
    groups = frame.groupby(keys, dropna=False, observed=True, sort=False)[name]
    own = frame[name] == groups.transform("min")
    if own.all() or (groups.nunique() > 1).mean() < SHARED:
        return None
    values = sorted(frame[name].unique())
    text = f"rows of {len(values)} processes ({name} {listed(values, 4)}) stand at the same steps: those of {values[0]}"
    told = Remark("dropped", f"{text} are read, {int((~own).sum())} others are left out", int((~own).sum()))
    return replace(raw, frame=frame[own], remarks=(*raw.remarks, told))


def _tells(name: str) -> bool:
    return canonical(name) in SETTINGS


def one_in_a_row(raw: RawTable, renames: Mapping[str, str]) -> RawTable | None:
    """The first row of each step, where most steps stand several times in a row with other losses, and nothing but
    measurements differs between these rows: several processes wrote them, or parts of a step were logged."""
    frame = raw.frame
    axis, run = axis_of_rows(frame, renames)
    losses = [name for name in map(str, frame.columns) if measured(name)]
    if axis is None or not losses or not pd.api.types.is_numeric_dtype(frame[axis].dtype):
        return None
    place = frame[axis].to_numpy(dtype=float)
    again = np.r_[False, np.diff(place) == 0]
    if 3 * np.count_nonzero(again) < len(place):
        return None
    if run is not None:
        again[1:] &= frame[run].to_numpy()[1:] == frame[run].to_numpy()[:-1]
    steps = np.cumsum(~again)
    counts = np.bincount(steps)[1:]
    several = counts[steps - 1] > 1
    many = np.count_nonzero(counts > 1)
    if (
        len(counts) < FEWEST
        or many < max(FEWEST, SHARED * len(counts))
        or frame.loc[several, losses].isna().any(axis=None)
    ):
        return None
    if canonical(axis) == "epoch" and any(_rises(frame[name]) for name in frame.columns if name not in losses):
        return None  # another column counts the rows of an epoch
    if any(_setting(frame[name], steps) for name in frame.columns if name not in (axis, *losses)):
        return None
    if not any((frame[name].groupby(steps).nunique() > 1).any() for name in losses):
        return None
    text = f"{many} of {len(counts)} steps stand several times in a row, as where several processes log, or parts of a "
    text += f"step: the first row of each is read, {int(again.sum())} others are left out"
    return replace(raw, frame=frame[~again], remarks=(*raw.remarks, Remark("suspect", text, int(again.sum()))))


def _rises(column: pd.Series) -> bool:
    """Whether a column of numbers rises from each row to the next."""
    values = column.to_numpy() if pd.api.types.is_numeric_dtype(column.dtype) else np.zeros(2)
    return bool((np.diff(values.astype(float)) > 0).all())


def _setting(column: pd.Series, steps: NDArray[np.int64]) -> bool:
    """Whether a column holds settings of which several stand at one step: known ones, words, or numbers that come again
    (but not those that count the parts of a step)."""
    if not _tells(str(column.name)):
        again = 2 * column.nunique(dropna=False) <= len(column)
        if PART.search(str(column.name)) or (not again and pd.api.types.is_numeric_dtype(column.dtype)):
            return False
    return bool((column.groupby(steps).nunique(dropna=False) > 1).any())


def lines_of_one_process(texts: list[str], step_in: Callable[[str], str | None]) -> tuple[list[str], list[Remark]]:
    """The lines, those of all processes but the first left empty, where several print the same steps; and a remark.

    ``step_in`` gives the step that a line of the log prints, or None for another line.
    """
    found = [*_numbered(texts, step_in)]
    ranks = sorted({rank for _, rank, _ in found})
    if len(ranks) < 2:
        return texts, []
    steps = {rank: {step for _, of, step in found if of == rank} for rank in ranks}
    first, *others = ranks
    if any(len(steps[rank] & steps[first]) < SHARED * len(steps[rank]) for rank in others):
        return texts, []
    left = {at for at, rank, step in found if rank != first and step in steps[first]}
    text = f"lines of {len(ranks)} processes ({listed(ranks, 4)}): those of {first} are read, {len(left)} others not"
    return ["" if at in left else line for at, line in enumerate(texts)], [Remark("dropped", text, len(left))]


def _numbered(texts: list[str], step_in: Callable[[str], str | None]) -> Iterator[tuple[int, int, str]]:
    """The place, the process and the step of each line that names both."""
    for at, text in enumerate(texts):
        hit = LINE.search(text)
        step = step_in(text[hit.end() :]) if hit else None
        if hit and step is not None:
            yield at, int(next(filter(None, hit.groups()))), step
