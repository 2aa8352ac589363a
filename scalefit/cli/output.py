"""How every command answers: text by default, one JSON object or CSV on request, errors in one line, exit codes.

0 done; 1 done but checks failed (``--exit-zero`` to ignore); 2 usage or input.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from scalefit.answers import as_lines as as_lines
from scalefit.errors import InputError, ScalefitError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.diagnosis.checks import Check

SCHEMA = 1


@dataclass
class Answer:
    """The answer of a command: as text, as JSON, and as one table for CSV."""

    text: str
    content: Mapping[str, Any]
    table: pd.DataFrame | None = None
    ok: bool = True
    notes: Sequence[str] = ()  #: how the logs were read; shown after the text, alike ones as one line


def answering(function: Callable[..., Answer]) -> Callable[..., None]:
    """Give a command ``--json``, ``--csv`` and ``--exit-zero``, print its :class:`Answer`, and exit.

    Its help begins with the first line of its file, which is also shown in the list of commands.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing on stderr.")
    @click.option("--csv", "as_csv", is_flag=True, help="Print the main table as CSV, and warnings on stderr.")
    @click.option("--exit-zero", is_flag=True, help="Exit with 0 even where a check failed.")
    @wraps(function)
    def command(as_json: bool, as_csv: bool, exit_zero: bool, **options: Any) -> None:
        try:
            answer = function(**options)
        except ScalefitError as error:
            fail(error, as_json)
        except BrokenPipeError:
            sys.exit(0)
        if as_json:
            content = {"schema_version": SCHEMA, **answer.content}
            content |= {"read" if "notes" in content else "notes": answer.notes} if answer.notes else {}
            click.echo(json.dumps(_plain(content), indent=1, allow_nan=False))
        elif as_csv and answer.table is not None:
            click.echo(answer.table.to_csv(index=answer.table.index.name is not None), nl=False)
            for line in [*_warnings(answer.text), *_read(answer.notes)]:
                click.echo(line, err=True)
        else:
            click.echo(answer.text)
            for line in _read(answer.notes):
                click.echo(click.style(line, dim=True))
        sys.exit(0 if answer.ok or exit_zero else 1)

    command.__doc__ = f"{sys.modules[function.__module__].__doc__}\n\n{cleandoc(function.__doc__ or '')}"
    return command


def _warnings(text: str) -> list[str]:
    """The lines of an answer that warn."""
    return [line for line in text.splitlines() if line.lstrip().startswith("!")]


def _read(notes: Sequence[str]) -> list[str]:
    """How the logs were read, in lines."""
    return [f"read: {note}" for note in grouped(notes)]


#: what may differ between notes that say the same: numbers, names in quotes, files, and the name after "run"
_NAMES = re.compile(r"""'[^']*'|"[^"]*"|(?<=\brun )[^\s:,]+|[^\s:,]*[\d/][^\s:,]*|[\w-]+\.[a-z]{2,7}\b""")


def grouped(notes: Iterable[str]) -> list[str]:
    """Notes in their order, those that differ only in a name or a number as one line with their count.

    >>> grouped(["run a: 3 rows left out", "steps count from 0", "run b: 12 rows left out"])
    ['run a: 3 rows left out (and 1 more like this)', 'steps count from 0']
    """
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(re.sub(r"s\b", "", _NAMES.sub("#", note)), []).append(note)
    return [first + (f" (and {len(rest)} more like this)" if rest else "") for first, *rest in alike.values()]


def coded(checks: Iterable[Check]) -> list[dict[str, str]]:
    """Checks as JSON records."""
    return [{"code": check.code, "text": check.text} for check in checks]


def draw(path: str | None, figure: Callable[[], Axes]) -> None:
    """Make a figure and write it, where a file was asked for."""
    if path:
        from scalefit.plots import save_figure

        save_figure(figure(), path)


def fail(error: ScalefitError, as_json: bool) -> NoReturn:
    """Print an error, as one line on stderr or as JSON on stdout, and exit with 2."""
    if as_json:
        parts = {"what": error.what, "where": error.where, "todo": error.todo, "text": str(error)}
        click.echo(json.dumps({"schema_version": SCHEMA, "error": parts}))
    else:
        click.echo(f"error: {error}", err=True)
    sys.exit(2)


def _plain(value: Any) -> Any:
    """JSON types: arrays as lists, paths as text, numbers that are not finite as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if hasattr(value, "__fspath__") else value


def check_writable(*paths: str | None) -> None:
    """Refuse output files that cannot be written, before any work is done for them."""
    for place in (Path(path) for path in paths if path):
        why = "Is a directory" if place.is_dir() else "" if place.parent.is_dir() else "No such file or directory"
        if why or not os.access(place.parent, os.W_OK):
            todo = "give a file in a folder that exists"
            raise InputError(f"cannot be written ({why or 'Permission denied'})", where=str(place), todo=todo)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON records; NaN as null."""
    plain = table.reset_index() if table.index.name else table
    found: list[dict[str, Any]] = json.loads(plain.to_json(orient="records", double_precision=15))
    return found
