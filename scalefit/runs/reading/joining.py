"""Several files in one call: a name for each file, and runs of the same name in them, kept apart or joined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from scalefit.errors import InputError, listed
from scalefit.escaping import one_line
from scalefit.runs.reading.curves import PLACES
from scalefit.runs.reading.tidy import Tidy

SHOWN = 5
#: endings that say how a file is written, not what it holds
ENDINGS = frozenset(
    {".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".txt", ".log", ".out", ".stdout", ".db"}
    | {".gz", ".bz2", ".xz", ".zip", ".zst", ".sqlite", ".sqlite3", ".err", ".stderr"}
)
PLAIN = frozenset(
    {"log", "metrics", "history", "trainer_state", "train_log", "trainer_log"}
    | {"summary", "wandb-summary", "results", "result", "final"}
)
SILENT = re.compile(r"checkpoint-\d+|files")  #: folders inside that of a run, which do not name it
#: the number of a process in the path of its file: log_rank0.csv, rank_1/metrics.jsonl
PROCESS = re.compile(r"(?<![a-z])(?:global[_-]?|local[_-]?)?(?:rank|proc|process)[_-]?(\d+)(?![a-z0-9])", re.IGNORECASE)
EVENTS = "events.out.tfevents"


def file_names(paths: Iterable[Path]) -> list[str]:
    """A name for each file: its own without known endings, or that of its folder if its own says nothing (log,
    metrics, trainer_state); with as many of the folders before it as needed to make the names different.

    >>> file_names([Path("a/lr0.001.csv"), Path("a/lr0.003.csv.gz")])
    ['lr0.001', 'lr0.003']
    >>> file_names([Path("small/log.jsonl")]), file_names([Path("a/x.csv"), Path("b/x.csv")])
    (['small'], ['a/x', 'b/x'])
    """
    parts = [_parts(path) for path in paths]
    telling = [[part for part in own if not SILENT.fullmatch(part)] or own for own in parts]
    if len({tuple(own) for own in telling}) == len(parts):
        parts = telling
    names: list[str] = []
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return [one_line(name) for name in names]


def _parts(path: Path) -> list[str]:
    """The folders of a file and its name, or only the folders if the name says nothing."""
    folders = [part for part in path.parent.parts if part not in ("/", ".")]
    stem = _stem(path.name)
    return folders if folders and (stem in PLAIN or EVENTS in path.name) else [*folders, stem]


def _stem(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return _stem(stem) if stem and f"{dot}{ending}".lower() in ENDINGS else name


def note_processes(tables: Sequence[Tidy]) -> None:
    """Add a note where files that differ in the number of a process, from 0 on, hold curves at the same steps."""
    groups = dict[str, dict[int, Tidy]]()
    for tidy in tables:
        found = [*PROCESS.finditer(tidy.where)]
        if tidy.axis and found and len(found[-1][1]) < 6:
            path = tidy.where[: found[-1].start(1)] + tidy.where[found[-1].end(1) :]
            groups.setdefault(path, {})[int(found[-1][1])] = tidy
    for parts in groups.values():
        places = [parts[at].frame[parts[at].axis].tolist() for at in sorted(parts)]
        if len(parts) > 1 and sorted(parts) == [*range(len(parts))] and all(each == places[0] for each in places):
            text = (
                f"{len(parts)} files, such as {parts[1].where}, may be those of the processes of one run: each is read "
            )
            parts[0].note("suspect", f"{text}as a run; if so, give only that of process 0", len(parts))


def keep_apart(tables: Sequence[Tidy], files: Sequence[str]) -> None:
    """Runs of the same name in several files become separate runs, named after their files, if their values differ at
    the same step or their steps interleave; else they are one run. A note reports each case.

    ``files``: the names of the files (see :func:`file_names`). Tables of runs beside curves are not changed: they
    describe the runs of the same names.
    """
    curves = [number for number, tidy in enumerate(tables) if tidy.axis]
    numbers = curves or list(range(len(tables)))
    if len(numbers) < 2:
        return
    if not curves:
        _name_lines(tables, files)
    holders: dict[str, list[int]] = {}
    for number in numbers:
        for run in tables[number].frame["run"].unique():
            holders.setdefault(str(run), []).append(number)
    cases: dict[tuple[bool, tuple[int, ...]], list[str]] = {}
    for run, where in holders.items():
        if len(where) > 1:
            pairs = combinations([_rows(tables[number].frame, run) for number in where], 2)
            known = all(tables[number].identified for number in where)
            apart = not known and any(_pair_differs(one, other, tables[where[0]].axis) for one, other in pairs)
            cases.setdefault((apart, tuple(where)), []).append(run)
    for (apart, files_of), runs in sorted(cases.items(), key=lambda case: not case[0][0]):
        if apart:
            _rename(tables, files, files_of, runs)
        else:
            _note_joined(tables, files_of, runs)


def _rows(frame: pd.DataFrame, run: str) -> pd.DataFrame:
    return frame[(frame["run"] == run).to_numpy()]


def _pair_differs(one: pd.DataFrame, other: pd.DataFrame, axis: str) -> bool:
    """Whether the rows of one run name in two tables differ at a place that both have, or interleave."""
    places = ["split"] if "split" in one.columns and "split" in other.columns else []
    if ("split" in one.columns) != ("split" in other.columns) and axis:
        return False  # rows with a split and rows without one complement each other
    places = [*places, *([axis] if axis else [])]
    shared = [name for name in one.columns if name in other.columns and name not in PLACES and name[:2] != "__"]
    first, second = (
        (part.groupby(places, dropna=False, observed=True)[shared].last() if places else part[shared].iloc[-1:])
        for part in (one, other)
    )
    if not places:
        first, second = first.reset_index(drop=True), second.reset_index(drop=True)
    both = first.index.intersection(second.index)
    if len(both):
        here, there = first.loc[both], second.loc[both]
        return bool(((here != there) & here.notna() & there.notna()).to_numpy().any())
    if axis and len(places) == 1 and {"loss"} <= set(shared):
        return bool(one[axis].min() < other[axis].max() and other[axis].min() < one[axis].max())
    return False


def _name_lines(tables: Sequence[Tidy], files: Sequence[str]) -> None:
    """Put the name of the file before runs that are named after their line."""
    for tidy, file in zip(tables, files, strict=True):
        run = tidy.frame["run"].astype(str)
        lines = run == pd.Series([f"row {line}" for line in tidy.frame.index], index=run.index)
        if lines.any():
            tidy.frame = tidy.frame.assign(run=run.where(~lines, f"{file}/" + run))


def _rename(tables: Sequence[Tidy], files: Sequence[str], where: tuple[int, ...], runs: list[str]) -> None:
    taken = {str(run) for tidy in tables for run in tidy.frame["run"].unique()} - set(runs)
    told = []
    for number in where:
        tidy, file = tables[number], files[number]
        new = {run: _free(run if run == file else f"{file}/{run}", taken) for run in runs}
        taken |= set(new.values())
        column = tidy.frame["run"]
        named = column.cat.rename_categories(new) if column.dtype == "category" else column.replace(new)
        tidy.frame = tidy.frame.assign(run=named)
        told.append(new[runs[0]])
    paths = listed([tables[number].where for number in where], SHOWN)
    first, same = tables[where[0]], f"the same name ({listed(runs, SHOWN)}) in {paths}"
    differ = f"differ at the same {first.axis}s, or interleave" if first.axis else "differ in their values"
    text = f"{len(runs)} run{'s' * (len(runs) > 1)} of {same} {differ}: kept apart as {listed(told, SHOWN)}"
    first.note("named", text, len(runs))


def _free(name: str, taken: set[str]) -> str:
    """The name, followed by a number if it is taken."""
    return next(each for each in (name, *(f"{name} ({k})" for k in range(2, len(taken) + 3))) if each not in taken)


def _note_joined(tables: Sequence[Tidy], where: tuple[int, ...], runs: list[str]) -> None:
    axis = tables[where[0]].axis
    spans = []
    for number in where:
        rows = _rows(tables[number].frame, runs[0])
        reach = f" ({axis} {rows[axis].min():.10g} to {rows[axis].max():.10g})" if axis else ""
        spans.append(f"{tables[number].where}{reach}")
    verb = "is" if len(runs) == 1 else "are each"
    text = f"{listed(runs, SHOWN)} in {listed(spans, SHOWN)} {verb} one run: the files do not contradict each other"
    tables[where[0]].note("joined", text, len(runs))


def one_table(curves: list[Tidy]) -> Tidy:
    """Tables of curves below one another; raises InputError if some count steps and others tokens or epochs."""
    first = curves[0]
    if len(curves) == 1:
        return first
    ways = {tidy.axis: tidy.where for tidy in reversed(curves)}
    if len(ways) > 1:
        said = listed([f"{axis.removesuffix('s')}s ({where})" for axis, where in sorted(ways.items())], SHOWN)
        raise InputError(f"the curves count differently: {said}", todo="read them one by one")
    runs = union_categoricals([tidy.frame["run"] for tidy in curves])
    frame = pd.concat([tidy.frame.drop(columns="run") for tidy in curves])
    frame.insert(0, "run", pd.Series(runs, index=frame.index))
    return Tidy(frame, first.axis, ", ".join(tidy.where for tidy in curves), [], {}, [])
