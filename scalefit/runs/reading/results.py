"""Rows with a step but without the name of a run: one log, the logs of several runs, or final results of many.

A restart repeats steps and changes nothing else. So what a run never changes (its size, its seed, ...) decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.settings import NAMING, is_record, is_setting
from scalefit.runs.wording import words_of

#: columns that have one value along a run
FIXED = (
    *("schedule", "N", "N_total", "N_enc", "N_dec", "N_vocab", "peak_lr", "d_model", "n_layer", "n_head", "d_head"),
    *("d_ff", "seq_len", "vocab", "warmup", "weight_decay", "seed", "optimizer", "parametrization", "U", "experts"),
)
#: columns that say where a row stands, and measure nothing
PLACED = frozenset({"run", "step", "tokens", "epoch", "split", "source", "time", "timestamp"})
SO_FAR = ("D", "C", "tokens")  #: of a whole run in a table of results, of the run so far in logs
BATCH = re.compile(r"(^|[^a-z])(batch|bs)([^a-z]|$)", re.IGNORECASE)
EVENLY = 8  #: rows of a table without runs whose tokens rise evenly, from which on it is the log of one run
FEW_RUNS = 3  #: rows that may be the results of as many runs
FEW = 8  #: rows of one setting below which steps that rise unevenly are the lengths of several runs
LOGGED = 20  #: rows of one size, one after another with steps that rise, from which on D and C are those so far


def telling(frame: pd.DataFrame) -> list[str]:
    """The columns that never change along a run and that differ between these rows."""
    return [name for name in FIXED if name in frame.columns and frame[name].nunique(dropna=False) > 1]


def settings_beside_one_name(frame: pd.DataFrame) -> list[str]:
    """The sizes and seeds that differ between rows although all name one run, so that the name tells none apart."""
    if "run" not in frame.columns or len(frame) < 2 or frame["run"].nunique(dropna=False) > 1:
        return []
    return [name for name in telling(frame) if name in ("N", "N_total", "d_model", "n_layer", "seed")]


def _is_sweep(frame: pd.DataFrame, fixed: list[str], axis: str) -> bool:
    """Whether the rows of each size hold each learning rate once, at one step or few: some runs ended early."""
    if "lr" not in frame.columns or frame["lr"].isna().any() or frame.duplicated([*fixed, "lr"]).any():
        return False
    places = frame.groupby(fixed, dropna=False, observed=True, sort=False)[axis]
    return bool((2 * places.nunique() <= places.size()).all())


def are_final_results(
    frame: pd.DataFrame, axis: str = "step", settings: Collection[str] = (), lengths: bool = False
) -> bool:
    """Whether each row is the result of a run of its own, although it holds a step (that of its end).

    It is where every row has another size, seed or other fixed setting, or another amount of data beside it; or where
    all rows of one such setting stand at one step, as those of a learning-rate sweep do. ``settings``: columns that are
    settings by their names, such as those of a configuration; ``lengths``: whether the name of the steps is a plural,
    as that of the length of a run is.

    >>> rows = pd.DataFrame({"N": [1e6, 1e6, 4e6, 4e6], "D": [1e8, 4e8, 1e8, 4e8], "step": [100, 400, 100, 400]})
    >>> are_final_results(rows), are_final_results(rows[["step", "D"]].iloc[:2])
    (True, False)
    """
    fixed = telling(frame)
    fixed += [name for name in settings if name not in fixed and frame[name].nunique(dropna=False) > 1]
    if frame[axis].isna().any():
        return False
    if named_each(frame, axis) or _one_step_each(frame, fixed, axis):
        return True
    if not fixed:
        several = lengths and len(frame) < LOGGED and any(name in frame.columns for name in SO_FAR)
        return len(frame) > 1 and (frame[axis].nunique() == 1 or (several and not spaced_evenly(frame[axis])))
    groups = frame.groupby(fixed, dropna=False, observed=True, sort=False)
    if _is_sweep(frame, fixed, axis):
        return True
    if (groups.size() == 1).all() or (groups[axis].nunique() == 1).all():
        return True
    data = [name for name in SO_FAR if name in frame.columns and (groups[name].nunique() > 1).any()]
    if not data and lengths and "N" in fixed and any(BATCH.search(str(name)) for name in frame.columns):
        even = any(spaced_evenly(steps) for _, steps in groups[axis])
        data = [] if even else [axis]  # in batches that are told, the steps say how much
    if data and frame.duplicated([*fixed, *data]).any():
        fixed += _words(frame)
    fewest = LOGGED if {"D", "C"} & {*data} else FEW if lengths else 2
    return bool(data) and not frame.duplicated([*fixed, *data]).any() and not _are_logs(frame, fixed, axis, fewest)


def _words(frame: pd.DataFrame) -> list[str]:
    """The settings that are words: recipes, data sets."""
    texts = [str(name) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    return [name for name in texts if is_setting(name, frame[name]) and frame[name].nunique(dropna=False) > 1]


def may_be_results(frame: pd.DataFrame) -> str:
    """What to do where a few rows of one size and of steps that rise unevenly, beside tokens, may be those of several
    runs; "" where they are a log."""
    few, data = FEW_RUNS <= len(frame) < LOGGED, {*SO_FAR} & {*frame.columns}
    steps = frame["step"]
    if not few or not data or spaced_evenly(steps) or steps.duplicated().any() or steps.min() == 0:  # no result at 0
        return ""
    return f"{len(frame)} rows of one log whose steps rise unevenly: if each is the result of a run, call them steps"


def spaced_evenly(steps: pd.Series) -> bool:
    """Whether most steps lie as far from the one before as the others do, as those of a log.

    >>> spaced_evenly(pd.Series([10, 20, 30, 40, 43])), spaced_evenly(pd.Series([10, 20, 40, 80]))
    (True, False)
    """
    gaps = np.diff(np.unique(steps.to_numpy(dtype=float)))
    return len(gaps) > 1 and bool(2 * np.isclose(gaps, np.median(gaps), rtol=0.05).sum() > len(gaps))


def names_lengths(name: str) -> bool:
    """Whether the name of a column of steps is a plural, and not that of steps so far.

    >>> names_lengths("training steps"), names_lengths("iterations"), names_lengths("global_step")
    (True, True, False)
    """
    return bool(words_of(name) & {"steps", "iters", "iterations", "updates"})


def named_each(frame: pd.DataFrame, axis: str) -> str:
    """The column that names each row, such as an experiment or a configuration, where no log would; else "".

    >>> rows = pd.DataFrame({"exp": ["a", "b", "c"], "step": [10, 20, 30], "loss": [4.0, 3.5, 3.0]})
    >>> named_each(rows, "step"), named_each(rows.assign(exp=["m-10", "m-20", "m-30"]), "step")
    ('exp', '')
    """
    for name in map(str, frame.columns):
        if pd.api.types.is_numeric_dtype(frame[name].dtype) or not words_of(name) or words_of(name) - NAMING:
            continue
        words = frame[name].astype(str)
        of_step = all(re.search(rf"(?<!\d){at:.0f}(?!\d)", word) for at, word in zip(frame[axis], words, strict=True))
        if len(frame) > 2 and frame[name].notna().all() and words.is_unique and not of_step:
            return name
    return ""


def _one_step_each(frame: pd.DataFrame, fixed: list[str], axis: str) -> bool:
    """Whether each amount of data in batches of one size has one step, at which learning rates differ from row to row.

    >>> rows = pd.DataFrame({"batch": [64, 64, 128, 128], "lr": [1, 2, 1, 2], "step": [800, 800, 400, 400]})
    >>> _one_step_each(rows, [], "step"), _one_step_each(rows.drop_duplicates("step"), [], "step")
    (True, False)
    """
    sized = [name for name in map(str, frame.columns) if name in SO_FAR or BATCH.search(name)]
    keys = [*fixed, *(name for name in sized if frame[name].nunique() > 1)]
    if not keys or "lr" not in frame.columns or frame[[*keys, "lr"]].isna().any(axis=None):
        return False
    groups = frame.groupby(keys, observed=True, sort=False)[axis]
    few = frame[axis].nunique() < LOGGED and len(frame) >= 2 * groups.ngroups
    return few and not frame.duplicated([*keys, "lr"]).any() and bool((groups.nunique() == 1).all())


def _are_logs(frame: pd.DataFrame, fixed: list[str], axis: str, fewest: int) -> bool:
    """Whether rows of one setting follow one another, enough of them, with steps that rise: evenly if they are few."""
    codes = frame.groupby(fixed, dropna=False, observed=True, sort=False).ngroup().to_numpy()
    begins = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    rises = np.diff(frame[axis].to_numpy()) > 0
    inside = codes[1:] == codes[:-1]
    parts = [part for _, part in frame[axis].groupby(codes)]
    if min(map(len, parts)) >= max(fewest, FEW) and all(map(spaced_evenly, parts)):
        return True  # in whatever order
    if len(begins) != codes.max() + 1 or len(frame) < fewest * len(begins) or not bool(rises[inside].all()):
        return False
    return len(frame) >= FEW * len(begins) or any(map(spaced_evenly, parts))


def settings_of_blocks(frame: pd.DataFrame, axis: str = "step") -> list[str]:
    """Settings that keep one value between the rows at which the steps begin again, and change there.

    >>> log = pd.DataFrame({"step": [1, 2, 3, 1, 2, 3], "dropout": [0.0] * 3 + [0.1] * 3, "loss": [3, 2, 1, 4, 3, 2]})
    >>> settings_of_blocks(log)
    ['dropout']
    """
    block = np.cumsum(np.r_[False, np.diff(frame[axis].to_numpy()) <= 0])
    if not block[-1] or len(frame) < 2 * (block[-1] + 1):
        return []
    found = []
    for name in frame.columns:
        if name in (axis, "epoch") or str(name).startswith("__"):  # progress, and marks of the reading
            continue
        of_run = is_setting(name, frame[name]) and not is_record(name, frame[name])
        if frame[name].nunique(dropna=False) < 2 or not (of_run or words_of(str(name)) <= NAMING - {"id"}):
            continue
        if (frame[name].groupby(block).nunique(dropna=False) == 1).all():
            found.append(str(name))
    return found


def logged_evenly(frame: pd.DataFrame) -> str:
    """`tokens` or `steps`, where they rise evenly from row to row as a log does, and no setting differs; else "".

    >>> logged_evenly(pd.DataFrame({"tokens": np.arange(1, 11) * 5e5, "loss": 4 / np.arange(1, 11)}))
    'tokens'
    >>> logged_evenly(pd.DataFrame({"tokens": 2.0 ** np.arange(10), "loss": 4 / np.arange(1, 11)}))
    ''

    Steps of several runs with a learning rate that changes within each do so within each setting.
    """
    if "epoch" in frame.columns and not frame["epoch"].is_monotonic_increasing:
        return ""
    for name in ("steps", "tokens", "D"):
        if name not in frame.columns or frame[name].dtype.kind not in "iuf":
            continue
        by = telling(frame) if name == "steps" else [*telling(frame), *models(frame)]
        if name == "D" and (not by or telling(frame)):
            continue  # of results: sizes at several lengths
        rated = "lr" in frame.columns and frame["lr"].nunique() > len(frame[by].drop_duplicates()) if by else True
        if not (rated if name == "steps" else not by or falls_within(frame, by)):
            continue
        parts = [part for _, part in frame.groupby(by, sort=False, dropna=False)[name]] if by else [frame[name]]
        if all(len(part) >= EVENLY and rises_evenly(part.to_numpy(dtype=float)) for part in parts):
            return name
    return ""


def models(frame: pd.DataFrame) -> list[str]:
    """The columns of words, such as `model` or a setting (`arch`), that name several rows each.

    >>> models(pd.DataFrame({"model": ["a", "a", "b"], "tokens": [1, 2, 1], "loss": [3.0, 2.0, 3.0]}))
    ['model']
    """
    names = [name for name in map(str, frame.columns) if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    named = [bool(words_of(name)) and words_of(name) <= NAMING for name in names]
    names = [name for name, of in zip(names, named, strict=True) if of or is_setting(name, frame[name])]
    return [name for name in names if frame[name].notna().all() and 1 < frame[name].nunique() < len(frame)]


def falls_within(frame: pd.DataFrame, by: list[str]) -> bool:
    """Whether the loss of every group of rows ends below its beginning."""
    if "loss" not in frame.columns or frame["loss"].dtype.kind not in "iuf":
        return False
    losses = frame.groupby(by, sort=False, dropna=False, observed=True)["loss"]
    return bool((losses.last() < losses.first()).all())


def rises_evenly(values: NDArray[np.float64]) -> bool:
    """Whether values rise by the same amount from row to row; the first and the last may be nearer."""
    rises = np.diff(values)
    even = bool(np.allclose(rises[1:-1], rises[1], rtol=0.01))
    return even and rises[0] > 0 and 0 < rises[-1] <= 1.01 * rises[1]


def unlogged(frame: pd.DataFrame, nans: Collection[int], unsure: bool) -> pd.Series:
    """For each row whether no loss was logged there; None where an empty cell may be a NaN all the same (``unsure``).

    ``nans``: the rows in which NaN was logged. A row whose other measurements are empty too, as a closing record has
    them, holds no NaN.
    """
    if not frame["loss"].hasnans:
        return pd.Series(False, index=frame.index, dtype=object)
    empty = frame["loss"].isna() & ~frame.index.isin(nans)
    others = frame.drop(columns=["loss", *PLACED], errors="ignore")
    blank = others.isna().all(axis=1) & bool(others.notna().any(axis=None))
    return empty.astype(object).where(~empty | blank | (not unsure))


def whole_steps(frame: pd.DataFrame, where: str) -> tuple[pd.DataFrame, int]:
    """The table with steps as int64 from 0, without rows that have neither a step nor a loss; and how many these were.

    Raises InputError for a loss without a step, and for a step that is no whole number.
    """
    step = frame["step"]
    if step.dtype.kind == "i" and step.min() >= 0:
        return frame, 0
    without = step.isna()
    empty = without & frame["loss"].isna() if "loss" in frame.columns else without
    if (without & ~empty).any():
        row = step.index[int(np.argmax((without & ~empty).to_numpy()))]
        raise InputError(
            "there is no step", where=f"{where}, row {row}, column step", todo="fill it in, or leave the row out"
        )
    frame = frame[~empty] if empty.any() else frame
    values = frame["step"].to_numpy()
    whole = np.isfinite(values) & (values == np.floor(values)) & (values >= 0) & (values < 2.0**53)
    if not whole.all():
        row = int(np.argmin(whole))
        what = f"step {values[row]:g} is not a whole number from 0 to 2^53"
        todo = "map the column of optimiser steps: --map step=COLUMN"
        raise InputError(what, where=f"{where}, row {frame.index[row]}, column step", todo=todo)
    return frame.assign(step=values.astype(np.int64)), int(empty.sum())
