"""Tables as people write them, brought to the one shape that is read: a row a run or logged step, a column a quantity.

Each function knows one other shape. It returns None for a table that does not have it; what it did becomes a remark.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats import delimited
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.raw import RawTable, Remark, settled
from scalefit.runs.formats.scaled_headers import unscaled
from scalefit.runs.formats.side_by_side import is_measure, side_by_side
from scalefit.runs.formats.splits import measured, parted, split_column
from scalefit.runs.formats.summaries import without_summaries
from scalefit.runs.matching import canonical, match
from scalefit.runs.quantities import is_quantity, numbers
from scalefit.runs.reading.results import FIXED
from scalefit.runs.settings import is_setting

NAMED = ("metric", "metric_name", "metric_key", "tag", "key", "variable", "measure", "quantity", "series", "name")
VALUED = ("value", "metric_value", "scalar", "val", "v", "score", "measurement", "number")
OF = re.compile(r"\s*[\[(]?\s*(\d+)\s*(?:/|of)\s*(\d+)\s*[\])]?\s*")
COUNTED = re.compile(r"step|iter|epoch|batch|update|progress", re.IGNORECASE)
NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)"
TIMES = re.compile(rf"\s*{NUMBER}\s*[x×]\s*", re.IGNORECASE)
TIMES_FIRST = re.compile(rf"\s*[x×]\s*{NUMBER}\s*", re.IGNORECASE)
VALUED_NAME = re.compile(
    rf"(?P<name>[A-Za-z_][A-Za-z_ ]*?)\s*[=:@ _]?\s*(?P<value>{NUMBER[1:-1]}[kmbt]?)", re.IGNORECASE
)
NAMED_VALUE = re.compile(rf"(?P<value>{NUMBER[1:-1]}[kmbt]?)\s*(?P<name>[A-Za-z_][A-Za-z_ ]*)", re.IGNORECASE)
BETWEEN = re.compile(r"\s*(?:\\|\||/|,|→|\bvs\.?(?=\s)|\bby\b|\bx\b|×)\s*", re.IGNORECASE)
AXES = ("step", "tokens", "epoch")
LONGEST = 60  #: letters of a name that states a setting
MOST_METRICS = 60  #: names of metrics in a long table
ALIKE = 10.0  #: medians of the columns of a wide table lie within this factor


def shaped(raw: RawTable, mapped: Container[str] = ()) -> RawTable:
    """The table in the shape that is read. A table that has a column which the user mapped keeps that column."""
    if raw.along is not None and any(name in mapped for name in set(raw.along.columns) - set(raw.frame.columns)):
        raw = replace(raw, frame=raw.along)
    raw = settled(raw)
    for reshape in (
        without_summaries,
        unscaled,
        _counted,
        _multiplied,
        _long,
        _parted,
        _same_rates,
        _turned,
        _matrix,
        _named_matrix,
        side_by_side,
        _wide,
    ):
        made = reshape(raw)
        if made is not None and not any(name in mapped for name in set(raw.frame.columns) - set(made.frame.columns)):
            raw = made
    return raw


def _told(raw: RawTable, frame: pd.DataFrame, kind: str, text: str, nans: dict[str, list[int]] | None) -> RawTable:
    unsure = raw.unsure and nans is raw.nans
    return replace(raw, frame=frame, remarks=(*raw.remarks, Remark(kind, text)), nans=nans, unsure=unsure)


def _cells(column: pd.Series, pattern: re.Pattern[str]) -> pd.DataFrame | None:
    """The groups of a pattern in a column of text, as numbers, where every filled cell fits it."""
    if pd.api.types.is_numeric_dtype(column.dtype) or not column.notna().any():
        return None
    if column.astype(str).str.len().max() > LONGEST:
        return None
    found = column.astype(str).str.fullmatch(pattern) | column.isna()
    return column.str.extract(f"^{pattern.pattern}$", flags=pattern.flags).astype(float) if found.all() else None


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
        return _told(raw, frame, "derived", text, raw.nans)
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
            return _told(raw, raw.frame.assign(**{name: parts[0]}), "converted", text, raw.nans)
    return None


def _long(raw: RawTable) -> RawTable | None:
    """One value a row, with the name of its metric beside it: a column a metric, a row a step (or a run)."""
    frame = raw.frame
    last = {re.split(r"[/.]", str(name))[-1].strip().lower(): str(name) for name in frame.columns}
    key, value = (next((last[name] for name in names if name in last), None) for names in (NAMED, VALUED))
    axes = {canonical(part): name for part, name in reversed(last.items())}
    axis = axes.get("step", axes.get("epoch"))
    if key is None or value is None or pd.api.types.is_numeric_dtype(frame[key].dtype):
        return None
    if not 1 <= frame[key].nunique() <= min(MOST_METRICS, len(frame) - 1) or (axis and frame[axis].isna().any()):
        return None
    if axis is None and not any(measured(str(name)) for name in frame[key].unique()):
        return None
    run = next((str(name) for name in frame.columns if canonical(str(name)) == "run" and name != key), None)
    split, fixed = split_column(frame.drop(columns=key)), _beside(frame, (key, value, axis, run))
    fixed = [name for name in fixed if name != split]
    runs = _names_of(frame, run, fixed)
    if axis is None and (not runs.nunique() > 1 or pd.DataFrame({"run": runs, "key": frame[key]}).duplicated().any()):
        return None
    steps = np.zeros(len(frame)) if axis is None else numbers(frame[axis], str(raw.path))
    names = frame[key].fillna("").astype(str)
    names = names if split is None else frame[split].astype(str) + "/" + names
    amounts = pd.Series(numbers(frame[value], str(raw.path)), index=frame.index)
    points = pd.DataFrame({"run": runs, "key": names, "step": steps, "time": range(len(frame)), "value": amounts})
    known = _nans(raw) if amounts.hasnans else None
    empty = amounts.isna() & ~amounts.index.isin(known.get(value, [])) if known is not None else amounts.isna() & False
    table, told, nans = wide(points[~empty])
    for name in fixed:
        table[name] = table["run"].map(dict(zip(runs, frame[name], strict=True)))
    table = table if run or fixed else table.drop(columns="run")
    table = table.drop(columns="step") if axis is None else table
    table = table.rename(columns={"step": axis}) if axis and axes.get("step") != axis else table
    text = f"one value a row, named in '{key}': a column for each of {', '.join(dict.fromkeys(points['key']))}"
    text += f"; empty cells, which are values that were not logged: {empty.sum()}" if empty.any() else ""
    made = _told(raw, table, "derived", text, nans)
    return replace(made, remarks=(*made.remarks, *told))


def _beside(frame: pd.DataFrame, known: tuple[str | None, ...]) -> list[str]:
    """The settings beside the values of a long table: columns of the glossary, and those that do not measure."""
    rest = [str(name) for name in frame.columns if name not in known]
    if known[3] is not None:
        groups = frame.groupby(known[3], dropna=False)
        return [name for name in rest if (groups[name].nunique(dropna=False) == 1).all()]
    fixed = [name for name in rest if canonical(name) in FIXED or canonical(name) == "lr" or "time" not in name.lower()]
    return [name for name in fixed if is_setting(canonical(name), frame[name]) or canonical(name) in (*FIXED, "lr")]


def _names_of(frame: pd.DataFrame, run: str | None, fixed: list[str]) -> pd.Series:
    """The run of each row: as it is named, or as its settings are."""
    if run is not None:
        return frame[run].astype(str)
    runs = pd.Series("", index=frame.index)
    for name in fixed:
        runs = runs.str.cat(frame[name].astype(str), sep=", " if name != fixed[0] else f"{name}=")
    return runs


def _parted(raw: RawTable) -> RawTable | None:
    """Losses of several splits in one column."""
    return parted(raw, _nans(raw)) if split_column(raw.frame) else None


def _same_rates(raw: RawTable) -> RawTable | None:
    """Learning rates of several groups of parameters that are all the same: one of them."""
    names = [str(name) for name in raw.frame.columns if canonical(str(name)) == "lr"]
    if len(names) < 2 or "lr" in names or not all(raw.frame[name].equals(raw.frame[names[0]]) for name in names[1:]):
        return None
    text = f"the columns {', '.join(names[1:])} are the same as '{names[0]}'"
    return _told(raw, raw.frame.drop(columns=names[1:]), "dropped", text, raw.nans)


def _turned(raw: RawTable) -> RawTable | None:
    """A column a run and a row a quantity: `N,1B,3B` above `loss,3.1,2.9`, or names of runs above both."""
    frame = raw.frame
    first, others = str(frame.columns[0]), [str(name) for name in frame.columns[1:]]
    if len(others) < 2 or len(frame) > len(COLUMNS):
        return None
    headed = canonical(first) in COLUMNS and all(map(is_quantity, others))
    if headed and pd.api.types.is_numeric_dtype(frame[first].dtype):
        todo = f"write both into the first cell, as in '{first} \\ width'"
        raise InputError("the columns are named by numbers, and nothing says of what", where=str(raw.path), todo=todo)
    names = [str(name).strip() for name in frame[first]]
    if (
        len(set(names)) < len(names)
        or max(map(len, names), default=0) > LONGEST
        or not all(canonical(name) in COLUMNS for name in names)
    ):
        return None
    lossy = any(measured(name) for name in names) and len(names) > 1
    if not headed and (not lossy or any(canonical(name) in COLUMNS or measured(name) for name in others)):
        return None
    body = frame.drop(columns=first).T.set_axis(names, axis=1)
    body.insert(0, first if headed else "run", others)
    body = body.set_axis(pd.RangeIndex(1, len(body) + 1)).infer_objects()
    return _told(raw, body, "derived", f"a row a quantity ({', '.join(names)}): turned, each column is a run", {})


def _matrix(raw: RawTable) -> RawTable | None:
    """A loss for each pair of two settings: `lr \\ weight_decay` above the first column, numbers above the others."""
    frame = raw.frame
    first, others = str(frame.columns[0]), [str(name) for name in frame.columns[1:]]
    parts = [part for part in BETWEEN.split(first) if part]
    if len(others) < 2 or len(frame) < 2 or len(parts) != 2 or not all(map(is_quantity, others)):
        return None
    if not all(pd.api.types.is_numeric_dtype(frame[name].dtype) for name in others):
        return None
    down, across = parts
    body = frame.rename(columns={first: down}).melt(
        id_vars=[down], var_name=across, value_name="loss", ignore_index=False
    )
    if canonical(down) not in AXES and "run" not in map(canonical, (down, across)):
        body["run"] = [f"row {at}, column {name}" for at, name in zip(body.index, body[across], strict=True)]
    body, empty, nans = _logged(raw, body, across)
    body[across] = numbers(body[across], str(raw.path))
    left = f"; empty cells, which are no runs: {empty}" if empty else ""
    text = f"a table of {down} (down) by {across} (across): each of {len(body)} cells is taken for the loss of a run"
    return _told(raw, body, "derived", text + left, nans)


def _named_matrix(raw: RawTable) -> RawTable | None:
    """A loss for each pair of two settings, where the columns name theirs: `lr,d=128,d=256`, `params,1B tokens`."""
    first, others = str(raw.frame.columns[0]), [str(name) for name in raw.frame.columns[1:]]
    if max(map(len, others), default=0) > LONGEST:
        return None
    found = [VALUED_NAME.fullmatch(name) or NAMED_VALUE.fullmatch(name) for name in others]
    names = {hit["name"].strip() for hit in found if hit}
    if len(others) < 2 or not all(found) or len(names) != 1 or canonical(first) not in {*COLUMNS} - {*AXES}:
        return None
    across = names.pop()
    across = {"d": "width", "w": "width", "n": "N"}.get(across, across)
    if canonical(across) not in COLUMNS or measured(across) or canonical(across) == canonical(first):
        return None
    values = [hit["value"] for hit in found if hit]
    frame = raw.frame.set_axis([f"{first} \\ {across}", *values], axis=1)
    nans = {f"{value}": (raw.nans or {}).get(name, []) for name, value in zip(others, values, strict=True)}
    return _matrix(replace(raw, frame=frame, nans=None if raw.nans is None else nans))


def _wide(raw: RawTable) -> RawTable | None:
    """The losses of several runs side by side, one column a run, beside one column of steps."""
    frame = raw.frame
    names = [str(name) for name in frame.columns]
    bound = {binding.source: binding.name for binding in match(names, ties={})}
    axes = [source for source, name in bound.items() if name in ("step", "tokens")]
    runs = [name for name in names if name not in bound]
    if len(axes) != 1 or set(bound.values()) - {"step", "tokens"} or len(runs) < 2 or len(names) != len(runs) + 1:
        return None
    if not all(pd.api.types.is_numeric_dtype(frame[name].dtype) and _like_a_loss(frame[name]) for name in runs):
        return None
    middles = frame[runs].median()
    if (
        middles.max() > ALIKE * middles.min()
        or any(map(is_measure, runs))
        or not frame[axes[0]].is_monotonic_increasing
    ):
        return None
    body = frame.melt(id_vars=axes, value_vars=runs, var_name="run", value_name="loss", ignore_index=False)
    body, empty, nans = _logged(raw, body, "run")
    shown = ", ".join(runs[:6]) + (f" and {len(runs) - 6} more" if len(runs) > 6 else "")
    left = f"; empty cells, which are steps that were not logged: {empty}" if empty else ""
    text = f"each of the columns {shown} is taken for the loss of a run{left}"
    return _told(raw, body, "derived", text, nans)


def _logged(raw: RawTable, body: pd.DataFrame, column: str) -> tuple[pd.DataFrame, int, dict[str, list[int]]]:
    """The cells that hold a loss or the word NaN (a diverged run), how many are empty, and the rows of those NaN."""
    nans = (_nans(raw) or {}) if body["loss"].hasnans else {}
    at = {(row, name) for name, lines in nans.items() for row in lines}
    named = np.array([key in at for key in zip(body.index, body[column].astype(str), strict=True)], dtype=bool)
    kept = body["loss"].notna().to_numpy() | named
    made = body[kept].set_index(pd.RangeIndex(1, int(kept.sum()) + 1))
    return made, int((~kept).sum()), {"loss": made.index[made["loss"].isna()].tolist()}


def _nans(raw: RawTable) -> dict[str, list[int]] | None:
    """The rows, by column, that hold the word NaN; None where the table does not tell it from an empty cell."""
    if raw.nans is None and any(raw.path.match(name) for name in delimited.NAMES):
        return delimited.nan_cells(raw.path)
    return raw.nans


def _like_a_loss(column: pd.Series) -> bool:
    """Whether a column is positive and ends below its beginning."""
    values = column.dropna().to_numpy(dtype=float)
    return len(values) > 1 and bool((values > 0).all()) and bool(np.isfinite(values).all() and values[-1] < values[0])
