"""Curves in order: sparse rows joined, restarts resolved, rows sorted by run and step; and the table of their runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError, counted, listed
from scalefit.runs.reading.counters import counted_anew, may_go_on
from scalefit.runs.reading.tidy import LOST, NO_LOSS, Tidy
from scalefit.runs.siblings import lost_runs
from scalefit.runs.table import last_rows
from scalefit.runs.trajectory import spans

#: Columns that identify a row, instead of holding a measurement.
PLACES = frozenset({"run", "step", "tokens", "split", "epoch", "source", "event", "time", "timestamp", "_timestamp"})


def lane_codes(frame: pd.DataFrame) -> NDArray[Any]:
    """A number for each row's run, or for its run and split if the split changes inside a run."""
    codes: NDArray[Any] = frame["run"].cat.codes.to_numpy()
    if "split" not in frame.columns or not (frame.groupby("run", observed=True)["split"].nunique() > 1).any():
        return codes
    split = pd.factorize(frame["split"])[0]
    return codes.astype(np.int64) * (int(split.max()) + 2) + split + 1


def ordered(tidy: Tidy) -> None:
    """Sort by run and axis, and drop rows that a restart logged again; a table in order is not copied."""
    codes, axis = lane_codes(tidy.frame), tidy.frame[tidy.axis].to_numpy()
    if np.all((codes[1:] > codes[:-1]) | (codes[1:] == codes[:-1]) & (axis[1:] > axis[:-1])):
        return
    dropped = _superseded_rows(tidy, codes, axis)
    kept = np.flatnonzero(~dropped)
    runs = tidy.frame["run"].cat.codes.to_numpy()
    order = kept[np.lexsort((axis[kept], runs[kept]))]  # stable: equal keys keep the order of the file
    lanes = len(np.unique(codes)) > len(np.unique(runs))
    if not lanes and not np.array_equal(order, kept) and not dropped.any():
        tidy.note("sorted", "rows were not in the order of run and step; they were sorted", len(order))
    tidy.frame = tidy.frame.iloc[order]


def _superseded_rows(tidy: Tidy, codes: NDArray[Any], axis: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask of the rows that a later row of the same run replaces; a note names the runs."""
    dropped = np.zeros(len(axis), dtype=bool)
    told, anew = list[str](), list[str]()
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        gone = superseded(axis[rows])
        if gone.any():
            dropped[rows] = gone
            lost = axis[rows][gone]
            run = tidy.frame["run"].iloc[rows[0]]
            told.append(f"{run}, {gone.sum()} from {tidy.axis} {lost.min()} to {lost.max()}")
            anew += [str(run)] if gone[0] else []
            loss = tidy.frame.get("loss")
            if gone[0] and ((times := counted_anew(axis[rows], loss, rows)) or may_go_on(axis, loss, rows)):
                why = f"(times: {times}) although the loss goes on" if times else "and the loss does not say why"
                what = f"{tidy.axis} begins again from its first value {why}"
                todo = f"map a column that counts on over epochs and resumes: --map {tidy.axis}=COLUMN; or, if the "
                todo += "training was started again, remove the rows before"
                raise InputError(what, where=f"{tidy.where}, run {run}", todo=todo)
    if told:
        count = int(dropped.sum())
        text = f"{count} rows were logged again after a restart and only the last kept: {listed(told, 5, '; ')}"
        tidy.note("dropped", text, count)
    if 2 * dropped.sum() > len(dropped):
        text = f"restarts replace {dropped.mean():.0%} of the rows: if steps count anew in each epoch, map others"
        tidy.note("suspect", text, int(dropped.sum()))
    if anew:
        text = "again from its first row: if these are two runs of the same name, give them different names"
        tidy.note("suspect", f"{counted(len(anew), 'run', 'starts', 'start')} {text}: {listed(anew, 5)}", len(anew))
    return dropped


def superseded(axis: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask of the rows of one run, in the order of the file, that a restart replaced.

    Repeated steps show that there was a restart: then a row is replaced if a later row has the same or an earlier step.
    Without repeated steps the rows are merely out of order, and none is replaced, unless few would be and the others
    are as dense without them.

    >>> superseded(np.array([1, 2, 3, 4, 2, 3, 4])).tolist()
    [False, True, True, True, False, False, False]
    >>> superseded(np.array([3, 1, 2])).tolist(), superseded(np.array([0, 10, 20, 30, 25, 35, 45])).tolist()
    ([False, False, False], [False, False, False, True, False, False, False])
    """
    repeated = pd.Series(axis).duplicated(keep="last").to_numpy()
    if axis[0] != axis.min():
        return repeated
    later = np.minimum.accumulate(axis[::-1])[::-1]
    void = np.zeros(len(axis), dtype=bool)
    void[:-1] = later[1:] <= axis[:-1]
    return void if repeated.any() or _fills_no_gap(axis, void) else repeated


def _fills_no_gap(axis: NDArray[Any], void: NDArray[np.bool_]) -> bool:
    """Whether few rows would be replaced, in no gap of the others: they are of the steps before a restart between
    logged ones. Rows that are out of order stand where the others have a gap."""
    kept = axis[~void]
    if axis[-1] != axis.max() or 3 * void.sum() > len(kept) or len(kept) < 3:
        return False
    gaps = np.diff(kept)
    around = gaps[np.searchsorted(kept, axis[void]) - 1]
    return bool((around <= 1.5 * np.quantile(gaps, 0.5, method="lower")).all())


def set_undecided_apart(tidy: Tidy) -> None:
    """Leave out runs for which no loss was logged, or not decided which column it is, where others have one; a note
    names them with their rows."""
    frame = tidy.frame
    if NO_LOSS not in frame.columns or "loss" not in frame.columns or not frame["loss"].hasnans:
        return
    unlogged = frame["loss"].isna() & frame[NO_LOSS].eq(True)
    alone = unlogged.groupby(frame["run"], observed=True).transform("all")
    if not alone.any() or alone.all():
        return
    axis = tidy.axis
    places = frame[alone].groupby("run", observed=True)[axis].agg(["size", "min", "max"])
    told = [
        f"{run} ({row['size']:.0f} rows, {axis} {row['min']:.10g} to {row['max']:.10g})"
        for run, row in places.iterrows()
    ]
    text = f"{len(told)} runs have no loss, or it is not decided which column is theirs: {listed(told, 12, '; ')}"
    tidy.note("undecided", text, len(told))
    frame = frame[~alone].copy()
    tidy.frame = frame.assign(run=frame["run"].cat.remove_unused_categories())


def join_sparse_rows(tidy: Tidy) -> pd.DataFrame:
    """Join rows of one step that hold different columns; returns the rows before joining, for their learning rates.

    Some loggers write training loss, validation loss and learning rate on rows of their own. A row without a loss is
    such a row if the reader says that no loss was logged there, or if it has a value in a column that is mostly empty
    in rows with a loss. Its values fill gaps of the row of the same run and step that has a loss; then it is left out,
    and counted. A row that merely lacks its loss stays (and is reported as diverged).
    """
    whole = tidy.frame
    marks = [name for name in (NO_LOSS, LOST) if name in tidy.frame]
    tidy.frame = tidy.frame.drop(columns=marks) if marks else tidy.frame
    frame = logged = tidy.frame
    if "loss" not in frame.columns:
        _join_complements(tidy)
    if "loss" not in frame.columns or not frame["loss"].hasnans:
        return logged
    unlogged, lost = (whole[name].eq(True) if name in whole else None for name in (NO_LOSS, LOST))
    told = whole[NO_LOSS].notna() if unlogged is not None else None
    with_loss = frame["loss"].notna()
    other = _other_columns(frame, with_loss.to_numpy())
    apart = ~with_loss & frame[other].notna().any(axis=1) if other else pd.Series(False, index=frame.index)
    if told is not None:  # where the reader knows what was logged, nothing is guessed
        apart = apart.where(~told, unlogged)
        filled = frame[apart.to_numpy()].notna().any()
        other = [name for name in frame.columns if name not in (*PLACES, "loss") and filled[name]]
    if lost is not None:
        apart &= ~lost.to_numpy()
    if not apart.any() or apart.all():
        return logged
    if not other:  # a closing record, or a line that holds a step alone
        if told is not None:
            tidy.frame = frame[~apart.to_numpy()].copy()
            tidy.note("dropped", f"rows on which nothing but their {tidy.axis} was logged", int(apart.sum()))
        return logged
    keys = ["run", tidy.axis]
    extra = frame[apart.to_numpy()].groupby(keys, observed=True)[other].last()
    frame = frame[~apart.to_numpy()].copy()
    extra = frame[keys].join(extra, on=keys)
    for name in other:
        frame[name] = frame[name].where(frame[name].notna(), pd.Series(extra[name].to_numpy(), index=frame.index))
    count = int(apart.sum())
    have = pd.MultiIndex.from_frame(frame[keys])
    alone = int((~pd.MultiIndex.from_frame(logged.loc[apart.to_numpy(), keys]).isin(have)).sum())
    text = f"{counted(count, 'row', 'has', 'have')} no loss but {listed(other, 8)}: "
    joined = "joined with the row of the same step that has a loss"
    joined += (
        f"; {alone} of them {'has no such row and is' if alone == 1 else 'have no such row and are'} left out"
        * bool(alone)
    )
    tidy.note("joined", text + (joined if alone < count else "left out, as no row of that step has a loss"), count)
    tidy.frame = frame
    return logged


def _join_complements(tidy: Tidy) -> None:
    """Join the rows of one step that hold different columns, where it is not decided which column is the loss."""
    frame, keys = tidy.frame, ["run", tidy.axis]
    again = frame.duplicated(keys, keep=False)
    measured = [name for name in frame.columns if name not in PLACES and not name.startswith("_")]
    if not again.any() or (frame[again].groupby(keys, observed=True)[measured].nunique() > 1).any(axis=None):
        return
    groups = frame.groupby(keys, observed=True, sort=False)
    tidy.frame = frame[~frame.duplicated(keys)].copy()
    filled = groups[measured].first().reindex(pd.MultiIndex.from_frame(tidy.frame[keys]))
    tidy.frame[measured] = filled.set_axis(tidy.frame.index)
    count = len(frame) - len(tidy.frame)
    tidy.note("joined", f"{count} rows with another of the same step that holds other columns", count)


def _other_columns(frame: pd.DataFrame, with_loss: NDArray[np.bool_]) -> list[str]:
    """Columns with values in rows without a loss that are mostly empty in rows with one."""
    names = [name for name in frame.columns if name not in PLACES and name != "loss"]
    filled = frame[names].notna()
    rarely = filled[with_loss].mean() < 0.5
    return [name for name in names if bool(rarely[name]) and bool(filled.loc[~with_loss, name].any())]


def table_of(curves: pd.DataFrame, scalars: dict[str, dict[str, object]]) -> pd.DataFrame:
    """One row for each run: the columns that are constant along it; loss, D and C of its last row with a finite loss;
    its last step, with or without a loss; the given scalars; and `diverged`, if any run ends without a finite loss."""
    last, runs = curves.iloc[last_rows(curves)], spans(curves)
    beginning = slice(runs[0][1], min(runs[0][2], runs[0][1] + 1000))
    constant = [name for name in curves.columns if name not in _MOVING and _is_constant(curves, name, beginning)]
    table = last[["run", *constant]].assign(run=last["run"].astype(str))
    added = dict[str, pd.Series]()
    for name in dict.fromkeys(name for entries in scalars.values() for name in entries if name not in _MOVING):
        given = pd.Series([scalars.get(run, {}).get(name) for run in table["run"]], index=table.index)
        if name in table.columns:
            table[name] = table[name].where(table[name].notna(), given)
        else:
            added[name] = given
    table = pd.concat([table, pd.DataFrame(added)], axis=1) if added else table  # at once: there may be hundreds
    if "step" in last.columns:
        ends = curves["step"].to_numpy()[[stop - 1 for _, _, stop in runs]]
        planned = table["steps"] if "steps" in table.columns else None
        if planned is None or (planned.dtype.kind in "if" and (planned <= 0).any()):  # -1 is no length
            table["steps"] = ends if planned is None else planned.where(planned > 0, ends)
    for name, source in (("D", "tokens"), ("C", "C"), ("loss", "loss")):
        if source in last.columns and name not in table.columns:
            table[name] = last[source].to_numpy()
    lost = lost_runs(curves)
    return table.assign(diverged=table["run"].isin(lost)) if lost and "diverged" not in table.columns else table


_MOVING = frozenset({"run", "step", "tokens", "loss", "lr", "C"})


def _is_constant(curves: pd.DataFrame, name: str, beginning: slice) -> bool:
    """Whether the column has one value along each run, apart from missing values; of one run first."""
    column = curves[name]
    plain = column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype)
    some = column.to_numpy()[beginning] if plain else column.iloc[beginning].unique()
    some = some[~pd.isna(some)]
    if len(some) and (some[1:] != some[0]).any():
        return False
    if plain and not column.hasnans:
        values, codes = column.to_numpy(), curves["run"].cat.codes.to_numpy()
        return bool(np.all((values[1:] == values[:-1]) | (codes[1:] != codes[:-1])))
    return bool((curves.groupby("run", observed=True)[name].nunique() <= 1).all())
