"""Logs of fairseq, in its simple and its JSON format: losses are printed in bits, and become nats."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from scalefit.runs.formats.log_rows import LogRows, Value, number, passed_over
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines, parsed
from scalefit.runs.formats.text_patterns import ANSI, NUMBER

NAMES = tuple(f"*{kind}{packed}" for kind in (".log", ".txt", ".out", ".stdout") for packed in ENDINGS)
FEWEST = 2
INNER = re.compile(r"(?:^|\|) *epoch +\d+: +\d+ */ *\d+ (?=.*\bnum_updates=)")  #: within an epoch
ENDED = re.compile(r"(?:^|\|) *epoch +\d+ \|(?=.*\| *num_updates +\d)")  #: the end of an epoch, or an evaluation
VALID = re.compile(r"\bvalid\b[^|]*\| *epoch|\bvalid on '")
JSON = re.compile(r"\| *(?P<part>train_inner|train|valid\w*) *\| *(?P<object>\{.*\})\s*$")
PAIRS = re.compile(rf"(?:^|[\s,|])(?P<key>[a-z_]\w*)(?:=| +)(?P<value>{NUMBER})(?=\s*(?:,|\||$))")
KEPT = ("loss", "nll_loss", "ppl", "lr", "gnorm")
LOSSES = ("loss", "nll_loss", "val_loss", "val_nll_loss", "epoch_loss", "epoch_nll_loss")
AGREES = 0.02  #: log ratio within which a perplexity belongs to a loss, beside what rounding does


def claims(path: Path) -> bool:
    """Whether two lines are those of a training or an evaluation by fairseq."""
    found = 0
    for text in lines(path):
        found += "num_updates" in text and _row(ANSI.sub("", text)) is not None
        if found >= FEWEST:
            return True
    return False


def read(path: Path) -> RawTable:
    """Read lines within an epoch (`loss`), of evaluations (`val_loss`) and means over an epoch (`epoch_loss`).

    The step is num_updates. Losses are in bits, as far as the printed perplexities say so, and become nats.
    """
    texts = [ANSI.sub("", line.rstrip()) for line in lines(path)]
    found, taken = LogRows(), list[int]()
    for line, text in enumerate(texts, start=1):
        row = _row(text) if "num_updates" in text else None
        if row is not None:
            found.add(row, line)
            taken.append(line)
    told = [Remark("guessed", f"{len(taken)} lines are in the format of fairseq", len(taken)), *found.remarks()]
    told.append(_in_nats(found.rows))
    if any("epoch_loss" in row for row in found.rows):
        told.append(Remark("unknown", "epoch_loss is the mean of the losses of an epoch, not the loss at its end"))
    return found.table(path, [*told, *passed_over(texts, taken)])


def _row(text: str) -> dict[str, Value] | None:
    """The values of a line, or None where it is none of fairseq's."""
    found = JSON.search(text)
    if found:
        try:
            values = parsed(found["object"])
        except (ValueError, RecursionError):
            return None
        return _named(values, found["part"].removesuffix("_inner"), "inner" in found["part"])
    inner = INNER.search(text)
    if not inner and not ENDED.search(text):
        return None
    pairs = {hit["key"]: hit["value"] for hit in PAIRS.finditer(text)}
    return _named(pairs, "valid" if VALID.search(text) else "train", inner is not None)


def _named(values: dict[str, Any], part: str, inner: bool) -> dict[str, Value] | None:
    """The values under our names: `loss` within an epoch, `epoch_loss` for its mean, `val_loss` for evaluations."""
    bare = {key.removeprefix(f"{part}_"): str(value) for key, value in values.items()}
    if not re.fullmatch(NUMBER, bare.get("num_updates", "")):
        return None
    prefix = "" if inner else "val_" if part.startswith("valid") else "epoch_"
    row: dict[str, Value] = {"step": number(bare["num_updates"])}
    for key in KEPT:
        if re.fullmatch(NUMBER, bare.get(key, ""), re.IGNORECASE) and (key != "lr" or not part.startswith("valid")):
            row[{"lr": "lr", "gnorm": f"{prefix}grad_norm"}.get(key, prefix + key)] = number(bare[key])
    return row


def _in_nats(rows: list[dict[str, Value]]) -> Remark:
    """Turn bits into nats where the perplexities are powers of two of the losses."""
    bases = [_base(row, prefix) for row in rows for prefix in ("", "val_", "epoch_")]
    if 2.0 in bases and math.e not in bases:
        for row in rows:
            row |= {name: float(row[name]) * math.log(2.0) for name in LOSSES if name in row}
        text = "losses are printed in bits (their perplexities are powers of 2): times ln 2, in nats"
        return Remark("converted", text, len(rows))
    if math.e in bases:
        return Remark("unknown", "losses are in nats, as their perplexities say")
    text = "fairseq prints most losses in bits, and there is no perplexity that says whether it did: they are unchanged"
    return Remark("suspect", text)


def _base(row: dict[str, Value], prefix: str) -> float | None:
    """2 or e, whichever raised to a loss of a row is its perplexity; None where there is none."""
    ppl = float(row.get(f"{prefix}ppl", math.nan))
    for name in ("nll_loss", "loss"):
        loss = float(row.get(prefix + name, math.nan))
        if not (math.isfinite(ppl) and math.isfinite(loss) and ppl > 1.5):
            continue
        rounding = 0.006 / ppl + 0.0006
        for base in (2.0, math.e):
            if abs(math.log(ppl) - loss * math.log(base)) < AGREES + rounding:
                return base
    return None
