"""The rows that an option leaves: those kept, those held out, and a refusal where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.runs import Runs


def hold_out(runs: Runs, expression: str) -> tuple[Runs, Runs]:
    """The runs to fit and those held out. Raises InputError where either has no row."""
    kept, held = runs.hold_out(expression)
    refuse_empty(held, "no row is held out", "--hold-out", runs, expression)
    refuse_empty(kept, "every row is held out, which leaves no row to fit", "--hold-out", runs, expression)
    return kept, held


def refuse_empty(found: Runs, what: str, option: str, runs: Runs, expression: str) -> None:
    """Raise where an expression leaves no row, with the ranges of the columns that it reads."""
    if not len(found):
        todo = "scalefit inspect FILE shows the columns and ranges"
        raise InputError(what, where=option, todo="; ".join([*_ranges(runs, expression), todo]))


def _ranges(runs: Runs, expression: str) -> list[str]:
    """From where to where the columns of an expression go, which shows a threshold in another unit."""
    from scalefit.expressions import parse

    frames = [frame for frame in (runs.table, runs.curves) if frame is not None]
    columns = {name: runs.column(name) for name in parse(expression).names}
    values = {name: frame[each] for frame in frames for name, each in columns.items() if each in frame.columns}
    ends = {name: (each.min(), each.max()) for name, each in values.items() if each.dtype.kind in "iuf" and len(each)}
    return [f"{name} goes from {low:.4g} to {high:.4g}" for name, (low, high) in sorted(ends.items())]
