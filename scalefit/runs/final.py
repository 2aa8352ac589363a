"""The final loss of each run of a sweep, and which runs diverged or did not finish."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.runs.siblings import OPEN
from scalefit.runs.table import Runs

END, MANY_ROWS = 0.05, 100  #: share of its rows that are averaged at the end of a run with at least so many
WHOLE = 0.9  #: a run with less than this share of the steps of the longest run of its size is unfinished,
FEW = 0.25  #: unless at least this share of the size's runs stop as early


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
    notes, count = [], len(table)
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
    return table, tuple(notes)


def not_ended(table: pd.DataFrame, loss: pd.Series) -> pd.Series:
    """A mask of the runs whose ``status`` says that they have not ended (running, planned) or never will (killed).

    A run that has lost its loss (an infinite one) or is marked as diverged is none of them, however it ended.
    """
    if "status" not in table.columns:
        return pd.Series(False, index=table.index)
    said = table["status"].astype(str).str.strip().str.lower().isin(OPEN)
    return said & ~marked(table) & ~loss.astype(float).abs().eq(np.inf)


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
        lost |= table["status"].astype(str).str.lower().eq("diverged")
    return lost
