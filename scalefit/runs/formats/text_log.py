"""What trainers print to the console or a log file, by the table of expressions in `text_patterns`."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.formats import delimited
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.formats.text_patterns import ANSI, BLOCK_NAMES, FEWEST_PLAIN, FORMATS, PLAIN, TextFormat

NAMES = tuple(f"*{kind}{packed}" for kind in (".log", ".txt", ".out", ".stdout") for packed in ENDINGS)


@dataclass
class _Rows:
    """Rows as they are found: values of one step are joined until a column repeats with another value."""

    rows: list[dict[str, float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    joined: int = 0
    repeated: int = 0

    def add(self, values: dict[str, float], line: int) -> None:
        last = self.rows[-1] if self.rows and self.rows[-1]["step"] == values["step"] else None
        if last is None or any(name in last and not _same(last[name], value) for name, value in values.items()):
            self.rows.append(values)
            self.lines.append(line)
        elif values.keys() <= last.keys():
            self.repeated += 1
        else:
            last.update(values)
            self.joined += 1


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def read(path: Path) -> RawTable:
    """Read the lines in the format of the trainer that fits most lines; the index is the line of a row's first value.

    A file without such lines is read as a table. Raises InputError if it is not a table either.
    """
    texts = [ANSI.sub("", line.rstrip()) for line in lines(path)]
    counts = {style.name: sum(any(row.search(text) for row in style.rows) for text in texts) for style in FORMATS}
    best = max(FORMATS, key=lambda style: counts[style.name])
    counts[PLAIN.name] = sum(bool(PLAIN.rows[0].search(text)) for text in texts)
    if counts[PLAIN.name] >= FEWEST_PLAIN and counts[PLAIN.name] > 2 * counts[best.name]:
        best = PLAIN
    if not counts[best.name]:
        return _as_table(path)
    found = _rows(texts, best)
    if counts[PLAIN.name] >= counts[best.name] and not any("lr" in row for row in found.rows):
        plain = _rows(texts, PLAIN)  # a trainer of one's own may print as another does, and the rate besides
        best, found = (PLAIN, plain) if any("lr" in row for row in plain.rows) else (best, found)
    count = counts[best.name]
    told = [Remark("guessed", f"{count} lines are in the format of {best.name}", count)]
    others = [
        f"{counts[style.name]} of {style.name}"
        for style in FORMATS
        if counts[style.name] and best not in (style, PLAIN)
    ]
    if others:
        told.append(Remark("dropped", f"lines in the format of another trainer: {', '.join(others)}", len(others)))
    if found.joined:
        told.append(Remark("joined", f"{found.joined} lines with the previous one of the same step", found.joined))
    if found.repeated:
        text = f"{found.repeated} lines that repeat the previous one (printed by several processes)"
        told.append(Remark("dropped", text, found.repeated))
    told += [Remark(kind, text) for kind, text in best.about]
    frame = pd.DataFrame(found.rows, index=pd.Index(found.lines))
    part = _trainings(frame["step"].to_numpy())
    if part[-1] > 1:
        frame.insert(0, "run", [f"{path.stem}, training {number}" for number in part])
        text = f"the steps begin again: {part[-1]} trainings in one log, each a run"
        told.append(Remark("named", text, int(part[-1])))
    if "lr" in frame.columns:
        told = [remark for remark in told if "learning rate is not printed" not in remark.text]
    return RawTable(path, frame, remarks=tuple(told), nans=nans_of(found.rows, found.lines))


def _trainings(step: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number, from 1, of the training that each row belongs to: one begins where the first step comes again.

    A log that goes back to a later step than its first is a restart, and one training.

    >>> _trainings(np.array([0, 10, 20, 0, 10, 20])).tolist(), _trainings(np.array([0, 10, 20, 10, 20])).tolist()
    ([1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 1])
    """
    begins = (step[1:] <= step[0]) & (step[:-1] > step[0])
    return np.cumsum(np.r_[1, begins]).astype(np.int64)


def _rows(texts: list[str], style: TextFormat) -> _Rows:
    found = _Rows()
    for number, text in enumerate(texts):
        match = next((hit for row in style.rows if (hit := row.search(text))), None)
        if not match:
            continue
        values = {name: _number(value) for name, value in match.groupdict().items() if value is not None}
        pairs = style.pairs
        below = (texts[later] for later in range(number + 1, len(texts)))
        parts = takewhile(pairs.match, below) if pairs and style.block else [text]
        for hit in (hit for part in parts for hit in pairs.finditer(part)) if pairs else ():
            key = hit["key"].strip()
            plain = key.lower().replace("_", " ").replace("/", " ")
            name = style.keep.get(key, style.keep.get(plain)) if style.keep else BLOCK_NAMES.get(key, key)
            if name:
                values[name] = _number(hit["value"])
        if values.keys() - {"step", "steps", "iteration"}:
            found.add(values, number + 1)
    return found


def _number(text: str) -> float:
    value = float(text.replace(",", ""))
    return int(value) if value.is_integer() and not any(mark in text for mark in ".eE") else value


def _as_table(path: Path) -> RawTable:
    what = "no line is in the format of a known trainer, and the file is not a table"
    refusal = InputError(
        what, where=str(path), todo=f"known: {', '.join(style.name for style in FORMATS)}; or write a CSV"
    )
    try:
        raw = delimited.read(path)
    except InputError as error:
        raise refusal from error
    if len(raw.frame.columns) < 2:
        raise refusal
    return raw
