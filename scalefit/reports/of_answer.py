"""The page of any command's answer: its verdict, its text, its table and its figures, in the frame of all reports."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scalefit.answers import grouped
from scalefit.notices import Line, Notice, doubts_of, without_doubts
from scalefit.reports.blocks import Block, Figure, Section, Table, Text, brief
from scalefit.reports.page import Report
from scalefit.reports.tables import together
from scalefit.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 400  #: of the text of an answer


def page_of(
    title: str,
    lines: Sequence[Line],
    table: pd.DataFrame | None,
    notes: Sequence[Notice],
    figures: Sequence[Callable[[], Axes]],
) -> Report:
    """The page of an answer: ``lines`` are what the command prints, the first of them the verdict."""
    said = without_doubts(lines)
    warnings = [*doubts_of(lines), *(f"read: {text}" for text in grouped(doubts_of(notes)))]
    shown = said[:MOST_LINES] + ([f"... and {len(said) - MOST_LINES} more lines"] if len(said) > MOST_LINES else [])
    body: list[Block] = [Text([brief(line, 1000) for line in shown], "code")]
    drawn: list[Block] = [_figure(draw) for draw in figures]
    tables: list[Block] = (
        [Table.of("The main table of the answer", together(table))] if table is not None and len(table) else []
    )
    read = grouped(note.text for note in notes)
    how: list[Block] = [Text(list(map(brief, read)), "notes")] if read else []
    made: list[Block] = [Text([made_by()], "code"), Text([f"scalefit {__version__}"])]
    sections = [
        Section("Answer", body),
        Section("Figures", drawn),
        Section("Table", tables),
        Section("How the logs were read", how),
        Section("Provenance", made),
    ]
    verdict = brief(next((line.strip() for line in said if line.strip()), title), 400)
    return Report(title, verdict, warnings, [each for each in sections if each.blocks], _bounded(table))


def _bounded(table: pd.DataFrame | None) -> bool:
    """Whether a table holds intervals.

    >>> _bounded(pd.DataFrame({"loss": [2.0], "low": [1.9]})), _bounded(pd.DataFrame({"loss": [2.0]}))
    (True, False)
    """
    if table is None:
        return False
    return any(table[name].notna().any() for name in table.columns if str(name).rpartition("_")[2] == "low")


def without_math(label: str) -> str:
    r"""A label of an axis as plain text.

    >>> without_math("training compute $C = 6ND$ (FLOP)"), without_math(r"$\lambda_{max}$")
    ('training compute C = 6ND (FLOP)', 'lambda_max')
    """
    return re.sub(r"\$([^$]*)\$", lambda found: re.sub(r"\\mathrm|[\\{}]", "", found[1]), label)


def made_by() -> str:
    """The command line as it was typed."""
    return shlex.join(["scalefit", *sys.argv[1:]])


def _figure(draw: Callable[[], Axes]) -> Block:
    """A figure, described by the labels of its axes."""
    words: list[str] = []

    def told() -> Axes:
        ax = draw()
        names = [each for each in (ax.get_ylabel(), ax.get_xlabel()) if each]
        words.append(" against ".join(map(without_math, names)) or "the answer")
        return ax

    made = Figure.of("", "", told)
    if not isinstance(made, Figure):
        return made
    return Figure(f"{words[0][:1].upper()}{words[0][1:]}.", f"Figure: {words[0]}", made.light, made.dark)
