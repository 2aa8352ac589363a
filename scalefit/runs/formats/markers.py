"""Words that stand for a lost value in columns of numbers: diverged, overflow, #DIV/0!."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.runs.quantities import LOST, MISSING, is_quantity

_WORD = (
    r"nan|[+-]?inf(?:inity)?|diverge[sd]?|diverging|divergence|div\.?|overflow(?:ed|s)?|explod(?:ed|es)|"
    r"blew up|blown up"
)
_AFTER = r"\s*[(\[].*[)\]]|\s*[-:,;@/]?\s*(?:(?:at|after|in|on|by|step|iter\w*|nan|inf|overflow|diverged)\b|\d).*|[.!]*"
MARKER = re.compile(rf"(?:(?:the )?(?:loss|run|training) )?(?P<word>{_WORD})(?:{_AFTER})", re.IGNORECASE)
CELLS = {"#div/0!", "#num!"}  #: what spreadsheets write for a division by zero, and for a number out of range
LARGE = re.compile(r"(?P<sign>-?)(?:\+?inf|overflow)", re.IGNORECASE)


def marker(cell: object) -> bool:
    """Whether a cell says that there is no number because the run diverged or the value overflowed.

    >>> [marker(cell) for cell in ("diverged", "NaN (diverged)", "#DIV/0!", "overflow", "diverged at step 300")]
    [True, True, True, True, True]
    >>> [marker(cell) for cell in ("oops", "not diverged", "crashed", "3.2", 3.2, "")]
    [False, False, False, False, False, False]
    """
    plain = cell.strip().rstrip("*†‡§ ") if isinstance(cell, str) else ""
    return plain.lower() in CELLS or MARKER.fullmatch(plain) is not None


def markers(column: pd.Series) -> NDArray[np.bool_]:
    """A mask (n,) of the cells of a column that are such words; a bare `nan` or `inf` is a number, not a word.

    >>> markers(pd.Series(["3.2", "diverged", "nan"])).tolist()
    [False, True, False]
    """
    if column.dtype.kind in "iufb":
        return np.zeros(len(column), dtype=bool)
    cells = column.astype(object).where(column.map(lambda cell: isinstance(cell, str)), None)
    codes, words = pd.factorize(cells)
    found = np.array([marker(word) and not is_quantity(word) for word in words], dtype=bool)
    return np.append(found, False)[codes]


def columns_of_words(frame: pd.DataFrame) -> set[str]:
    """Columns of text, by their first value: they are not guessed to be a numeric column."""
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    first = {name: next((cell for cell in frame[name].dropna() if not _is_none(cell)), 0) for name in texts}
    return {str(name) for name, cell in first.items() if not is_quantity(str(cell).strip("~≈<>≤≥=+ "))}


def _is_none(cell: object) -> bool:
    """Whether a cell stands for no number, in a column of numbers as well."""
    return marker(cell) or str(cell).strip().lower() in MISSING | LOST


def value(cell: str) -> float:
    """The number that a marker stands for: infinity for an overflow and for inf, else NaN.

    >>> value("overflow"), value("-inf (fp16)"), value("diverged")
    (inf, -inf, nan)
    """
    found = LARGE.match(cell.strip())
    return float(f"{found['sign']}inf") if found else float("nan")
