"""Rows that are no runs and no steps: units below the header, a header that is repeated among the rows, means and
deviations below them.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.quantities import is_quantity
from scalefit.runs.wording import header_scale

MOST_NOTES = 50  #: rows of notes below a table
NO_UNIT = frozenset({"-", "–", "—", "1"})  #: of a column without a unit
#: words of units that need no factor
UNIT_WORDS = frozenset(
    [
        "nats",
        "nat",
        "token",
        "tokens",
        "per",
        "params",
        "parameters",
        "steps",
        "step",
        "flop",
        "flops",
        "loss",
        "ce",
        "hours",
        "",
    ]
)
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


def with_units(raw: RawTable) -> RawTable | None:
    """The table whose first row holds units, such as (M) or tokens, with these in the names of its columns."""
    frame = raw.frame
    first = (
        frame.iloc[0].map(lambda cell: "" if pd.isna(cell) else str(cell).strip()) if len(frame) > 1 else pd.Series()
    )
    units = {name: cell.strip("()[] ") for name, cell in first.items() if cell and cell not in NO_UNIT}
    scaled = [name for name, unit in units.items() if header_scale(f"x ({unit})") != 1.0]
    if not scaled or any(is_quantity(unit) or not _is_unit(unit) for unit in units.values()):
        return None
    kept = _as_numbers(frame.iloc[1:].copy(), list(frame.columns))
    kept = kept.rename(columns={name: f"{name} ({unit})" for name, unit in units.items()})
    shown = ", ".join(f"{name} ({units[name]})" for name in scaled)
    told = Remark("converted", f"the first row below the header holds units: {shown}")
    return replace(raw, frame=kept, remarks=(*raw.remarks, told))


def _is_unit(text: str) -> bool:
    return header_scale(f"x ({text})") != 1.0 or set(re.split(r"[^a-z]+", text.lower())) <= UNIT_WORDS


def without_summaries(raw: RawTable) -> RawTable | None:
    """The table without repeated headers, and without rows of means and the like at its end; None if it has none."""
    frame = raw.frame
    names = [str(name) for name in frame.columns]
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    if not texts or len(frame) < 2 or not frame.index.is_unique:  # several rows of one line: no table as written
        return None
    first, whole = texts[0] == names[0], len(texts) == len(names)
    if not first and not whole:
        return None
    cells = {
        name: pd.Series([str(cell).strip() for cell in frame[name].tolist()], index=frame.index, dtype=object)
        for name in (texts if whole else texts[:1])
    }
    again = pd.Series(whole, index=frame.index)
    for name, column in cells.items():
        again &= whole and column == name.strip()
    noted = frame.index.isin(_notes(frame)) if first else again.to_numpy() & False
    last = frame.index.isin(_at_end(cells[texts[0]][~noted])) if first else noted
    gone = again.to_numpy() | last | noted
    if not gone.any() or gone.all():
        return None
    told = []
    if noted.any():
        text = f"{noted.sum()} rows at the end are notes: '{cells[texts[0]][noted].iloc[0][:60]}'"
        told.append(Remark("dropped", text, int(noted.sum())))
    if again.any():
        lines = f"first in row {frame.index[int(again.to_numpy().argmax())]}"
        told.append(Remark("dropped", f"{again.sum()} rows repeat the header ({lines})", int(again.sum())))
    if last.any():
        words = ", ".join(dict.fromkeys(cells[texts[0]][last]))
        text = f"{last.sum()} rows at the end sum up the others ({words}, from row {frame.index[int(last.argmax())]})"
        told.append(Remark("dropped", text, int(last.sum())))
    return replace(raw, frame=_as_numbers(frame[~gone].copy(), texts), remarks=(*raw.remarks, *told))


def _as_numbers(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The frame with numbers in those of these columns that now hold nothing else."""
    for name in names:
        plain = pd.to_numeric(frame[name], errors="coerce")
        if frame[name].notna().any() and (plain.notna() == frame[name].notna()).all():
            frame[name] = plain
    return frame


def _notes(frame: pd.DataFrame) -> list[object]:
    """The rows, from the last one up, that have words in their first cell and nothing else; none where all are."""
    found, frame = list[object](), frame.tail(MOST_NOTES)
    for row, cell in zip(frame.index[::-1], frame.iloc[:, 0].tolist()[::-1], strict=True):
        words = str(cell).strip().lower().rstrip(":.")
        if pd.isna(cell) or " " not in words or words in SUMMARY or is_quantity(cell):
            return found
        if frame.shape[1] < 2 or not frame.loc[row].iloc[1:].isna().all():
            return found
        found.append(row)
    return []


def _at_end(first: pd.Series) -> list[object]:
    """The rows, from the last one up, whose first cell is a word of a summary; none where all are."""
    found = list[object]()
    for row, cell in zip(first.index[::-1], first[::-1], strict=True):
        if cell.lower().rstrip(":.") not in SUMMARY:
            return found
        found.append(row)
    return []
