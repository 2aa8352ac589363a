"""How every command answers: text by default, one JSON object or CSV when asked, errors in one line, exit codes.

0 done; 1 done but checks failed (``--exit-zero`` to ignore); 2 usage or input.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from scalefit.answers import as_lines as as_lines
from scalefit.errors import InputError, ScalefitError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


@dataclass
class Answer:
    """What a command has to say: as text, as JSON, and as one table for CSV."""

    text: str
    content: Mapping[str, Any]
    table: pd.DataFrame | None = None
    ok: bool = True
    notes: list[str] = field(default_factory=list)  #: shown before the text


def answering(function: Callable[..., Answer]) -> Callable[..., None]:
    """Give a command ``--json``, ``--csv`` and ``--exit-zero``, print its :class:`Answer`, and exit."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing on stderr.")
    @click.option("--csv", "as_csv", is_flag=True, help="The main table as CSV on stdout.")
    @click.option("--exit-zero", is_flag=True, help="Exit with 0 even when checks failed.")
    @wraps(function)
    def command(as_json: bool, as_csv: bool, exit_zero: bool, **options: Any) -> None:
        try:
            answer = function(**options)
        except ScalefitError as error:
            fail(error, as_json)
        except BrokenPipeError:
            sys.exit(0)
        if as_json:
            click.echo(json.dumps(_plain({"schema_version": SCHEMA, **answer.content}), indent=1, allow_nan=False))
        elif as_csv and answer.table is not None:
            click.echo(answer.table.to_csv(index=answer.table.index.name is not None), nl=False)
        else:
            for note in answer.notes:
                click.echo(click.style(note, dim=True))
            click.echo(answer.text)
        sys.exit(0 if answer.ok or exit_zero else 1)

    return command


def fail(error: ScalefitError, as_json: bool) -> NoReturn:
    """Print an error, as one line on stderr or as JSON on stdout, and exit with 2."""
    if as_json:
        click.echo(
            json.dumps(
                {
                    "schema_version": SCHEMA,
                    "error": {"what": error.what, "where": error.where, "todo": error.todo, "text": str(error)},
                }
            )
        )
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
    for path in paths:
        place = Path(path) if path else None
        if place is None:
            continue
        why = "Is a directory" if place.is_dir() else "" if place.parent.is_dir() else "No such file or directory"
        if why or not os.access(place.parent, os.W_OK):
            raise InputError(
                f"cannot be written ({why or 'Permission denied'})",
                where=str(place),
                todo="give a file in a folder that exists",
            )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON records; NaN as null."""
    plain = table.reset_index() if table.index.name else table
    found: list[dict[str, Any]] = json.loads(plain.to_json(orient="records", double_precision=15))
    return found
