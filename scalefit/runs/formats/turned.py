"""Tables on their side: a row a quantity, and a column a run or a step."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, reshaped
from scalefit.runs.formats.splits import measured
from scalefit.runs.matching import canonical
from scalefit.runs.quantities import counts_said, is_quantity, quantity

LONGEST = 60  #: letters of a name of a quantity
SIZES = frozenset({"N", "N_total", "D", "C", "tokens", "d_model", "n_layer"})  #: what differs between runs


def headed_by_numbers(frame: pd.DataFrame) -> bool:
    """Whether numbers name all columns but the first, which has a known name."""
    first, others = str(frame.columns[0]), [str(name) for name in frame.columns[1:]]
    numbered = len(others) > 1 and all(map(is_quantity, others)) and not any(map(counts_said, others))
    return numbered and canonical(first) in COLUMNS


def turned(raw: RawTable) -> RawTable | None:
    """A column a run and a row a quantity: `N,1B,3B` above `loss,3.1,2.9`, or names of runs above both."""
    frame = raw.frame
    first, others = str(frame.columns[0]), [str(name) for name in frame.columns[1:]]
    if len(others) < 2 or len(frame) > len(COLUMNS):
        return None
    if pd.api.types.is_numeric_dtype(frame[first].dtype):
        return None  # numbers name no quantity
    headed = headed_by_numbers(frame)
    names = [str(name).strip() for name in frame[first]]
    known = [name for name in names if canonical(name) in COLUMNS]
    if len(set(names)) < len(names) or max(map(len, names), default=0) > LONGEST or 2 * len(known) < len(names):
        return None
    lossy = any(measured(name) for name in names) and len(known) > 1
    if not headed and (not lossy or any(canonical(name) in COLUMNS or measured(name) for name in others)):
        return None
    body = frame.drop(columns=first).T.set_axis(names, axis=1)
    if all(map(is_quantity, others)) and not headed and canonical(first) not in COLUMNS:
        return reshaped(raw, *_along_numbers(raw, body, names, others), {})
    named = any(canonical(name) == "run" for name in names)
    if headed or not named:
        body.insert(0, first if headed else "run", others)
    body = body.set_axis(pd.RangeIndex(1, len(body) + 1)).infer_objects()
    return reshaped(raw, body, "derived", f"a row a quantity ({', '.join(names)}): turned, each column is a run", {})


def _along_numbers(
    raw: RawTable, body: pd.DataFrame, names: list[str], others: list[str]
) -> tuple[pd.DataFrame, str, str]:
    """A row a metric and a column a number (`metric,10,20,30`), turned: numbers that rise evenly are steps.

    Raises InputError for other numbers, where no row says a size.
    """
    rises = np.diff([quantity(name) for name in others])
    along = len(rises) > 1 and rises[0] > 0 and np.allclose(rises, rises[0]) and quantity(others[0]) % 1 == 0
    sized = any(canonical(name) in SIZES for name in names)
    if not along and not sized:
        todo = "name the first column by what they are, such as step or width"
        raise InputError("the columns are named by numbers, and nothing says of what", where=str(raw.path), todo=todo)
    body.insert(0, "run" if sized else "step", others if sized else [quantity(name) for name in others])
    body = body.set_axis(pd.RangeIndex(1, len(body) + 1)).infer_objects()
    return (
        body,
        "derived",
        f"a row a metric ({', '.join(names)}): turned, each column is a {'run' if sized else 'step'}",
    )
