"""Factors in the names of columns: `tokens/1e9`, `ksteps`, `error (%)` and `log10_N` are applied, `loss x100` says not
which way and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.matching import LONGEST, canonical, match
from scalefit.runs.quantities import numbers, upright
from scalefit.runs.wording import SCALES, SHARES, told

FACTOR = (
    r"(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|10\s*(?:\^|\*\*)\s*\{?[+-]?\d+\}?|[kmbt]|(?:thousand|million|billion|trillion)s?)"
)
DIVIDED = re.compile(rf"\s*(?P<name>.*?[^\s/])\s*(?:/|÷|\bper\b)\s*(?P<factor>{FACTOR})\s*", re.IGNORECASE)
BRACKETED = re.compile(r"(?P<name>.+?)\s*[\(\[]\s*(?P<inner>[^\)\]]*)\s*[\)\]]\s*")
TIMES = re.compile(
    rf"(?P<name>.*?[^\s*x×·])\s*(?:\s[x×]|×|\*|·)\s*(?P<factor>{FACTOR})\s*"
    rf"|(?P<first>{FACTOR})\s*(?:[x×]\s|×|\*|·)\s*(?P<other>[a-z].*)",
    re.IGNORECASE,
)
INNER = re.compile(rf"(?:[x×*·]\s*{FACTOR}|{FACTOR}\s*[x×*·]|times\s+{FACTOR})", re.IGNORECASE)
STEPS = r"(?:steps?|iters?|iterations?|updates?)"
THOUSANDS = re.compile(rf"k[_\s-]?{STEPS}|{STEPS}[_\s-](?:in[_\s-])?(?:k|thousands?)", re.IGNORECASE)
PERCENT = re.compile(
    r"(?P<name>.*?\w)\s*(?:[(\[]\s*(?:in\s+)?(?:%|percent|pct)\s*[)\]]|%|[_\s-](?:pct|percent|percentage))",
    re.IGNORECASE,
)
LOGARITHM = re.compile(
    r"(?P<base>log_?10|log_?2|ln|log)(?:[_\s-]*[(\[]\s*(?P<inner>[^()\[\]]+?)\s*[)\]]|(?P<sep>[_\s-]*)(?P<name>[A-Za-z]\w*))",
    re.IGNORECASE,
)
LOG_BEHIND = re.compile(r"(?P<name>.+?)\s*[(\[]\s*(?:in\s+)?(?P<base>log_?10|log_?2|ln)\s*[)\]]", re.IGNORECASE)
BASES = {"log10": 10.0, "log2": 2.0, "ln": float(np.e)}
ROUNDED = 0.01  #: relative difference of a quantity in two units by rounding
COUNTS = frozenset({"N", "N_total", "D", "C", "tokens", "batch"})  #: what people write the logarithm of


def factor(text: str) -> float:
    """The number of a factor as it is written.

    >>> factor("1e9"), factor("10^-3"), factor("M")
    (1000000000.0, 0.001, 1000000.0)
    """
    plain = re.sub(r"10\s*(?:\^|\*\*)\s*\{?([+-]?\d+)\}?", r"1e\1", text.strip().lower())
    return SCALES.get(plain) or float(plain)


def unscaled(raw: RawTable, mapped: Container[str]) -> RawTable | None:
    """The table in which a column such as `tokens/1e9` holds tokens; None where no name has a factor.

    A column that the user mapped keeps its name, and is converted as well.
    Raises InputError for a known column with a factor that may have been multiplied by or divided by.
    """
    frame, told = raw.frame, list[Remark]()
    for name in map(str, raw.frame.columns):
        if len(name) > LONGEST:
            continue
        _refuse_doubtful(upright(name), str(raw.path))
        found = DIVIDED.fullmatch(upright(name))
        group = found is not None and found["factor"].isdigit() and canonical(name) in COLUMNS  # lr/0: one of several
        if not found or group or not _known(found["name"]) or found["name"] in frame.columns:
            continue
        try:
            values = pd.Series(numbers(frame[name], str(raw.path)), index=frame.index)
        except InputError:
            continue
        by, bare = factor(found["factor"]), found["name"]
        frame = frame.assign(**{name: values * by}).rename(columns={} if name in mapped else {name: bare})
        told.append(Remark("converted", f"'{name}' times {by:g} is {bare}"))
    for name in [each for each in map(str, frame.columns) if len(each) <= LONGEST]:
        for convert in (_of_unit, _of_logarithm):
            made = convert(frame, name, str(raw.path))
            if made is not None:
                amounts, bare, text = made
                frame = frame.assign(**{name: amounts}).rename(columns={} if name in mapped else {name: bare})
                told.append(Remark("converted", text))
                break
    return replace(raw, frame=frame, remarks=(*raw.remarks, *told)) if told else None


def in_one_unit(raw: RawTable) -> RawTable | None:
    """The table without a quantity that it holds again in a larger unit, `params_B` beside `params`, if it does.

    The columns agree where they differ by the rounding of the larger unit; others stay, and are to be chosen from.
    """
    frame, gone = raw.frame, dict[str, str]()
    held = dict[str, list[tuple[float, str]]]()
    for name in map(str, frame.columns):
        for bound in match([name]) if len(name) <= LONGEST else ():
            if bound.name in COUNTS and frame[name].notna().any():
                held.setdefault("D" if bound.name == "tokens" else bound.name, []).append((bound.scale, name))
    for group in held.values():
        (scale, kept), *others = sorted(group)
        for by, name in others:
            if by > scale and _agree(frame[kept], scale, frame[name], by):
                gone[name] = kept
    if not gone:
        return None
    text = f"{', '.join(gone)} is the same as {', '.join(dict.fromkeys(gone.values()))} in another unit"
    return replace(raw, frame=frame.drop(columns=[*gone]), remarks=(*raw.remarks, Remark("dropped", text, len(gone))))


def _agree(one: pd.Series, scale: float, other: pd.Series, by: float) -> bool:
    """Whether two columns hold the same amounts but for the digits that the other one, in a larger unit, leaves out."""
    try:
        amounts, rounded = numbers(one, "", scale), numbers(other, "", by)
    except InputError:
        return False
    digits = other.dropna().astype(str).str.extract(r"\.(\d+)$")[0].str.len().max()
    left_out = by * 10.0 ** -(0 if np.isnan(digits) else digits) / 2
    known = np.isfinite(amounts) & np.isfinite(rounded)
    near = np.abs(amounts - rounded) <= np.maximum(ROUNDED * np.abs(amounts), left_out)
    return bool(known.any() and near[known].all() and (np.abs(rounded[known]) > 0).any())


def _of_unit(frame: pd.DataFrame, name: str, where: str) -> tuple[FloatArray, str, str] | None:
    """A column of thousands of steps or of per cent in its own unit, its name there, and what was done."""
    by, bare, said, percent = 0.0, name, told(name), PERCENT.fullmatch(name.strip())
    if THOUSANDS.fullmatch(name.strip()):
        by, bare = 1e3, "step"
    elif said and re.fullmatch(STEPS, said.bare.strip(), re.IGNORECASE) and not said.letter:
        by, bare = said.factor, "step"
    elif percent and canonical(percent["name"]) in SHARES:
        by, bare = 0.01, percent["name"]
    try:
        values = numbers(frame[name], where, by) if by else None
    except InputError:
        return None
    if values is None:
        return None
    return (values, bare, f"'{name}' times {by:g} is {canonical(bare)}") if bare not in frame.columns else None


def _of_logarithm(frame: pd.DataFrame, name: str, where: str) -> tuple[FloatArray, str, str] | None:
    """The quantity whose logarithm a column holds, to a base that its name states, its name, and what was done."""
    behind = LOG_BEHIND.fullmatch(name.strip())  # of a loss it may be the base
    clear_name = f"{behind['base']}({behind['name']})" if behind and canonical(behind["name"]) in COUNTS else name
    found = LOGARITHM.fullmatch(clear_name.strip())
    bare = (found["inner"] or found["name"]) if found else ""
    base = BASES.get(found["base"].lower().replace("_", "")) if found else None
    clear = found is not None and bool(found["inner"] or found["sep"] or found["base"].lower() != "ln")
    if found is None or base is None or not clear or bare in frame.columns:
        return None
    if canonical(bare) not in COUNTS and not _of_loss(found, bare):
        return None
    try:
        values = numbers(frame[name], where)
    except InputError:
        return None
    with np.errstate(over="ignore"):
        values = base**values
    return values, bare, f"{bare} is {'e' if base == BASES['ln'] else f'{base:g}'} to the power of the column '{name}'"


def refuse_logarithms(renames: Mapping[str, str], where: str) -> None:
    """Raise InputError where a column is mapped to a quantity whose logarithm it is, to a base that is not stated."""
    for name, target in renames.items():
        found = LOGARITHM.fullmatch(name.strip()) if len(name) <= LONGEST and target in {*COUNTS, "loss"} else None
        bare = (found["inner"] or found["name"]) if found else ""
        if found is None or found["base"].lower() != "log" or canonical(bare) not in {*COUNTS, "loss"}:
            continue
        if target != "loss" or _of_loss(found, bare):
            todo = f"name it log10_{bare}, log2_{bare} or ln_{bare}: its power is then read as {target}"
            raise InputError(f"the column '{name}' is a logarithm of {target}", where=where, todo=todo)


def _of_loss(found: re.Match[str], bare: str) -> bool:
    """Whether a name is that of the logarithm of a loss: log_loss is another name of a loss."""
    return canonical(bare) == "loss" and bool(found["inner"] or found["base"].lower() != "log")


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
