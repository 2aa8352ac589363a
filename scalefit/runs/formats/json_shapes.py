"""The ways in which a JSON document holds a table: columns, rows, runs of one or many rows, frames of pandas."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from scalefit.errors import InputError, listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import Remark
from scalefit.runs.formats.splits import AXES, kind, measured
from scalefit.runs.formats.text import flattened
from scalefit.runs.matching import canonical

MOST_DIGITS, EVENLY = 15, 8  #: of a step; records whose numbers rise evenly, from which on these are steps
LONG = 20  #: learning rates of lists from which on they are those along a run, and of no sweep
#: a key such as step_100, iter 100, checkpoint-100, or epoch_3
NAMED_STEP = re.compile(
    r"(?:(?:global[ _-]?)?step|iter(?:ation)?|update|checkpoint|ckpt|(epoch))[ _=:-]*(?=\d{1,14}$)", re.IGNORECASE
)
COUNT_OF_STEPS = re.compile(r"(?:n|num|total|max)_(?:train(?:ing)?_)?(?:steps|iters|iterations|batches|updates)")
MOST_WIDE = 1 << 15  #: of numbers that may be widths
SIZES = frozenset({"N", "N_total", "D", "C", "d_model", "n_layer", "seed"})
COUNTERS = frozenset({"tokens", "epoch", "grad_norm"})  #: what no table of final results has beside a loss
ALONG = COUNTERS | {"lr"}  #: what is logged at each step beside the losses
PLURALS = ((re.compile(r"losses$"), "loss"), (re.compile(r"(step|epoch|iter|iteration|lr|rate)s$"), r"\1"))


def unwrapped(content: Any) -> tuple[Any, dict[str, object]]:
    """The table inside an object: `{"runs": [...]}`, `{"history": {...}}` an object of runs; and what is beside it."""
    content = _of_pandas(content)
    if isinstance(content, list):
        return rows_of_runs(content), {}
    if not isinstance(content, dict):
        return content, {}
    if (columns := _columns(content)) is not None:
        return columns, flattened({key: value for key, value in content.items() if key not in columns})
    tables = [key for key, value in content.items() if is_table(value)]
    only = next(iter(content.values())) if len(content) == 1 else None
    if isinstance(only, dict) and not tables:  # one run under its name
        inner, beside = unwrapped(only)
        if is_table(inner):
            return inner, beside
    if len(tables) == 1:
        beside = {key: value for key, value in content.items() if key != tables[0]}
        inner = content[tables[0]]
        if not isinstance(inner, dict) or all(isinstance(value, list) for value in inner.values()):
            told = isinstance(inner, list) and any(len(record) > 1 for record in inner)  # more than a table: its run
            return rows_of_runs(inner) if told else inner, flattened(beside)
    named = [key for key, value in content.items() if isinstance(value, dict) and _shared(value)]
    if len(named) == 1 and not _shared(content):
        beside = {key: value for key, value in content.items() if key != named[0]}
        return _of_runs(content[named[0]]), flattened(beside)
    if (splits := _of_splits(content)) is not None:
        return splits, {}
    return (_of_runs(content) if _shared(content) else content), {}


def is_table(value: Any) -> bool:
    """Whether a value is a list of objects, or an object of lists."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) for each in value)
    lists = isinstance(value, dict) and all(isinstance(each, list) for each in value.values())
    return lists and any(value.values()) and not all(map(is_table, value.values()))  # else runs, each of a table


def _columns(content: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The lists of an object that holds a loss at each place, beside single values or a configuration of its run.

    >>> _columns({"seed": 1, "loss": [3.0, 2.5], "step": [0, 10], "betas": [0.9, 0.95, 0.99]})
    {'loss': [3.0, 2.5], 'step': [0, 10]}
    """
    lists = {key: value for key, value in content.items() if isinstance(value, list) and not is_table(value)}
    one = dict(zip(lists, _singular(lists), strict=True))
    losses = [key for key, values in lists.items() if measured(one[key]) and len(values) > 1 and not _nested(values)]
    if not losses or any(is_table(value) for value in content.values()):
        return None
    found = {key: value for key, value in lists.items() if len(value) == len(lists[losses[0]]) and not _nested(value)}
    known = {key for key in lists if measured(one[key]) or canonical(one[key]) in COLUMNS}
    return found if known <= found.keys() and len(found) < len(content) else None


def _nested(values: list[Any]) -> bool:
    return any(isinstance(each, list | dict) for each in values)


def losses_along(columns: dict[str, list[Any]], beside: dict[str, Any]) -> tuple[list[int], str] | None:
    """The steps of a list of losses that stands alone beside single values, by the number of steps among these.

    >>> losses_along({"losses": [5.0, 4.0, 3.5, 3.2, 3.0, 2.9, 2.8, 2.7]}, {"lr": 1e-3, "total_batches": 16})[0]
    [2, 4, 6, 8, 10, 12, 14, 16]
    """
    if len(columns) != 1 or not all(map(measured, _singular(columns))):
        return None
    count = len(next(iter(columns.values())))
    for name, value in beside.items():
        steps = canonical(name) == "steps" or COUNT_OF_STEPS.fullmatch(name.rpartition("/")[2])
        if steps and type(value) is int and count >= EVENLY and value % count == 0 and value > 0:
            each = value // count
            return [each * at for at in range(1, count + 1)], name
    return None


def rows_of(columns: dict[str, list[Any]], stem: str = "") -> tuple[list[dict[str, Any]], list[Remark]]:
    """The rows of an object of columns; names of lists are plural at times, and a history of losses counts epochs.

    >>> rows_of({"losses": [3.0, 2.5], "val_losses": [3.1, 2.7]})[0]
    [{'epoch': 0, 'loss': 3.0, 'val_loss': 3.1}, {'epoch': 1, 'loss': 2.5, 'val_loss': 2.7}]
    """
    names, told = _singular(columns), list[Remark]()
    length = max((len(values) for values in columns.values()), default=0)
    rates = [column for name, column in zip(names, columns.values(), strict=True) if canonical(name) == "lr"]
    others = [name for name in names if canonical(name) != "lr"]
    swept = any(len(set(map(str, rate))) == len(rate) < LONG for rate in rates) and "history" not in stem.lower()
    history = "history" in stem.lower() or len(others) > 1 or bool(rates and length >= LONG)
    if length > 1 and others and all(map(measured, others)) and history and not swept:
        columns, names = {"epoch": list(range(length)), **columns}, ["epoch", *names]
        told.append(Remark("derived", "the lists hold one value an epoch: epochs are counted from 0", length))
    pairs = [(name, values) for name, values in zip(names, columns.values(), strict=True)]
    return [{name: values[at] for name, values in pairs if at < len(values)} for at in range(length)], told


def _singular(columns: dict[str, list[Any]]) -> list[str]:
    """The names of columns, each in the singular where a list of values has a plural name of the glossary."""
    names = list(columns)
    for at, (name, values) in enumerate(columns.items()):
        for pattern, to in PLURALS:
            one = pattern.sub(to, name)
            varies = canonical(one) != "step" or len({str(value) for value in values}) > 1  # else the length of a run
            if one != name and one not in names and varies and (canonical(one) in COLUMNS or measured(one)):
                names[at] = one
    return names


def _of_pandas(content: Any) -> Any:
    """A frame as pandas writes it: by columns, by rows that are counted, or with columns, index and data apart."""
    if not isinstance(content, dict):
        return content
    if {"columns", "data"} <= content.keys() <= {"columns", "data", "index", "index_names", "column_names", "schema"}:
        names, rows = content["columns"], content["data"]
        if isinstance(names, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
            return [dict(zip(map(str, names), row, strict=False)) for row in rows]
    inner = [value for value in content.values() if isinstance(value, dict)]
    if not inner or len(inner) < len(content):
        return content
    if len(content) > 1 and list(content) == list(map(str, range(len(content)))):
        return inner
    keys = list(inner[0])
    if keys != list(map(str, range(len(keys)))) or any(list(each) != keys for each in inner):
        return _curves_by_step(content)
    if any(isinstance(cell, dict | list) for each in inner for cell in each.values()):
        return content
    return [{name: column[key] for name, column in content.items()} for key in keys]


def _curves_by_step(content: dict[str, dict[str, Any]]) -> Any:
    """Objects by step as rows: runs or measures from the step to a value, `{"a": {"10": 4.1, "20": 3.9}}`, or a record
    for each step, `{"10": {"loss": 4.1}, "20": {"loss": 3.9}}`.

    Raises InputError for keys that may be steps as well as widths, depths or sizes.
    """
    steps = [NAMED_STEP.sub("", key) for key in content]
    said = [found for key in content if (found := NAMED_STEP.match(key))]
    axis = "epoch" if said and said[0][1] else "step"
    named = len(said) == len(content) > 1 and len({found[1] for found in said}) == 1
    records = list(map(flattened, content.values())) if named or _rise_evenly(steps) else []
    if records and _of_sizes(records):
        return [{"run": key, **record} for key, record in zip(content, records, strict=True)]
    if records and all(any(map(measured, record)) for record in records):
        if not named and not any(COUNTERS & {canonical(name) for name in record} for record in records):
            _refuse_sizes(steps)
        return [{axis: int(step), **record} for step, record in zip(steps, records, strict=True)]
    numeric = all(len(curve) > 1 and all(key.isdigit() for key in curve) for curve in content.values())
    if not numeric or any(not isinstance(loss, int | float) for curve in content.values() for loss in curve.values()):
        return content
    others = {canonical(name) for name in content if not measured(name)}
    longest = max(map(list, content.values()), key=len)
    evenly = others <= ALONG and _rise_evenly(longest)
    if len(others) < len(content) and (evenly or not others):
        if not others & COUNTERS:
            _refuse_sizes(longest)
        places = sorted({int(step) for curve in content.values() for step in curve})
        return [
            {"step": s, **{name: curve[str(s)] for name, curve in content.items() if str(s) in curve}} for s in places
        ]
    if any(canonical(name) in COLUMNS for name in content):
        return content
    _refuse_sizes(longest)
    return [
        {"run": run, "step": int(step), "loss": loss} for run, curve in content.items() for step, loss in curve.items()
    ]


def _of_sizes(records: list[dict[str, Any]]) -> bool:
    """Whether records name a size or an amount of data that differs between them: each is of a run of its own."""
    sizes = [{str(record[name]) for record in records if name in record} for name in _sizes_in(records[0])]
    return any(len(values) > 1 for values in sizes)


def _sizes_in(record: dict[str, Any]) -> list[str]:
    return [name for name in record if canonical(name) in SIZES]


def _refuse_sizes(keys: list[str]) -> None:
    """Raise InputError for numbers that need not be steps: none is 0, they are few, and they are no round numbers."""
    numbers = [int(key) for key in keys]
    even = len({b - a for a, b in pairwise(numbers)}) == 1
    by = numbers[1] - numbers[0] if len(numbers) > 1 else 0
    round_ = by % 100 == 0 or (by % 10 == 0 and any(number % 16 for number in numbers))
    if 0 in numbers or len(numbers) >= LONG or (even and round_) or max(numbers) > MOST_WIDE:
        return
    shown = listed(keys, 3)
    todo = f'say it in the keys, as in "step_{keys[0]}" or "width_{keys[0]}", or write a list of records'
    raise InputError(f"the keys {shown} do not say whether they are steps, widths or other sizes", todo=todo)


def _rise_evenly(keys: list[str]) -> bool:
    """Whether keys are whole numbers that rise evenly, enough of them, and do not merely count."""
    if len(keys) < EVENLY or not all(key.isascii() and key.isdigit() and len(key) < MOST_DIGITS for key in keys):
        return False
    rises = {int(b) - int(a) for a, b in pairwise(keys)}
    return len(rises) == 1 and min(rises) > 1


def _of_splits(content: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The lists of objects named by splits, `{"train": {"mlogloss": [...]}, "eval": ...}`, counted from 0."""
    if len(content) < 2 or not all(kind(name) and is_table(inner) for name, inner in content.items()):
        return None
    inner = {name: part for name, part in content.items() if isinstance(part, dict)}
    lists = {f"{name}/{measure}": values for name, part in inner.items() for measure, values in part.items()}
    lengths = {len(values) for values in lists.values()}
    if len(inner) < len(content) or len(lengths) != 1 or any(canonical(name) in AXES for name in lists):
        return None
    return {"step": list(range(lengths.pop())), **lists}


def rows_of_runs(records: list[Any]) -> list[Any]:
    """The rows of records that each hold those of a run, as a table under one key, or as lists of steps and losses.

    >>> rows_of_runs([{"name": "a", "N": 1e6, "steps": [10, 20], "loss": [4.0, 3.5]}])
    [{'name': 'a', 'N': 1000000.0, 'step': 10, 'loss': 4.0}, {'name': 'a', 'N': 1000000.0, 'step': 20, 'loss': 3.5}]
    """
    if not records or not all(isinstance(record, dict) for record in records):
        return records
    parts = [_run_of(record) for record in records]
    if any(part is None or part[0] != parts[0][0] for part in parts if parts[0] is not None) or parts[0] is None:
        return records
    found = list[Any]()
    for number, (_, inner, beside) in enumerate(filter(None, parts), start=1):
        beside = beside if any(canonical(name) == "run" for name in beside) else {"run": f"run {number}"} | beside
        rows = rows_of(inner)[0] if isinstance(inner, dict) else inner
        found += [{**beside, **flattened(row)} for row in rows]
    return found


def _run_of(record: dict[str, Any]) -> tuple[str, Any, dict[str, Any]] | None:
    """The key of the only table of a record ("" where its lists are one), this table, and what stands beside it."""
    tables = [key for key, value in record.items() if is_table(value)]
    if len(tables) == 1:
        inner, beside = unwrapped(record)
        return tables[0], inner, beside | flattened({key: value for key, value in record.items() if key != tables[0]})
    columns = None if tables else _columns(record)
    if columns is None or not {canonical(name) for name in _singular(columns)} & {*AXES}:
        return None
    return "", columns, flattened({key: value for key, value in record.items() if key not in columns})


def _shared(content: dict[str, Any]) -> bool:
    """Whether an object holds several objects that have a key in common, or several lists of objects."""
    inner = [value for value in content.values() if isinstance(value, dict) and value]
    if len(content) > 1 and all(isinstance(value, list) and is_table(value) for value in content.values()):
        return True
    return len(inner) == len(content) > 1 and bool(set.intersection(*map(set, inner)))


def _of_runs(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of an object of runs: one a run, or one a step where a run holds lists."""
    found = []
    for run, value in content.items():
        inner, beside = unwrapped(value)
        if isinstance(inner, dict) and is_table(inner):
            along = "" if any(canonical(name) == "lr" for name in _singular(inner)) else "history"
            inner = rows_of(inner, along)[0]  # without rates, which may be those of a sweep, along the run
        rows = inner if isinstance(inner, list) else [inner]
        found += [{"run": run, **beside, **row} for row in rows]
    return found
