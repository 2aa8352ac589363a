"""Counters that begin again within one log: in each epoch, after a restart, or where a training is started anew."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.reading.results import telling

FEWEST, GOES_ON = 3, 0.25  #: rows by which the ends of two parts are compared; share of the first fall of the loss
CLEAR = 3.0  #: median changes from row to row by which the loss has fallen where it says whether a training goes on
CLEAR_FALL = 0.25  #: share of the first loss by which it has fallen however much it scatters


def steps_begin_with_epochs(frame: pd.DataFrame) -> bool:
    """Whether the steps of a run are counted anew in every epoch: they fall where, and only where, the epoch rises.

    >>> steps_begin_with_epochs(pd.DataFrame({"epoch": [0, 0, 1, 1], "step": [10, 20, 10, 20]}))
    True
    >>> steps_begin_with_epochs(pd.DataFrame({"epoch": [0, 0, 0, 0], "step": [10, 20, 10, 20]}))
    False
    """
    if not {"epoch", "step"} <= set(frame.columns) or not pd.api.types.is_numeric_dtype(frame["epoch"].dtype):
        return False
    runs = frame["run"].astype(str) if "run" in frame.columns else pd.Series("", index=frame.index)
    for _, rows in frame.groupby(runs, sort=False):
        falls, rises = np.diff(rows["step"].to_numpy(float)) < 0, np.diff(rows["epoch"].to_numpy(float)) > 0
        if falls.any() and np.array_equal(falls, rises):
            return True
    return False


def refuse_steps_of_epochs(frame: pd.DataFrame, where: str) -> None:
    """Raise :class:`InputError` where the steps are counted anew in every epoch."""
    if steps_begin_with_epochs(frame):
        todo = "map a column of steps that count on (--map step=COLUMN), or remove the steps to read by epochs"
        raise InputError("the steps begin again with every epoch", where=where, todo=todo)


def refuse_counters_of_epochs(frame: pd.DataFrame, where: str) -> None:
    """Raise :class:`InputError` where rows without a step are those of one log with a counter inside each epoch.

    >>> log = {"epoch": [0] * 5 + [1] * 5, "batch_idx": [0, 50, 100, 150, 200] * 2, "loss": 9 / np.arange(1.0, 11.0)}
    >>> refuse_counters_of_epochs(pd.DataFrame(log), "log.csv")
    Traceback (most recent call last):
    scalefit.errors.InputError: log.csv: 'batch_idx' begins again with every epoch, so that the rows are of one log...
    """
    if "epoch" not in frame.columns or frame["epoch"].dtype.kind not in "iuf" or telling(frame):
        return
    begins = np.diff(frame["epoch"].to_numpy(float)) > 0
    starts = np.flatnonzero(np.append(True, begins))
    for name in map(str, frame.columns if begins.any() and not begins.all() else ()):
        if name in ("epoch", "loss", "lr", "run") or frame[name].dtype.kind not in "iuf" or frame[name].isna().any():
            continue
        values = frame[name].to_numpy(float)
        rises = np.diff(values)
        anew = (rises != 0).all() and np.array_equal(rises < 0, begins) and np.ptp(values[starts]) <= rises.max()
        if anew and counted_anew(values, frame.get("loss"), np.arange(len(frame))):
            what = f"'{name}' begins again with every epoch, so that the rows are of one log, and no column counts on"
            raise InputError(what, where=where, todo="add a column of steps, which count through all epochs")


def counted_anew(axis: NDArray[Any], loss: pd.Series | None, rows: NDArray[np.intp]) -> int:
    """How often the steps of one log begin again although the training goes on, as in each epoch or after a resume.

    A training that was started again begins with the first loss of the log, one that goes on with the last one before.

    >>> steps, falls = np.tile(np.arange(1, 9), 2), pd.Series(10.0 / np.arange(1, 17))
    >>> counted_anew(steps, falls, np.arange(16)), counted_anew(steps, pd.Series(10.0 / steps), np.arange(16))
    (1, 0)
    """
    if loss is None or loss.dtype.kind not in "iuf":
        return 0
    values = loss.to_numpy(dtype=np.float64)[rows]
    parts = [part[np.isfinite(part)] for part in np.split(values, np.flatnonzero(np.diff(axis) < 0) + 1)]
    if len(parts) < 2 or min(map(len, parts)) < FEWEST:
        return 0
    near = max(1, min(FEWEST, min(map(len, parts)) // 4))  # in short parts the loss falls along three rows
    ends = [(np.median(before[-near:]), np.median(after[:near])) for before, after in pairwise(parts)]
    noise = CLEAR * np.median(np.abs(np.concatenate([np.diff(part) for part in parts])))
    falls = [abs(parts[0][0] - end) for end, _ in ends]  # within the noise a loss does not say what goes on
    on = all(abs(then - end) < GOES_ON * fall for (end, then), fall in zip(ends, falls, strict=True))
    return len(ends) if on and max(falls) > noise else 0


def may_go_on(axis: NDArray[Any], loss: pd.Series | None, rows: NDArray[np.intp]) -> bool:
    """Whether the steps of one log begin again after the same step each time, as in epochs, and the loss does not go
    back to where it began (nor repeats itself), as that of a training which is started again does.

    >>> steps, falls = np.tile(np.arange(1, 9), 2), pd.Series(10.0 / np.tile(np.arange(1, 9), 2))
    >>> may_go_on(steps, falls + np.arange(16) / 99, np.arange(16)), may_go_on(steps, falls * 0 + 3, np.arange(16))
    (False, False)
    >>> may_go_on(steps, pd.Series(3 + np.sin(np.arange(16.0) ** 2) / 9), np.arange(16))
    True
    """
    if loss is None or loss.dtype.kind not in "iuf":
        return False
    values, places = loss.to_numpy(dtype=np.float64)[rows], axis[rows]
    begins = [0, *(np.flatnonzero(np.diff(places) < 0) + 1).tolist(), len(places)]
    parts = [slice(low, high) for low, high in pairwise(begins)]
    if len({places[part][0] for part in parts}) > 1 or len({places[part][-1] for part in parts[:-1]}) > 1:
        return False
    first, starts = parts[0], [values[part][np.isfinite(values[part])] for part in parts]
    if places[parts[-1]][-1] > places[first][-1] or not all(map(len, starts)):
        return False
    for before, after, part in zip(starts, starts[1:], parts[1:], strict=False):
        near = max(1, min(FEWEST, len(before) // 4, len(after) // 4))
        start, end, then = np.median(starts[0][:near]), np.median(before[-near:]), np.median(after[:near])
        copy = np.array_equal(values[part], values[first][: part.stop - part.start], equal_nan=True)
        noise = CLEAR * np.median(np.abs(np.diff(before))) if len(before) > 1 else 0.0
        back = abs(then - start) < abs(then - end) and abs(start - end) > min(noise, CLEAR_FALL * abs(start))
        if not copy and not back:
            return True
    return False
