"""The final loss of each run of a sweep, which runs diverged or did not finish, and which setting ended lowest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.errors import InputError, listed
from scalefit.runs.settings import varying
from scalefit.runs.siblings import LOST, OPEN
from scalefit.runs.table import Note, Runs

END, MANY_ROWS = 0.05, 100  #: share of its rows that are averaged at the end of a run with at least so many
WHOLE = 0.9  #: a run with less than this share of the steps of the longest run of its size is unfinished,
FEW = 0.25  #: unless at least this share of the size's runs stop as early
SAME = 5e-4  #: share by which numbers of one size may differ

SIZES = ("N", "N_total", "D", "C", "d_model", "n_layer", "U", "epochs")  #: what makes runs of another size


def best_of(runs: Runs, *settings: str) -> Runs:
    """Of runs that differ in these settings and the seed alone, those of the setting with the lowest final loss.

    A sweep of the peak learning rate at each size becomes one run a size (one for each seed), as laws in size and data
    need it. ``settings``: columns, such as ``"peak_lr"`` or ``"peak_lr", "batch"``. Seeds are averaged, and a setting
    of which a seed diverged or has not ended is not chosen. A column that follows from the settings, such as the steps
    of each batch at one amount of data, may differ too; all others part the runs. Notes count the runs that are kept,
    and the sizes whose best setting is the smallest or largest tried, where a better one may lie beyond.

    Raises InputError for a column that is not there, and where no run has a final loss.

    >>> from scalefit.runs import read_runs
    >>> swept = {"N": [1e6] * 3 + [2e6] * 3, "D": [1e8] * 6, "lr": [1e-3, 2e-3, 4e-3] * 2}
    >>> runs = read_runs(pd.DataFrame({**swept, "loss": [3.2, 3.1, 3.3, 3.0, 2.9, None]}))
    >>> best_of(runs, "lr").table["loss"].tolist()
    [3.1, 2.9]
    """
    runs = _with_peaks(runs)
    names = [runs.column(name) for name in settings]
    if "lr" not in runs.table.columns:  # along curves; that of a run is its peak
        names = ["peak_lr" if name == "lr" else name for name in names]
    for name in (name for name in names if name not in runs.table.columns):
        there = listed([str(each) for each in runs.table.columns], 20)
        raise InputError(f"there is no setting {name!r} of whole runs", todo=f"the columns are {there}")
    table, notes = final_losses(runs)
    ended = ~diverged(table) & ~not_ended(table, table["loss"].astype(float))
    if not ended.any():
        raise InputError("no run has a final loss", todo="scalefit inspect FILE shows what was read as the loss")
    group, setting = _alike(table, names), _texts(table, names)
    loss = table["loss"].astype(float).where(ended).groupby([group, setting]).agg(lambda one: one.mean(skipna=False))
    best = {str(place): one.droplevel(0).idxmin() for place, one in loss.dropna().groupby(level=0)}
    kept = table[[best.get(place) == one for place, one in zip(group, setting, strict=True)]]["run"].astype(str)
    rows = runs.table[runs.table["run"].astype(str).isin(set(kept))]
    text = f"{len(rows)} of {len(table)} runs: those whose {listed(names)} reached the lowest loss, "
    text += f"for each size (and other settings), {len(best)} in all"
    found = [*(Note("selected", note) for note in notes), Note("selected", text, len(rows))]
    found += _at_the_ends(table[ended], group[ended], rows, names, len(best))
    curves = runs.curves
    if curves is not None:
        curves = curves[curves["run"].isin(rows["run"])]
        curves = curves.assign(run=curves["run"].cat.remove_unused_categories())
    return replace(runs, curves=curves, table=rows, notes=(*runs.notes, *found))


def _with_peaks(runs: Runs) -> Runs:
    """The same runs with the peak of the learning rate along each curve, where the table of runs has none."""
    curves = runs.curves
    if curves is None or "lr" not in curves.columns or "peak_lr" in runs.table.columns:
        return runs
    return replace(runs, table=runs.table.assign(peak_lr=peaks_along(curves, runs.table)))


def peaks_along(curves: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """The highest learning rate along the curve of each run of a table."""
    peaks = curves.groupby("run", observed=True)["lr"].max()
    return pd.Series(peaks.reindex(table["run"].astype(str)).to_numpy(float), index=table.index)


def _alike(table: pd.DataFrame, names: list[str]) -> pd.Series:
    """The size of each run, and its settings but ``names`` and what follows from them, as text."""
    known = [name for name in SIZES if name in table.columns and name not in names]
    if {"N", "D"} <= set(table.columns):  # they give C, which may be measured, and each follows from the other at one C
        follow = {"N", "D"} if {"N", "D"} & set(names) and "C" in known else {"C"}
        known = [name for name in known if name not in follow]
    cell = _texts(table, known)
    one = len(names) == 1 and pd.api.types.is_numeric_dtype(table[names[0]].dtype)
    along = table[names[0]] if one else _texts(table, names).astype("category").cat.codes
    follow = {"loss", "run", "C", "steps", "val_loss"} if "D" in table.columns else {"loss", "run", "C", "val_loss"}
    apart = [name for name, follows in varying(table, cell, {*SIZES, *names, *follow}, along) if not follows]
    return _texts(table, [*known, *apart])


def _texts(table: pd.DataFrame, names: list[str]) -> pd.Series:
    """These columns of each run as one text; numbers that differ by rounding, as D does with the batch, are one."""
    text = pd.Series("", index=table.index)
    for name in names:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            values = np.sort(column.dropna().astype(float).unique())
            places = np.cumsum(np.diff(values, prepend=-np.inf) > SAME * np.abs(values))
            column = column.astype(float).map(dict(zip(values, places, strict=True)))
        text += " " + column.astype(str)
    return text


def _at_the_ends(ended: pd.DataFrame, group: pd.Series, best: pd.DataFrame, names: list[str], count: int) -> list[Note]:
    """Notes on settings whose best value is the smallest or largest that was tried there."""
    found = []
    for name in (name for name in names if name != "seed" and pd.api.types.is_numeric_dtype(ended[name].dtype)):
        tried = ended[name].groupby(group).agg(["min", "max", "nunique"])
        chosen = best[name].groupby(group.reindex(best.index)).first()
        tried = tried.reindex(chosen.index)
        end = (tried["nunique"] > 1) & ((chosen == tried["min"]) | (chosen == tried["max"]))
        if end.any():
            text = f"the best {name} is the smallest or largest tried in {int(end.sum())} of {count}: a better one may "
            found.append(Note("suspect", f"{text}lie beyond, and the lowest loss is then too high", int(end.sum())))
    return found


def final_losses(runs: Runs) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with the loss to compare runs by, and a note if that is not the last value of the column loss.

    It is the held-out loss if a column val_loss has one for every run that ended with a finite loss, in curves the last
    one if it stands in the last twentieth of the run; else, in curves of many rows, the mean over the last twentieth of
    each run, as the loss of a single batch is noisy.
    """
    table = _with_held_out(runs)
    trained = pd.to_numeric(table["loss"], errors="coerce")
    if "val_loss" in table.columns:
        held = pd.to_numeric(table["val_loss"], errors="coerce")
        ended = np.isfinite(trained) & ~marked(table) & ~not_ended(table, trained)
        if held[ended].notna().all() and held.notna().any():
            return table.assign(loss=held.where(np.isfinite(trained))), ("loss: the held-out one, column val_loss",)
    ends = _ends(runs.curves)
    if ends.empty:
        return table, ()
    means = table["run"].astype(str).map(ends)
    return table.assign(loss=means.where(np.isfinite(trained) & means.notna(), trained)), (
        "loss: the mean over the last twentieth of each run",
    )


def _with_held_out(runs: Runs) -> pd.DataFrame:
    """The table with the last val_loss of each curve, where the curves hold them and the table does not."""
    curves, axis = runs.curves, "step"
    if curves is None or not {"val_loss", axis} <= set(curves.columns) or "val_loss" in runs.table.columns:
        return runs.table
    judged = curves[["run", axis]].assign(held=pd.to_numeric(curves["val_loss"], errors="coerce").to_numpy())
    ends = judged.groupby("run", observed=True)[axis].max()
    last = judged[np.isfinite(judged["held"])].groupby("run", observed=True).last()  # curves are in order of steps
    late = last["held"][last[axis] >= (1 - END) * ends.reindex(last.index)]
    found = late.rename(index=str)
    return runs.table.assign(val_loss=runs.table["run"].astype(str).map(found)) if len(found) else runs.table


def _ends(curves: pd.DataFrame | None) -> pd.Series:
    """The mean finite loss over the last twentieth of the rows, for runs with many rows."""
    if curves is None or "loss" not in curves.columns:
        return pd.Series(dtype=float)
    finite = curves.loc[np.isfinite(curves["loss"].astype(float)), ["run", "loss"]]
    by_run = finite.groupby("run", observed=True)["loss"]
    count = by_run.transform("size")
    last = by_run.cumcount() >= (1 - END) * count
    found = finite[last & (count >= MANY_ROWS)].groupby("run", observed=True)["loss"].mean()
    return found.rename(index=str)


def cells_of(table: pd.DataFrame, over: str, arms: str) -> tuple[pd.Series, pd.Series]:
    """The arm of each run, and its arm and size as text."""
    arm = table[arms].astype(str) if arms else pd.Series("all", index=table.index)
    return arm, arm + " " + table[over].astype(str)


def finished(table: pd.DataFrame, over: str, arms: str, curves: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The runs whose loss is final, and notes on the others.

    A run whose ``status`` is crashed, failed, killed, running, planned or the like is left out, also if it has no loss
    yet; so is, in logs of curves, a run that stops
    before nine tenths of the steps at which most runs of its size stop. A run without a finite loss diverged: it is
    kept, with the steps of the others.
    """
    notes, count, sizes = [], len(table), {*_sizes(table, over)}
    alive = table["loss"].astype(float).abs().lt(np.inf) & ~diverged(table)
    stopped = not_ended(table, table["loss"])
    if stopped.any():
        notes.append(f"{_counted(stopped, count)} {_status_of(table, stopped)}: left out, {_whose(stopped)} not final")
    table, alive = table[~stopped], alive[~stopped]
    if curves and "steps" in table.columns:
        steps, cell = table["steps"].astype(float), cells_of(table, over, arms)[1]
        longest = steps.groupby(cell).transform("max")
        short = alive & (steps < WHOLE * longest)
        short &= short.groupby(cell).transform("mean") < FEW
        if short.any():
            first = table.index[short][0]
            example = f"such as {table['run'][first]} at step {steps[first]:.0f} of {longest[first]:.0f}"
            notes.append(
                f"{int(short.sum())} of {count} runs {'stops' if short.sum() == 1 else 'stop'} before the others, "
                f"{example}: left out as unfinished"
            )
        for name in {"steps", "D", "C"} & set(table.columns) - {over}:  # a diverged run gets those of the others
            values = table[name].astype(float)
            table = table.assign(**{name: values.where(alive, values.groupby(cell).transform("max"))})
        table = table[~short]
    gone = sorted(sizes - {*_sizes(table, over)})
    if gone:
        at = listed([f"{size:g}" for size in gone], 5)
        notes.append(f"no run is left at {over} {at}; if these diverged, write nan as their loss")
    return table, tuple(notes)


def _sizes(table: pd.DataFrame, over: str) -> list[float]:
    return pd.to_numeric(table[over], errors="coerce").dropna().astype(float).tolist() if over in table else []


def not_ended(table: pd.DataFrame, loss: pd.Series) -> pd.Series:
    """A mask of the runs whose ``status`` says that they have not ended (running, planned) or never will (killed).

    A run that has lost its loss (an infinite one) or is marked as diverged is none of them, however it ended.
    """
    if "status" not in table.columns:
        return pd.Series(False, index=table.index)
    said = [str(word).strip().lower() in OPEN for word in table["status"].tolist()]
    return pd.Series(said, index=table.index, dtype=bool) & ~marked(table) & ~loss.astype(float).abs().eq(np.inf)


def not_final(table: pd.DataFrame, loss: pd.Series) -> list[tuple[pd.Series, str]]:
    """Masks of the runs whose last loss is not final, each with a note: those that have not ended or are marked as
    diverged.

    >>> table = pd.DataFrame({"loss": [3.0, 9.0, None], "status": ["finished", "diverged", "running"]})
    >>> [(mask.tolist(), text) for mask, text in not_final(table, table["loss"])][0]
    ([False, False, True], '1 of 3 runs is running: left out, its loss is not final')
    """
    open_, lost, count = not_ended(table, loss), marked(table), len(table)
    found = [(open_, f"{_counted(open_, count)} {_status_of(table, open_)}: left out, {_whose(open_)} not final")]
    found.append((lost, f"{_counted(lost, count)} marked as diverged: left out, {_whose(lost)} not final"))
    return [(mask, text) for mask, text in found if mask.any()]


def _status_of(table: pd.DataFrame, mask: pd.Series) -> str:
    return ", ".join(sorted(table.loc[mask, "status"].astype(str).unique())) if mask.any() else ""


def _counted(mask: pd.Series, count: int) -> str:
    return f"{int(mask.sum())} of {count} runs {'is' if mask.sum() == 1 else 'are'}"


def _whose(mask: pd.Series) -> str:
    return "its loss is" if mask.sum() == 1 else "their losses are"


def diverged(table: pd.DataFrame) -> pd.Series:
    """A mask of the runs without a finite loss, or marked as diverged by a column ``diverged`` or ``status``."""
    return ~table["loss"].astype(float).abs().lt(np.inf) | marked(table)


def marked(table: pd.DataFrame) -> pd.Series:
    """A mask of the runs that a column ``diverged`` or ``status`` marks as diverged."""
    lost = pd.Series(False, index=table.index)
    if "diverged" in table.columns:
        lost |= table["diverged"].astype(str).str.lower().isin(["true", "1", "1.0", "yes"])
    if "status" in table.columns:
        lost |= table["status"].astype(str).str.strip().str.lower().isin(LOST)
    return lost
