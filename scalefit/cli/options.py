"""Options that several commands share, each with one name, one default and one help text; and their values as read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.runs import Runs

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

#: how many resampled fits ``scalefit fit`` makes. ``sf.fit`` makes none unless asked, since each costs as much as a fit
#: and code often fits many times; every other default is the same in Python.
DRAWS = 200


def _all(*options: Decorator) -> Decorator:
    """One decorator that adds several options, which ``--help`` lists in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def at(metavar: str, **settings: Any) -> Decorator:
    """``--at``; the metavar shows the variables that the command takes."""
    said = "Predict at this point, given by the values of its variables."
    return click.option("--at", multiple=True, metavar=metavar, help=said, **settings)


def draws(default: int, more: str = "") -> Decorator:
    """``--draws``, by default as many as a command's Python function makes."""
    said = f"Number of resampled fits from which intervals are made.{more}"
    return click.option("--draws", default=default, show_default=True, help=said)


def initial_loss(default: str) -> Decorator:
    """``--initial-loss``; ``default`` says where the loss is taken from if it is not given."""
    said = "Loss of the untrained model, such as ln(vocabulary size)."
    return click.option("--initial-loss", metavar="LOSS", show_default=default, help=said)


def law(name: str = "law", **settings: Any) -> Decorator:
    """``--law``, required unless the settings say otherwise."""
    said = 'A law: its name, "name:option=value", a formula, or ./mine.py:MyLaw.'
    return click.option("--law", name, metavar="LAW", help=said, **{"required": True, **settings})


def peak_lr(**settings: Any) -> Decorator:
    """``--lr``."""
    return click.option("--lr", metavar="LR", help="The peak learning rate.", **settings)


def run(default: str) -> Decorator:
    """``--run``; ``default`` says which run is meant if none is named."""
    said = "The run to read, where the logs hold several."
    return click.option("--run", metavar="NAME", show_default=default, help=said)


def steps(default: str) -> Decorator:
    """``--steps``; ``default`` says which length is taken if it is not given."""
    said = "Length of the whole run, in optimiser steps."
    return click.option("--steps", type=int, metavar="STEPS", show_default=default, help=said)


def target(default: str) -> Decorator:
    """``--target``; ``default`` says which column is taken if none is named."""
    return click.option("--target", metavar="COLUMN", show_default=default, help="The column that the law explains.")


drop_diverged = click.option(
    "--drop-diverged", is_flag=True, help="Leave out rows without a finite loss, and report how many."
)
hold_out = click.option(
    "--hold-out", metavar="EXPR", help="Keep these rows out of the fit and report the error of their prediction."
)
ignore = click.option(
    "--ignore", multiple=True, metavar="COLUMN", help="A setting that may differ between runs without effect; repeat."
)
law_file = click.option("--law", metavar="FILE.py:LAW", help="The law, where a file of yours defines it.")
plot = click.option("--plot", metavar="FILE", help="Write the figure to this file (png, pdf or svg).")
seed = click.option("--seed", default=0, show_default=True, help="Seed of the resampling.")
setting = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the configuration; repeat."
)
stability_rule = _all(
    click.option(
        "--rule",
        type=click.Choice(["adam", "heavy-ball", "gd"]),
        default="adam",
        show_default=True,
        help="The optimiser, which sets the largest stable product of learning rate and sharpness.",
    ),
    click.option("--beta", default=0.9, show_default=True, help="Adam's first beta, or the momentum."),
)
#: how run logs are read; the values go to :func:`read`
reading = _all(
    click.option("--map", "map_", multiple=True, metavar="NAME=COLUMN", help="Read NAME from this column; repeat."),
    click.option("--where", metavar="EXPR", help='Use only the rows for which this holds, such as "N > 1e8".'),
    click.option(
        "--schedule",
        metavar="TEXT|CSV",
        help="The learning rate at every step: cosine:peak_lr=3e-4,steps=60000,warmup=1000, or a CSV of (step, lr) "
        "with a column run or schedule where runs differ.",
    ),
    click.option(
        "--warmup", type=int, metavar="STEPS", help="Length of a linear warmup that precedes the first logged row."
    ),
)
#: the run logs of a command that needs some, and how they are read
logs = _all(click.argument("files", nargs=-1, required=True), reading)


def read(
    files: tuple[str, ...],
    map_: tuple[str, ...] = (),
    where: str | None = None,
    schedule: str | None = None,
    warmup: int | None = None,
    *,
    tell_ties: bool = False,
) -> Runs:
    """Read run logs as the options of :data:`reading` say; see :func:`scalefit.read_runs`."""
    from scalefit.runs import read_runs

    rename = {column: name for name, column in pairs(map_, "--map").items()}
    runs = read_runs(list(files), rename=rename, schedule=schedule, warmup=warmup, need=(), tell_ties=tell_ties)
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
