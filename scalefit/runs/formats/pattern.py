"""A pattern of the user's own for the lines of a text log: `step {step} .* loss {loss} lr {lr}`.

A name in braces stands for a number, or for a word where no number stands there; a blank for white space; everything
else is a regular expression, in which the case of letters does not count.
"""

from __future__ import annotations

import re
from pathlib import Path

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.log_rows import LogRows, Value, number, passed_over, shortened
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import lines
from scalefit.runs.formats.text_patterns import ANSI
from scalefit.runs.matching import canonical

NUMBER = (
    r"[-+]?(?:\d[\d,]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
    r"(?:[KMGBT](?![A-Za-z]))?(?!\d|\.\d)"
)
WORD = r"[^\s,;|\]\)\}'\"]+"
FIELD = re.compile(r"\{([A-Za-z_][\w/.-]*)\}")
EXAMPLE = "write what a line says, such as --pattern 'step {step} .* loss {loss} lr {lr}'"


def compiled(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    """The regular expression of a pattern, and the columns of its groups.

    Raises InputError where it has no field, one field twice, or is no regular expression.

    >>> expression, names = compiled("step {step} .*loss {loss}")
    >>> expression.search("Step  30 | train loss 2.5").groups(), names
    (('30', '2.5'), ['step', 'loss'])
    """
    where = f"--pattern '{pattern}'"
    parts = FIELD.split(pattern)
    names = parts[1::2]
    if not names:
        raise InputError("the pattern has no field in braces", where=where, todo=EXAMPLE)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"the field {{{twice}}} stands twice in the pattern", where=where, todo="keep one of them")
    text = "".join(
        re.sub(r"(?<!\\) +", r"\\s+", part) if at % 2 == 0 else f"(?P<f{at // 2}>{_field(part)})"
        for at, part in enumerate(parts)
    )
    try:
        return re.compile(text, re.IGNORECASE), names
    except re.error as error:
        todo = f"put a backslash before signs with a meaning of their own, such as ( [ + | ; {EXAMPLE}"
        raise InputError(f"no regular expression ({error.msg})", where=where, todo=todo) from error


def _field(name: str) -> str:
    """What may stand for a field: a word for columns of text, such as run; else a number, or a word."""
    known = COLUMNS.get(canonical(name))
    return WORD if known is not None and not known.numeric else f"{NUMBER}|{WORD}" if known is None else NUMBER


def read(path: Path, pattern: str) -> RawTable:
    """Read the lines that the pattern fits; the index is the line. Lines of one step are one row; others are counted.

    Raises InputError, with the first line, where no line fits.
    """
    expression, names = compiled(pattern)
    texts = [ANSI.sub("", line.rstrip()) for line in lines(path)]
    found, taken = LogRows(), list[int]()
    for line, text in enumerate(texts, start=1):
        hit = expression.search(text)
        if hit:
            found.add({_key(name): _value(name, hit[at]) for at, name in _groups(names) if hit[at]}, line)
            taken.append(line)
    if not taken:
        first = next((text for text in texts if "loss" in text.lower()), next(filter(str.strip, texts), ""))
        what = f"no line fits the pattern '{pattern}'; a line says '{shortened(first)}'"
        raise InputError(what, where=str(path), todo="a name in braces stands for a number, .* for anything between")
    told = [Remark("mapped", f"{len(taken)} lines fit the pattern '{pattern}'", len(taken)), *found.remarks()]
    return found.table(path, [*told, *passed_over(texts, taken)])


def _groups(names: list[str]) -> list[tuple[str, str]]:
    """The group of each field, beside those of the user's own."""
    return [(f"f{at}", name) for at, name in enumerate(names)]


def _key(name: str) -> str:
    return "step" if canonical(name) == "step" else name


def _value(name: str, text: str) -> Value:
    known = COLUMNS.get(canonical(name))
    if (known is not None and not known.numeric) or not re.fullmatch(NUMBER, text, re.IGNORECASE):
        return text
    return number(text)
