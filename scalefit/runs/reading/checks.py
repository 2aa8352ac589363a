"""What a reader should see about the numbers before fitting: nothing is changed here, only noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.runs.siblings import NONE, axis_of, lost_runs, stopped, unfinished_by_status
from scalefit.runs.table import Note, Runs

SHOWN = 5
LARGEST = 1e14  #: parameters that no model has: a unit was counted twice
LEAST = 1000.0  #: parameters or tokens: fewer were counted in millions or billions


def checked(runs: Runs, declared: Mapping[str, float] = NONE) -> Runs:
    """The same runs with notes on losses that are not finite, runs that stop early, sizes that cannot be and
    conventions that are unknown. ``declared``: steps that a run was to do, by run."""
    frame = runs.table if runs.curves is None else runs.curves
    found = [_not_finite(frame), _lost(runs), *unfinished_by_status(runs), *stopped(runs, declared)]
    found += [_not_positive(runs.table, name) for name in ("N", "N_total", "D", "C")]
    found += [_too_large(runs.table, name) for name in ("N", "N_total")]
    found += [_too_small(runs.table, name) for name in ("N", "N_total", "D")]
    found += [_repeated_runs(runs), _repeated_rows(runs), _convention(runs)]
    return replace(runs, notes=(*runs.notes, *(note for note in found if note is not None)))


def _not_finite(frame: pd.DataFrame) -> Note | None:
    if "loss" not in frame.columns:
        return None
    loss = frame["loss"].to_numpy()
    bad = ~np.isfinite(loss) & ~_between_evaluations(frame)
    if not bad.any():
        return None
    rows = np.flatnonzero(bad)
    cells = [f"{_place(frame, r)} ({loss[r]:g})" for r in rows[:SHOWN].tolist()]
    return Note("diverged", f"{len(rows)} rows have no finite loss: {_listed(cells, len(rows))}", len(rows))


def _between_evaluations(frame: pd.DataFrame) -> np.ndarray:
    """Rows without a loss in runs that have one now and then (three times at least), to their end; a mask."""
    finite = pd.Series(np.isfinite(frame["loss"].to_numpy(dtype=float)), index=frame.index)
    if "step" not in frame.columns or "run" not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    by_run = finite.groupby(frame["run"], observed=True)
    sparse = (by_run.transform("mean") < 0.5) & (by_run.transform("sum") > 2) & ~frame["run"].isin(lost_runs(frame))
    return np.asarray(~finite & sparse & frame["loss"].isna())


def _lost(runs: Runs) -> Note | None:
    """Runs whose loss is not finite from some row to their end."""
    if runs.curves is None:
        return None
    axis = axis_of(runs.curves)
    told = [f"{run} from {axis} {first:.10g} to {last:.10g}" for run, (first, last) in lost_runs(runs.curves).items()]
    if not told:
        return None
    shown = _listed(told[:SHOWN], len(told))
    return Note("diverged", f"{len(told)} runs have no finite loss at their end, they diverged: {shown}", len(told))


def _not_positive(table: pd.DataFrame, name: str) -> Note | None:
    if name not in table.columns:
        return None
    bad = np.flatnonzero(~(table[name].to_numpy(dtype=float) > 0))
    if not bad.size:
        return None
    cells = [f"{_place(table, r)} ({table[name].iloc[r]:g})" for r in bad[:SHOWN].tolist()]
    return Note("suspect", f"{name} is not above 0 in {bad.size} rows: {_listed(cells, bad.size)}", int(bad.size))


def _too_large(table: pd.DataFrame, name: str) -> Note | None:
    if name not in table.columns:
        return None
    bad = np.flatnonzero(table[name].to_numpy(dtype=float) > LARGEST)
    if not bad.size:
        return None
    cells = [f"{_place(table, r)} ({table[name].iloc[r]:g})" for r in bad[:SHOWN].tolist()]
    text = f"{name} is beyond any model in {bad.size} rows, see the unit in its header: {_listed(cells, bad.size)}"
    return Note("suspect", text, int(bad.size))


def _too_small(table: pd.DataFrame, name: str) -> Note | None:
    if name not in table.columns:
        return None
    sizes = table[name].to_numpy(dtype=float)
    bad = (sizes > 0) & (sizes < LEAST)
    if not bad.any() or (sizes >= LEAST).any():
        return None
    text = (
        f"{name} is {sizes[bad].min():g} to {sizes[bad].max():g}, counted in millions or billions? "
        f'write the unit into the header, as in "{name} (B)"'
    )
    return Note("suspect", text, int(bad.sum()))


def _repeated_rows(runs: Runs) -> Note | None:
    """Rows of a table of final losses that repeat another in every column, as after a log was joined twice."""
    table = runs.table
    if runs.curves is not None or "loss" not in table.columns:
        return None
    told = table.drop(columns=["run"])
    again = (told.duplicated() & table["loss"].notna()).to_numpy() if len(told.columns) > 1 else np.zeros(0, bool)
    if not again.any():
        return None
    rows = [f"row {table.index[r]}" for r in np.flatnonzero(again)[:SHOWN]]
    count = int(again.sum())
    text = f"{count} rows repeat another one in every column and count twice: {_listed(rows, count)}; drop copies"
    return Note("suspect", text, count)


def _repeated_runs(runs: Runs) -> Note | None:
    count = len(runs.table) - len(runs)
    if not count:
        return None
    return Note("suspect", f"{len(runs.table)} rows belong to {len(runs)} runs: some runs have several rows", count)


def _convention(runs: Runs) -> Note | None:
    sources = {binding.name: binding.source for binding in runs.columns}
    if "N" not in runs.table.columns or "N_total" in runs.table.columns:
        return None
    source = sources.get("N", "N")
    if any(word in source.lower() for word in ("nonemb", "non_emb", "non-emb", "without")):
        return None
    return Note("unknown", f"whether N ('{source}') counts embeddings is not said in the file")


def _place(frame: pd.DataFrame, position: int) -> str:
    run, row = str(frame["run"].iloc[position]), f"row {frame.index[position]}"
    return run if run.endswith((row, f"({row})")) else f"{run}, {row}"


def _listed(cells: list[str], count: int) -> str:
    return "; ".join(cells) + (f" and {count - len(cells)} more" if count > len(cells) else "")
