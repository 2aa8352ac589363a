"""Rows that are no runs and no steps: a header that is repeated among the rows, means and deviations below them."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from scalefit.runs.formats.raw import RawTable, Remark

SUMMARY = frozenset(
    [
        "mean",
        "std",
        "avg",
        "average",
        "median",
        "min",
        "max",
        "sum",
        "total",
        "sd",
        "stdev",
        "stddev",
        "stderr",
        "sem",
        "var",
        "mean±std",
        "best",
        "worst",
    ]
)


def without_summaries(raw: RawTable) -> RawTable | None:
    """The table without repeated headers, and without rows of means and the like at its end; None if it has none."""
    frame = raw.frame
    names = [str(name) for name in frame.columns]
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    if not texts or len(frame) < 2:
        return None
    cells = {name: frame[name].map(lambda cell: str(cell).strip()) for name in texts}
    again = pd.Series(len(texts) == len(names), index=frame.index)
    for name in texts:
        again &= cells[name] == name.strip()
    last = frame.index.isin(_at_end(cells[texts[0]])) if texts[0] == names[0] else again.to_numpy() & False
    gone = again.to_numpy() | last
    if not gone.any() or gone.all():
        return None
    told = []
    if again.any():
        lines = f"first in row {frame.index[int(again.to_numpy().argmax())]}"
        told.append(Remark("dropped", f"{again.sum()} rows repeat the header ({lines})", int(again.sum())))
    if last.any():
        words = ", ".join(dict.fromkeys(cells[texts[0]][last]))
        text = f"{last.sum()} rows at the end sum up the others ({words}, from row {frame.index[int(last.argmax())]})"
        told.append(Remark("dropped", text, int(last.sum())))
    kept = frame[~gone].copy()
    for name in texts:
        plain = pd.to_numeric(kept[name], errors="coerce")
        if kept[name].notna().any() and (plain.notna() == kept[name].notna()).all():
            kept[name] = plain
    return replace(raw, frame=kept, remarks=(*raw.remarks, *told))


def _at_end(first: pd.Series) -> list[object]:
    """The rows, from the last one up, whose first cell is a word of a summary; none where all are."""
    found = list[object]()
    for row, cell in zip(first.index[::-1], first[::-1], strict=True):
        if cell.lower().rstrip(":.") not in SUMMARY:
            return found
        found.append(row)
    return []
