"""Parquet, through pandas and the extra `parquet` (pyarrow)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.raw import RawTable

NAMES = ("*.parquet", "*.pq")
MOST_CELLS = 200_000_000  #: of a table; a small file can unpack to any number


def read(path: Path) -> RawTable:
    """Read a Parquet file; the index counts rows from 1. Raises InputError if it is not one, or pyarrow is missing."""
    try:
        from pyarrow import parquet

        about = parquet.read_metadata(path)
        if about.num_rows * about.num_columns > MOST_CELLS:
            what = f"{about.num_rows * about.num_columns} cells, and {MOST_CELLS} are the most"
            raise InputError(what, where=str(path), todo="give fewer columns or rows")
        frame = pd.read_parquet(path)
    except ImportError as error:
        todo = "install pyarrow (the extra scalefit[parquet]), or write the table as CSV"
        raise InputError("reading Parquet needs pyarrow", where=str(path), todo=todo) from error
    except InputError:
        raise
    except (ValueError, OSError, LookupError, TypeError, NotImplementedError) as error:
        raise InputError("not a Parquet file", where=str(path), todo="give a Parquet file or a CSV") from error
    if frame.index.name is not None or isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return RawTable(path, frame)
