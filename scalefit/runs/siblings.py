"""Runs that did not finish: they say so, or they stop before the runs beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from scalefit.runs.divergence import divergence
from scalefit.runs.endings import COMPLETE, LOW
from scalefit.runs.table import Note, Runs, spans

SHOWN = 5
DONE = frozenset({"done", "finished", "completed", "success", "diverged"})  #: what a run says that came to its end
OPEN = frozenset(
    {"crashed", "failed", "killed", "running", "preempted", "preempting", "pending", "error", "timeout", "aborted",
     "cancelled", "canceled"}
)  # fmt: skip
NONE: Mapping[str, float] = {}


def axis_of(curves: pd.DataFrame) -> str:
    """What the rows of curves are counted by: step, else tokens."""
    return "step" if "step" in curves.columns else "tokens"


def lost_runs(curves: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Runs whose loss is not finite from some row to their end: where that begins and ends. A run with a loss on few
    rows (an evaluation) is one only where none came for more than twice the longest time between two.

    >>> from scalefit.runs import read_runs
    >>> lost_runs(read_runs(pd.DataFrame({"step": [0, 1, 2], "loss": [5.0, 4.0, np.nan]})).curves)
    {'DataFrame': (2.0, 2.0)}
    """
    if "loss" not in curves.columns:
        return {}
    place, finite = curves[axis_of(curves)].to_numpy(dtype=float), np.isfinite(curves["loss"].to_numpy(dtype=float))
    found = {}
    for run, start, stop in spans(curves):
        rows = np.flatnonzero(finite[start:stop])
        first = start + int(rows[-1]) + 1 if len(rows) else start
        dense = 2 * len(rows) >= first - start
        ended = len(rows) > 2 and stop - first > 2 * int(np.diff(rows).max())
        if first < stop and (dense or ended):
            found[run] = (float(place[first]), float(place[stop - 1]))
    return found


def stopped(runs: Runs, declared: Mapping[str, float] = NONE) -> Iterator[Note]:
    """A note on runs that stop before the end at which the others do, each at a place of its own.

    The end is where at least two runs and half of all stop. A run that reached the steps it declares (``declared``, by
    run, or a column ``steps``) or says that it is done, whose learning rate has come down, that stops where another one
    does, or that has diverged, is not told.

    >>> from scalefit.runs import read_runs
    >>> rows = [(run, step, 3.0) for run, end in (("a", 9), ("b", 9), ("c", 4)) for step in range(end + 1)]
    >>> next(stopped(read_runs(pd.DataFrame(rows, columns=["run", "step", "loss"])))).text.partition(";")[0]
    '1 runs stop before the others: c at step 4 of 9'
    """
    if runs.curves is None:
        return
    axis = axis_of(runs.curves)
    place = runs.curves[axis].to_numpy()
    ends = {run: float(place[stop - 1]) for run, _, stop in spans(runs.curves)}
    counts = Counter(ends.values())
    end, many = max(counts.items(), key=lambda each: (each[1], each[0]), default=(0.0, 0))
    if many < 2 or 2 * many < len(ends):
        return
    early = [
        run
        for run, start, stop in spans(runs.curves)
        if ends[run] < COMPLETE * end
        and counts[ends[run]] == 1
        and end - ends[run] > 2 * _spacing(place[start:stop])
        and not _came_to_an_end(runs, run, start, stop, declared)
    ]
    if early:
        told = "; ".join(f"{run} at {axis} {ends[run]:.10g} of {end:.10g}" for run in early[:SHOWN])
        more = f" and {len(early) - SHOWN} more" if len(early) > SHOWN else ""
        out = " and ".join(f"run != '{run}'" for run in early[:SHOWN])
        text = f"{len(early)} runs stop before the others: {told}{more}; killed or unfinished? their last loss is no "
        yield Note("suspect", f'{text}final one: leave them out (--where "{out}")', len(early))


def unfinished_by_status(runs: Runs) -> Iterator[Note]:
    """A note on runs that say themselves that they did not finish.

    >>> from scalefit.runs import read_runs
    >>> table = pd.DataFrame({"State": ["finished", "crashed"], "N": [1e6, 2e6], "loss": [4.0, 5.0]}, index=[2, 3])
    >>> [note.text.partition("): ")[0] + ")" for note in unfinished_by_status(read_runs(table))]
    ['1 runs did not finish (crashed: row 3)']
    """
    if "status" not in runs.table.columns:
        return
    said = runs.table["status"].astype(str)
    left = said.str.strip().str.lower().isin(OPEN).to_numpy()
    if not left.any():
        return
    names = runs.table["run"].astype(str)
    groups = [(word, names[left & (said == word)].tolist()) for word in dict.fromkeys(said[left])]
    told = "; ".join(f"{word}: {', '.join(some[:SHOWN])}{', ...' * (len(some) > SHOWN)}" for word, some in groups)
    out = " and ".join(f"status != '{word}'" for word, _ in groups)
    count = int(left.sum())
    text = f"{count} runs did not finish ({told}): their last loss is no final one: leave them out"
    yield Note("suspect", f'{text} (--where "{out}")', count)


def _spacing(place: np.ndarray) -> float:
    return float(np.median(np.diff(place))) if len(place) > 1 else 0.0


def _came_to_an_end(runs: Runs, run: str, start: int, stop: int, declared: Mapping[str, float]) -> bool:
    """Whether a run has done the steps it declares, says that it is done, has its learning rate down, or diverged."""
    assert runs.curves is not None
    rows, axis = runs.curves.iloc[start:stop], axis_of(runs.curves)
    planned = rows["steps"].iloc[-1] if "steps" in rows.columns else declared.get(run, np.inf)
    if axis == "step" and rows[axis].iloc[-1] >= COMPLETE * planned:
        return True
    if "status" in runs.table.columns:
        said = runs.table["status"][(runs.table["run"] == run).to_numpy()].astype(str).str.lower()
        if said.isin(DONE).all():
            return True
    lr = rows["lr"].dropna().to_numpy() if "lr" in rows.columns else np.zeros(0)
    if len(lr) and lr[-1] < LOW * lr.max():
        return True
    return "loss" in rows.columns and divergence(rows[axis].to_numpy(), rows["loss"].to_numpy(dtype=float)) is not None
