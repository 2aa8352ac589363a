"""Tables as people write them, brought to the one shape that is read: a row a run or logged step, a column a quantity.

Each function knows one other shape. It returns None for a table that does not have it; what it did becomes a remark.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.runs.formats import delimited
from scalefit.runs.formats.pivot import wide
from scalefit.runs.formats.raw import RawTable, Remark, settled
from scalefit.runs.matching import canonical, match
from scalefit.runs.quantities import is_quantity, numbers

NAMED, VALUED = ("metric", "metric_name", "name", "tag", "key", "variable"), ("value", "metric_value", "scalar")
OF = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")
TIMES = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*[x×]\s*", re.IGNORECASE)
BETWEEN = re.compile(r"\s*(?:\\|\||/|,|→|\bvs\.?(?=\s)|\bby\b|\bx\b|×)\s*", re.IGNORECASE)
SPLITS = {
    "train",
    "training",
    "tr",
    "val",
    "valid",
    "validation",
    "eval",
    "test",
    "dev",
    "held",
    "out",
    "ema",
    "smooth",
}
MEASURES = {
    *(
        "loss",
        "nll",
        "ce",
        "xent",
        "ppl",
        "perplexity",
        "bpb",
        "bpc",
        "error",
        "err",
        "acc",
        "accuracy",
        "top1",
        "top5",
    ),
    *("mse", "rmse", "mae", "grad", "norm", "gnorm", "time", "sec", "seconds", "ms", "mem", "memory", "mfu", "tps"),
    *("lm", "aux", "avg", "mean", "max", "min", "total", "final", "best", "score", "bleu", "f1", "z", "kl", "reward"),
}
MOST_METRICS = 60  #: names of metrics in a long table
ALIKE = 10.0  #: medians of the columns of a wide table lie within this factor


def shaped(raw: RawTable, mapped: Container[str] = ()) -> RawTable:
    """The table in the shape that is read. A table that has a column which the user mapped keeps that column."""
    if raw.along is not None and any(name in mapped for name in set(raw.along.columns) - set(raw.frame.columns)):
        raw = replace(raw, frame=raw.along)
    raw = settled(raw)
    for reshape in (_counted, _multiplied, _long, _matrix, _wide):
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
    found = column.astype(str).str.fullmatch(pattern) | column.isna()
    return column.str.extract(f"^{pattern.pattern}$", flags=pattern.flags).astype(float) if found.all() else None


def _counted(raw: RawTable) -> RawTable | None:
    """A step written `n/m`: step n of m."""
    for name in map(str, raw.frame.columns):
        parts = _cells(raw.frame[name], OF)
        if parts is None:
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
        if parts is not None:
            text = (
                f"the column '{name}' holds multiples such as {raw.frame[name].dropna().iloc[0]}: read as plain numbers"
            )
            return _told(raw, raw.frame.assign(**{name: parts[0]}), "converted", text, raw.nans)
    return None


def _long(raw: RawTable) -> RawTable | None:
    """One value a row, with the name of its metric beside it: a column a metric, a row a step."""
    frame = raw.frame
    last = {re.split(r"[/.]", str(name))[-1].strip().lower(): str(name) for name in frame.columns}
    key = next((last[name] for name in NAMED if name in last), None)
    value = next((last[name] for name in VALUED if name in last), None)
    axis = next((name for part, name in last.items() if canonical(part) == "step"), None)
    if key is None or value is None or axis is None or pd.api.types.is_numeric_dtype(frame[key].dtype):
        return None
    if not 1 <= frame[key].nunique() <= min(MOST_METRICS, len(frame) - 1) or frame[axis].isna().any():
        return None
    run = next((str(name) for name in frame.columns if canonical(str(name)) == "run" and name != key), None)
    runs = frame[run].astype(str) if run else pd.Series("", index=frame.index)
    steps, names = numbers(frame[axis], str(raw.path)), frame[key].fillna("").astype(str)
    amounts = pd.Series(numbers(frame[value], str(raw.path)), index=frame.index)
    points = pd.DataFrame({"run": runs, "key": names, "step": steps, "time": range(len(frame)), "value": amounts})
    known = _nans(raw) if amounts.hasnans else None
    empty = amounts.isna() & ~amounts.index.isin(known.get(value, [])) if known is not None else amounts.isna() & False
    table, told, nans = wide(points[~empty])
    table = table if run else table.drop(columns="run")
    text = f"one value a row, named in '{key}': a column for each of {', '.join(dict.fromkeys(points['key']))}"
    text += f"; empty cells, which are values that were not logged: {empty.sum()}" if empty.any() else ""
    made = _told(raw, table, "derived", text, nans)
    return replace(made, remarks=(*made.remarks, *told))


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
    body, empty, nans = _logged(raw, body, across)
    body[across] = numbers(body[across], str(raw.path))
    left = f"; empty cells, which are no runs: {empty}" if empty else ""
    text = f"a table of {down} (down) by {across} (across): each of {len(body)} cells is taken for the loss of a run"
    return _told(raw, body, "derived", text + left, nans)


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
        or any(map(_is_measure, runs))
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


def _is_measure(name: str) -> bool:
    """Whether a name says what was measured, and of which split at most: no name of a run (train_loss, grad norm)."""
    words = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    return not words - SPLITS - MEASURES
