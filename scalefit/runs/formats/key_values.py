"""Results as lines of keys and values, one run a line: `width=64 lr=1e-3 val_loss=3.91`, as scripts print them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from scalefit.runs.formats.log_rows import passed_over
from scalefit.runs.formats.markdown import plain_cells
from scalefit.runs.formats.raw import RawTable
from scalefit.runs.formats.splits import AXES, is_loss
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.formats.text_patterns import ANSI
from scalefit.runs.matching import canonical

NAMES = tuple(f"*{kind}{packed}" for kind in (".txt", ".log", ".out", ".stdout") for packed in ENDINGS)
PAIR = re.compile(
    r"(?<![\w./:=-])(?P<key>[A-Za-z][\w./-]{0,60})\s*(?:=|:(?!//))\s*(?P<value>[^\s,;|=:()\[\]{}]++)(?!\s*[=:])"
)
WORD_BESIDE = re.compile(
    r"(?<![A-Za-z])(?!(?:run|trial|exp|experiment|job)\b)[A-Za-z_]+\s+\d", re.IGNORECASE
)  #: step 100
PLACE = re.compile(r"\[\s*\d+(?:\s*/\s*\d+)?\s*\]|\d\s*/\s*\d")  #: of a line within a log
SETTINGS = frozenset(
    {"D", "n_layer", "n_head", "d_ff", "experts", "seed", "batch", "weight_decay", "bs"}
)  #: what differs between runs and never along one
SIZES = frozenset({"N", "N_total", "d_model", "model"})  #: settings beside which tokens are those of a whole run
FEWEST = 2  #: lines of the same keys that make a table
BESIDE = 16  #: letters that may stand beside the pairs of a line, as a level of logging does
LONGEST = 2000  #: letters of a line that is tried


def claims(path: Path) -> bool:
    """Whether most of the first hundred filled lines hold the same keys: a loss, a setting of a run, and no step."""
    head = [text for text in lines(path, limit=100) if text.strip()]
    found = [tuple(pairs) for text in head if (pairs := _pairs(text))]
    usual, count = Counter(found).most_common(1)[0] if found else ((), 0)
    known = {canonical(key) for key in usual} | {key.lower() for key in usual}
    moving = {*AXES, "iteration", "iter"} - ({"tokens"} if known & SIZES else set())
    told = any(map(is_loss, usual)) and bool(known & (SETTINGS | SIZES)) and not known & moving
    return told and count >= FEWEST and 2 * len(found) >= len(head)


def read(path: Path) -> RawTable:
    """Read every line with keys and values as a row; the index is its line. Other lines are counted in a remark."""
    texts = [line.rstrip("\r\n") for line in lines(path)]
    found = {number: pairs for number, text in enumerate(texts, start=1) if any(map(is_loss, pairs := _pairs(text)))}
    frame, nans = plain_cells(pd.DataFrame(list(found.values()), index=list(found)))
    return RawTable(path, frame, remarks=tuple(passed_over(texts, list(found))), nans=nans)


def _pairs(text: str) -> dict[str, str]:
    """The keys and values of a line; none where it holds fewer than two, one twice, or words beside them.

    >>> _pairs("INFO width=64, lr: 1e-3 -> val_loss=3.91")
    {'width': '64', 'lr': '1e-3', 'val_loss': '3.91'}
    >>> _pairs("the best of all runs was lr=1e-3 with loss=3.91"), _pairs("loss=3.91")
    ({}, {})
    >>> _pairs("[12:00:01] run 3 finished: lr=1e-3 loss=3.91"), _pairs("width 64: lr=1e-3 loss=3.91")
    ({'lr': '1e-3', 'loss': '3.91'}, {})
    """
    plain = ANSI.sub("", text) if len(text) <= LONGEST else ""
    found = [(hit["key"], hit["value"]) for hit in PAIR.finditer(plain)]
    left, pairs = PAIR.sub(" ; ", plain), dict(found)
    short = len(re.sub(r"[^A-Za-z]+", "", left)) <= BESIDE and not (WORD_BESIDE.search(left) or PLACE.search(left))
    return pairs if 2 <= len(pairs) == len(found) and short else {}
