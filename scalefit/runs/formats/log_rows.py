"""The rows of a text log as they are found, line by line, and the table that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.splits import TELLING
from scalefit.runs.matching import canonical

Value = float | str
UNITS = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
SHOWN = 90  #: letters of a line in a message


@dataclass
class LogRows:
    """Rows as they are found: values of one place (step, else epoch) are joined until a column repeats with another
    value. With `parts`, the later value of a step replaces the earlier one."""

    parts: bool = False
    rows: list[dict[str, Value]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    joined: int = 0
    repeated: int = 0
    replaced: int = 0

    def add(self, values: dict[str, Value], line: int) -> None:
        """Add what a line says; `line` counts from 1."""
        last = self.rows[-1] if self.rows else None
        here = last is not None and place(values) is not None and place(last) == place(values)
        if last is None or not here:
            self.rows.append(values)
            self.lines.append(line)
        elif any(name in last and not _same(last[name], value) for name, value in values.items()):
            if self.parts and "val_loss" not in last:
                last.update(values)
                self.replaced += 1
            else:
                self.rows.append(values)
                self.lines.append(line)
        elif values.keys() <= last.keys():
            self.repeated += 1
        else:
            last.update(values)
            self.joined += 1

    def remarks(self) -> list[Remark]:
        """What was joined, and what was left out."""
        told = []
        if self.joined:
            told.append(Remark("joined", f"{self.joined} lines with the previous one of the same step", self.joined))
        if self.repeated:
            text = f"{self.repeated} lines that repeat the previous one (printed by several processes)"
            told.append(Remark("dropped", text, self.repeated))
        if self.replaced:
            text = f"{self.replaced} lines on parts of a step: the last line of the step counts"
            told.append(Remark("dropped", text, self.replaced))
        return told

    def table(self, path: Path, remarks: Iterable[Remark], single: bool = False) -> RawTable:
        """The table of the rows; several trainings, one after another, are runs of their own.

        ``single``: whether the columns of a training are never runs.
        """
        told = [*remarks]
        frame = pd.DataFrame(self.rows, index=pd.Index(self.lines))
        frame = _within_epochs(path, _through_epochs(path, _of_batches(path, frame), told), told)
        axis = next((name for name in ("step", "epoch") if name in frame.columns), None)
        if any(canonical(str(name)) in TELLING and frame[name].nunique() > 1 for name in frame.columns):
            axis = None  # results, or runs that their settings tell apart
        part = trainings(pd.to_numeric(frame[axis], errors="coerce").to_numpy()) if axis and "run" not in frame else [1]
        if part[-1] > 1:
            frame.insert(0, "run", [f"{path.stem}, training {number}" for number in part])
            text = f"the {axis}s begin again: {part[-1]} trainings in one log, each a run"
            told.append(Remark("named", text, int(part[-1])))
        alone = single and "run" not in frame
        return RawTable(path, frame, remarks=tuple(told), nans=nans_of(self.rows, self.lines), single=alone)


def place(values: dict[str, Value]) -> Value | None:
    """Where in a training a row stands: its step, else its epoch."""
    if "batch" in values and "epoch" in values:
        return f"{values['epoch']}, {values['batch']}"
    return values.get("step", values.get("epoch"))


def _of_batches(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Lines up to a batch of their epoch: the step in it, of as many as the epochs before the last one ended with.

    Raises InputError where these differ, or there is one epoch alone that begins late.
    """
    if not {"batch", "epoch"} <= set(frame.columns) or "step" in frame.columns:
        return frame
    ends = frame.groupby("epoch", sort=False)["batch"].max()
    each = ends.iloc[:-1] if len(ends) > 1 else ends
    if each.nunique() > 1 or ends.iloc[-1] > each.iloc[0]:
        what = "the epochs of the log have different numbers of batches, so that no step follows"
        raise InputError(what, where=str(path), todo="print the step of the whole run, and give that")
    return frame.rename(columns={"batch": "step"}).assign(steps=int(each.iloc[0]))


def trainings(axis: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number, from 1, of the training that each row belongs to: one begins where the first step comes again.

    A log that goes back to a later step than its first is a restart, and one training.

    >>> trainings(np.array([0, 10, 20, 0, 10, 20])).tolist(), trainings(np.array([0, 10, 20, 10, 20])).tolist()
    ([1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 1])
    """
    begins = (axis[1:] <= axis[0]) & (axis[:-1] > axis[0])
    return np.cumsum(np.r_[1, begins]).astype(np.int64)


def _through_epochs(path: Path, frame: pd.DataFrame, told: list[Remark]) -> pd.DataFrame:
    """Steps that begin again in each epoch, counted through where the log says how many an epoch has."""
    if not {"step", "epoch"} <= set(frame.columns) or frame[["step", "epoch"]].isna().any(axis=None):
        return frame
    step, epoch = frame["step"].to_numpy(dtype=float), frame["epoch"].to_numpy(dtype=float)
    again = (np.diff(step) <= 0) & (np.diff(epoch) > 0)
    if not again.any() or (np.diff(step)[~again] < 0).any():
        return frame
    each = frame["steps"].dropna().unique().tolist() if "steps" in frame.columns else list[float]()
    if len(each) != 1:
        what = "the steps begin again in each epoch, and the log does not say how many steps an epoch has"
        raise InputError(what, where=str(path), todo="print the step of the whole run, and give that")
    through = (epoch - min(1.0, epoch[0])) * float(each[0]) + step
    text = f"steps begin again in each epoch: counted through, with {each[0]:g} steps an epoch"
    told.append(Remark("derived", text, int(again.sum())))
    return frame.assign(step=through.astype(np.int64)).drop(columns="steps")


def _within_epochs(path: Path, frame: pd.DataFrame, told: list[Remark]) -> pd.DataFrame:
    """Rows of one epoch, each with the samples seen of those in an epoch: the epoch with its part that is done.

    Raises InputError where rows of one epoch differ, and the log does not say where in the epoch they stand.
    """
    if "step" in frame.columns or "epoch" not in frame.columns or frame["epoch"].isna().any():
        return frame
    epoch = frame["epoch"].to_numpy(dtype=float)
    if {"samples", "of_samples"} <= set(frame.columns):
        part = frame["samples"].to_numpy(dtype=float) / frame["of_samples"].to_numpy(dtype=float)
        text = "the epoch of each line is that of its samples, of those in an epoch"
        told.append(Remark("derived", text, len(frame)))
        return frame.assign(epoch=epoch - min(1.0, epoch[0]) + part).drop(columns=["samples", "of_samples"])
    if "run" not in frame.columns and (np.diff(epoch) == 0).any():
        what = "several lines of one epoch have different losses, and the log does not say at which step"
        raise InputError(what, where=f"{path}, row {frame.index[int(np.argmax(np.diff(epoch) == 0)) + 1]}",
                         todo="print the step of the whole run, and give that")  # fmt: skip
    return frame


def passed_over(texts: list[str], taken: Iterable[int]) -> list[Remark]:
    """A remark on the lines that were not read, with the first of them (one that names a loss, if there is such)."""
    known = set(taken)
    other = [text for number, text in enumerate(texts, start=1) if text.strip() and number not in known]
    if not other:
        return []
    first = next((text for text in other if "loss" in text.lower()), other[0])
    return [Remark("dropped", f"{len(other)} other lines, such as '{shortened(first)}'", len(other))]


def shortened(text: str) -> str:
    """A line for a message: one blank between words, no control characters, not too long.

    >>> shortened(" a  \\x1b line ")
    'a line'
    """
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain if len(plain) <= SHOWN else plain[:SHOWN] + "…"


def number(text: str) -> float:
    """A printed number: commas between thousands, a unit at its end (4.19M).

    >>> number("1,024"), number("4.19M"), number("1.05e+03M"), number("2e-3")
    (1024, 4190000.0, 1050000000.0, 0.002)
    """
    unit = UNITS.get(text[-1:].lower(), 1.0)
    plain = (text[:-1] if text[-1:].lower() in UNITS else text).replace(",", "")
    if unit != 1.0:  # read as one decimal number
        mantissa, _, power = plain.lower().partition("e")
        return float(f"{mantissa}e{int(power or 0) + round(np.log10(unit))}")
    value = float(plain)
    return int(value) if value.is_integer() and not any(mark in plain for mark in ".eE") else value


def _same(one: Value, other: Value) -> bool:
    return one == other or (one != one and other != other)
