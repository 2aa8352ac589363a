"""How every command answers: text by default, one JSON object or CSV on request, errors in one line, exit codes.

0 done; 1 done but checks failed (``--exit-zero`` to ignore); 2 usage or input.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from functools import wraps
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from scalefit.answers import as_lines as as_lines
from scalefit.answers import grouped
from scalefit.errors import InputError, ScalefitError
from scalefit.escaping import lines_of, one_line
from scalefit.status_line import heard
from scalefit.writing import refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.diagnosis.checks import Check

SCHEMA = 1
CLEARED, WIDTH = "\r\x1b[K", 70  #: back to the beginning of an empty line; letters of what is being done
FORMATS = ("text", "csv", "json", "markdown", "latex")
STYLES = ("screen", "paper", "dark")
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
LEAST_WIDTH, MOST_WIDTH = 1.5, 30.0  #: inches
FORMAT = "Print the main table in this format, numbers rounded to their intervals in markdown and latex."
REPORT = "Write the answer with its figures as one page to forward: .html, or .md."


@dataclass(frozen=True)
class Drawing:
    """A figure of an answer, and the file to write it to, where one was asked for."""

    path: str | None
    draw: Callable[[], Axes]


@dataclass
class Answer:
    """The answer of a command: as text, as JSON, and as one table for CSV."""

    text: str
    content: Mapping[str, Any]
    table: pd.DataFrame | None = None
    ok: bool = True
    notes: Sequence[str] = ()  #: how the logs were read; shown after the text, alike ones as one line
    figures: Sequence[Drawing] = ()  #: the answer is given whether or not they can be drawn


class OutputFile(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions
    """The type of an option that names a file to write: a fit, a figure or a table (see :mod:`scalefit.writing`)."""

    def __init__(self, kind: str) -> None:
        self.kind = self.name = kind


@dataclass(frozen=True)
class Shape:
    """How an answer is given: its format, the style and width of its figures, its page."""

    as_json: bool
    as_csv: bool
    form: str | None
    style: str
    width: str | None
    report: str | None

    @property
    def format(self) -> str:
        """One of FORMATS."""
        return "json" if self.as_json else self.form or ("csv" if self.as_csv else "text")

    @property
    def figures(self) -> AbstractContextManager[None]:
        """Inside, figures are made in this style and width; matplotlib is loaded only where there is one to set."""
        if self.style == "screen" and self.width is None:
            return nullcontext()
        from scalefit.plots import styled

        return styled(self.style, _inches(self.width) if self.width else None)


@contextmanager
def _told(form: str) -> Iterator[None]:
    """Inside, what is being done is one line on stderr, where that is a terminal; it is gone afterwards."""
    if form == "json" or not sys.stderr.isatty():
        yield
        return

    def show(text: str) -> None:
        click.echo(f"{CLEARED}{one_line(text)[:WIDTH]} ...", err=True, nl=False)

    try:
        with heard(show):
            yield
    finally:
        click.echo(CLEARED, err=True, nl=False)


def _inches(text: str) -> float:
    """A width such as 3.25in, 8.5cm or 85mm in inches."""
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(in|cm|mm)?\s*", text)
    width = float(found[1]) * INCHES[found[2] or "in"] if found else 0.0
    if not LEAST_WIDTH <= width <= MOST_WIDTH:
        todo = f"write --width 3.25in or 8.5cm, between {LEAST_WIDTH:g} and {MOST_WIDTH:g} inches"
        raise InputError(f'"{text[:40]}" is no width of a figure', where="--width", todo=todo)
    return width


def answering(function: Callable[..., Answer]) -> Callable[..., None]:
    """Give a command the options of :class:`Shape` and ``--exit-zero``, print its :class:`Answer`, and exit.

    Its help begins with the first line of its file, which is also shown in the list of commands.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing on stderr.")
    @click.option("--csv", "as_csv", is_flag=True, help="Print the main table as CSV, and warnings on stderr.")
    @click.option("--format", "form", type=click.Choice(FORMATS), show_default="text", help=FORMAT)
    @click.option("--style", type=click.Choice(STYLES), default="screen", help="The style of figures.")
    @click.option("--width", metavar="3.25in", show_default="by the figure", help="The width of figures, in in or cm.")
    @click.option("--report", type=OutputFile("report"), metavar="FILE", help=REPORT)
    @click.option("--exit-zero", is_flag=True, help="Exit with 0 even where a check failed.")
    @click.option("--traceback", is_flag=True, expose_value=False, help="Show where an unexpected error arose.")
    @wraps(function)
    def command(exit_zero: bool, **options: Any) -> None:
        shape = Shape(**{each.name: options.pop(each.name) for each in fields(Shape)})
        try:
            _check_outputs(click.get_current_context().command.params, {**options, "report": shape.report})
            with shape.figures, _told(shape.format):
                answer = function(**options)
            if shape.report:
                _write_page(answer, shape.report)
        except ScalefitError as error:
            fail(error, shape.format == "json")
        except BrokenPipeError:
            sys.exit(0)
        failed: dict[str, str] = {}
        wanted = {each.path: each.draw for each in answer.figures if each.path}
        try:
            if wanted:
                with shape.figures:
                    _draw(wanted, failed)
        finally:  # whatever became of the figures
            _show(answer, [*wanted, *([shape.report] if shape.report else [])], failed, shape.format)
        sys.exit(0 if (answer.ok and not failed) or exit_zero else 1)

    command.__doc__ = f"{sys.modules[function.__module__].__doc__}\n\n{cleandoc(function.__doc__ or '')}"
    return command


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


def _show(answer: Answer, written: Sequence[str], failed: Mapping[str, str], form: str) -> None:
    if form == "json":
        content = {"schema_version": SCHEMA, **answer.content}
        content |= {"read" if "notes" in content else "notes": answer.notes} if answer.notes else {}
        content |= {"figures_not_drawn": failed} if failed else {}
        click.echo(json.dumps(_plain(content), indent=1, allow_nan=False))
        return
    lines = [
        f"! the figure {path} was not drawn: {failed[path]}" if path in failed else f"wrote {path}" for path in written
    ]
    if form != "text" and answer.table is not None:
        click.echo(_table(answer, form), nl=False)
        for line in [*_warnings(answer.text), *lines]:
            click.echo(one_line(line), err=True)
        return
    click.echo(lines_of("\n".join([answer.text, *[""] * bool(lines), *lines])))
    for line in _read(answer.notes):
        click.echo(click.style(one_line(line), dim=not os.environ.get("NO_COLOR")))


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
    page_of(" ".join(words), answer.text, answer.table, answer.notes, [e.draw for e in answer.figures]).save(path)


def _warnings(text: str) -> list[str]:
    """The lines of an answer that warn."""
    return [line for line in text.splitlines() if line.lstrip().startswith("!")]


def _read(notes: Sequence[str]) -> list[str]:
    """How the logs were read, in lines."""
    return [f"read: {note}" for note in grouped(notes)]


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
