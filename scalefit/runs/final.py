"""The final loss of each run of a sweep, and which runs diverged or did not finish."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.runs import Runs
from scalefit.runs.siblings import OPEN

END, MANY_ROWS = 0.05, 100  #: share of its rows that are averaged at the end of a run with at least so many
WHOLE = 0.9  #: a run with less than this share of the steps of the longest run of its size is unfinished,
FEW = 0.25  #: unless at least this share of the size's runs stop as early


def final_losses(runs: Runs) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with the loss to compare runs by, and a note if that is not the last value of the column loss.

    It is the held-out loss if a column val_loss has one for every finite loss; else, in curves of many rows, the mean
    over the last twentieth of each run, as the loss of a single batch is noisy.
    """
    table = runs.table
    trained = pd.to_numeric(table["loss"], errors="coerce")
    if "val_loss" in table.columns:
        held = pd.to_numeric(table["val_loss"], errors="coerce")
        if held[np.isfinite(trained)].notna().all():
            return table.assign(loss=held.where(np.isfinite(trained))), ("loss: the held-out one, column val_loss",)
    ends = _ends(runs.curves)
    if ends.empty:
        return table, ()
    means = table["run"].astype(str).map(ends)
    return table.assign(loss=means.where(np.isfinite(trained) & means.notna(), trained)), (
        "loss: the mean over the last twentieth of each run",
    )


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
    if "status" in table.columns:
        unknown = table["loss"].isna() & ~marked(table)  # no loss yet: not a loss that is beyond all numbers
        stopped = table["status"].astype(str).str.strip().str.lower().isin(OPEN) & (alive | unknown)
        if stopped.any():
            words = ", ".join(sorted(table.loc[stopped, "status"].astype(str).unique()))
            notes.append(f"{int(stopped.sum())} of {count} runs are {words}: left out, their losses are not final")
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
                f"{int(short.sum())} of {count} runs stop before the others, {example}: left out as unfinished"
            )
        for name in {"steps", "D", "C"} & set(table.columns) - {over}:  # a diverged run gets those of the others
            values = table[name].astype(float)
            table = table.assign(**{name: values.where(alive, values.groupby(cell).transform("max"))})
        table = table[~short]
    return table, tuple(notes)


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
