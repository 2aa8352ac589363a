"""The progress that Keras prints: a line `Epoch 3/10`, and below it the batches done, with the means of the epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from scalefit.runs.formats.log_rows import LogRows, Value, number, passed_over
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.formats.text_patterns import ANSI, NUMBER

NAMES = tuple(f"*{kind}{packed}" for kind in (".log", ".txt", ".out", ".stdout") for packed in ENDINGS)
EPOCH = re.compile(r"\s*Epoch (?P<epoch>\d+)/(?P<epochs>\d+)\s*")
BATCHES = re.compile(r"\s*(?P<done>\d+)/(?P<batches>\d+)\s.*?- \w*loss: ")
PAIR = re.compile(rf"- (?P<key>\w+): (?P<value>{NUMBER})(?=\s*(?:- |$))")
WAITING = "ETA: "  #: in a line that is drawn before the epoch has ended
LOOKED_AT = 2000  #: lines by which a file is known
FEWEST = 2  #: epochs of a log


def claims(path: Path) -> bool:
    """Whether below two lines such as `Epoch 3/10` stands one with batches done and a loss."""
    found = _epochs(_plain(lines(path, limit=LOOKED_AT)))
    return sum(bool(epoch.drawn) for epoch in found) >= FEWEST


def read(path: Path) -> RawTable:
    """Read the line that ends each epoch, the one with losses of an evaluation if there is such; the index is its line.

    The step is that of the last batch of the epoch. An epoch that did not end is left out, and what is printed by an
    evaluation after the last one.
    """
    texts = _plain(lines(path))
    found, taken, cut = LogRows(), set[int](), 0
    for epoch in _epochs(texts):
        taken |= {epoch.line, *(line for line, *_ in epoch.drawn)}
        chosen = _end(epoch)
        if chosen is None:
            cut += 1
            continue
        line, batches, values = chosen
        found.add({"epoch": epoch.number, "step": epoch.number * batches, **values}, line)
    told = [
        Remark("guessed", f"{len(found.rows)} epochs are in the format of Keras", len(found.rows)),
        Remark("derived", "step is the epoch times its batches", len(found.rows)),
        Remark("unknown", "loss is the mean over the batches of the epoch, printed with four decimals"),
    ]
    told += [Remark("dropped", f"{cut} epochs that did not end", cut)] if cut else []
    return found.table(path, [*told, *passed_over(texts, taken)])


@dataclass
class _Epoch:
    """An epoch: its number, its line, and of each line drawn below it (line, batches done, batches, text)."""

    number: int
    line: int
    drawn: list[tuple[int, int, int, str]] = field(default_factory=list)


def _plain(texts: list[str]) -> list[str]:
    """The lines without what moves the cursor."""
    return [ANSI.sub("", text.replace("\x08", "").rstrip("\r\n")) for text in texts]


def _epochs(texts: list[str]) -> list[_Epoch]:
    found = list[_Epoch]()
    for line, text in enumerate(texts, start=1):
        if (begun := EPOCH.fullmatch(text)) is not None:
            found.append(_Epoch(int(begun["epoch"]), line))
        elif found and (hit := BATCHES.match(text)) is not None:
            found[-1].drawn.append((line, int(hit["done"]), int(hit["batches"]), text))
    return found


def _end(epoch: _Epoch) -> tuple[int, int, dict[str, Value]] | None:
    """The line that ends an epoch, its batches and its values; None where it did not end."""
    batches = epoch.drawn[0][2] if epoch.drawn else 0
    ended = [(line, text) for line, done, of, text in epoch.drawn if done == of == batches]
    judged = [each for each in ended if "- val_" in each[1]]
    whole = [each for each in ended if WAITING not in each[1]]
    for line, text in (judged or whole or ended)[:1]:
        return line, batches, {hit["key"]: number(hit["value"]) for hit in PAIR.finditer(text)}
    return None
