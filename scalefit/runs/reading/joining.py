"""Several files in one call: a name for each, and runs of one name that are kept apart or joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from scalefit.errors import InputError
from scalefit.runs.reading.curves import PLACES
from scalefit.runs.reading.tidy import Tidy

SHOWN = 5
#: ends of file names that say how a file is written, not what it holds
ENDINGS = frozenset(
    {".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".txt", ".log", ".out", ".stdout", ".db"}
    | {".gz", ".bz2", ".xz", ".zip", ".zst", ".sqlite", ".sqlite3"}
)
PLAIN = frozenset({"log", "metrics", "history", "trainer_state", "train_log", "trainer_log"})
EVENTS = "events.out.tfevents"


def file_names(paths: Iterable[Path]) -> list[str]:
    """A name for each file: its own without known endings, or its folder's where a file's name says nothing (log,
    metrics, trainer_state); with the folders before it, as many as tell them apart, where two are named alike.

    >>> file_names([Path("a/lr0.001.csv"), Path("a/lr0.003.csv.gz")])
    ['lr0.001', 'lr0.003']
    >>> file_names([Path("small/log.jsonl")]), file_names([Path("a/x.csv"), Path("b/x.csv")])
    (['small'], ['a/x', 'b/x'])
    """
    parts = [_parts(path) for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names if parts else []


def _parts(path: Path) -> list[str]:
    """Folders and name; the last one names the file."""
    folders = [part for part in path.parent.parts if part not in ("/", ".")]
    stem = _stem(path.name)
    return folders if folders and (stem in PLAIN or EVENTS in path.name) else [*folders, stem]


def _stem(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return _stem(stem) if stem and f"{dot}{ending}".lower() in ENDINGS else name


def keep_apart(tables: Sequence[Tidy], files: Sequence[str]) -> None:
    """Runs of one name in several files become runs of their own, named after their files, where both hold other
    values at the same place, or their steps interleave; else they are one run. Each case is told in a note.

    ``files``: the names of the files (see :func:`file_names`). Tables of runs beside curves are left alone: they
    describe runs of the same names.
    """
    curves = [number for number, tidy in enumerate(tables) if tidy.axis]
    numbers = curves or list(range(len(tables)))
    if len(numbers) < 2:
        return
    if not curves:
        _name_lines(tables, files)
    held = [set(tables[number].frame["run"].astype(str).unique()) for number in numbers]
    apart: dict[tuple[int, ...], list[str]] = {}
    joined: dict[tuple[int, ...], list[str]] = {}
    for run in dict.fromkeys(str(run) for number in numbers for run in tables[number].frame["run"].unique()):
        where = tuple(number for number, names in zip(numbers, held, strict=True) if run in names)
        if len(where) > 1:
            parts = [_rows(tables[number].frame, run) for number in where]
            (apart if _differ(parts, tables[where[0]].axis) else joined).setdefault(where, []).append(run)
    for where, runs in apart.items():
        _rename(tables, files, where, runs)
    for where, runs in joined.items():
        _tell_joined(tables, where, runs)


def _rows(frame: pd.DataFrame, run: str) -> pd.DataFrame:
    return frame[(frame["run"] == run).to_numpy()]


def _differ(parts: list[pd.DataFrame], axis: str) -> bool:
    return any(_pair_differs(one, other, axis) for at, one in enumerate(parts) for other in parts[at + 1 :])


def _pair_differs(one: pd.DataFrame, other: pd.DataFrame, axis: str) -> bool:
    """Whether two tables of one run name hold other values at a place that both have, or interleave."""
    places = ["split"] if "split" in one.columns and "split" in other.columns else []
    if ("split" in one.columns) != ("split" in other.columns) and axis:
        return False  # rows with a split and rows without stand beside each other
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
    """Rows that are named after their line get the name of their file before it."""
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
    paths = " and ".join(tables[number].where for number in where)
    what = f"{len(runs)} run{'s' * (len(runs) > 1)} of one name ({_listed(runs)}) in {paths}"
    place = f"at the same {tables[where[0]].axis}s, or between them" if tables[where[0]].axis else "in their rows"
    tables[where[0]].note("named", f"{what} with other values {place}: kept apart as {' and '.join(told)}", len(runs))


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken."""
    names: Iterator[str] = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in names if each not in taken)


def _tell_joined(tables: Sequence[Tidy], where: tuple[int, ...], runs: list[str]) -> None:
    axis = tables[where[0]].axis
    spans = []
    for number in where:
        rows = _rows(tables[number].frame, runs[0])
        reach = f" ({axis} {rows[axis].min():.10g} to {rows[axis].max():.10g})" if axis else ""
        spans.append(f"{tables[number].where}{reach}")
    verb = "is" if len(runs) == 1 else "are each"
    text = f"{_listed(runs)} in {' and '.join(spans)} {verb} one run: no values of theirs differ"
    tables[where[0]].note("joined", text, len(runs))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def one_table(curves: list[Tidy]) -> Tidy:
    """Tables of curves below one another; raises InputError where some count steps and others tokens."""
    first = curves[0]
    if len(curves) == 1:
        return first
    axes = {tidy.axis for tidy in curves}
    if len(axes) > 1:
        raise InputError("some tables count steps, others tokens", where=first.where, todo="read them one by one")
    runs = union_categoricals([tidy.frame["run"] for tidy in curves])
    frame = pd.concat([tidy.frame.drop(columns="run") for tidy in curves])
    frame.insert(0, "run", pd.Series(runs, index=frame.index))
    return Tidy(frame, first.axis, ", ".join(tidy.where for tidy in curves), [], {}, [])
