"""What a file says of a whole run, beside its rows: a configuration, the steps that are planned."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from scalefit.errors import counted
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.splits import is_loss
from scalefit.runs.matching import match
from scalefit.runs.quantities import is_quantity, numbers, quantity
from scalefit.runs.reading.tidy import Tidy
from scalefit.runs.settings import NAMING
from scalefit.runs.table import Note
from scalefit.runs.wording import words_of

MOVING = frozenset({"run", "step", "tokens", "loss", "split"})  #: no setting, whatever a configuration calls so


#: parts of a document on another run or model than those of its rows
OTHERS = re.compile(r"(?<![a-z])(?:best|optimal|baseline|target|reference|teacher)(?![a-z])", re.IGNORECASE)

#: a count of millions or billions in the name of a run, with the word before it: 125m, llama-1.3B, bs2M; not 20BT
SIZE = re.compile(
    r"([a-z]*)[ =_:-]?(?<![\d.,])(\d+(?:\.\d+)?|\.\d+)[ _-]?([mb])(?:illion|n)?(?:[ _-]?params?)?"
    r"(?![a-z0-9]|[ _-]?tok)",
    re.IGNORECASE,
)
#: words before a count of something else than the parameters of a model (8x7M is a mixture of experts)
NO_SIZE = re.compile(
    r"d|t|c|b|x|(?:global)?(?:bs|bsz|batch)(?:size)?|tok(?:en)?s?|data\w*|corpus|ctx|seq\w*|len|steps?|iters?|warmup|"
    r"vocab|flops?|budget|lr",
    re.IGNORECASE,
)
#: a size that is named as such in the name of a run: N1238144, N=2.5e6
PLAIN_SIZE = re.compile(r"(?<![A-Za-z0-9])N[=_-]?(\d{5,}|\d+(?:\.\d+)?e\+?\d+)(?![\d.A-Za-z])")
ACTIVE = re.compile(r"(?:^|.*[^a-z])(?:a|active?)$", re.IGNORECASE)  #: before the parameters that a token uses
SURE, NEAR = 1e9, 0.05  #: parameters below which one size at least lies where no tokens are known; a size that is D
Scalars = dict[str, str | int | float | bool]


def entries_of_runs(curves: list[Tidy]) -> dict[str, dict[str, object]]:
    """The entries for each run, by run: those with a name that is known get it, those at the top keep theirs.

    A learning rate of a configuration is the peak.
    """
    found: dict[str, dict[str, object]] = {}
    for tidy in curves:
        entries = _named(_scalars(tidy), tidy.where)
        for run in tidy.frame["run"].cat.categories if entries else ():
            found.setdefault(str(run), {}).update(entries)
    return found


def settings_of_results(tidy: Tidy) -> None:
    """Give the rows of final results what their file says of all of them, where they have no such column."""
    scalars = _scalars(tidy)
    tokens = next((each for each in match(scalars, ties={}) if each.name == "tokens"), None)
    kept = [str(name) for name in tidy.frame.columns]
    data = {} if tokens is None else _as_column("D", scalars[tokens.source], tokens.scale, tidy.where)
    named = data | _named(scalars, tidy.where)
    _fill(tidy, scalars, named)
    new = {name: value for name, value in named.items() if name not in kept and name not in MOVING}
    known = {name: value for name, value in new.items() if name in COLUMNS}
    if tidy.axis or not known:
        return
    rows = tidy.frame.index
    tidy.frame = tidy.frame.assign(**{name: pd.Series([value] * len(rows), index=rows) for name, value in new.items()})
    tidy.note("derived", f"{', '.join(known)} of all rows are those that the file gives beside them")


def _fill(tidy: Tidy, scalars: Scalars, named: dict[str, object]) -> None:
    """Settings of a file hold in the rows of final results that lack their own."""
    found = {key: value for key, value in named.items() if key in COLUMNS}
    found |= {"lr": found["peak_lr"]} if "peak_lr" in found else {}
    ends = [key.rsplit("/", 1)[-1] for key in scalars]
    found |= {end: value for end, value in zip(ends, scalars.values(), strict=True) if ends.count(end) == 1 and
              end not in COLUMNS}  # fmt: skip
    for name in [name for name in found if name in tidy.frame.columns and name not in MOVING and not tidy.axis]:
        column, value = tidy.frame[name], found[name]
        lacking = column.isna()
        if not lacking.any() or pd.api.types.is_numeric_dtype(column.dtype) == isinstance(value, str):
            continue
        tidy.frame = tidy.frame.assign(**{name: column.where(~lacking, value)})
        text = f"{name} of {counted(int(lacking.sum()), 'row')} without one is that which the file gives beside them"
        tidy.note("derived", text, int(lacking.sum()))


def _scalars(tidy: Tidy) -> Scalars:
    """The entries of a file without those of another run, such as the best one: of a part that is named so, or that
    holds a loss."""
    found = {key: value for key, value in tidy.scalars.items() if isinstance(value, str | int | float | bool)}
    results = {
        _part(key) for key, value in found.items() if not isinstance(value, str) and is_loss(key.split("/")[-1])
    } - {""}
    return {key: value for key, value in found.items() if _part(key) not in results and not OTHERS.search(_part(key))}


def _part(key: str) -> str:
    return key.rpartition("/")[0]


def _named(scalars: Scalars, where: str) -> dict[str, object]:
    entries: dict[str, object] = {}
    for key, value in scalars.items():
        if _part(key) and (name := key.rsplit("/", 1)[-1]) in COLUMNS:
            entries |= _as_column("peak_lr" if name == "lr" else name, value, 1.0, where)
    words = {key for key, value in scalars.items() if isinstance(value, str) and not is_quantity(value)}
    guessed = [each for each in match(scalars, words=words, ties={}) if each.name not in MOVING]
    for each in sorted(guessed, key=lambda each: each.name == "lr"):
        if each.name != "lr":
            entries |= _as_column(each.name, scalars[each.source], each.scale, where)
        else:  # a peak that is named as such stays
            entries = _as_column("peak_lr", scalars[each.source], each.scale, where) | entries
    taken = {each.source for each in guessed}
    return entries | {key: value for key, value in scalars.items() if "/" not in key and key not in taken}


def _as_column(name: str, value: str | float, scale: float, where: str) -> dict[str, object]:
    """An entry under the name of a column; in one of numbers words are none, and are kept as `lr_in_file`."""
    if name not in COLUMNS or not COLUMNS[name].numeric:
        return {name: value}
    if isinstance(value, bool) or (isinstance(value, str) and not is_quantity(value)):
        return {f"{name}_in_file": value}
    if isinstance(value, str):
        return {name: float(numbers(pd.Series([value], index=["0"], name=name), where, scale)[0])}
    return {name: value * scale if scale != 1.0 else value}


def with_sizes_of_names(table: pd.DataFrame, notes: list[Note]) -> pd.DataFrame:
    """The table of runs with N from their names, where it has no size: each names one (`125m`, `llama-1.3B`), and
    these differ. A size that the runs have as tokens is none; a note says what was read.

    >>> runs = pd.DataFrame({"run": ["gpt-10M", "gpt-40M", "gpt-1.6B"], "loss": [4.0, 3.5, 3.0]})
    >>> with_sizes_of_names(runs, [])["N"].tolist()
    [10000000.0, 40000000.0, 1600000000.0]
    """
    known = {*map(str, table.columns)}
    if known & {"N", "N_total", "d_model"} or len(table) < 2:
        return table
    words = [name for name in map(str, table.columns) if words_of(name) <= NAMING | {"size"} and words_of(name)]
    words = [name for name in words if not pd.api.types.is_numeric_dtype(table[name].dtype)]
    others = [each for each in map(str, table.columns) if each not in words and each != "run"]
    data = table["D"].to_numpy(dtype=float) if "D" in known and table["D"].dtype.kind in "iuf" else None
    for name in ["run", *words]:
        cells = [str(cell) for cell in table[name]]
        if name == "run" and any(cells == [*map(str, table[each])] for each in others):
            continue  # named by a column of something else
        told = [each for each in _sizes_told(cells) if len(set(each)) > 1 and not _are_tokens(each, data)]
        if len(told) == 1 and (data is not None or told[0].min() < SURE):
            text = f"N is the size in the column '{name}', such as {told[0][0]:g} in '{cells[0]}'"
            notes.append(Note("derived", f"{text}: there is no column of sizes", len(table)))
            return table.assign(N=told[0])
    return table


def _sizes_told(cells: list[str]) -> list[np.ndarray]:
    """The sizes that every name holds, each (n,) in the order of the names: one that is called N or active alone.

    >>> _sizes_told(["moe-14M-a2M", "moe-40M-a6M"]), _sizes_told(["N1238144_D5000000"])
    ([array([2000000., 6000000.])], [array([1238144.])])
    """
    plain = [PLAIN_SIZE.findall(cell) for cell in cells]
    if all(len(found) == 1 for found in plain):
        return [np.array([float(found[0]) for found in plain])]
    hits = [[hit for hit in SIZE.finditer(cell) if not NO_SIZE.fullmatch(hit[1])] for cell in cells]
    active = [[hit for hit in found if ACTIVE.fullmatch(hit[1])] for found in hits]
    hits = active if all(len(found) == 1 for found in active) else hits
    if len({len(found) for found in hits}) > 1 or not hits[0]:
        return []
    return [*np.array([[quantity(hit[2] + hit[3]) for hit in found] for found in hits]).T]


def _are_tokens(sizes: np.ndarray, data: np.ndarray | None) -> bool:
    """Whether sizes in names are the tokens that the runs saw."""
    return data is not None and bool((np.abs(sizes / data - 1) < NEAR).all())
