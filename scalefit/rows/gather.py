"""From run logs to the rows that a law reads: an array a variable, the measured values, where each row came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows, place_in
from scalefit.rows.streams import SAMPLE_ROWS, STREAM_ROWS, Block, Stream, run_blocks
from scalefit.runs import Runs, Trajectory
from scalefit.runs.columns import COLUMNS
from scalefit.runs.table import DERIVED, spans

Which = Literal["auto", "final", "all"]
LAST_ROWS = "--points all"  #: how to take every logged row instead of the last of each run


def gather(law: Law, runs: Runs, *, target: str | None = None, points: Which = "auto", measured: bool = True) -> Rows:
    """The rows of ``runs`` that ``law`` reads.

    A trajectory law reads every logged point after warm-up, with its areas summed over every step. Another law reads
    one row a run (``points="final"``) where its columns are known per run, else every logged row (``"all"``).
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
    _require(law, wanted + ([target] if measured else []), table, runs)
    notes = list(derived)
    if runs.curves is not None:
        notes.append(f"the last logged {target} of each of {len(table)} runs; {LAST_ROWS} takes every logged row")
    return Rows(
        {name: _numbers(table, column, runs, False) for name, column in law.columns.items()},
        _numbers(table, target, runs, False) if target in table.columns else None,
        table[["run"]],
        np.arange(len(table)),
        False,
        notes=tuple(notes),
    )


def _with_derived(runs: Runs, wanted: list[str]) -> tuple[pd.DataFrame, list[str]]:
    known = set(runs.table.columns)
    for name, (formula, sources) in DERIVED.items():
        if name in wanted and name not in known and known.issuperset(sources):
            return runs.with_derived(name).table, [formula]
    return runs.table, []


def _every_row(law: Law, runs: Runs, table: pd.DataFrame, target: str, measured: bool, notes: list[str]) -> Rows:
    if runs.curves is None:
        raise InputError("there is one row a run only", where="points all", todo="use points final")
    curves = runs.curves
    by_run = table.drop_duplicates("run").set_index("run")
    frame = curves
    for column in law.columns.values():
        if column == "D" and "tokens" in curves.columns:
            frame = frame.assign(D=curves["tokens"])  # tokens so far, not those of the whole run
        elif column not in curves.columns and column in by_run.columns:
            frame = frame.assign(**{column: by_run[column].reindex(curves["run"].astype(str)).to_numpy()})
    _require(law, [*law.columns.values(), *([target] if measured else [])], frame, runs)
    keep = ["run", *(["step"] if "step" in curves.columns else [])]
    return Rows(
        {name: _numbers(frame, column, runs, True) for name, column in law.columns.items()},
        _numbers(frame, target, runs, True) if target in frame.columns else None,
        curves[keep],
        np.arange(len(curves)),
        True,
        notes=(*notes, f"all {len(curves)} logged rows of {len(table)} runs"),
    )


def _along_runs(law: Law, runs: Runs, target: str, measured: bool) -> Rows:
    """Rows of a trajectory law: its variables at every logged step after warm-up."""
    if runs.curves is None or "step" not in runs.curves.columns:
        raise InputError(
            f"law {law.name} needs loss curves, one row a logged step",
            where=runs.origin[0].path if runs.origin else "runs",
            todo="name the step column with --map step=COLUMN",
        )
    if measured:
        _require(law, [target], runs.curves, runs)
    curves = runs.curves
    if measured and len(curves) > STREAM_ROWS and hasattr(law, "along_blocks"):
        return _streamed(law, runs, target)
    parts: dict[str, list[FloatArray]] = {name: [] for name in law.variables}
    after = np.ones(len(curves), dtype=bool)
    paths: dict[str, Trajectory] = {}
    codes = curves["run"].astype(str).to_numpy()
    begins = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]][: len(codes)])
    by_run = runs.table.drop_duplicates("run").set_index("run")
    for begin, end in zip(begins, [*begins[1:], len(codes)], strict=True):
        run = str(codes[begin])
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
    return rows.keep(after, f"{int((~after).sum())} rows during warm-up left out: the law begins after it")


def _stacked(arrays: list[FloatArray], absent: float) -> FloatArray:
    """Arrays (n,) or (n, K) of several runs below one another; shorter second axes are filled up."""
    widths = [array.shape[-1] for array in arrays if array.ndim > 1]
    if not widths:
        return np.concatenate(arrays or [np.empty(0)])
    width = max(1, *widths)  # one that is absent everywhere, where no run has any
    out = np.full((sum(map(len, arrays)), width), absent)
    begin = 0
    for array in arrays:
        out[begin : begin + len(array), : array.shape[1]] = array
        begin += len(array)
    return out


def _streamed(law: Law, runs: Runs, target: str) -> Rows:
    """An even sample of the rows of a large log, with the stream of all of them; no full-length features are made."""
    assert runs.curves is not None
    measured = runs.curves[target]
    bad = np.flatnonzero(~np.isfinite(measured.to_numpy()))
    if len(bad):
        raise InputError(
            f"{target} is {measured.iloc[bad[0]]:g} ({len(bad)} rows in all)",
            where=f"{place_in(runs, True, int(bad[0]))}, column {target}",
            todo=f'select the others with --where "{target} < 1e9"',
        )
    values = measured.to_numpy(dtype=np.float64, copy=False)
    by_run = runs.table.drop_duplicates("run").set_index("run")
    parts = [
        (begin, end, runs.trajectory(run), _constants(law, by_run, run, runs)) for run, begin, end in spans(runs.curves)
    ]

    def blocks() -> Iterator[Block]:
        for begin, end, path, constants in parts:
            own = values[begin:end]
            for at, variables in run_blocks(law, path, constants):
                yield variables, own[at]

    total = sum(end - begin - int(np.searchsorted(path.steps, path.warmup, "right")) for begin, end, path, _ in parts)
    stride = max(1, total // SAMPLE_ROWS)
    chosen: list[tuple[np.ndarray, dict[str, FloatArray]]] = []
    for begin, _, path, constants in parts:
        for at, variables in run_blocks(law, path, constants):
            keep = slice(-at.start % stride, None, stride)
            chosen.append(
                (begin + np.arange(at.start, at.stop)[keep], {n: v[keep].copy() for n, v in variables.items()})
            )
    positions = np.concatenate([at for at, _ in chosen])
    left_out = len(values) - total
    return Rows(
        {name: np.concatenate([variables[name] for _, variables in chosen]) for name in law.variables},
        values[positions],
        pd.DataFrame({name: runs.curves[name].iloc[positions] for name in ("run", "step")}),
        positions,
        True,
        {path.run: path for _, _, path, _ in parts},
        (
            f"{left_out} rows during warm-up left out: the law begins after it",
            f"{total} rows are streamed; checks and outliers are those of one row in {stride}",
        ),
        Stream(total, blocks),
    )


def _constants(law: Law, by_run: pd.DataFrame, run: str, runs: Runs) -> dict[str, float]:
    """The variables of a trajectory law that do not change along a run."""
    probe = law.along(np.ones(2), 0)  # type: ignore[attr-defined]
    return {name: _of_run(law, by_run, run, column, runs) for name, column in law.columns.items() if name not in probe}


def _of_run(law: Law, by_run: pd.DataFrame, run: str, column: str, runs: Runs) -> float:
    if column not in by_run.columns:
        _require(law, [column], by_run, runs)
    return float(by_run[column].to_numpy()[by_run.index.get_loc(run)])


def _require(law: Law, names: list[str], frame: pd.DataFrame, runs: Runs) -> None:
    meanings = {law.columns[name]: variable.meaning for name, variable in law.variables.items()}
    for name in names:
        if name in frame.columns:
            continue
        meaning = COLUMNS[name].meaning if name in COLUMNS else meanings.get(name, "")
        others = ", ".join(str(column) for column in frame.columns if column not in (*names, "run"))
        raise InputError(
            f'no column "{name}"{f" ({meaning})" if meaning else ""}',
            where=runs.origin[0].path if runs.origin else "runs",
            todo=f"write --map {name}=COLUMN{f' with one of: {others}' if others else ', or add it to the table'}",
        )


def _numbers(frame: pd.DataFrame, column: str, runs: Runs, in_curves: bool) -> FloatArray:
    """A column as float64, or the row that is not a number."""
    series = frame[column]
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64)
    numbers = pd.to_numeric(series, errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & series.notna())
    if len(wrong):
        raise InputError(
            f"{str(series.iloc[wrong[0]])!r} is not a number",
            where=f"{place_in(runs, in_curves, int(wrong[0]))}, column {column}",
            todo="map another column, or select rows with --where",
        )
    return numbers.to_numpy(dtype=np.float64)
