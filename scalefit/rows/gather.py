"""From run logs to the rows that a law reads: an array for each variable, the measured values, and their source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from scalefit.errors import InputError, counted
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows, place_in
from scalefit.rows.streams import SAMPLE_ROWS, STREAM_ROWS, STREAM_SUMS, Block, Curve, Stream, curve_of, run_blocks
from scalefit.runs import Runs, Trajectory
from scalefit.runs.columns import COLUMNS
from scalefit.runs.endings import falling
from scalefit.runs.final import not_final
from scalefit.runs.inspect import likely_losses
from scalefit.runs.table import DERIVED
from scalefit.runs.trajectory import spans

Which = Literal["auto", "final", "all"]
ADDED = ("run", "run_in_file", "source")  #: columns that reading adds
WARMUP = "{} during warmup left out: the law begins after it"
Part = tuple[
    int, int, Trajectory, dict[str, float]
]  # first row, row after the last, path, the law's columns of the run
ALL_ROWS = "--points all"  #: how to use every logged row instead of the last of each run


def gather(law: Law, runs: Runs, *, target: str | None = None, points: Which = "auto", measured: bool = True) -> Rows:
    """The rows of ``runs`` that ``law`` reads.

    A trajectory law reads every logged point after the warmup, with its areas summed over every step. Other laws read
    one row per run (``points="final"``) if their columns are known per run, else every logged row (``"all"``).
    ``measured=False`` allows rows without a loss. Raises :class:`InputError` naming what is missing.
    """
    if points not in ("auto", "final", "all"):
        raise InputError(f'points "{points}" is not known', todo="choose one of auto, final, all")
    target = target or law.target
    if law.is_trajectory:
        return _along_runs(law, runs, target, measured)
    wanted = list(law.columns.values())
    table, derived = _with_derived(runs, wanted)
    in_table = all(name in table.columns for name in wanted) and (target in table.columns or not measured)
    if points == "all" or (points == "auto" and not in_table and runs.curves is not None):
        return _every_row(law, runs, table, target, measured, derived)
    notes = derived if runs.curves is None else (*derived, _last_rows(runs, table, target))
    return _ended(_read(law, runs, table, False, target, measured, notes), table, measured)


def _last_rows(runs: Runs, table: pd.DataFrame, target: str) -> str:
    """That last rows are read, and how to read all of them where they are as final as the last."""
    note = f"the last logged {target} of each of {counted(len(table), 'run')}"
    return note if falling(runs) else f"{note}; {ALL_ROWS} uses every logged row"


def _ended(rows: Rows, table: pd.DataFrame, measured: bool) -> Rows:
    """The rows of runs that have ended and are not marked as diverged, with notes on the others; where no measured
    values are asked for, all rows, but none of these values for the others."""
    if rows.values is None:
        return rows
    keep, notes = np.ones(len(rows), dtype=bool), rows.notes
    for mask, text in not_final(table, pd.Series(rows.values, index=table.index)):
        keep &= ~mask.to_numpy()
        notes = (*notes, text)
    if not measured:
        return replace(rows, values=np.where(keep, rows.values, np.nan))
    if len(keep) and not keep.any():
        raise InputError("; ".join(notes[len(rows.notes) :]), where="runs", todo="wait for runs that end, or add some")
    return replace(rows.keep(keep), notes=notes)


def _with_derived(runs: Runs, wanted: list[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with the first wanted column of N, D and C that follows from the others, and its formula as a note."""
    known = set(runs.table.columns)
    for name, (formula, sources) in DERIVED.items():
        if name in wanted and name not in known and known.issuperset(sources):
            return runs.with_derived(name).table, (formula,)
    if runs.curves is None and "step" in wanted and "step" not in known and "steps" in known:
        return runs.table.assign(step=runs.table["steps"]), ("step is the length of each run (steps)",)
    return runs.table, ()


def _every_row(law: Law, runs: Runs, table: pd.DataFrame, target: str, measured: bool, notes: tuple[str, ...]) -> Rows:
    if runs.curves is None:
        raise InputError("there is only one row per run", where="points all", todo="use points final")
    frame = curves = runs.curves
    by_run = table.drop_duplicates("run").set_index("run")
    for column in law.columns.values():
        if column == "D" and "tokens" in curves.columns:
            frame = frame.assign(D=curves["tokens"])  # tokens so far, not those of the whole run
        elif column not in curves.columns and column in by_run.columns:
            frame = frame.assign(**{column: by_run[column].reindex(curves["run"].astype(str)).to_numpy()})
    notes = (*notes, f"all {len(curves)} logged rows of {counted(len(table), 'run')}")
    return _read(law, runs, frame, True, target, measured, notes)


def _read(
    law: Law, runs: Runs, frame: pd.DataFrame, in_curves: bool, target: str, measured: bool, notes: tuple[str, ...]
) -> Rows:
    """The rows of a frame that has the law's columns."""
    _require(law, [*law.columns.values(), *([target] if measured else [])], frame, runs)
    return Rows(
        {name: _numbers(frame, column, runs, in_curves) for name, column in law.columns.items()},
        _numbers(frame, target, runs, in_curves) if target in frame.columns else None,
        frame[["run", "step"] if in_curves and "step" in frame.columns else ["run"]],
        np.arange(len(frame)),
        in_curves,
        notes=notes,
    )


def _along_runs(law: Law, runs: Runs, target: str, measured: bool) -> Rows:
    """Rows of a trajectory law: its variables at every logged step after the warmup."""
    if runs.curves is None or "step" not in runs.curves.columns:
        what, todo = f"law {law.name} needs loss curves with a step", "name the step column with --map step=COLUMN"
        raise InputError(what, where=runs.origin[0].path if runs.origin else "runs", todo=todo)
    if measured:
        _require(law, [target], runs.curves, runs)
    curves = runs.curves
    sums = any(variable.many for variable in law.variables.values()) and not law.path_columns
    if measured and (len(curves) > STREAM_SUMS if sums else len(curves) > STREAM_ROWS and hasattr(law, "along_blocks")):
        return _streamed(law, runs, target, sums)
    parts: dict[str, list[FloatArray]] = {name: [] for name in law.variables}
    after = np.ones(len(curves), dtype=bool)
    paths: dict[str, Trajectory] = {}
    by_run = runs.table.drop_duplicates("run").set_index("run")
    for run, begin, end in spans(curves):
        path = paths[run] = runs.trajectory(run)
        marks = {column: _of_run(law, by_run, run, column, runs) for column in law.path_columns}
        found = law.at_steps(path.lr, path.warmup, path.steps, **marks)
        for name in law.variables:
            if name not in found:
                found[name] = np.full(end - begin, _of_run(law, by_run, run, law.columns[name], runs))
            parts[name].append(found[name])
        after[begin:end] = path.steps > path.warmup
    rows = Rows(
        {name: _stacked(arrays, law.variables[name].absent) for name, arrays in parts.items()},
        _numbers(curves, target, runs, True) if target in curves.columns else None,
        curves[["run", "step"]],
        np.arange(len(curves)),
        True,
        paths,
    )
    return rows.keep(after, WARMUP.format(counted(int((~after).sum()), "row")))


def _stacked(arrays: list[FloatArray], absent: float) -> FloatArray:
    """Arrays (n,) or (n, K) of several runs below one another; shorter second axes are filled up."""
    if not arrays or arrays[0].ndim == 1:
        return np.concatenate(arrays or [np.empty(0)])
    width = max(1, *(array.shape[1] for array in arrays))  # at least one, absent in every row
    filled = [np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=absent) for array in arrays]
    return np.concatenate(filled)


def _streamed(law: Law, runs: Runs, target: str, sums: bool) -> Rows:
    """An even sample of the rows of a large log, with a stream of all rows, which are never held at once."""
    assert runs.curves is not None
    measured = runs.curves[target]
    bad = np.flatnonzero(~np.isfinite(measured.to_numpy()))
    if len(bad):
        where = f"{place_in(runs, True, int(bad[0]))}, column {target}"
        todo = f'leave such rows out with --where "{target} < 1e9"'
        raise InputError(f"{target} is {measured.iloc[bad[0]]:g} ({len(bad)} rows in all)", where=where, todo=todo)
    values = measured.to_numpy(dtype=np.float64, copy=False)
    by_run = runs.table.drop_duplicates("run").set_index("run")
    along = law.along(np.ones(2), 0)  # type: ignore[attr-defined]
    single = [name for name, variable in law.variables.items() if not variable.many]
    fixed = {name: law.columns[name] for name in single if name not in along}
    parts = [
        (begin, end, runs.trajectory(run), {n: _of_run(law, by_run, run, column, runs) for n, column in fixed.items()})
        for run, begin, end in spans(runs.curves)
    ]

    def blocks() -> Iterator[Block]:
        for begin, end, path, constants in parts:
            own = values[begin:end]
            for at, variables in run_blocks(law, path, constants):
                yield variables, own[at]

    total = sum(end - begin - int(np.searchsorted(path.steps, path.warmup, "right")) for begin, end, path, _ in parts)
    stride = max(1, total // SAMPLE_ROWS)
    curves = [curve_of(law, path, values[a:b], constants) for a, b, path, constants in parts] if sums else []
    sample = _sample_of_sums(parts, curves, stride) if sums else _sample(law, parts, stride)
    places, chosen = zip(*sample, strict=True)
    positions = np.concatenate(places)
    return Rows(
        {name: _stacked([made[name] for made in chosen], law.variables[name].absent) for name in law.variables},
        values[positions],
        pd.DataFrame({name: runs.curves[name].iloc[positions] for name in ("run", "step")}),
        positions,
        True,
        {path.run: path for _, _, path, _ in parts},
        (
            WARMUP.format(counted(len(values) - total, "row")),
            f"{total} rows are streamed; checks and outliers are those of one row in {stride}",
        ),
        Stream(total, blocks, tuple(curves)),
    )


def _sample(law: Law, parts: list[Part], stride: int) -> Iterator[tuple[np.ndarray, dict[str, FloatArray]]]:
    """The positions of one row in ``stride``, and the law's variables there."""
    for begin, _, path, constants in parts:
        for at, variables in run_blocks(law, path, constants):
            keep = slice(-at.start % stride, None, stride)
            positions = begin + np.arange(at.start, at.stop)[keep]
            yield positions, {name: column[keep].copy() for name, column in variables.items()}


def _sample_of_sums(
    parts: list[Part], curves: list[Curve], stride: int
) -> Iterator[tuple[np.ndarray, dict[str, FloatArray]]]:
    """The same for laws whose rows are sums over many values."""
    for (_, end, *_), curve in zip(parts, curves, strict=True):
        rows = np.arange(0, len(curve.steps), stride)
        yield end - len(curve.steps) + rows, curve.at(rows)


def _of_run(law: Law, by_run: pd.DataFrame, run: str, column: str, runs: Runs) -> float:
    if column not in by_run.columns:
        _require(law, [column], by_run, runs)
    return float(by_run[column].to_numpy()[by_run.index.get_loc(run)])


def _alike(column: str, name: str) -> int:
    """How many words two names share: what is likeliest meant comes first."""
    words = [set(re.findall(r"[a-z]+", text.lower())) for text in (column, name)]
    return len(words[0] & words[1])


def _require(law: Law, names: list[str], frame: pd.DataFrame, runs: Runs) -> None:
    meanings = {law.columns[name]: variable.meaning for name, variable in law.variables.items()}
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if not missing:
        return
    said = {name: COLUMNS[name].meaning if name in COLUMNS else meanings.get(name, "") for name in missing}
    what = " and ".join(f'"{name}"' + f" ({meaning})" * bool(meaning) for name, meaning in said.items())
    there = [str(column) for column in frame.columns if column not in (*names, *ADDED)]
    likely = set(likely_losses([frame])) if missing == ["loss"] else set()
    order = {name: (name not in likely, -max(_alike(name, one) for one in missing), name in COLUMNS) for name in there}
    others = ", ".join(sorted(there, key=order.__getitem__))
    maps = " ".join(f"--map {name}=COLUMN" for name in missing)
    todo = f"write {maps}{f' with one of: {others}' if others else ', or add it to the table'}"
    where = runs.origin[0].path if runs.origin else "runs"
    why = [note.text for note in runs.notes for name in missing if f"{name} are not derived" in note.text]
    todo = "; ".join([*why, todo])
    raise InputError(f"no column{'s' * (len(missing) > 1)} {what}", where=where, todo=todo)


def _numbers(frame: pd.DataFrame, column: str, runs: Runs, in_curves: bool) -> FloatArray:
    """A column as float64; InputError names the first row that is not a number."""
    series = frame[column]
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64)
    numbers = pd.to_numeric(series, errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & series.notna())
    if len(wrong):
        where, todo = place_in(runs, in_curves, int(wrong[0])), "map another column, or select rows with --where"
        what = f"{str(series.iloc[wrong[0]])!r} is not a number"
        raise InputError(what, where=f"{where}, column {column}", todo=todo)
    return numbers.to_numpy(dtype=np.float64)
