"""Metrics that are stored with one value per row, as a table with one row per step."""

from __future__ import annotations

import pandas as pd

from scalefit.runs.formats.raw import Remark

SHORT = 4  #: a metric whose last step is this many times below that of its run may count something else


def wide(points: pd.DataFrame) -> tuple[pd.DataFrame, list[Remark], dict[str, list[int]]]:
    """From columns run, key, step, time, value to a row for each run and step, and a column for each key.

    Of values with the same run, key and step the latest in time is kept; remarks count the others, and name keys with
    all values at step 0. The index counts rows from 1. The last result lists the logged NaNs (see RawTable).
    """
    points = points.sort_values("time", kind="stable")
    keys = ["run", "step", "key"]
    again = points.duplicated(keys, keep="last")
    told = []
    counts = points.groupby(["run", "key"])["step"].agg(["size", "max", "min"])
    unset = counts[(counts["size"] > 1) & (counts["max"] == 0) & (counts["min"] == 0)]
    if len(unset):
        run, key = unset.index[0]
        text = f"have all values at step 0, probably logged without a step, e.g. {key} of {run}"
        told.append(Remark("suspect", f"{len(unset)} metrics {text}", len(unset)))
    told += _axes(counts[counts["size"] > 1]) if pd.api.types.is_numeric_dtype(counts["max"].dtype) else []
    if again.any():
        count = int(again.sum())
        told.append(Remark("dropped", f"{count} values were logged again at their step; the latest is kept", count))
    order = list(dict.fromkeys(points["run"]))
    table = points[~again].pivot(index=["run", "step"], columns="key", values="value").reset_index()
    table.columns.name = None
    table = table.sort_values(["run", "step"], key=lambda c: c.map(order.index) if c.name == "run" else c)
    table = table.set_index(pd.RangeIndex(1, len(table) + 1))
    lost = points[~again & points["value"].isna()]
    at = pd.Series(table.index, index=pd.MultiIndex.from_frame(table[["run", "step"]]))
    nans = {
        str(key): at.loc[list(zip(part["run"], part["step"], strict=True))].tolist()
        for key, part in lost.groupby("key")
    }
    return table, told, nans


def _axes(counts: pd.DataFrame) -> list[Remark]:
    """A remark on metrics of one run that end at steps so different that these may not count the same."""
    for _, ends in counts["max"].groupby(level="run", sort=False):
        short = ends[ends * SHORT < ends.max()]
        if len(short):
            far = ends[ends * SHORT >= ends.max()]
            told = "; ".join(f"{key} at {end:g}" for part in (far, short) for (_, key), end in [*part.items()][:3])
            text = f"metrics end at very different steps, which may count different things, such as epochs: {told}"
            return [Remark("suspect", text, len(short))]
    return []
