"""Counters that begin again within one log: in each epoch, after a restart, or where a training is started anew."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.splits import is_loss
from scalefit.runs.reading.results import PLACED, falls_within, models, rises_evenly, telling
from scalefit.runs.settings import is_record, is_setting
from scalefit.runs.wording import words_of

FEWEST, GOES_ON = 3, 0.25  #: rows by which the ends of two parts are compared; share of the first fall of the loss
CLEAR = 3.0  #: median changes from row to row by which the loss has fallen where it says whether a training goes on
ROUNDED = 0.0101  #: by how much rises of epochs that are printed with two decimals differ
EVENLY = 8  #: rows that rise evenly and may be those of one curve
CLOCK, PERCENT = r"\d{1,3}:\d{2}:\d{2}(?:\.\d+)?", r"\d+(?:\.\d+)?\s*%"
DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?"
RATES = ("lr", "peak_lr")
SAMPLES = frozenset(
    {"samples", "sequences", "seqs", "examples", "images", "batches"}
)  #: what a log counts beside steps
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


def epochs_count_up(frame: pd.DataFrame) -> bool:
    """Whether the epochs of each run rise from row to row, and nothing that a run never changes differs inside one.

    A run may go back to an epoch that it had, as a restart does; then its epochs rise evenly.

    >>> epochs_count_up(pd.DataFrame({"epoch": [0, 1, 2, 3, 1, 2, 3, 4]}))
    True
    >>> epochs_count_up(pd.DataFrame({"epoch": [3, 9, 12, 3, 8, 11]}))
    False
    """
    named = "run" in frame.columns
    runs = frame["run"].astype(str) if named else pd.Series("", index=frame.index)
    counted = pd.to_numeric(frame["epoch"], errors="coerce")
    if counted.isna().any() or len(frame) < 2 * runs.nunique():
        return False
    if not named and (telling(frame) or settings_of_epochs(frame)):
        return bool(settings_of_epochs(frame))
    return all(_counts_up(epochs.to_numpy(dtype=float)) for _, epochs in counted.groupby(runs, sort=False))


def settings_of_epochs(frame: pd.DataFrame) -> list[str]:
    """The settings for each of which the epochs rise evenly, at least three of them; none where one run is logged.

    >>> rows = pd.DataFrame({"epoch": [0, 0, 1, 1, 2, 2], "seed": [1, 2] * 3, "loss": [3.0, 3.1, 2.5, 2.6, 2.2, 2.3]})
    >>> settings_of_epochs(rows), settings_of_epochs(rows[rows["seed"] == 1])
    (['seed'], [])
    """
    epochs = pd.to_numeric(frame["epoch"], errors="coerce")
    if epochs.is_monotonic_increasing and epochs.is_unique:
        return []
    fixed = telling(frame)
    rate = ["lr"] if "lr" in frame.columns and frame["lr"].nunique() > 1 else []
    own = [
        str(name)
        for name in frame.columns
        if name not in (*PLACED, *fixed, "lr", "loss") and not str(name).startswith("__")
        and frame[name].nunique(dropna=False) > 1 and is_setting(str(name), frame[name])
        and not is_record(str(name), frame[name])
    ]  # fmt: skip
    for group in (fixed, [*fixed, *rate], [*fixed, *own], [*fixed, *rate, *own]):
        if group and all(_even(part) for _, part in epochs.groupby([frame[name].astype(str) for name in group])):
            return group
    return []


def _even(epochs: pd.Series) -> bool:
    """Whether at least three epochs rise by the same amount."""
    rises = np.diff(epochs.to_numpy(dtype=float))
    return len(epochs) >= 3 and bool(rises[0] > 0 and np.allclose(rises, rises[0]))


def _counts_up(epochs: NDArray[np.float64]) -> bool:
    rises = np.diff(epochs)
    back = np.flatnonzero(rises <= 0)
    if not len(back):
        return True
    known = all(epochs[at + 1] in epochs[: at + 1] for at in back)
    on = np.delete(rises, back)
    return known and len(epochs) >= 3 * (len(back) + 1) and bool(np.all(np.abs(on - np.median(on)) <= ROUNDED))


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


def may_be_a_curve(frame: pd.DataFrame, where: str) -> str:
    """What to map where the rows, each read as a run of its own, may be one curve; "" where they are none.

    Raises InputError where the column is one of samples: no table of results has such a one.
    """
    names = [str(name) for name in frame.columns]
    if len(frame) >= EVENLY and all(map(is_loss, names)) and _falls_with(frame.rename(columns={names[0]: "loss"})):
        text = "nothing stands beside the loss, and each row is read as a run of its own"
        return f"{text}: if the rows are one curve, add a column step, which says at which step each was logged"
    if text := _of_models(frame) or _of_sizes(frame):
        return text
    name = rises_like_steps(frame)
    shown = f'"{name}"' if " " in name else name
    if words_of(name) & SAMPLES:
        what = f"'{name}' rises evenly from row to row while the loss falls: the rows are one curve, which has no step"
        todo = f"map the column that counts on: --map step={shown}, or --map tokens={shown} where it counts tokens"
        raise InputError(what, where=where, todo=todo)
    text = f"'{name}' rises evenly from row to row as steps do, and each row is read as a run of its own: map it if the"
    return f"{text} rows are one curve (--map step={shown})" if name else ""


def _of_models(frame: pd.DataFrame) -> str:
    """What to do where few rows of each model, and no sizes, have tokens that rise evenly while the loss falls."""
    axis = next((name for name in ("tokens", "D") if name in frame.columns), "")
    by = models(frame) if axis and not telling(frame) and "run" not in frame.columns else []
    if not by or frame[axis].dtype.kind not in "iuf" or not falls_within(frame, by):
        return ""
    parts = [part.to_numpy(dtype=float) for _, part in frame.groupby(by, sort=False)[axis]]
    if not all(len(part) > FEWEST and rises_evenly(part) for part in parts):
        return ""
    text = f"'{by[0]}' names several rows each, whose {axis} rise evenly, and each row is read as a run of its own"
    return f"{text}: map it if they are those of curves (--map run={by[0]})"


def _of_sizes(frame: pd.DataFrame) -> str:
    """What to do where each size has rows enough whose tokens rise evenly while the loss falls; a column D is none."""
    by = telling(frame) if "tokens" in frame.columns and "run" not in frame.columns else []
    if not by or frame["tokens"].dtype.kind not in "iuf" or not falls_within(frame, by):
        return ""
    parts = [part.to_numpy(dtype=float) for _, part in frame.groupby(by, sort=False)["tokens"]]
    if not all(len(part) > FEWEST and rises_evenly(part) for part in parts):
        return ""
    text = (
        f"each {' and '.join(by)} has several rows whose tokens rise evenly, and each row is read as a run of its own"
    )
    return f"{text}: call that column D if this is so; if they are curves, add a column run"


def mostly_even(frame: pd.DataFrame) -> str:
    """`steps` where these rise as those of one log do, but for a restart or rows that share a step; else ""."""
    if "steps" not in frame.columns or len(frame) < EVENLY or "run" in frame.columns or telling(frame):
        return ""
    if steps_begin_with_epochs(frame.rename(columns={"steps": "step"})):
        return ""
    if frame["steps"].dtype.kind not in "iuf" or not _falls_with(frame):
        return ""
    rises = np.diff(frame["steps"].to_numpy(dtype=float))
    up = rises[rises > 0]
    even = 5 * len(up) > 2 * len(frame) and bool(np.mean(np.isclose(up, np.median(up), rtol=0.01)) > 0.8)
    return "steps" if even else ""


def rises_like_steps(frame: pd.DataFrame) -> str:
    """A column of no known name that rises evenly from row to row while the loss falls, beside no setting; else "".

    >>> rises_like_steps(pd.DataFrame({"Schritt": range(0, 100, 10), "loss": np.linspace(4, 3, 10)}))
    'Schritt'
    >>> rises_like_steps(pd.DataFrame({"Schritt": range(0, 100, 10), "loss": np.linspace(4, 3, 10), "N": range(10)}))
    ''
    """
    known = [name for name in map(str, frame.columns) if name in COLUMNS and COLUMNS[name].unit]
    known = [name for name in known if name not in (*RATES, "loss")]
    if len(frame) < EVENLY or "run" in frame.columns or any(frame[name].nunique() > 1 for name in known):
        return ""
    for name in map(str, frame.columns):
        values = frame[name] if pd.api.types.is_numeric_dtype(frame[name].dtype) else _progress(frame[name])
        if name in COLUMNS or name.startswith("Unnamed: ") or values is None or values.isna().any():
            continue
        if "lr" in frame.columns and frame["lr"].nunique() > 1 and not words_of(name) & SAMPLES:
            continue
        rises = np.diff(values.to_numpy(dtype=float))
        if rises[0] > 0 and np.allclose(rises, rises[0], rtol=0.01) and _falls_with(frame):
            return name
    return ""


def _progress(column: pd.Series) -> pd.Series | None:
    """A column of times such as 00:01:30 in seconds, of per cent such as 5%, or the places of dates that rise."""
    texts = column.astype(str).str.strip()
    if texts.str.fullmatch(DATE).all():
        times = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
        rises = times.notna().all() and times.is_monotonic_increasing and times.is_unique
        return pd.Series(np.arange(len(times), dtype=float), index=column.index) if rises else None
    if texts.str.fullmatch(PERCENT).all():
        return texts.str.rstrip("% ").astype(float)
    if not texts.str.fullmatch(CLOCK).all():
        return None
    return pd.Series(pd.to_timedelta(column.astype(str)).dt.total_seconds(), index=column.index)


def _falls_with(frame: pd.DataFrame) -> bool:
    """Whether the loss, if there is one, is lower in the last quarter of the rows than in the first."""
    if "loss" not in frame.columns or frame["loss"].dtype.kind not in "iuf":
        return False
    part = max(1, len(frame) // 4)
    return bool(frame["loss"].iloc[-part:].median() < frame["loss"].iloc[:part].median())
