"""Tables as people write them, brought to the one shape that is read: a row a run or logged step, a column a quantity.

Each function knows one other shape. It returns None for a table that does not have it; what it did becomes a remark.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype as is_numeric

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.dictionaries import with_entries
from scalefit.runs.formats.markers import marker
from scalefit.runs.formats.markup import without_mathematics
from scalefit.runs.formats.matrices import columns_by_value, matrix, named_matrix, nans_of_table, wide_runs
from scalefit.runs.formats.merged_cells import without_merged_cells
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.processes import of_one_process, one_in_a_row
from scalefit.runs.formats.raw import RawTable, Remark, reshaped, settled
from scalefit.runs.formats.scaled_headers import in_one_unit, unscaled
from scalefit.runs.formats.side_by_side import side_by_side
from scalefit.runs.formats.splits import kind, measured, parted, split_column
from scalefit.runs.formats.summaries import with_names_below, with_units, without_summaries
from scalefit.runs.formats.turned import headed_by_numbers, turned
from scalefit.runs.matching import canonical
from scalefit.runs.quantities import is_quantity, numbers
from scalefit.runs.reading.results import FIXED
from scalefit.runs.settings import NAMING, is_setting
from scalefit.runs.wording import words_of

NAMED = ("metric", "metric_name", "metric_key", "tag", "key", "variable", "measure", "quantity", "series",
         "attribute_path", "attribute", "field", "name")  # fmt: skip
VALUED = ("value", "metric_value", "float_value", "number_value", "scalar_value", "scalar", "val", "v", "score",
          "measurement", "number")  # fmt: skip
PLACED = re.compile(r"(?:.*[_./])?(?:idx|index|i|epoch|time|timestamp|wall_?time)", re.IGNORECASE)  #: place a row
CLOCK = re.compile(r"(?:.*[_./ ])?(?:time|timestamp|wall_?time|seconds|elapsed)", re.IGNORECASE)
OF = re.compile(r"\s*[\[(]?\s*(\d+)\s*(?:/|of)\s*(\d+)\s*[\])]?\s*")
COUNTED = re.compile(r"step|iter|epoch|batch|update|progress", re.IGNORECASE)
NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)"
TIMES = re.compile(rf"\s*{NUMBER}\s*[x×]\s*", re.IGNORECASE)
TIMES_FIRST = re.compile(rf"\s*[x×]\s*{NUMBER}\s*", re.IGNORECASE)
UNNEEDED = ("C", "N_total", "batch", "lr")  #: numbers that may be words, such as low, small or cosine
CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")  #: where a capital begins a word: metricValue
LONGEST = 60  #: letters of a name that states a setting
MOST_METRICS = 60  #: names of metrics in a long table


def shaped(raw: RawTable, mapped: Container[str] = ()) -> RawTable:
    """The table in the shape that is read. A table that has a column which the user mapped keeps that column."""
    if raw.along is not None and any(name in mapped for name in set(raw.along.columns) - set(raw.frame.columns)):
        raw = replace(raw, frame=raw.along)
    raw = settled(raw)
    renames = mapped if isinstance(mapped, Mapping) else {}
    for reshape in (
        without_mathematics,
        with_entries,
        with_names_below,
        with_units,
        without_summaries,
        lambda raw: without_merged_cells(raw, renames),
        lambda raw: unscaled(raw, mapped),
        in_one_unit,
        _counted,
        _multiplied,
        _melted,
        lambda raw: _with_units_of_names(_long(raw), mapped),
        _parted,
        lambda raw: of_one_process(raw, renames),
        lambda raw: one_in_a_row(raw, renames),
        _same_rates,
        lambda raw: _with_units_of_names(turned(raw), mapped),
        matrix,
        named_matrix,
        columns_by_value,
        side_by_side,
        wide_runs,
        _refuse_bare_numbers,
        _words_aside,
    ):
        made = reshape(raw)
        if made is not None and not any(name in mapped for name in set(raw.frame.columns) - set(made.frame.columns)):
            raw = made
    return raw


def _with_units_of_names(made: RawTable | None, mapped: Container[str]) -> RawTable | None:
    """A table whose columns have got the names that stood in its cells, without the factors in these."""
    return made and (unscaled(made, mapped) or made)


def _cells(column: pd.Series, pattern: re.Pattern[str]) -> pd.DataFrame | None:
    """The groups of a pattern in a column of text, as numbers, where every filled cell fits it."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return None
    filled = column.notna().to_numpy()
    first = str(column.iloc[int(filled.argmax())]) if filled.any() else ""
    if len(first) > LONGEST or not pattern.fullmatch(first):
        return None
    if column.astype(str).str.len().max() > LONGEST:
        return None
    found = column.astype(str).str.fullmatch(pattern) | column.isna()
    return column.str.extract(f"^{pattern.pattern}$", flags=pattern.flags).astype(float) if found.all() else None


def _words_aside(raw: RawTable) -> RawTable | None:
    """A column of words under the name of a number that few laws need, such as low under C, gets another name."""
    frame = raw.frame
    texts = [name for name in UNNEEDED if name in frame and not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    words = [name for name in texts if all(map(_is_word, frame[name].dropna()))]
    new = {name: f"{name}_in_file" for name in words if f"{name}_in_file" not in frame and frame[name].notna().any()}
    text = f"{' and '.join(new)} holds words and no numbers: read as {' and '.join(new.values())}"
    return replace(raw, frame=frame.rename(columns=new), remarks=(*raw.remarks, Remark("named", text))) if new else None


def _is_word(cell: object) -> bool:
    """Whether a cell begins with a letter and stands for no number: no date, truth value or diverged."""
    return isinstance(cell, str) and cell.strip()[:1].isalpha() and not is_quantity(cell) and not marker(cell)


def _counted(raw: RawTable) -> RawTable | None:
    """A step written `n/m`: step n of m."""
    for name in map(str, raw.frame.columns):
        parts = _cells(raw.frame[name], OF)
        if parts is None or (not COUNTED.search(name) and canonical(name) != "step"):
            continue
        first, slash, second = name.partition("/")
        both = (first, second) if slash and canonical(first) == "step" else (name, f"{name} in all")
        both = (both[0], "max_steps") if canonical(both[0]) == "step" else both
        frame = raw.frame.drop(columns=name).assign(**{both[0]: parts[0], both[1]: parts[1]})
        text = f"the column '{name}' holds n/m: {both[0]} is n, {both[1]} is m"
        return reshaped(raw, frame, "derived", text, raw.nans)
    return None


def _multiplied(raw: RawTable) -> RawTable | None:
    """A quantity written as multiples, 0.25x or 2×."""
    for name in map(str, raw.frame.columns):
        parts = _cells(raw.frame[name], TIMES)
        parts = _cells(raw.frame[name], TIMES_FIRST) if parts is None else parts
        if parts is not None:
            text = (
                f"the column '{name}' holds multiples such as {raw.frame[name].dropna().iloc[0]}: read as plain numbers"
            )
            return reshaped(raw, raw.frame.assign(**{name: parts[0]}), "converted", text, raw.nans)
    return None


def _melted(raw: RawTable) -> RawTable | None:
    """A row a metric and step, and a column a run: a value a row, as a long table has it."""
    frame = raw.frame
    key = next((str(name) for name in frame.columns if str(name).strip().lower() in NAMED), None)
    axis = next((str(name) for name in frame.columns if canonical(str(name)) in ("step", "epoch")), None)
    runs = [str(name) for name in frame.columns if name not in (key, axis)]
    if key is None or axis is None or len(runs) < 2 or frame[[key, axis]].isna().any(axis=None):
        return None
    known = any(canonical(name) in COLUMNS or measured(name) or name.lower() in VALUED for name in runs)
    words = frame[key].astype(str)
    if known or not any(map(measured, words.unique())) or not all(is_numeric(frame[name].dtype) for name in runs):
        return None
    if frame.duplicated([key, axis]).any():
        return None
    lost = nans_of_table(raw)  # None: every empty cell may be one
    there = [frame.index if lost is None else lost.get(name, []) for name in runs]
    logged = [(frame[name].notna() | frame.index.isin(at)).to_numpy() for name, at in zip(runs, there, strict=True)]
    made = frame.melt([key, axis], runs, "run", "value").set_axis(range(1, len(frame) * len(runs) + 1))
    made = made[np.concatenate(logged)]
    nans = {"value": [int(at) for at in made.index[made["value"].isna()]]}
    text = f"a row holds a metric at a step, and each of the columns {', '.join(runs)} a run"
    return reshaped(raw, made, "derived", text, nans)


def _long(raw: RawTable) -> RawTable | None:
    """One value a row, with the name of its metric beside it: a column a metric, a row a step (or a run)."""
    frame = raw.frame
    last = {re.split(r"[/.]", CAPITAL.sub("_", str(name)))[-1].strip().lower(): str(name) for name in frame.columns}
    key, value = (next((last[name] for name in names if name in last), None) for names in (NAMED, VALUED))
    axes = {canonical(part): name for part, name in reversed(last.items())}
    axis = axes.get("step", axes.get("epoch", _lengths(frame, axes.get("steps"), key)))
    clock = _clock(frame, key) if axis is None and key else ""
    axis = axis or clock or None
    if key is None or value is None or pd.api.types.is_numeric_dtype(frame[key].dtype):
        return None
    if not 1 <= frame[key].nunique() <= min(MOST_METRICS, len(frame) - 1) or (axis and frame[axis].isna().any()):
        return None
    if axis is None and not any(measured(str(name)) for name in frame[key].unique()):
        return None
    run = next((str(name) for name in frame.columns if canonical(str(name)) == "run" and name != key), None)
    run = run or _telling_word(frame, key, value, axis)
    split, fixed = split_column(frame.drop(columns=key)), _beside(frame, (key, value, axis, run))
    fixed = [name for name in fixed if name != split]
    runs = _names_of(frame, run, fixed)
    if axis is None and (not runs.nunique() > 1 or pd.DataFrame({"run": runs, "key": frame[key]}).duplicated().any()):
        return None
    steps = np.zeros(len(frame)) if axis is None else numbers(frame[axis], str(raw.path))
    names = frame[key].fillna("").astype(str)
    names = names if axis else names.replace("step", "steps")  # of a result: the length of its run
    names = names if split is None else frame[split].astype(str) + "/" + names
    amounts = pd.Series(numbers(frame[value], str(raw.path)), index=frame.index)
    points = pd.DataFrame({"run": runs, "key": names, "step": steps, "time": range(len(frame)), "value": amounts})
    known = nans_of_table(raw) if amounts.hasnans else None
    empty = amounts.isna() & ~amounts.index.isin(known.get(value, [])) if known is not None else amounts.isna() & False
    table, told, nans = wide(points[~empty])
    for name in fixed:
        table[name] = table["run"].map(dict(zip(runs, frame[name], strict=True)))
    table = table if run or fixed else table.drop(columns="run")
    table = table.drop(columns="step") if axis is None else table
    table = table.rename(columns={"step": axis}) if axis and axes.get("step") != axis else table
    text = f"one value a row, named in '{key}': a column for each of {', '.join(dict.fromkeys(points['key']))}"
    text += f"; empty cells, which are values that were not logged: {empty.sum()}" if empty.any() else ""
    made = reshaped(raw, table, "derived", text, nans)
    return replace(made, remarks=(*made.remarks, *told), clock=clock or made.clock)


def _telling_word(frame: pd.DataFrame, key: str, value: str, axis: str | None) -> str | None:
    """The column that names the runs: by its name, or because its words tell apart values of one metric at one step."""
    place = [key, *([axis] if axis else [])]
    for name in [str(name) for name in frame.columns if name not in (*place, value)]:
        words = frame[name]
        if words_of(name) and words_of(name) <= NAMING and words.notna().all() and 1 < 2 * words.nunique() < len(frame):
            return name
        if pd.api.types.is_numeric_dtype(words.dtype) or words.isna().any() or kind(words.iloc[0]):
            continue
        apart = frame.duplicated(place).any() and not frame.duplicated([*place, name]).any()
        if words.nunique() > 1 and apart:
            return name
    return None


def _lengths(frame: pd.DataFrame, name: str | None, key: str | None) -> str | None:
    """The column of `steps` of a long table, where one metric has several: these are the steps of a curve."""
    again = name is not None and key is not None and frame.groupby(key)[name].nunique().max() > 1
    return name if again and not any(canonical(str(each)) == "run" for each in frame.columns) else None


def _clock(frame: pd.DataFrame, key: str) -> str:
    """The column of times along which the values of one metric stand, where nothing else tells these apart; else ""."""
    named = [str(name) for name in frame.columns if CLOCK.fullmatch(str(name)) and frame[name].dtype.kind in "if"]
    keys = [name for name in frame.columns if str(name) == key or canonical(str(name)) == "run"]
    again = bool(frame.duplicated(keys).any())
    return named[0] if len(named) == 1 and again and not frame.duplicated([*keys, named[0]]).any() else ""


def _beside(frame: pd.DataFrame, known: tuple[str | None, ...]) -> list[str]:
    """The settings beside the values of a long table: columns of the glossary, and those that do not measure."""
    rest = [str(name) for name in frame.columns if name not in known and frame[name].notna().any()]
    if known[3] is not None:
        groups = frame.groupby(known[3], dropna=False)
        return [name for name in rest if (groups[name].nunique(dropna=False) == 1).all()]
    rest = [name for name in rest if not PLACED.fullmatch(name)]
    fixed = [name for name in rest if canonical(name) in FIXED or canonical(name) == "lr" or "time" not in name.lower()]
    return [name for name in fixed if is_setting(canonical(name), frame[name]) or canonical(name) in (*FIXED, "lr")]


def _names_of(frame: pd.DataFrame, run: str | None, fixed: list[str]) -> pd.Series:
    """The run of each row: as it is named, or as its settings are."""
    if run is not None:
        return frame[run].astype(str)
    runs = pd.Series("", index=frame.index)
    for name in fixed:
        runs = runs.str.cat(frame[name].astype(str).fillna(""), sep=", " if name != fixed[0] else f"{name}=")
    return runs


def _parted(raw: RawTable) -> RawTable | None:
    """Losses of several splits in one column."""
    return parted(raw, nans_of_table(raw)) if split_column(raw.frame) else None


def _same_rates(raw: RawTable) -> RawTable | None:
    """Learning rates of several groups of parameters that are all the same: one of them."""
    names = [str(name) for name in raw.frame.columns if canonical(str(name)) == "lr"]
    if len(names) < 2 or "lr" in names or not all(raw.frame[name].equals(raw.frame[names[0]]) for name in names[1:]):
        return None
    text = f"the columns {', '.join(names[1:])} are the same as '{names[0]}'"
    return reshaped(raw, raw.frame.drop(columns=names[1:]), "dropped", text, raw.nans)


def _refuse_bare_numbers(raw: RawTable) -> None:
    """Raise InputError for a table whose columns are named by numbers of which nothing says what they are."""
    first = str(raw.frame.columns[0])
    if not headed_by_numbers(raw.frame) or not pd.api.types.is_numeric_dtype(raw.frame[first].dtype):
        return
    other = "lr" if canonical(first) not in ("lr", "peak_lr") else "width"
    todo = f"write both into the first cell, as in '{first} \\ {other}'"
    raise InputError("the columns are named by numbers, and nothing says of what", where=str(raw.path), todo=todo)
