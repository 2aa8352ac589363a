"""Options that several commands share, each with one default and one help text; and what their values mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import completion
from scalefit.cli.output import OutputFile
from scalefit.cli.rows_left import hold_out as hold_out
from scalefit.cli.rows_left import refuse_empty
from scalefit.errors import InputError, all_of
from scalefit.notices import Notice

if TYPE_CHECKING:
    from scalefit.runs import Runs

#: how many resampled fits ``scalefit fit`` makes. ``sf.fit`` makes none unless asked, since each costs as much as a fit
#: and code often fits many times; every other default is the same in Python.
DRAWS = 200
AT = "Predict at this point, given by the values of its variables; several, each with all of them, give several rows."
RULES = click.Choice(["adam", "heavy-ball", "gd"])


def _at_a_time(context: click.Context, parameter: click.Parameter, workers: int | None) -> None:
    """Let joblib run so many processes until the command has ended."""
    if workers is not None:
        from joblib import parallel_config

        context.with_resource(parallel_config(n_jobs=workers))


#: options that several commands have; what differs between commands (metavar, default, required) is given by each
SHARED: dict[str, dict[str, Any]] = {
    "--at": {
        "multiple": True,
        "shell_complete": completion.points,
        "help": AT,
    },
    "--beta": {"default": 0.9, "help": "Adam's first beta, or the momentum."},
    "--draws": {"type": int, "help": "Number of resampled fits from which intervals are made."},
    "--drop-diverged": {"is_flag": True, "help": "Leave out rows without a finite loss, and report how many."},
    "--hold-out": {
        "metavar": "EXPR",
        "shell_complete": completion.columns,
        "help": "Keep these rows out of the fit and report the error of their prediction.",
    },
    "--ignore": {
        "multiple": True,
        "metavar": "COLUMN",
        "shell_complete": completion.columns,
        "help": "A column that may differ between runs; repeat.",
    },
    "--initial-loss": {"metavar": "LOSS", "help": "Loss of the untrained model, such as ln(vocabulary size)."},
    "--join": {"is_flag": True, "help": "Read runs that go on where others end, with the same settings, as one run."},
    "--active": {
        "type": float,
        "metavar": "SHARE",
        "help": "Share of all parameters that a token passes (experts).",
    },
    "--best-of": {
        "metavar": "COLUMNS",
        "shell_complete": completion.columns,
        "help": "Of runs that differ in these settings alone, such as peak_lr or peak_lr,batch, keep those with the "
        "lowest final loss.",
    },
    "--cost": {
        "metavar": "FORMULA",
        "show_default": "6*N*D",
        "help": "FLOP of a run: a formula, shape:aspect=128,..., or fitted:COLUMN.",
    },
    "--law": {
        "metavar": "LAW",
        "shell_complete": completion.laws,
        "help": 'A law: its name, "name:option=value", a formula, or ./mine.py:MyLaw.',
    },
    "--lr": {"metavar": "LR", "help": "The peak learning rate."},
    "--map": {
        "multiple": True,
        "metavar": "NAME=COLUMN",
        "shell_complete": completion.maps,
        "help": "Read NAME from this column; repeat.",
    },
    "--pattern": {
        "metavar": "PATTERN",
        "help": "How a line of a text log is written: 'step {step} .* loss {loss} lr {lr}'.",
    },
    "--plot": {
        "type": OutputFile("figure"),
        "metavar": "FILE",
        "help": "Write the figure to this file (png, pdf or svg).",
    },
    "--rule": {
        "type": RULES,
        "default": "adam",
        "help": "The optimiser, which sets the largest stable lr × sharpness.",
    },
    "--run": {
        "metavar": "NAME",
        "shell_complete": completion.runs,
        "help": "The run to read, where the logs hold several.",
    },
    "--schedule": {
        "metavar": "TEXT|CSV",
        "help": "The learning rate at every step: cosine:peak_lr=3e-4,steps=60000,warmup=1000, or a CSV of (step, lr) "
        "with a column run or schedule where runs differ.",
    },
    "--seed": {"default": 0, "help": "Seed of the resampling."},
    "--set": {"multiple": True, "metavar": "KEY=VALUE", "help": "Change a key of the configuration; repeat."},
    "--steps": {"type": int, "metavar": "STEPS", "help": "Length of the whole run, in optimiser steps."},
    "--target": {
        "metavar": "COLUMN",
        "shell_complete": completion.columns,
        "help": "The column that the law explains.",
    },
    "--warmup": {"type": int, "metavar": "STEPS", "help": "Length of a linear warmup before the first logged row."},
    "--workers": {
        "type": click.IntRange(1),
        "metavar": "N",
        "expose_value": False,
        "callback": _at_a_time,
        "help": "Processes for folders of logs, back-tests, comparisons and resamples; the answer is the same.",
    },
    "--where": {
        "metavar": "EXPR",
        "shell_complete": completion.columns,
        "help": 'Use only the rows for which this holds, such as "N > 1e8".',
    },
}
NAMED = {"--map": "map_", "--set": "settings"}  #: parameters that are not named as their option

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def shared(*names: str, **settings: Any) -> Decorator:
    """A decorator that adds options of :data:`SHARED` in this order, with more settings of :func:`click.option`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            named = [NAMED[name]] if name in NAMED else []
            function = click.option(name, *named, **{**SHARED[name], **settings})(function)
        return function

    return add


READING = ("map_", "where", "best_of", "schedule", "warmup", "pattern", "join")  #: the parameters of :func:`read`
#: how run logs are read; the values go to :func:`read`
reading = shared("--map", "--where", "--best-of", "--schedule", "--warmup", "--pattern", "--join", "--workers")


def logs(function: Callable[..., Any]) -> Callable[..., Any]:
    """The run logs of a command that needs some, and how they are read."""
    return click.argument("files", nargs=-1, required=True)(reading(function))


def read(
    files: tuple[str, ...],
    map_: tuple[str, ...] = (),
    where: str | None = None,
    best_of: str | None = None,
    schedule: str | None = None,
    warmup: int | None = None,
    pattern: str | None = None,
    join: bool = False,
    *,
    tell_ties: bool = False,
) -> Runs:
    """Read run logs as the options of :data:`reading` say, and what a project file says beside them; see
    :func:`scalefit.read_runs`."""
    from scalefit.cli.project import project_of
    from scalefit.expressions import parse
    from scalefit.runs import read_runs

    project = project_of(files)
    given = {"schedule": schedule, "warmup": warmup, "pattern": pattern, "join": join or None}
    taken = {key: value for key, value in project.values.items() if key in given and given[key] is None}
    chosen = {**given, **taken, "join": bool(join or taken.get("join")), "need": (), "tell_ties": tell_ties}

    def named() -> Runs:
        rename = {column: name for name, column in pairs(map_, "--map").items()}
        own = {column: name for name, column in project.values.get("map", {}).items()
               if name not in rename.values() and column not in rename}  # fmt: skip
        return read_runs(list(files), rename=rename, defaults=own, **chosen)

    runs, _ = together(named, lambda: where and parse(where))
    runs = project.noted(runs, taken)
    if where:
        kept = runs.where(where)
        refuse_empty(kept, "no row is left", "--where", runs, where)
        runs = kept
    if best_of:
        from scalefit.runs.final import best_of as lowest

        runs = lowest(runs, *(name.strip() for name in best_of.split(",")))
    return runs


def together(*makes: Callable[[], Any]) -> list[Any]:
    """What is made of options that do not depend on one another. Raises one InputError with the faults of all."""
    return all_of(lambda make: make(), makes)


def known(*laws: str) -> None:
    """Raise InputError for names of laws that there are none of."""
    from scalefit.laws import find_law
    from scalefit.selection.automatic import AUTO

    all_of(find_law, (law for law in laws if law != AUTO))


def told(runs: Runs) -> list[Notice]:
    """How run logs were read, in sentences."""
    return [note.notice for note in runs.notes]


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """``("a=1", "b=2,c=3")`` as a dictionary of texts.

    >>> pairs(("a=1", "b=2,c=3"), "--fix")
    {'a': '1', 'b': '2', 'c': '3'}
    """
    found: dict[str, str] = {}

    def one(part: str) -> None:
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not value:
            raise InputError(f'"{part}" is not NAME=VALUE', where=option, todo=f"write {option} NAME=VALUE")
        if name in found:
            raise InputError(f"{name} is given twice", where=option, todo="give it once")
        found[name] = value

    all_of(one, [part for text in texts for part in (text.split(",") if text.count("=") > 1 else [text])])
    return found


def target(texts: tuple[str, ...], function: Callable[..., Any], *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The texts of ``--at`` for a function that takes columns by name, as it takes its own options (all ``but`` some).

    Raises InputError for a name that would be read as one of these.
    """
    found = pairs(texts, "--at")
    own = inspect.signature(function).parameters
    taken = [name for name in found if name in own and own[name].kind != inspect.Parameter.VAR_KEYWORD]
    for name in (name for name in taken if name not in but):
        raise InputError(f"{name} is nothing that a target gives", where="--at", todo="give what the law reads: N, D")
    return dict(found)


def points(texts: tuple[str, ...]) -> dict[str, Any]:
    """The texts of ``--at`` as one point, or, where each gives the same variables, as several.

    >>> points(("N=1e9", "D=2e10")), points(("N=1e9,D=2e10", "N=7e9,D=1e11"))
    ({'N': '1e9', 'D': '2e10'}, {'N': ['1e9', '7e9'], 'D': ['2e10', '1e11']})
    """
    found = [pairs((text,), "--at") for text in texts]
    names = [set(each) for each in found]
    if len(found) < 2 or len(set().union(*names)) == sum(map(len, names)):
        return dict(pairs(texts, "--at"))
    if any(each != names[0] for each in names):
        what = f"points of different variables: {'; '.join(', '.join(each) for each in found)}"
        raise InputError(what, where="--at", todo="give the same variables in each --at")
    return {name: [each[name] for each in found] for name in found[0]}


def one_by_one(place: dict[str, Any]) -> list[dict[str, Any]]:
    """Each point of :func:`points` by itself; none where nothing is asked for."""
    count = max((len(value) for value in place.values() if isinstance(value, list)), default=min(len(place), 1))
    return [{name: v[i] if isinstance(v, list) else v for name, v in place.items()} for i in range(count)]


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
