"""Runs that did not finish: their status says so, or they stop before the other runs of the same log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import counted, its, listed
from scalefit.runs.divergence import divergence
from scalefit.runs.endings import COMPLETE, LOW, spacing
from scalefit.runs.table import Note, Runs, axis_of
from scalefit.runs.trajectory import spans

SHOWN = 5
LOST = frozenset({"diverged", "divergent", "exploded", "blew up", "blown up"})  #: the status of a run that diverged
DONE = LOST | frozenset({"done", "finished", "completed", "success"})  #: the status of a run that reached its end
NO_RESULT = "without a loss"  #: the status given to a run whose final loss is an empty cell
OPEN = frozenset(
    {NO_RESULT, "crashed", "failed", "killed", "running", "preempted", "preempting", "pending", "error", "timeout",
     "aborted", "cancelled", "canceled", "pruned", "planned", "stopped", "paused", "queued", "waiting", "scheduled",
     "interrupted", "unfinished", "started", "active", "in progress", "not started"}
)  # fmt: skip
NONE: Mapping[str, float] = {}


def lost_runs(curves: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Runs whose loss is not finite from some row to their end, and the first and last step (or token) without one.

    A run with a loss on few rows (evaluations) is lost only if none came for more than twice the longest time between
    two evaluations.

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
    """A note on runs that stop, each at a different step, before the step at which the others stop.

    The latter is where at least two runs and half of all stop. A run is not reported if it reached the steps that it
    declares (``declared``, by run, or a column ``steps``), if its status is done, if its learning rate has come down,
    if another run stops at the same step, or if it diverged.

    >>> from scalefit.runs import read_runs
    >>> rows = [(run, step, 3.0) for run, end in (("a", 9), ("b", 9), ("c", 4)) for step in range(end + 1)]
    >>> next(stopped(read_runs(pd.DataFrame(rows, columns=["run", "step", "loss"])))).text.partition(";")[0]
    '1 run stops before the others: c at step 4 of 9'
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
        and end - ends[run] > 2 * spacing(place[start:stop])
        and not _came_to_an_end(runs, run, start, stop, declared)
    ]
    if early:
        told = listed([f"{run} at {axis} {ends[run]:.10g} of {end:.10g}" for run in early], SHOWN, "; ")
        out = " and ".join(f"run != '{run}'" for run in early[:SHOWN])
        text = f"{counted(len(early), 'run', 'stops', 'stop')} before the others: {told}; "
        whose = its(len(early))
        text += f"perhaps killed, and {whose} last loss is not final: leave out such runs"
        yield Note("suspect", f'{text} (--where "{out}")', len(early))


def unfinished_by_status(runs: Runs) -> Iterator[Note]:
    """A note on runs whose status says that they did not finish.

    >>> from scalefit.runs import read_runs
    >>> table = pd.DataFrame({"State": ["finished", "crashed"], "N": [1e6, 2e6], "loss": [4.0, 5.0]}, index=[2, 3])
    >>> [note.text.partition("): ")[0] + ")" for note in unfinished_by_status(read_runs(table))]
    ['1 run did not finish (crashed: row 3)']
    """
    if "status" not in runs.table.columns:
        return
    said = runs.table["status"].astype(str)
    left = said.str.strip().str.lower().isin(OPEN - {NO_RESULT}).to_numpy()
    if not left.any():
        return
    names = runs.table["run"].astype(str)
    groups = [(word, names[left & (said == word)].tolist()) for word in dict.fromkeys(said[left])]
    told = "; ".join(f"{word}: {listed(some, SHOWN)}" for word, some in groups)
    out = " and ".join(f"status != '{word}'" for word, _ in groups)
    count = int(left.sum())
    text = f"{counted(count, 'run')} did not finish ({told}): {its(count)} last loss is not final; what reads final "
    text += f'losses leaves such runs out (--where "{out}" leaves them out of everything)'
    yield Note("dropped", text, count)


def _came_to_an_end(runs: Runs, run: str, start: int, stop: int, declared: Mapping[str, float]) -> bool:
    """Whether a run reached its declared steps, has the status done, has annealed its learning rate, or diverged."""
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


def without_a_result(frame: pd.DataFrame, nans: NDArray[np.bool_] | pd.Series) -> tuple[pd.DataFrame, list[int]]:
    """Final results whose rows with an empty loss have the status that says so, and the numbers of these rows.

    ``nans``: a mask of the rows whose loss was lost. A status of a run that has not ended, or has diverged, stays.
    """
    if not frame["loss"].hasnans:
        return frame, []
    status = frame["status"].astype(str) if "status" in frame.columns else pd.Series("", index=frame.index)
    said = status.str.strip().str.lower()
    told = said.isin(OPEN | {"diverged"})
    if "diverged" in frame.columns:
        told |= frame["diverged"].astype(str).str.lower().isin(["true", "1", "1.0", "yes"])
    empty = frame["loss"].isna() & ~told & ~np.asarray(nans, dtype=bool)
    if not empty.any() or empty.all():
        return frame, []
    kept = frame["status"] if "status" in frame.columns else pd.Series("finished", index=frame.index)
    return frame.assign(status=kept.where(~empty, NO_RESULT)), [int(at) for at in frame.index[empty]]
