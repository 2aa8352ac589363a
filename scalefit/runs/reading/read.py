"""Reading run logs: files, folders or data frames in, `Runs` out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import pandas as pd

from scalefit.errors import InputError, all_of, counted, listed
from scalefit.escaping import one_line
from scalefit.parallel import each
from scalefit.runs.conventions import in_other_units
from scalefit.runs.formats import RawTable
from scalefit.runs.matching import in_shell, normalised
from scalefit.runs.reading.checks import checked
from scalefit.runs.reading.conversions import peak_of_settings, read_settings
from scalefit.runs.reading.curves import join_sparse_rows, ordered, set_undecided_apart, table_of
from scalefit.runs.reading.entries import entries_of_runs, settings_of_results, with_sizes_of_names
from scalefit.runs.reading.joining import file_names, keep_apart, note_processes, one_table
from scalefit.runs.reading.naming import name_runs
from scalefit.runs.reading.resumed import resumed
from scalefit.runs.reading.sources import PER_ROW, Source, raw_tables
from scalefit.runs.reading.tidy import NO_LOSS, Tidy, tidied
from scalefit.runs.table import Note, Origin, Runs
from scalefit.runs.trajectory import LearningRates, ScheduleSource, schedules_of


def read_runs(
    source: Source | Sequence[Source] | Mapping[str, Any],
    *,
    rename: Mapping[str, str] | None = None,
    schedule: ScheduleSource | None = None,
    warmup: int | None = None,
    where: str | None = None,
    pattern: str | None = None,
    join: bool = False,
    defaults: Mapping[str, str] | None = None,
    need: Sequence[str] = ("loss",),
    tell_ties: bool = False,
) -> Runs:
    """Read run logs into the two canonical tables.

    `source`: a file (CSV, TSV, JSON lines, Parquet, console log and others, also compressed: docs/logs.md), a folder of
    run logs, a pattern of file names (`runs/*.csv`), `-` for standard input, `wandb:entity/project/run`, a DataFrame, a
    mapping from the names of columns to their values, or a list of these; a table of curves and a table of runs in one
    list are joined by `run`. `rename`: {"their column": "canonical name"}; it takes precedence over exact names, and
    these over guesses. `schedule`: the learning rate of every run, as text (see `scalefit.schedules.parse_schedule`), a
    CSV of (step, lr) or of (schedule or run, step, lr), a Schedule, or a mapping from run to these. `warmup`: steps of
    a linear warmup from 0, for a log that begins later, and where a noisy warmup ends. `where`: an expression; rows for
    which it does not hold are left out. `pattern`: how the lines of a text log are written, such as "step {step} .*
    loss {loss} lr {lr}". `join`: whether runs that go on where others end, with the same settings, are read as one.
    `defaults`: as `rename`, of columns that need not be there. `need`: columns that must exist. `tell_ties`: if two
    columns could be the same canonical one, keep both unchanged and report them in a note of kind "ambiguous".

    `Runs.notes` report everything that was guessed, converted, derived or dropped; a note that several files share
    names the first and counts the rest. Raises InputError, naming file, row and column, for what cannot be read.

    >>> log = pd.DataFrame({"step": [0, 1, 2], "learning_rate": [1.0, 1.0, 0.5], "loss": [3.0, 2.0, 1.0]})
    >>> runs = read_runs(log)
    >>> runs.names, runs.trajectory("DataFrame").lr.tolist()
    (['DataFrame'], [1.0, 1.0, 0.5])
    """
    if isinstance(source, Mapping):
        source = _columns(source)
    sources = [source] if isinstance(source, str | PathLike | pd.DataFrame) else list(source)
    runs = _read(sources, rename or {}, defaults or {}, pattern, join, need, tell_ties)
    runs = _with_learning_rates(runs, schedule, warmup)
    return runs if where is None else runs.where(where)


def _columns(given: Mapping[str, Any]) -> pd.DataFrame:
    """A mapping of columns as a table. Raises InputError where they have different lengths or are single values."""
    try:
        return pd.DataFrame(dict(given))
    except ValueError as error:
        raise InputError(f"no table of columns ({error})", where="mapping", todo="give lists of one length") from None


def _read(
    sources: list[Source],
    rename: Mapping[str, str],
    defaults: Mapping[str, str],
    pattern: str | None,
    join: bool,
    need: Sequence[str],
    tell_ties: bool,
) -> Runs:
    """The runs of all sources, before learning rates of elsewhere join them and conditions leave rows out."""
    raws, origin = raw_tables(sources, {**defaults, **rename}, pattern)
    maps = _renames(raws, {one_line(name): target for name, target in rename.items()}, defaults)
    names = file_names([raw.path for raw in raws])
    seconds = PER_ROW * sum(len(raw.frame) for raw in raws)
    tables = each(lambda given: tidied(*given, tell_ties), list(zip(raws, maps, strict=True)), seconds=seconds)
    for tidy, name in zip(tables, names, strict=True):
        settings_of_results(tidy)
        read_settings(tidy)
        name_runs(tidy, tidy.name or name)
        peak_of_settings(tidy)
    if len(tables) > 1:
        for tidy in tables:
            tidy.frame = tidy.frame.assign(source=tidy.where)
        note_processes(tables)
        keep_apart(tables, names)
    tables, names = resumed(tables, names, join)
    return _joined(tables, names, origin, need)


def runs_of(source: Runs | Source | Sequence[Source] | Mapping[str, Any]) -> Runs:
    """Run logs as they are, or what they are read from (see :func:`read_runs`), with or without a loss."""
    return source if isinstance(source, Runs) else read_runs(source, need=())


def _renames(raws: list[RawTable], rename: dict[str, str], defaults: Mapping[str, str]) -> list[dict[str, str]]:
    """The entries of `rename`, and of `defaults`, that concern each table; every entry of `rename` must concern one."""
    columns = list(dict.fromkeys(str(name) for raw in raws for name in raw.frame.columns))
    where = str(raws[0].path) if len(raws) == 1 else ""

    def there(entry: tuple[str, str]) -> None:
        name, target = entry
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
            todo = f"did you mean '{near[0]}'?" if near else f"the columns are {listed(columns, 30)}"
            raise InputError(f"there is no column '{name}' to map to {target}", where=where, todo=todo)

    all_of(there, rename.items())
    both = {**{one_line(name): target for name, target in defaults.items()}, **rename}
    return [{name: target for name, target in both.items() if name in raw.frame.columns} for raw in raws]


def _joined(tables: list[Tidy], names: list[str], origin: tuple[Origin, ...], need: Sequence[str]) -> Runs:
    curves = [tidy for tidy in tables if tidy.axis]
    finals = [tidy for tidy in tables if not tidy.axis]
    for name in need:
        if not any(name in tidy.frame.columns for tidy in tables):
            raise _missing(name, tables)
    notes = _shared_notes(tables, names)
    columns = tuple(dict.fromkeys(binding for tidy in tables for binding in tidy.bindings))
    if not curves:
        table = pd.concat([tidy.frame for tidy in finals]) if len(finals) > 1 else finals[0].frame
        table = with_sizes_of_names(table, notes)
        return checked(Runs(None, table, tuple(notes), origin, columns))
    if any("loss" in each.frame.columns for each in curves):
        for each in curves:
            if "loss" not in each.frame.columns:
                each.frame = each.frame.assign(**{NO_LOSS: True})
    tidy = one_table(curves)
    if tidy.frame.empty:
        todo = "map the column of optimiser steps (--map step=COLUMN), or rename a column called step that is none"
        raise InputError("no row has a step", where=curves[0].where, todo=todo)
    before = len(tidy.notes)
    set_undecided_apart(tidy)
    logged = join_sparse_rows(tidy)
    same = logged is tidy.frame
    ordered(tidy)
    notes += tidy.notes[before:]
    scalars = entries_of_runs(curves)
    table = table_of(tidy.frame, scalars)
    if finals:
        table = _with_run_table(table, pd.concat([part.frame for part in finals]), notes)
    table = with_sizes_of_names(table, notes)
    rates = LearningRates(_lr_rows(tidy, tidy.frame if same else logged))
    planned = {run: entries.get("steps") for run, entries in scalars.items()}
    declared = {run: float(steps) for run, steps in planned.items() if isinstance(steps, int | float) and steps > 0}
    return checked(Runs(tidy.frame, table, tuple(notes), origin, columns, rates), declared)


def _shared_notes(tables: list[Tidy], names: list[str]) -> list[Note]:
    """The notes of several files; one that several of them share is one note, with the sum of their counts."""
    groups: dict[tuple[str, str], list[tuple[int, Note]]] = {}
    for number, tidy in enumerate(tables):
        for note in tidy.notes:
            text = note.text.removeprefix(f"{tidy.where}: ").removeprefix(f"{note.count} ")
            groups.setdefault((note.kind, text), []).append((number, note))
    found = list[Note]()
    for (kind, text), members in groups.items():
        notes, files = [note for _, note in members], dict.fromkeys(number for number, _ in members)
        if len(files) > 1:
            count = sum(note.count for note in notes)
            where = f"all {len(files)} files" if len(files) == len(tables) else listed(names[at] for at in files)
            head = f"{count} " * notes[0].text.endswith(f"{notes[0].count} {text}")
            notes = [Note(kind, f"{head}{text} (in {where})", count)]
        found += notes
    return found


def _missing(name: str, tables: list[Tidy]) -> InputError:
    frame, where = tables[0].frame, tables[0].where
    source = {binding.name: binding.source for binding in tables[0].bindings}
    columns = [column for column in frame.columns if column not in ("run", "source")]
    if name == "loss" and {"step", "lr"} <= set(columns) <= {"step", "lr", "schedule"}:
        return InputError("the file holds a schedule, not a run", where=where, todo=f"pass it as --schedule {where}")
    numbers = [column for column in columns if frame[column].dtype.kind in "iuf"]
    likely = [column for column in numbers if name in normalised(column)]
    if name == "loss" and not likely:  # a loss in another unit
        likely = [column for column in numbers if in_other_units(column)]
    what = f"there is no column {name}; the columns are {listed([source.get(each, each) for each in columns], 30)}"
    shown = likely[0] if likely else "COLUMN"
    todo = f"say which one it is: --map {name}={in_shell(shown)}"
    return InputError(what, where=where, todo=todo)


def _with_run_table(table: pd.DataFrame, given: pd.DataFrame, notes: list[Note]) -> pd.DataFrame:
    given = given.drop(columns=["source"], errors="ignore")
    unknown = sorted(set(given["run"]) - set(table["run"]))
    without = sorted(set(table["run"]) - set(given["run"]))
    if given["run"].duplicated().any():
        twice = given["run"][given["run"].duplicated()].iloc[0]
        todo = "keep one row for each run"
        raise InputError("the table of runs has several rows for one run", where=f"run {twice}", todo=todo)
    if unknown:
        notes.append(
            Note(
                "dropped", f"{counted(len(unknown), 'run', 'has', 'have')} no curve: {listed(unknown, 5)}", len(unknown)
            )
        )
    if without:
        text = f"{counted(len(without), 'run', 'is', 'are')} not in the table of runs: {listed(without, 5)}"
        notes.append(Note("unknown", text, len(without)))
    extra = given.set_index("run").reindex(table["run"])
    new = [name for name in extra.columns if name not in table.columns]
    return pd.concat([table, extra[new].set_axis(table.index)], axis=1)  # at once: there may be hundreds


def _lr_rows(tidy: Tidy, logged: pd.DataFrame) -> pd.DataFrame | None:
    if tidy.axis != "step" or "lr" not in logged.columns:
        return None
    rows = logged[["run", "step", "lr"]]
    if logged is tidy.frame:
        return rows
    apart = Tidy(rows.dropna(subset=["lr"]), "step", tidy.where, [])
    ordered(apart)
    return apart.frame


def _with_learning_rates(runs: Runs, schedule: ScheduleSource | None, warmup: int | None) -> Runs:
    if warmup is not None and warmup < 0:
        raise InputError(f"warmup={warmup} is negative", todo="give a number of steps from 0")
    if schedule is None:
        rates = replace(runs.learning_rates, warmup=warmup)
        told = [
            Note("derived", f"the learning rate of {listed(which)}: {how}") for how, which in rates.guessed().items()
        ]
        return replace(runs, notes=(*runs.notes, *told), learning_rates=rates)
    given = schedules_of(schedule, runs.table, warmup)
    notes = [*runs.notes]
    if runs.learning_rates.rows is not None:
        text = f"the given schedule is used instead of the logged learning rate{_difference(runs, given)}"
        notes.append(Note("mapped", text))
    if given.missing:
        example = next(iter(given.missing.values()))
        notes.append(
            Note(
                "unknown",
                f"{counted(len(given.missing), 'run', 'has', 'have')} no schedule: {example}",
                len(given.missing),
            )
        )
    notes += _interpolated(given)
    return replace(runs, notes=tuple(notes), learning_rates=replace(given, rows=runs.learning_rates.rows))


def _interpolated(given: LearningRates) -> list[Note]:
    """A note for each way in which schedules from a file were completed between their rows."""
    ways: dict[str, list[str]] = {}
    for run, schedule in (given.given or {}).items():
        if schedule.how:
            ways.setdefault(schedule.how, []).append(run)
    return [
        Note("derived", f"the learning rate of {listed(runs)} was read from the schedule file: {how}", len(runs))
        for how, runs in ways.items()
    ]


def _difference(runs: Runs, given: LearningRates) -> str:
    """How far the logged learning rate is from the given schedule, as text."""
    apart = replace(given, rows=runs.learning_rates.rows).apart()
    worst = max(apart.max(initial=0.0), 0.0)
    return f"; they differ by up to {worst:.2%} of the peak" if worst > 0.001 else " and agrees with it"
