"""How every command answers: text by default, one JSON object or CSV on request, errors in one line, exit codes.

0 done; 1 done but checks failed (``--exit-zero`` to ignore); 2 usage or input.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from functools import wraps
from inspect import cleandoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from scalefit.answers import as_lines as as_lines
from scalefit.answers import grouped
from scalefit.cli.shape import OutputFile as OutputFile
from scalefit.cli.shape import Shape, paged, shaping
from scalefit.errors import InputError, ScalefitError
from scalefit.escaping import lines_of, one_line
from scalefit.notices import DOUBT, Line, Notice, doubted, doubts_of
from scalefit.status_line import heard
from scalefit.writing import refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.diagnosis.checks import Check

SCHEMA = 1
_shape: ContextVar[Shape | None] = ContextVar("shape", default=None)  #: of the answer that is being made
CLEARED, WIDTH = "\r\x1b[K", 70  #: back to the beginning of an empty line; letters of what is being done


@dataclass(frozen=True)
class Drawing:
    """A figure of an answer, and the file to write it to, where one was asked for."""

    path: str | None
    draw: Callable[[], Axes]


@dataclass
class Answer:
    """The answer of a command: as lines of text, as JSON, and as one table for CSV."""

    lines: Sequence[Line]  #: as text, with the doubts among them
    content: Mapping[str, Any]
    table: pd.DataFrame | None = None
    ok: bool = True  #: False where a check failed; a doubt among the lines or notes says as much
    notes: Sequence[Notice] = ()  #: how the logs were read; shown after the lines, alike ones as one
    figures: Sequence[Drawing] = ()  #: the answer is given whether or not they can be drawn


def live(lines: Sequence[str]) -> None:
    """Print lines of an answer that is still being made, where it is printed as text."""
    shape = _shape.get()
    if shape is None or shape.format != "text":
        return
    if lines and sys.stderr.isatty() and not shape.quiet:
        click.echo(CLEARED, err=True, nl=False)
    for line in lines:
        click.echo(one_line(line))


@contextmanager
def _told(shape: Shape) -> Iterator[None]:
    """Inside, what is being done is one line on stderr, where that is a terminal; it is gone afterwards."""
    token = _shape.set(shape)
    shown = sys.stderr.isatty() and shape.format != "json" and not shape.quiet

    def show(text: str) -> None:
        click.echo(f"{CLEARED}{one_line(text)[:WIDTH]} ...", err=True, nl=False)

    try:
        with heard(show if shown else None):
            yield
    finally:
        _shape.reset(token)
        if shown:
            click.echo(CLEARED, err=True, nl=False)


def answering(function: Callable[..., Answer]) -> Callable[..., None]:
    """Give a command the options of :class:`Shape` and ``--exit-zero``, print its :class:`Answer`, and exit.

    Its help begins with the first line of its file, which is also shown in the list of commands. A command that writes
    a page of its own, in a parameter ``report``, has no ``--report`` beside it.
    """
    own_page = "report" in signature(function).parameters

    @(shaping if own_page else paged)
    @click.option("--exit-zero", is_flag=True, help="Exit with 0 even where a check failed.")
    @click.option("--traceback", is_flag=True, expose_value=False, help="Show where an unexpected error arose.")
    @wraps(function)
    def command(exit_zero: bool, **options: Any) -> None:
        names = {each.name for each in fields(Shape)} - ({"report"} if own_page else set())
        shape = Shape(**{name: options.pop(name) for name in names})
        parameters = click.get_current_context().command.params
        try:
            shape.check()
            _check_outputs(parameters, options if own_page else {**options, "report": shape.report})
            with shape.figures, _told(shape):
                answer = function(**options)
                if shape.report:
                    _write_page(answer, shape.report)
        except ScalefitError as error:
            fail(error, shape.format == "json")
        except BrokenPipeError:
            sys.exit(0)
        failed: dict[str, str] = {}
        wanted = {each.path: each.draw for each in answer.figures if each.path}
        unused = [] if own_page or shape.report or wanted else _unused(shape.styled, parameters)
        try:
            if wanted:
                with shape.figures:
                    _draw(wanted, failed)
        finally:  # whatever became of the figures
            written = [*wanted, *([shape.report] if shape.report else [])]
            _show(answer, written, failed, unused, shape)
        doubtful = failed or doubts_of([*answer.lines, *answer.notes])
        sys.exit(0 if (answer.ok and not doubtful) or exit_zero else 1)

    command.__doc__ = f"{sys.modules[function.__module__].__doc__}\n\n{cleandoc(function.__doc__ or '')}"
    return command


def _unused(styled: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """A line on options for figures where none is written."""
    drawn = [str(each.name) for each in parameters if isinstance(each.type, OutputFile) and each.type.kind == "figure"]
    if not styled or [name for name in drawn if name != "plot"]:  # such a file is always written
        return []
    why = "no figure was written; --plot FILE writes it" if drawn else "this command draws no figure"
    return [f"{' and '.join(styled)} changed nothing: {why}"]


def _check_outputs(parameters: Sequence[click.Parameter], options: Mapping[str, Any]) -> None:
    """Refuse, before any work is done, to write over an input, over another output, or over another kind of file."""
    outputs = {str(each.name): each.type.kind for each in parameters if isinstance(each.type, OutputFile)}
    given = [value for name, value in options.items() if name not in outputs]
    words = [str(word) for value in given for word in (value if isinstance(value, tuple) else (value,)) if word]
    inputs = [word for text in words for word in (text, text.rpartition(":")[0]) if word and _is_file(word)]
    places = [refuse(options[name], kind, inputs) for name, kind in outputs.items() if options[name]]
    if len(set(places)) < len(places):
        raise InputError("two outputs have one name", where=str(places[0]), todo="give each a name of its own")


def _is_file(text: str) -> bool:
    """Whether a text names a file that exists; a text may be too long for a name, or hold what no name can."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _draw(figures: Mapping[str, Callable[[], Axes]], failed: dict[str, str]) -> None:
    """Make each figure and write it; why one cannot be drawn is added to ``failed``."""
    from scalefit.plots import save_figure

    for path, figure in figures.items():
        failed[path] = "an unexpected error"
        try:
            save_figure(figure(), path, close=True)
            del failed[path]
        except ScalefitError as error:
            failed[path] = str(error)


def _show(answer: Answer, written: Sequence[str], failed: Mapping[str, str], unused: list[str], shape: Shape) -> None:
    if shape.format == "json":
        content = {"schema_version": SCHEMA, **answer.content}
        notes = [note.text for note in answer.notes]
        content |= {"read" if "notes" in content else "notes": notes} if notes else {}
        own = [] if {"warnings", "cautions"} & content.keys() else answer.lines  # these are the same with their codes
        doubts = list(dict.fromkeys(doubts_of([*own, *answer.notes])))
        content |= {"doubts": doubts} if doubts else {}
        content |= {"figures_not_drawn": failed} if failed else {}
        content |= {"unused_options": unused} if unused else {}
        click.echo(json.dumps(_plain(content), indent=1, allow_nan=False))
        return
    lines: list[Line] = [
        Notice(f"the figure {path} was not drawn: {failed[path]}") if path in failed else f"wrote {path}"
        for path in written
    ]
    lines += unused
    if shape.format != "text" and answer.table is not None:
        click.echo(_table(answer, shape.format), nl=False)
        for line in [*doubted(doubts_of(answer.lines)), *_doubts(answer.notes), *lines]:
            click.echo(one_line(str(line)), err=True)
        return
    click.echo(lines_of("\n".join(map(str, [*answer.lines, *[""] * bool(lines), *lines]))))
    for line in _doubts(answer.notes):
        click.echo(one_line(str(line)))
    for text in [] if shape.quiet else _read(answer.notes, shape.verbose):
        click.echo(click.style(one_line(text), dim=True) if shape.coloured else one_line(text))


def _table(answer: Answer, form: str) -> str:
    """The main table of an answer as CSV, Markdown or LaTeX."""
    assert answer.table is not None
    if form == "csv":
        return lines_of(answer.table.to_csv(index=answer.table.index.name is not None))
    from scalefit.reports.tables import as_latex, as_markdown

    equation = answer.content.get("equation") if "parameters" in answer.content else None
    return lines_of(as_markdown(answer.table) if form == "markdown" else as_latex(answer.table, equation))


def _write_page(answer: Answer, path: str) -> None:
    """The answer as a page, with its figures."""
    from scalefit.reports.of_answer import page_of

    words = click.get_current_context().command_path.split()
    drawn = [each.draw for each in answer.figures]
    page_of(" ".join(words), answer.lines, answer.table, answer.notes, drawn, answer.ok).save(path)


def _read(notes: Sequence[Notice], every: bool) -> list[str]:
    """How the logs were read, in lines; alike ones as one, unless every one is asked for."""
    plain = [note.text for note in notes if note.severity != DOUBT]
    return [f"read: {note}" for note in (plain if every else grouped(plain))]


def _doubts(notes: Sequence[Notice]) -> list[Line]:
    """What is doubtful in how the logs were read."""
    return doubted(f"read: {note}" for note in grouped(doubts_of(notes)))


def coded(checks: Iterable[Check]) -> list[dict[str, str]]:
    """Checks as JSON records."""
    return [{"code": check.code, "text": check.text} for check in checks]


def figures(path: str | None, draw: Callable[[], Axes]) -> tuple[Drawing, ...]:
    """The figure of an answer, and the file to write it to, where one was asked for."""
    return (Drawing(path, draw),)


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


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON records; NaN as null."""
    plain = table.reset_index() if table.index.name else table
    found: list[dict[str, Any]] = json.loads(plain.to_json(orient="records", double_precision=15))
    return found
