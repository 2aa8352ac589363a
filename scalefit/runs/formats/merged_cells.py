"""Settings that are written in the first row of each group only, as cells of a spreadsheet that were merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.processes import axis_of_rows
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.splits import TELLING, measured
from scalefit.runs.matching import canonical

FOLLOWS = frozenset({"step", "epoch", "status", "diverged", "grad_norm"})  #: columns that may be empty in single rows


def without_merged_cells(raw: RawTable, renames: Mapping[str, str]) -> RawTable | None:
    """The table with each setting in every row of its group; None where no column has the form of merged cells.

    Such a column is filled in its first row and at the beginning of each group of rows, whose groups have one length
    or different values; all its other rows hold a result.
    """
    frame = raw.frame
    losses = [name for name in map(str, frame.columns) if measured(name)]
    if len(frame) < 4 or not losses or not frame.isna().any(axis=None):
        return None
    axis, _ = axis_of_rows(frame, renames)
    axis = None if axis is None or frame[axis].hasnans else axis
    names = [name for name in map(str, frame.columns) if name not in losses and _may_be_merged(frame, name, axis)]
    results = frame[losses].notna().any(axis=1).to_numpy()
    groups = {name: starts for name in names if (starts := _groups(frame[name], results)) is not None}
    if not groups:
        return None
    filled = frame.assign(**{name: frame[name].ffill() for name in groups})
    text = f"{listed(groups, 4)} {'is' if len(groups) == 1 else 'are'} filled in the first row of each group only, as "
    count = int(sum(frame[name].isna().sum() for name in groups))
    told = Remark("derived", f"{text}merged cells are: each value holds down to the next one", count)
    return replace(raw, frame=filled, remarks=(*raw.remarks, told))


def _may_be_merged(frame: pd.DataFrame, name: str, axis: str | None) -> bool:
    """Whether a column is a setting or a name: along curves one that a run never changes."""
    known = canonical(name)
    words = not pd.api.types.is_numeric_dtype(frame[name].dtype)
    settings = TELLING if axis is not None else frozenset(COLUMNS) - FOLLOWS
    empty = bool(frame[name].isna().any())
    return empty and (known in settings or (words and known not in FOLLOWS and known not in COLUMNS))


def _groups(column: pd.Series, results: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Where the groups begin; None where the filled cells are none that were merged."""
    starts = np.flatnonzero(column.notna().to_numpy())
    if len(starts) < 2 or starts[0] != 0 or 2 * len(starts) > len(column) or 2 * results.sum() < len(results):
        return None
    lengths, values = np.diff(np.r_[starts, len(column)]), column.iloc[starts]
    one_length = lengths.min() == lengths.max() > 1
    other = lengths.min() > 1 and values.is_unique
    return starts if one_length or other else None
