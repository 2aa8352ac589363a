"""Factors in the names of columns: `tokens/1e9` is applied, `loss x100` says not which way and is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.matching import LONGEST, canonical
from scalefit.runs.quantities import numbers

FACTOR = r"(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|10\s*(?:\^|\*\*)\s*\{?[+-]?\d+\}?|[kmbt])"
DIVIDED = re.compile(rf"\s*(?P<name>.*?[^\s/])\s*(?:/|÷|\bper\b)\s*(?P<factor>{FACTOR})\s*", re.IGNORECASE)
BRACKETED = re.compile(r"(?P<name>.+?)\s*[\(\[]\s*(?P<inner>[^\)\]]*)\s*[\)\]]\s*")
TIMES = re.compile(
    rf"(?P<name>.*?[^\s*x×·])\s*(?:\s[x×]|×|\*|·)\s*(?P<factor>{FACTOR})\s*"
    rf"|(?P<first>{FACTOR})\s*(?:[x×]\s|×|\*|·)\s*(?P<other>[a-z].*)",
    re.IGNORECASE,
)
INNER = re.compile(rf"(?:[x×*·]\s*{FACTOR}|{FACTOR}\s*[x×*·]|times\s+{FACTOR})", re.IGNORECASE)
LETTERS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def factor(text: str) -> float:
    """The number of a factor as it is written.

    >>> factor("1e9"), factor("10^-3"), factor("M")
    (1000000000.0, 0.001, 1000000.0)
    """
    plain = re.sub(r"10\s*(?:\^|\*\*)\s*\{?([+-]?\d+)\}?", r"1e\1", text.strip().lower())
    return LETTERS.get(plain) or float(plain)


def unscaled(raw: RawTable) -> RawTable | None:
    """The table in which a column such as `tokens/1e9` holds tokens; None where no name has a factor.

    Raises InputError for a known column with a factor that may have been multiplied by or divided by.
    """
    frame, told = raw.frame, list[Remark]()
    for name in map(str, raw.frame.columns):
        if len(name) > LONGEST:
            continue
        _refuse_doubtful(name, str(raw.path))
        found = DIVIDED.fullmatch(name)
        group = found is not None and found["factor"].isdigit() and canonical(name) in COLUMNS  # lr/0: one of several
        if not found or group or not _known(found["name"]) or found["name"] in frame.columns:
            continue
        try:
            values = pd.Series(numbers(frame[name], str(raw.path)), index=frame.index)
        except InputError:
            continue
        by, bare = factor(found["factor"]), found["name"]
        frame = frame.assign(**{name: values * by}).rename(columns={name: bare})
        told.append(Remark("converted", f"'{name}' times {by:g} is {bare}"))
    return replace(raw, frame=frame, remarks=(*raw.remarks, *told)) if told else None


def _known(name: str) -> bool:
    return canonical(name.strip()) in COLUMNS


def _refuse_doubtful(name: str, where: str) -> None:
    """Raise InputError for a name of a known column with a factor in front, behind or in brackets."""
    inner, times = BRACKETED.fullmatch(name), TIMES.fullmatch(name)
    bare = ""
    if inner and INNER.fullmatch(inner["inner"].strip()):
        bare = inner["name"]
    elif times:
        bare = times["name"] or times["other"]
    if bare and _known(bare):
        what = f"the column '{name}' states a factor, and not whether its values were multiplied or divided by it"
        bare = bare.strip()
        todo = f"write the values without the factor under {bare}, or the unit alone, as in '{bare} (1e-3)'"
        raise InputError(what, where=f"{where}, column {name}", todo=todo)
