"""Options that several commands share: how to read run logs, and NAME=VALUE pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.runs import Runs

Function = Callable[..., Any]

SCHEDULE_HELP = (
    "Learning rate at every step: cosine:peak_lr=3e-4,steps=60000,warmup=1000 or a CSV of (step, lr), "
    "with a run or schedule column where runs differ."
)


def reading(function: Function) -> Function:
    """Options for reading run logs; their values reach the command as ``reading`` for :func:`read`."""
    options = [
        click.option("--map", "map_", multiple=True, metavar="NAME=COLUMN", help="Which column holds NAME."),
        click.option("--where", metavar="EXPR", help='Use only rows for which this holds: "N > 1e8".'),
        click.option("--schedule", metavar="TEXT|CSV", help=SCHEDULE_HELP),
        click.option("--warmup", type=int, metavar="STEPS", help="Linear warm-up before the first logged row."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def ignoring(function: Function) -> Function:
    """The option that names columns which may differ between runs, as ``ignore``."""
    said = "A column that may differ between runs, as it does not matter."
    return click.option("--ignore", multiple=True, metavar="COLUMN", help=said)(function)


def read(
    files: tuple[str, ...],
    map_: tuple[str, ...] = (),
    where: str | None = None,
    schedule: str | None = None,
    warmup: int | None = None,
) -> Runs:
    """Read run logs as the options say."""
    from scalefit.runs import read_runs

    rename = {column: name for name, column in pairs(map_, "--map").items()}
    runs = read_runs(list(files), rename=rename, schedule=schedule, warmup=warmup, need=())
    if where:
        runs = runs.where(where)
        refuse_empty(runs, "left", "--where")
    return runs


def refuse_empty(runs: Runs, what: str, option: str) -> None:
    """Raise where an expression selects no row."""
    if not len(runs):
        raise InputError(f"no row is {what}", where=option, todo="scalefit inspect FILE shows the columns and ranges")


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """``("a=1", "b=2,c=3")`` as a dictionary of texts.

    >>> pairs(("a=1", "b=2,c=3"), "--fix")
    {'a': '1', 'b': '2', 'c': '3'}
    """
    found = {}
    for text in texts:
        parts = text.split(",") if text.count("=") > 1 else [text]
        for part in parts:
            name, sign, value = part.partition("=")
            if not sign or not name.strip() or not value.strip():
                raise InputError(f'"{part}" is not NAME=VALUE', where=option, todo=f"write {option} NAME=VALUE")
            if name.strip() in found:
                raise InputError(f"{name.strip()} is given twice", where=option, todo="give it once")
            found[name.strip()] = value.strip()
    return found


def number(text: str, option: str) -> float:
    """A number such as 0.34, 7e9, 7B or 2T."""
    from scalefit.runs.quantities import quantity

    try:
        return quantity(text)
    except InputError as error:
        raise InputError(error.what, where=option, todo=error.todo) from error


def box(text: str, option: str) -> tuple[float | None, float | None]:
    """``1:2``, ``1:`` or ``:2`` as a pair of ends."""
    low, sign, high = text.partition(":")
    if not sign:
        raise InputError(f'"{text}" is not LOW:HIGH', where=option, todo=f"write {option} NAME=LOW:HIGH")
    return (number(low, option) if low else None, number(high, option) if high else None)
