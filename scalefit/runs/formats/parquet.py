"""Parquet, through pandas and the extra `parquet` (pyarrow); of a file too large for memory one row in so many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.formats.raw import RawTable, Remark

NAMES = ("*.parquet", "*.pq")
MOST_CELLS = 200_000_000  #: of a table; a small file can unpack to any number
MANY_ROWS = 10_000_000  #: of a longer file one row in so many is kept that about this many remain
BATCH = 1 << 20  #: rows of such a file that are held at a time
SELDOM = 0.1  #: share of its rows up to which a column of numbers is filled now and then, as by evaluations


def read(path: Path) -> RawTable:
    """Read a Parquet file; the index counts rows from 1. Raises InputError if it is not one, or pyarrow is missing."""
    try:
        from pyarrow import parquet

        about = parquet.read_metadata(path)
        every = -(-about.num_rows // MANY_ROWS)
        if about.num_rows // max(every, 1) * about.num_columns > MOST_CELLS:
            what = f"{about.num_rows * about.num_columns} cells, and {MOST_CELLS} are the most"
            raise InputError(what, where=str(path), todo="give fewer columns or rows")
        frame = pd.read_parquet(path) if every <= 1 else _one_in(every, path)
    except ImportError as error:
        todo = "install pyarrow (the extra scalefit[parquet]), or write the table as CSV"
        raise InputError("reading Parquet needs pyarrow", where=str(path), todo=todo) from error
    except InputError:
        raise
    except (ValueError, OSError, LookupError, TypeError, NotImplementedError) as error:
        raise InputError("not a Parquet file", where=str(path), todo="give a Parquet file or a CSV") from error
    if every > 1:
        text = f"{about.num_rows} rows: one in {every} was read"
        text += ", with the first and the last of each run, and those of evaluations"
        return RawTable(path, frame, remarks=(Remark("dropped", text, about.num_rows - len(frame)),))
    if frame.index.name is not None or isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return RawTable(path, frame)


def _one_in(every: int, path: Path) -> pd.DataFrame:
    """One row in ``every``, all at which one run seems to end or the next to begin, and all that were evaluated.

    Raises InputError where these are most of the rows, as where the rows of runs alternate.
    """
    from pyarrow import parquet

    parts: list[pd.DataFrame] = []
    kept, end = 0, pd.DataFrame()  # the last two rows so far: whether the last one is kept depends on the next
    for batch in parquet.ParquetFile(path).iter_batches(BATCH):
        frame = batch.to_pandas(ignore_metadata=True)
        begin = 0 if end.empty else int(end.index[-1]) + 1
        frame.index = pd.RangeIndex(begin, begin + len(frame))
        whole = frame if end.empty else pd.concat([end, frame])
        take = (whole.index.to_numpy() % every == 0) | _ends(whole) | _seldom_filled(whole)
        take[: max(len(end) - 1, 0)] = take[-1] = False  # those before are decided, and the last one is not
        parts.append(whole[take])
        kept, end = kept + int(take.sum()), whole.iloc[-2:]
        if kept > 2 * MANY_ROWS:
            what = f"too many rows for memory, in runs that alternate or have less than {2 * every} rows"
            raise InputError(what, where=str(path), todo="sort it by run and step, or give fewer rows")
    found = pd.concat([*parts, end.iloc[-1:]])
    found.index += 1
    return found.drop(columns=[name for name in found.columns if str(name).startswith("__index_level_")])


def _seldom_filled(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a row holds a number in a column that few rows fill: that of an evaluation would be lost with its row."""
    filled = frame[[name for name in frame.columns if frame[name].dtype.kind == "f"]].notna().to_numpy()
    return np.asarray(filled[:, filled.mean(axis=0) <= SELDOM].any(axis=1))


def _ends(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a row seems to be the first or the last of a run: a text or a number for one changes, or a step falls."""
    first = np.zeros(len(frame), dtype=np.bool_)
    for name in frame.columns:
        column: Any = frame[name]
        if column.dtype.kind in "fcmM":
            continue
        values = column.to_numpy() if column.dtype.kind in "iu" else pd.factorize(column)[0]
        changed = values[1:] != values[:-1]
        counts_on = column.dtype.kind in "iu" and 2 * int(changed.sum()) > len(changed)
        first[1:] |= (values[1:] < values[:-1]) if counts_on else changed
    first[:-1] |= first[1:]
    return first
