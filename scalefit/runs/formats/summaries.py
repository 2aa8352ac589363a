"""Rows that are no runs and no steps: units below the header, a header that is repeated among the rows, means and
deviations below them.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.matching import canonical
from scalefit.runs.quantities import is_quantity
from scalefit.runs.wording import header_scale

MOST_NOTES = 50  #: rows of notes below a table
NO_UNIT = frozenset({"-", "–", "—", "1"})  #: of a column without a unit
POWER = re.compile(r"(?:1e[+-]?\d+|10(?:\^|\*\*)[+-]?\d+)", re.IGNORECASE)  #: a unit, where it is in brackets


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: words of units that need no factor
UNIT_WORDS = _set("nats nat token tokens per params parameters steps step flop flops loss ce hours") | {""}
SUMMARY = _set(
    "mean std avg average median min max sum total sd stdev stddev stderr sem var mean±std best worst count geomean"
)
OF_ALL = _set("of over the all overall runs rows loss value grand geometric standard deviation")  #: beside these


def with_units(raw: RawTable) -> RawTable | None:
    """The table whose first row holds units, such as (M), [1e6] or tokens, with these in the names of its columns."""
    frame = raw.frame
    first = (
        frame.iloc[0].map(lambda cell: "" if pd.isna(cell) else str(cell).strip()) if len(frame) > 1 else pd.Series()
    )
    units = {name: cell.strip("()[] ") for name, cell in first.items() if cell and cell not in NO_UNIT}
    bracketed = {name for name, cell in first.items() if cell[:1] in ("[", "(")}
    powers = {name for name, unit in units.items() if name in bracketed and POWER.fullmatch(unit)}
    scaled = [name for name, unit in units.items() if name in powers or header_scale(f"x ({unit})") != 1.0]
    plain = [unit for name, unit in units.items() if name not in powers]
    if not scaled or any(is_quantity(unit) or not _is_unit(unit) for unit in plain):
        return None
    kept = _as_numbers(frame.iloc[1:].copy(), list(frame.columns))
    kept = kept.rename(columns={name: f"{name} ({unit})" for name, unit in units.items()})
    shown = ", ".join(f"{name} ({units[name]})" for name in scaled)
    told = Remark("converted", f"the first row below the header holds units: {shown}")
    return replace(raw, frame=kept, remarks=(*raw.remarks, told))


def with_names_below(raw: RawTable) -> RawTable | None:
    """The table whose header names groups of columns, above a row of the names of these; None for any other."""
    frame = raw.frame
    above = [str(name) for name in frame.columns]
    below = [_text(cell) if pd.notna(cell) else "" for cell in frame.iloc[0]] if len(frame) > 1 else []
    names = [one if one else two for one, two in zip(below, above, strict=False)]
    known = sum(canonical(name) != name or name in COLUMNS for name in names)
    groups = sum(name.startswith("Unnamed: ") for name in above)
    if not groups or known < 2 or any(map(is_quantity, filter(None, below))) or len({*names}) < len(names):
        return None
    if any(canonical(name) in COLUMNS for name in above if name not in names):
        return None
    kept = _as_numbers(frame.iloc[1:].copy().set_axis(names, axis=1), names)
    told = Remark("dropped", f"the first row names the columns; above it stand groups of these: {above[0]}, ...")
    return replace(raw, frame=kept, remarks=(*raw.remarks, told), nans={}, unsure=True)


def _is_unit(text: str) -> bool:
    return header_scale(f"x ({text})") != 1.0 or set(re.split(r"[^a-z]+", text.lower())) <= UNIT_WORDS


def without_summaries(raw: RawTable) -> RawTable | None:
    """The table without repeated headers, and without rows of means and the like at its end; None if it has none."""
    frame = raw.frame
    names = [str(name) for name in frame.columns]
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    if not texts or len(frame) < 2 or not frame.index.is_unique:  # several rows of one line: no table as written
        return None
    again = pd.Series(len(texts) == len(names), index=frame.index)
    for name in texts if len(texts) == len(names) else ():
        again &= frame[name].map(_text) == name.strip()
    first = texts[0] == names[0]
    noted = frame.index.isin(notes_below(frame)) if first else again.to_numpy() & False
    last = frame.index.isin(_at_end(frame[texts[0]][~noted])) if first else noted
    gone = again.to_numpy() | last | noted
    if not gone.any() or gone.all():
        return None
    told = []
    if noted.any():
        text = f"{noted.sum()} rows at the end are notes: '{_text(frame[texts[0]][noted].iloc[0])[:60]}'"
        told.append(Remark("dropped", text, int(noted.sum())))
    if again.any():
        lines = f"first in row {frame.index[int(again.to_numpy().argmax())]}"
        told.append(Remark("dropped", f"{again.sum()} rows repeat the header ({lines})", int(again.sum())))
    if last.any():
        words = ", ".join(dict.fromkeys(frame[texts[0]][last].map(_text)))
        text = f"{last.sum()} rows at the end sum up the others ({words}, from row {frame.index[int(last.argmax())]})"
        told.append(Remark("dropped", text, int(last.sum())))
    kept = _as_numbers(frame[~gone].copy(), texts)
    part = np.cumsum(again)[~gone]
    if again.any() and (parts := _trainings(kept, part)) is not None:
        kept.insert(0, "run", [f"{raw.path.stem}, training {number}" for number in parts])
        text = f"the steps begin again below a repeated header: {parts[-1]} trainings in one log, each a run"
        told.append(Remark("named", text, int(parts[-1])))
    return replace(raw, frame=kept, remarks=(*raw.remarks, *told))


def _trainings(frame: pd.DataFrame, part: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The number of the training that each row belongs to, where steps begin again below a repeated header; else None.

    Steps that go on, or back to one that was logged before, are those of a job that was resumed.
    """
    meant = {canonical(str(name)): str(name) for name in reversed(frame.columns)}
    axis = next((meant[name] for name in ("step", "steps", "epoch") if name in meant), None)
    if axis is None or "run" in meant or frame[axis].dtype.kind not in "iuf" or frame[axis].isna().any():
        return None
    steps = frame[axis].to_numpy(dtype=float)
    firsts = [steps[part == number] for number in np.unique(part)]
    if any(len(steps) < 2 or (np.diff(steps) < 0).any() for steps in firsts):
        return None
    anew = [number for number, own in zip(np.unique(part)[1:], firsts[1:], strict=True) if own[0] <= firsts[0][1]]
    return 1 + np.searchsorted(anew, part, side="right") if anew else None


def _text(cell: object) -> str:
    return str(cell).strip()


def _as_numbers(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The frame with numbers in those of these columns that now hold nothing else."""
    for name in names:
        plain = pd.to_numeric(frame[name], errors="coerce")
        if frame[name].notna().any() and (plain.notna() == frame[name].notna()).all():
            frame[name] = plain
    return frame


def notes_below(frame: pd.DataFrame) -> list[object]:
    """The rows, from the last one up, that have words in their first cell and nothing else; none where all are.

    A single word is a note only below a column of numbers: elsewhere it may be the name of a run without a result.
    """
    numbered = frame.shape[1] > 1 and len(frame) > 0 and is_quantity(frame.iloc[0, 0])
    found, frame = list[object](), frame.tail(MOST_NOTES)
    empty = frame.iloc[:, 1:].isna().all(axis=1) if frame.shape[1] > 1 else pd.Series(False, index=frame.index)
    for row, cell in zip(frame.index[::-1], frame.iloc[::-1, 0], strict=True):
        words = _text(cell).lower()
        if empty[row] and pd.isna(cell):
            continue  # an empty line
        if not empty[row] or is_quantity(cell) or _sums_up(words) or not (numbered or " " in words):
            return found
        found.append(row)
    return []


def _sums_up(text: str) -> bool:
    """Whether a cell says that its row sums up others: `mean`, `Average of all`, `overall mean`, `std (loss)`.

    >>> [_sums_up(text) for text in ("mean", "Mean (all):", "average of all runs", "all", "best lr", "mean field")]
    [True, True, True, False, False, False]
    """
    words = set(re.findall(r"[^\s().:,]+", text.lower()))
    return bool(words & SUMMARY) and words <= SUMMARY | OF_ALL


def _at_end(first: pd.Series) -> list[object]:
    """The rows, from the last one up, whose first cell is a word of a summary; none where all are."""
    found = list[object]()
    for row, cell in zip(first.index[::-1], first[::-1], strict=True):
        if not _sums_up(_text(cell)):
            return found
        found.append(row)
    return []
