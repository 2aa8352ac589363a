"""What trainers print to the console or a log file, by the table of expressions in `text_patterns`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from scalefit.errors import InputError, listed
from scalefit.runs.formats import delimited
from scalefit.runs.formats.log_rows import LogRows, Value, number, passed_over, shortened
from scalefit.runs.formats.processes import lines_of_one_process
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.formats.text_hints import hint
from scalefit.runs.formats.text_patterns import (
    ANSI,
    BLOCK_NAMES,
    BOOSTING,
    FEWEST_PLAIN,
    FORMATS,
    PLAIN,
    RATE_LINE,
    ROUGH,
    WITHOUT_RATE,
    TextFormat,
    name_of_loss,
)
from scalefit.runs.formats.within_text import table_within
from scalefit.runs.matching import canonical

NAMES = tuple(f"*{kind}{packed}" for kind in (".log", ".txt", ".out", ".stdout") for packed in ENDINGS)
LONGEST = 20_000  #: letters of a line that is tried
PLACES = {"step", "steps", "iteration", "epoch", "epochs", "samples", "of_samples"}  #: groups that measure nothing
BEST = re.compile(r"\bbest iteration is:?$", re.IGNORECASE)  #: above a line of a round that was printed before
DIGITS = re.compile(r"\d+(?:\.\d+)?")
OF_GROUP, TOO_FEW = "lr-", "rates of few digits"  #: a learning rate as composer names it; what marks its row
FEWEST_CUT = 3  #: lines that must be cut at one width to be joined again


def read(path: Path) -> RawTable:
    """Read the lines in the format of the trainer that fits most lines; the index is the line of a row's first value.

    A file without such lines is read as a table. Raises InputError if it is not a table either.
    """
    texts = [ANSI.sub("", line.rstrip("\r\n")) for line in lines(path)]
    texts = [text.rstrip() if len(text) <= LONGEST else "" for text in texts]
    best, counts = _best(texts)
    whole = _joined_again(texts) if not counts[best.name] else texts
    if whole != texts:
        best, counts = _best(whole)
    if not counts[best.name]:
        return _as_table(path, texts)
    cut = whole != texts
    texts, ranks = lines_of_one_process(whole, lambda text: _step_in(best, text))
    found, taken, told = _rows(texts, best)
    if counts[PLAIN.name] >= counts[best.name] and not any("lr" in row for row in found.rows):
        plain = _rows(texts, PLAIN)  # a trainer of one's own may print as another does, and the rate besides
        if any("lr" in row for row in plain[0].rows) or not found.rows:
            best, (found, taken, told) = PLAIN, plain
    if not found.rows:
        return _as_table(path, texts)
    told += [Remark("joined", "lines that a terminal cut, with the rest below them")] if cut else []
    told = [*_about_format(best, counts), *ranks, *told, *found.remarks(), *_about_rows(best, found, texts)]
    return found.table(path, [*told, *passed_over(texts, taken)], single=best in BOOSTING)


def _about_format(best: TextFormat, counts: dict[str, int]) -> list[Remark]:
    """Which format was read, and which others there are."""
    count = counts[best.name]
    told = [Remark("guessed", f"{count} lines are in the format of {best.name}", count)]
    others = [f"{counts[style.name]} of {style.name}" for style in FORMATS if counts[style.name] and style is not best]
    if others and best is not PLAIN:
        told.append(Remark("dropped", f"lines in the format of another trainer: {', '.join(others)}", len(others)))
    return told


def _about_rows(best: TextFormat, found: LogRows, texts: list[str]) -> list[Remark]:
    """What is known about the numbers of the format, and rows that have no loss because their lines are cut."""
    with_rate = any(canonical(name) == "lr" for row in found.rows for name in row)
    told = [Remark(kind, text) for kind, text in best.about if not with_rate or (kind, text) not in WITHOUT_RATE]
    if best.end and not any("loss" in row for row in found.rows):
        count, first = len(found.rows), shortened(texts[found.lines[0] - 1])
        text = f"{count} lines give a step and no loss, such as '{first}': they are cut, or the trainer printed none"
        told.append(Remark("suspect", text, count))
    return told


def _best(texts: list[str]) -> tuple[TextFormat, dict[str, int]]:
    """The format of the most lines, and how many lines have each."""
    counts = {style.name: sum(_is_row(style, text) for text in texts) for style in FORMATS}
    best = max(FORMATS, key=lambda style: counts[style.name])
    counts[PLAIN.name] = sum(_is_row(PLAIN, text) for text in texts if "loss" in text.lower())
    if counts[PLAIN.name] >= FEWEST_PLAIN and counts[PLAIN.name] > 2 * counts[best.name]:
        best = PLAIN
    return best, counts


def _joined_again(texts: list[str]) -> list[str]:
    """The lines, each that fills the width of a terminal with the rest that stands below it (which becomes empty).

    They stay as they are where such a rest, with other numbers, stands alone as well: then it is a line of its own.
    """
    width, found, rests = max((len(text) for text in texts), default=0), [*texts], set[int]()
    for at in range(len(texts) - 1, 0, -1):
        if len(texts[at - 1]) in (width - 1, width):
            found[at - 1], found[at] = texts[at - 1].ljust(width) + found[at], ""
            rests.add(at)
    shapes = {DIGITS.sub("0", texts[at]) for at in rests} - {""}
    alone = any(DIGITS.sub("0", text) in shapes for at, text in enumerate(texts) if at not in rests)
    return texts if alone else found


def _is_row(style: TextFormat, text: str) -> bool:
    return any(row.search(text) for row in style.rows)


def _step_in(style: TextFormat, text: str) -> str | None:
    """The step that a line of this format prints; None for another line."""
    hit = next((hit for row in style.rows if (hit := row.search(text))), None)
    return hit.groupdict().get("step") if hit else None


def _rows(texts: list[str], style: TextFormat) -> tuple[LogRows, set[int], list[Remark]]:
    """The rows of a format, the lines that they took, and remarks."""
    found, taken, told, last = LogRows(style.parts), set[int](), list[Remark](), None
    width = _cut_at(texts, style)
    if width:
        told.append(Remark("joined", f"lines that a terminal cut after {width} letters, with the rest below them"))
    for at, text in enumerate(texts):
        if style is PLAIN and "loss" not in text.lower() and not RATE_LINE.search(text):
            continue
        match = next((hit for row in style.rows if (hit := row.search(text))), None)
        if not match or (style in BOOSTING and at and BEST.search(texts[at - 1])):
            continue
        used = {at + 1}
        if width:
            text, used = _whole(texts, at, width, style)
            match = next((hit for row in style.rows if (hit := row.search(text))), match)
        values: dict[str, Value] = {name: number(value) for name, value in match.groupdict().items() if value}
        parts: Iterable[str] = [text]
        if style.block and style.pairs:
            parts = [*takewhile(style.pairs.match, (texts[below] for below in range(at + 1, len(texts))))]
            used |= set(range(at + 2, at + 2 + len(parts)))
        _add_pairs(values, style, parts)
        if style.stale in values and values[style.stale] == last:
            del values[style.stale]
        last = values.get(style.stale, last)
        if _placed(values, found) and values.keys() - PLACES:
            found.add(values, at + 1)
            taken |= used
    _drop_rough(found)
    return found, taken, told


def _drop_rough(found: LogRows) -> None:
    """Leave out learning rates of composer where some are printed with too few digits."""
    rough = any(row.pop(TOO_FEW, None) for row in [*found.rows])
    for row in found.rows if rough else []:
        for name in [name for name in row if name.startswith(OF_GROUP) or name == TOO_FEW]:
            del row[name]


def _add_pairs(values: dict[str, Value], style: TextFormat, parts: Iterable[str]) -> None:
    """Add the keys and values of the lines to a row."""
    found = [(text, hit) for text in parts for hit in style.pairs.finditer(text)] if style.pairs else []
    total = any(hit["key"].strip().lower() == "loss" for _, hit in found)
    for text, hit in found:
        key = hit["key"].strip()
        plain = key.lower().replace("_", " ").replace("/", " ")
        name = style.keep.get(key, style.keep.get(plain)) if style.keep else BLOCK_NAMES.get(key, key)
        if style is PLAIN and "loss" in plain:
            name = name_of_loss(key, text[: hit.start()]) + " (bits)" * bool(hit["unit"])
            if name == "loss" and plain != "loss" and total:  # the part of it that it is, such as lm_loss
                name = "_".join(plain.split())
        if name and not (name == "epoch" and "epoch" in values):
            values[name] = number(hit["value"])
            if name.startswith(OF_GROUP) and ROUGH.fullmatch(hit["value"]):
                values[TOO_FEW] = 1


def _placed(values: dict[str, Value], found: LogRows) -> bool:
    """Give a row without a step that of the batch that it names, or of the row before it; whether it has a place."""
    last = found.rows[-1] if found.rows else {}
    if "step" in values:
        return True
    if "batch" in values and "epoch" in values:  # the last batch of a line, in its epoch
        return True
    if "time/batch" in values:
        values["step"] = float(values["time/batch"]) + 1  # the batches before this one
    elif "step" in last:
        values["step"] = last["step"]
        if "loss" in values:  # the mean of an epoch, among the losses of steps
            values["epoch_loss"] = values.pop("loss")
    return bool({"step", "epoch"} & values.keys())


def _cut_at(texts: list[str], style: TextFormat) -> int:
    """The width at which a terminal cut the lines of this format; 0 where it did not."""
    if style.block:
        return 0
    rows = [at for at, text in enumerate(texts) if _is_row(style, text)]
    width = max((len(text) for text in texts), default=0)
    cut = [at for at in rows if at + 1 < len(texts) and _goes_on(texts, at, width, style)]
    return width if len(cut) >= FEWEST_CUT and 5 * len(cut) >= 4 * len(rows) else 0


def _goes_on(texts: list[str], at: int, width: int, style: TextFormat, inside: bool = False) -> bool:
    """Whether a line fills the width, or lacks the mark that ends every line (blanks at its end may be lost), and the
    next one may be its rest; ``inside`` a line that was cut between words, a part may end in that mark."""
    if not texts[at + 1].strip() or _is_row(style, texts[at + 1]):
        return False
    if style.end:
        return (inside or not texts[at].endswith(style.end)) and style.end in texts[at + 1]
    return width - 2 <= len(texts[at]) <= width


def _whole(texts: list[str], at: int, width: int, style: TextFormat) -> tuple[str, set[int]]:
    """A line with what a terminal moved to the lines below it, and their numbers from 1."""
    text, used, here = texts[at], {at + 1}, at
    while here + 1 < len(texts) and _goes_on(texts, here, width, style, here > at):
        here += 1
        text = text.ljust(width * len(used)) + texts[here]
        used.add(here + 1)
    return text, used


def _as_table(path: Path, texts: list[str]) -> RawTable:
    """The table within the text, or the file as a table of cells with a separator.

    Raises InputError if it is none, or holds no number.
    """
    within = table_within(path, texts)
    if within is not None:
        return within
    known = listed([style.name for style in FORMATS], len(FORMATS))
    what = "no line is in the format of a known trainer, and the file is not a table"
    todo = f"known: {known}; or say how a line is written: --pattern 'step {{step}} .* loss {{loss}}', or write a CSV"
    refusal = InputError(what, where=str(path), todo=todo)
    looks = hint(texts, path.suffix)
    if looks:
        what, todo = looks
        raise InputError(what, where=str(path), todo=todo)
    try:
        raw = delimited.read(path)
    except InputError as error:
        raise refusal from error
    numeric = [name for name in raw.frame.columns if raw.frame[name].dtype.kind in "iuf" and raw.frame[name].count()]
    if len(raw.frame.columns) < 2 or not numeric:
        raise refusal
    return raw
