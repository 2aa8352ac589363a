"""Objects, one a line, in a log or a text file: JSON, or the dictionaries that the Hugging Face Trainer prints."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalefit.runs.formats.huggingface import zeros_of_lost_losses
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.log_rows import passed_over
from scalefit.runs.formats.places_of_records import PLACES, placed
from scalefit.runs.formats.raw import BEYOND, RawTable, Remark, nans_of
from scalefit.runs.formats.text import ENDINGS, flattened, lines, parsed
from scalefit.runs.formats.text_patterns import ANSI

NAMES = tuple(f"*{kind}{packed}" for kind in (".txt", ".log", ".out", ".stdout") for packed in ENDINGS)
OBJECT = re.compile(r"\{.*\}")
NAN, INF = (re.compile(rf"(?<=[:\s-]){word}(?=[,}}\s])") for word in ("nan", "inf"))  #: as Python prints them
QUOTED = re.compile(
    r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?inf", re.IGNORECASE
)  #: a number printed in quotes
LOSS = re.compile(r"(^|[^a-z])(loss|nll|ppl|perplexity)([^a-z]|$)")
FEWEST = 2  #: lines that make a file one of objects
LONGEST = 100_000  #: letters of a line that is tried
SUMMARY = ("train_runtime", "eval_runtime")  #: keys of records that sum up a training or time an evaluation
COUNTERS = PLACES | {"num_input_tokens_seen", "total_flos", "percentage", "elapsed_time", "remaining_time"}
FEWEST_DIGITS = 4  #: with which two prints of one number agree at least


def claims(path: Path) -> bool:
    """Whether two of the first hundred lines are objects of numbers, and most of the filled ones are; or, anywhere,
    two lines end in an object with a loss and its step or epoch."""
    head = [text for text in lines(path, limit=100) if text.strip()]
    found = [record for record in map(_record, head) if record]
    if len(found) >= FEWEST and 2 * len(found) >= len(head):
        return True
    told = 0
    for text in lines(path):
        told += "{" in text and "loss" in text and _logged(_record(text)) is not None
        if told >= FEWEST:
            return True
    return False


def read(path: Path) -> RawTable:
    """Read every line that is (or ends in) an object; the index is its line. Other lines are counted in a remark.

    The record that closes a training (`train_runtime`) holds the mean loss of the whole run and is left out. Records
    without a step get one as far as the log tells it (`places_of_records`).
    """
    texts = [ANSI.sub("", line.rstrip("\r\n")) for line in lines(path)]
    found = _Found()
    for number, text in enumerate(texts, start=1):
        record = _record(text)
        if record is not None and (text.lstrip().startswith("{") or SUMMARY[0] in record or _logged(record)):
            found.add(record, number)
    told = placed(path, texts, found.records, found.numbers, found.part, found.ends)
    frame, lists = framed(found.records, found.numbers)
    nans = nans_of(found.records, found.numbers)
    told += [*zeros_of_lost_losses(frame, nans), *lists, *found.remarks(), *passed_over(texts, found.taken)]
    if len(set(found.part)) > 1 and "run" not in frame.columns:
        frame.insert(0, "run", [f"{path.stem}, training {part}" for part in found.part])
        count = len(set(found.part))
        told.append(
            Remark("named", f"a closing record ends each of {count} trainings in the log: each is a run", count)
        )
    return RawTable(path, frame, remarks=tuple(told), nans=nans)


@dataclass
class _Found:
    """The records with their lines and the number of their training, from 1; and what was done with others."""

    records: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    part: list[int] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)  #: the epochs of closing records
    taken: list[int] = field(default_factory=list)
    closings: int = 0
    again: int = 0
    joined: int = 0

    def add(self, record: dict[str, Any], number: int) -> None:
        """Add a record: a new one, the last one once more, or the evaluation beside it."""
        self.taken.append(number)
        last = self.records[-1] if self.records and self.part[-1] == self.closings + 1 else None
        plain = {key: value for key, value in record.items() if key not in SUMMARY}
        if SUMMARY[0] in record:
            self.closings += 1
            self.ends.append(record["epoch"] if isinstance(record.get("epoch"), int | float) else float("nan"))
        elif last is not None and _printed_again(last, plain):
            last |= {key: value for key, value in plain.items() if len(repr(value)) > len(repr(last.get(key, "")))}
            self.again += 1
        elif last is not None and _beside(last, plain):
            last |= plain
            self.joined += 1
        else:
            self.records.append(plain)
            self.numbers.append(number)
            self.part.append(self.closings + 1)

    def remarks(self) -> list[Remark]:
        """What was joined, and what was left out."""
        told = []
        if self.joined:
            told.append(Remark("joined", f"{self.joined} records with the previous one of the same epoch", self.joined))
        if self.again:
            told.append(Remark("dropped", f"{self.again} records that were printed twice", self.again))
        if self.closings:
            text = "the closing record: its train_loss is the mean of the whole run"
            told.append(Remark("dropped", text, self.closings))
        return told


def _record(text: str) -> dict[str, Any] | None:
    """The object in which a line ends, nested ones as `outer/inner`; None where it holds none."""
    start = text.find("{")
    text = text[start:].strip() if start >= 0 else ""
    if not OBJECT.fullmatch(text) or len(text) > LONGEST:
        return None
    try:
        found = parsed(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(INF.sub("1e999", NAN.sub("'NaN'", text)))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        return None
    return {key: _plain(key, value) for key, value in flattened(found).items()}


def _plain(key: str, value: Any) -> Any:
    """A value as a number where it is one in quotes (not in names, such as those of runs)."""
    if isinstance(value, int) and abs(value) >= BEYOND:
        return float("inf") if value > 0 else float("-inf")
    if not isinstance(value, str):
        return value
    if value.lower() == "nan":
        return float("nan")
    return float(value) if QUOTED.fullmatch(value) and not {"run", "name", "id"} & {*re.split(r"\W|_", key)} else value


def _logged(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """The record, where it holds a loss and its place in the training."""
    known = record or {}
    has = any(LOSS.search(key.lower()) for key in known) and bool(PLACES & known.keys())
    return record if has else None


def _printed_again(last: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether a record is the last one once more, as another part of the program rounds it."""
    both = [key for key in record if key in last]
    return "epoch" in both and any(LOSS.search(key) for key in both) and all(_close(last[k], record[k]) for k in both)


def _close(one: Any, other: Any) -> bool:
    if one == other or (one != one and other != other):
        return True
    if not all(isinstance(value, int | float) for value in (one, other)):
        return False
    digits = max(min(len(re.sub(r"e.*|\D", "", repr(value)).strip("0")) for value in (one, other)), FEWEST_DIGITS)
    return float(f"{one:.{digits - 1}e}") == float(f"{other:.{digits - 1}e}")


def _beside(last: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether a record holds other values of the epoch of the last one, as an evaluation does."""
    both = last.keys() & record.keys()
    return "epoch" in both and not both - COUNTERS and all(last[key] == record[key] for key in both)
