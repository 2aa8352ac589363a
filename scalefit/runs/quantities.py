"""Numbers as people write them: `1.3B`, `20e9`, `1,234,567`, `2T`, `300M`."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError, all_of

SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
MISSING = frozenset(
    {"", "na", "n/a", "n.a.", "null", "none", "-", "--", "---", "–", "—", "−", "…", "?", "??", "tbd", "tba", "todo",
     "pending", "soon", "wip", "running", "in progress", "ongoing", "queued", "planned", "not run", "not yet"}
)  # fmt: skip
ABOUT = re.compile(r"^[~≈]\s*(?=[\d.])")  #: before a number that is rounded
PATTERN = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*([kmbgt]?|thousand|mn|million|bn|billion|trillion)", re.IGNORECASE
)
LOST = frozenset({"diverged", "div", "div.", "divergence", "failed", "crashed", "exploded"})
MOST_LETTERS = 60  #: of a cell that is looked at more closely
SIZES, FEW = (
    frozenset({"N", "N_total", "D", "tokens"}),
    1000.0,
)  #: columns of large counts, and a number too small for one
NO_NUMBERS = (bool, complex, datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
#: thousands set apart by blanks, apostrophes, commas, or by points where there are two or more
THOUSANDS = re.compile(
    r"[+-]?\d{1,3}(?:(?:[,_]\d{3})+|(?:['’]\d{3})+|(?:[ \u00a0\u2009\u202f]\d{3})+)(?:\.\d+)?\s*[kmbgt]?", re.IGNORECASE
)
POINTS, ONE_POINT = re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}"), re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
#: what people write around a number: emphasis, a word or an error in brackets, an error behind ±
EMPHASIS = re.compile(r"^(\*\*|__|\*|_|`)(.+?)\1(?=\s*(?:$|±|\+/?-|\())")
BESIDE = re.compile(
    r"^(.*\d\.?[kmbgt]?)\s*(?:(?:±|\+/-|\+-)\s*[\d.]+(?:e[+-]?\d+)?|\(\d+\)|\s[(\[][a-z][^)\]]*[)\]]|\*+|†)$", re.I
)
#: what a number says that it counts, and by its first letters the columns that hold such counts
WORD = re.compile(r"(tok(?:en)?s?|param(?:eter)?s?|steps?|iter(?:ation)?s?|flops?|nats?)$", re.IGNORECASE)
COUNT = re.compile(
    r"\d\.?\s*(?:[kmbgt]|mn|bn|[mbtr]{1,2}illion|thousand)?$", re.IGNORECASE
)  #: how what stands before ends
HOLDING = {"tok": {"D", "tokens", "U", "batch", "seq_len"}, "par": {"N", "N_total", "N_enc", "N_dec", "N_vocab"}}
HOLDING |= {"ste": {"step", "steps", "warmup"}, "ite": {"step", "steps", "warmup"}, "flo": {"C"}, "nat": {"loss"}}
HELD = frozenset({"lr", "peak_lr"}.union(*HOLDING.values()))
FOOTNOTE = re.compile(r"(?<=[a-z.])\s*[*†‡§]+$", re.IGNORECASE)  #: behind a word
POWER = re.compile(r"(\d+(?:\.\d+)?)\s*(?:\^|\*\*)\s*[({]?\s*([+-]?\d+(?:\.\d+)?)\s*[)}]?")
TIMES_POWER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*[x×*·]\s*10\s*(?:\^|\*\*)\s*[({]?\s*([+-]?\d+)\s*[)}]?", re.I)
ONE_IN_LIST = re.compile(r"\[\s*[^\[\],\s]+\s*\]")  #: as a scheduler gives its learning rate
RAISED = re.compile(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
RAISED_DECIMAL = re.compile(r"[+-]?\d*\.\d+\s*[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")  #: not 2.5×10⁷
DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")
PREFIXES: dict[str, float] = dict(zip(("", *"kmgtpezy"), (1e3**n for n in range(9)), strict=True))
LONG = ["kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta"]
#: such as PFLOP, exaflops, pf-days, petaflop/s-days; a rate without days is no amount of compute
FLOP = re.compile(rf"({'|'.join(LONG)}|[kmgtpezy]?)[\s_-]*flops?")
DAYS = re.compile(rf"({'|'.join(LONG)}|[kmgtpezy])[\s_-]*f(?:lops?)?(?:/s)?[\s_-]*days?")
#: words of a name that may stand beside a unit of compute
COMPUTE = re.compile(r"\b(?:training|train|total|throughput|compute|model|c|in)\b")
WORDS = {"nan": float("nan"), "inf": float("inf"), "infinity": float("inf"), "∞": float("inf")}


def quantity(text: str, worded: bool = False) -> float:
    """The number that a text stands for; K, M, B (or G) and T mean 1e3, 1e6, 1e9 and 1e12.

    Thousands may be separated by commas, underscores, apostrophes, blanks, or several points. Powers, shares, and what
    people write beside a number (`(best)`, an error, emphasis) are understood. With ``worded`` so is the word of what
    it counts (`40M tokens`), as in cells, whose column is compared with it. Raises InputError for anything else.

    >>> [quantity(text) for text in ("1.3B", "20e9", "1,234,567", "2T", "300M", "nan")]
    [1300000000.0, 20000000000.0, 1234567.0, 2000000000000.0, 300000000.0, nan]
    >>> [quantity(text) for text in ("3.0 (best)", "3.356 ± 0.01", "3.356(12)", "2^-11", "1/64", "1.000.000")]
    [3.0, 3.356, 3.356, 0.00048828125, 0.015625, 1000000.0]
    >>> quantity("about 3")
    Traceback (most recent call last):
    ...
    scalefit.errors.InputError: 'about 3' is not a number; write it like 1300000000, 1.3e9 or 1.3B
    """
    plain = _bare(str(text))
    if worded:
        plain = _without_word(plain)[0]
    if THOUSANDS.fullmatch(plain):
        plain = re.sub(r"(?<=\d)[,_'’ \u00a0\u2009\u202f](?=\d)", "", plain)
    elif POINTS.fullmatch(plain):
        plain = plain.replace(".", "")
    value = _worked_out(plain)
    if value is not None:
        return value
    found = PATTERN.fullmatch(plain)
    if found:  # read as one decimal number, so that 0.3B is the float nearest to 3e8
        mantissa, _, power = found[1].lower().partition("e")
        return float(f"{mantissa}e{int(power or 0) + round(np.log10(SUFFIXES[found[2].lower()[:1]]))}")
    sign = -1.0 if plain.startswith("-") else 1.0
    if plain.lstrip("+-").lower() in WORDS:
        return sign * WORDS[plain.lstrip("+-").lower()]
    lost = plain.lower() in LOST
    todo = "write nan for a run that diverged" if lost else "write it like 1300000000, 1.3e9 or 1.3B"
    raise InputError(f"'{text}' is not a number", todo=todo)


def upright(text: str) -> str:
    """A text with raised digits as powers.

    >>> upright("tokens (10⁹)")
    'tokens (10^9)'
    """
    return RAISED.sub(lambda found: f"^{found[0].translate(DIGITS)}", text)


def flop(unit: str) -> float:
    """The FLOP that a unit of compute stands for, 0 if it is none."""
    for pattern, factor in ((DAYS, 86400.0), (FLOP, 1.0)):
        if found := pattern.fullmatch(unit):
            return PREFIXES[found[1][:1]] * factor
    return 0.0


def compute_unit(plain: str) -> float:
    """The FLOP that a name of compute counts in, by a normalised name: total_gflops, pf_days; 0 for any other name.

    A name without a prefix, such as flops, is none of these; teraflops alone are those of a second.

    >>> compute_unit("total_gflops"), compute_unit("pf_days"), compute_unit("flops"), compute_unit("tflops")
    (1000000000.0, 8.64e+19, 0.0, 0.0)
    """
    words = re.sub(r"[\s_]+", " ", COMPUTE.sub(" ", plain.replace("/s", "~s").replace("_", " ").replace("/", " ")))
    factor, said = flop(words.replace("~s", "/s").strip()), {*COMPUTE.findall(plain.replace("_", " "))}
    rate = factor in (1e9, 1e12, 1e15) and not said & {"total", "training", "train", "compute", "c"}
    return 0.0 if factor <= 1.0 or rate else factor


def _bare(text: str) -> str:
    """A number without what is written around it."""
    plain = text.strip()
    if len(plain) > MOST_LETTERS:
        return plain
    plain = upright(plain).replace("−", "-")
    plain = plain[1:-1].strip() if ONE_IN_LIST.fullmatch(plain) else plain
    while found := EMPHASIS.match(plain):
        plain = (found[2] + plain[found.end() :]).strip()
    plain = ABOUT.sub("", plain)
    found = BESIDE.match(plain)
    return found[1].strip() if found else FOOTNOTE.sub("", plain)


def counts_said(text: str) -> bool:
    """Whether a number says what it counts, as `1B tokens` does."""
    return bool(_without_word(text.strip())[1])


def _without_word(plain: str) -> tuple[str, str]:
    """A number without the word of what it counts, and the first letters of this word.

    >>> _without_word("40M tokens"), _without_word("2 million params"), _without_word("40M")
    (('40M', 'tok'), ('2 million', 'par'), ('40M', ''))
    """
    found = WORD.search(plain)
    before = plain[: found.start()].rstrip() if found else ""
    return (before, found[1][:3].lower()) if found and COUNT.search(before) else (plain, "")


def _worked_out(plain: str) -> float | None:
    """The value of a power, a number times a power of ten, or a share; None for anything else."""
    if len(plain) > MOST_LETTERS:
        return None
    try:
        if found := TIMES_POWER.fullmatch(plain):
            return float(f"{found[1]}e{int(found[2])}")
        if found := POWER.fullmatch(plain):
            return float(float(found[1]) ** float(found[2]))
        if found := SHARE.fullmatch(plain):
            return float(found[1]) / float(found[2])
    except (OverflowError, ZeroDivisionError):
        return float("inf") if "/" not in plain else None
    return None


def is_quantity(cell: object) -> bool:
    """Whether a cell can be read as a number.

    >>> is_quantity("1.3B"), is_quantity(7), is_quantity("kaplan")
    (True, True, False)
    """
    try:
        quantity(str(cell), worded=True)
    except InputError:
        return False
    return True


def numbers(column: pd.Series, where: str, unit_scale: float = 1.0) -> NDArray[np.float64]:
    """A column of text as float64; empty cells become NaN.

    ``unit_scale`` is the factor of the header's unit; a cell with a unit of its own (`1.3B` under `params (M)`) is read
    as written. Raises InputError naming the file, the row (the index of the series) and the column of the first cell
    that is not a number.

    >>> numbers(pd.Series(["125", "1.3B"]), "runs.csv", unit_scale=1e6).tolist()
    [125000000.0, 1300000000.0]
    """
    if not pd.api.types.is_string_dtype(column.dtype):
        column = column.astype(object).map(lambda cell: str(cell) if isinstance(cell, NO_NUMBERS) else cell)
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, copy=True) * unit_scale
    odd = np.flatnonzero(np.isnan(values)).tolist()
    if odd:
        _refuse_doubtful(column, odd, where, unit_scale == 1.0)

    def read(position: int) -> None:
        cell = column.iloc[position]
        if pd.isna(cell) or str(cell).strip().lower() in MISSING:
            return
        try:
            values[position] = quantity(str(cell), worded=True) * (1.0 if states_unit(cell) else unit_scale)
        except InputError as error:
            row = column.index[position]
            raise InputError(error.what, where=f"{where}, row {row}, column {column.name}", todo=error.todo) from error

    all_of(read, odd)
    return np.asarray(values)


def _refuse_doubtful(column: pd.Series, odd: list[int], where: str, bare_header: bool) -> None:
    """Raise InputError for a cell such as `1.000` beside `1.000.000`, a loss of `3,356`, or a size `32` beside `8M`."""
    texts = column.map(lambda cell: str(cell).strip())
    doubtful = pd.Series(False, index=column.index)
    if any(POINTS.fullmatch(texts.iloc[at]) for at in odd):
        doubtful = texts.map(lambda text: ONE_POINT.fullmatch(text) is not None)
    elif column.name in ("loss", "lr"):
        doubtful = texts.map(lambda text: re.fullmatch(r"\d{1,3},\d{3}", text) is not None)
    what, todo = (
        "may be a thousand or a decimal",
        "write thousands without a sign between them, and a point before decimals",
    )
    stated = (
        [texts.iloc[at] for at in odd if states_unit(texts.iloc[at])] if bare_header and column.name in SIZES else []
    )
    if stated and not any(_bare(text)[-1:] in "kK" for text in stated):  # else a count that begins below 1K
        doubtful = pd.to_numeric(column, errors="coerce").abs().between(0, FEW, inclusive="neither")
        what, todo = f"has no unit, unlike '{stated[0]}'", "write the unit into every cell, or into the header"
    if not doubtful.any():
        doubtful = texts.map(lambda text: RAISED_DECIMAL.fullmatch(text) is not None)
        what, todo = (
            "may be a number with a footnote, or a power",
            "write the value of the power, or leave the footnote out",
        )
    if not bare_header and not doubtful.any():
        doubtful = texts.map(lambda text: counts_said(text) and not states_unit(text))
        what, todo = "does not say whether the unit in the header holds for it", "write the unit in one place"
    if column.name == "loss" and not doubtful.any():
        doubtful = texts.map(lambda text: ABOUT.match(text) is not None)
        what, todo = "is an estimate and no measured loss", "leave that run out, or write the loss that was measured"
    if column.name in HELD and not doubtful.any():
        told = texts.map(lambda text: HOLDING.get(_without_word(text)[1], {column.name}))
        doubtful = told.map(lambda kinds: column.name not in kinds)
        what, todo = f"counts no {column.name}", "write the number alone, or into the column of what it counts"
    if column.name in {*SIZES, "loss"} and not doubtful.any():
        doubtful = texts.map(lambda text: SHARE.fullmatch(text) is not None and not text.startswith("1/"))
        kind = "losses" if column.name == "loss" else "numbers"
        what, todo = f"may be two {kind}", "write one number, such as the loss of the evaluation"
    if doubtful.any():
        at = int(np.argmax(doubtful.to_numpy()))
        place = f"{where}, row {column.index[at]}, column {column.name}"
        raise InputError(f"'{texts.iloc[at]}' {what}", where=place, todo=todo)


def states_unit(cell: object) -> bool:
    """Whether a cell is a number with a unit of its own.

    >>> states_unit("1.3B"), states_unit("1,300"), states_unit(1.3), states_unit("b")
    (True, False, False, False)
    """
    found = PATTERN.fullmatch(_without_word(_bare(str(cell)))[0])
    return bool(found and found[2])
