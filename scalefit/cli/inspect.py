"""What do these run logs hold? Columns, units, runs, gaps, diverged rows, the learning rate."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering


@click.command()
@options.logs
@answering
def command(files: tuple[str, ...], **reading: Any) -> Answer:
    """Exit code 1 where no loss was found or one is to be chosen, and where what was read is in doubt (lines with !).

    \b
    Example:
      scalefit inspect data/schedules/curves.csv
    """
    from scalefit.runs import inspect

    runs = options.read(files, **reading, tell_ties=True)
    report = inspect(runs)
    return Answer(report.lines, report.as_dict(), runs.table, ok=report.ok)
