"""How an answer is given: its format, how much of it, its colours, its page, the style and width of its figures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import click

from scalefit.errors import InputError

FORMATS = ("text", "csv", "json", "markdown", "latex")
STYLES = ("screen", "paper", "dark")
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
LEAST_WIDTH, MOST_WIDTH = 1.5, 30.0  #: inches
FORMAT = "Print the main table in this format, numbers rounded to their intervals in markdown and latex."
REPORT = "Write the answer with its figures as one page to forward: .html, or .md."
VERBOSE = "Print every note on how the logs were read, also those that are alike."
QUIET = "Print the answer and its warnings, not how the logs were read."


class OutputFile(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions
    """The type of an option that names a file to write: a fit, a figure or a table (see :mod:`scalefit.writing`)."""

    def __init__(self, kind: str) -> None:
        self.kind = self.name = kind


@dataclass(frozen=True)
class Shape:
    """How an answer is given."""

    as_json: bool
    as_csv: bool
    form: str | None
    style: str
    width: str | None
    quiet: bool
    verbose: bool
    no_color: bool
    report: str | None = None

    @property
    def format(self) -> str:
        """One of FORMATS."""
        return "json" if self.as_json else self.form or ("csv" if self.as_csv else "text")

    @property
    def coloured(self) -> bool:
        """Whether texts may have colours."""
        return not (self.no_color or os.environ.get("NO_COLOR"))

    @property
    def figures(self) -> AbstractContextManager[None]:
        """Inside, figures are made in this style and width; matplotlib is loaded only where there is one to set."""
        if not self.styled:
            return nullcontext()
        from scalefit.plots import styled

        return styled(self.style, inches(self.width) if self.width else None)

    @property
    def styled(self) -> list[str]:
        """The options that set how figures look, as far as they were given."""
        return ["--style"] * (self.style != "screen") + ["--width"] * (self.width is not None)

    def check(self) -> None:
        """Raise InputError where two of the options contradict each other, or a width is none."""
        if self.quiet and self.verbose:
            raise InputError("-q beside -v", todo="give one of them")
        if self.width:
            inches(self.width)


def inches(text: str) -> float:
    """A width such as 3.25in, 8.5cm or 85mm in inches."""
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(in|cm|mm)?\s*", text)
    width = float(found[1]) * INCHES[found[2] or "in"] if found else 0.0
    if not LEAST_WIDTH <= width <= MOST_WIDTH:
        todo = f"write --width 3.25in or 8.5cm, between {LEAST_WIDTH:g} and {MOST_WIDTH:g} inches"
        raise InputError(f'"{text[:40]}" is no width of a figure', where="--width", todo=todo)
    return width


def shaping(function: Callable[..., None]) -> Callable[..., None]:
    """The options of :class:`Shape`, but for ``--report``."""
    found = function
    for option in reversed(OPTIONS):
        found = option(found)
    return found


def paged(function: Callable[..., None]) -> Callable[..., None]:
    """The options of :class:`Shape`."""
    page = click.option("--report", type=OutputFile("report"), metavar="FILE", help=REPORT)
    return shaping(page(function))


OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing on stderr."),
    click.option("--csv", "as_csv", is_flag=True, help="Print the main table as CSV, and warnings on stderr."),
    click.option("--format", "form", type=click.Choice(FORMATS), show_default="text", help=FORMAT),
    click.option("--style", type=click.Choice(STYLES), default="screen", help="The style of figures."),
    click.option("--width", metavar="3.25in", show_default="by the figure", help="The width of figures, in in or cm."),
    click.option("-q", "--quiet", is_flag=True, help=QUIET),
    click.option("-v", "--verbose", is_flag=True, help=VERBOSE),
    click.option("--no-color", is_flag=True, help="Print without colours, as with NO_COLOR in the environment."),
)
