"""Curves as JSON: lists `x` and `y` of each metric, as ClearML and charts of Plotly have them.

And the points of one tag, as the web page of TensorBoard gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scalefit.runs.formats.raw import Remark
from scalefit.runs.formats.splits import measured

SYSTEM = ":monitor:"  #: how ClearML's names of what it measures of the machine begin
TIME = ("time", "date", "second", "hour", "minute")  #: in the title of an axis that counts no steps


@dataclass(frozen=True)
class Curve:
    """The values (y) of a metric at steps (x), in one list each, and the names above it."""

    names: tuple[str, ...]
    x: list[Any]
    y: list[Any]


def of_series(content: Any) -> tuple[list[dict[str, Any]], list[Remark], str] | None:
    """The rows of a document of curves, by run and step, and the name of x; None where it holds anything else.

    >>> rows, _, _ = of_series({"loss": {"train": {"x": [1, 2], "y": [3.0, 2.5]}, "val": {"x": [2], "y": [2.6]}}})
    >>> rows
    [{'step': 1, 'loss/train': 3.0}, {'step': 2, 'loss/train': 2.5, 'loss/val': 2.6}]
    """
    chart, axis, title = _charted(content)
    curves = list(_curves(chart))
    if not curves or not all(len(curve.x) == len(curve.y) > 0 and all(map(_is_place, curve.x)) for curve in curves):
        return None
    kept = [curve for curve in curves if not curve.names[0].startswith(SYSTEM)] or curves
    by_run = bool(title) and measured(title) and not any(measured(curve.names[-1]) for curve in kept)
    place = axis or ("step" if all(_counts(curve.x) for curve in kept) else "x")
    rows = dict[tuple[str, Any], dict[str, Any]]()
    for curve in kept:
        run, key = (curve.names[-1], title) if by_run else ("", _joined(curve.names))
        for at, value in zip(curve.x, curve.y, strict=True):
            rows.setdefault((run, at), {**({"run": run} if by_run else {}), place: at})[key] = value
    names = dict.fromkeys(key for row in rows.values() for key in row if key not in ("run", place))
    told = [
        Remark("derived", f"curves of x and y: x is the {place}, a column for each of {', '.join(names)}", len(kept))
    ]
    gone = len(curves) - len(kept)
    told += [Remark("dropped", f"{gone} curves of the machine ({SYSTEM}...)", gone)] if gone else []
    order = {run: count for count, run in enumerate(dict.fromkeys(run for run, _ in rows))}
    return [rows[key] for key in sorted(rows, key=lambda key: (order[key[0]], key[1]))], told, place


def of_pairs(content: Any) -> tuple[list[dict[str, Any]], list[Remark], str] | None:
    """The rows of an object of lists of pairs, a step and a value each; None for anything else.

    >>> of_pairs({"loss": [[0, 4.0], [10, 3.5]], "lr": [[10, 1e-3]]})[0]
    [{'step': 0, 'loss': 4.0}, {'step': 10, 'loss': 3.5, 'lr': 0.001}]
    """
    lists = content if isinstance(content, dict) else {}
    if not lists or not any(map(measured, lists)) or not all(map(_are_pairs, lists.values())):
        return None
    rows = dict[Any, dict[str, Any]]()
    for name, pairs in lists.items():
        for pair in pairs:
            rows.setdefault(pair[-2], {"step": pair[-2]})[name] = pair[-1]
    text = f"lists of a step and a value: a column for each of {', '.join(lists)}"
    return [rows[step] for step in sorted(rows)], [Remark("derived", text, len(lists))], "step"


def _are_pairs(values: Any) -> bool:
    """Whether a list holds pairs, or triples that begin with a time, whose steps are whole numbers that rise."""
    if not isinstance(values, list) or not all(isinstance(each, list) and len(each) in (2, 3) for each in values):
        return False
    steps = [each[-2] for each in values]
    return bool(steps) and all(map(_is_place, steps)) and _counts(steps) and all(a < b for a, b in pairwise(steps))


def of_points(content: Any) -> list[tuple[int, Any]] | None:
    """The steps and values of a list of wall time, step, value; None for anything else.

    >>> of_points([[1.7e9, 10, 3.5], [1.7e9, 20, 3.0]])
    [(10, 3.5), (20, 3.0)]
    """
    if not isinstance(content, list) or len(content) < 2:
        return None
    if not all(isinstance(each, list) and len(each) == 3 and isinstance(each[1], int) for each in content):
        return None
    return [(step, value) for _, step, value in content]


def _charted(content: Any) -> tuple[Any, str, str]:
    """The curves of a document, the name of its axis where the layout of a chart gives another one than steps, and the
    title of the chart."""
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        return content, "", ""
    layout = content.get("layout")
    layout = layout if isinstance(layout, dict) else {}
    axes = [layout.get(name) for name in ("xaxis", "yaxis")]
    across, up = (_title(axis) if isinstance(axis, dict) else "" for axis in axes)
    title = next((text for text in (up, _title(layout)) if text and measured(text)), "")
    return content["data"], across if any(word in across.lower() for word in TIME) else "", title


def _title(part: dict[str, Any]) -> str:
    title = part.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return text.strip() if isinstance(text, str) else ""


def _curves(content: Any, names: tuple[str, ...] = ()) -> Iterator[Curve]:
    """The curves of a list of them, or of objects in one another; none where a part is something else."""
    if isinstance(content, list):
        named = [(str(each.get("name") or ""), each) for each in content if isinstance(each, dict)]
        if len(named) < len(content) or not all(name and _lists(each) for name, each in named):
            return
        yield from (Curve((*names, name), *lists) for name, each in named if (lists := _lists(each)))
    elif (lists := _lists(content)) and names:
        yield Curve(names, *lists)
    elif isinstance(content, dict) and len(names) < 3:
        found = [list(_curves(inner, (*names, name))) for name, inner in content.items()]
        yield from (curve for part in found for curve in part) if found and all(found) else ()


def _lists(part: Any) -> tuple[list[Any], list[Any]] | None:
    """The places and values of a curve, under the names that ClearML and Plotly, or Sacred, give them."""
    for places, values in (("x", "y"), ("steps", "values")):
        x, y = (part.get(places), part.get(values)) if isinstance(part, dict) else (None, None)
        if isinstance(x, list) and isinstance(y, list):
            return x, y
    return None


def _is_place(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300


def _counts(values: list[Any]) -> bool:
    """Whether all values are whole numbers from 0."""
    return all(value >= 0 and value == value // 1 for value in values)


def _joined(names: tuple[str, ...]) -> str:
    """One name for those above a curve; a title that is that of its only series counts once."""
    return "/".join(dict.fromkeys(names))
