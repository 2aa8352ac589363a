"""Say what was understood of run logs: columns, units, runs, gaps, diverged rows, learning rate."""

from __future__ import annotations

import click

from scalefit.cli.options import pairs, reading, refuse_empty
from scalefit.cli.output import Answer, answering


@click.command()
@click.argument("files", nargs=-1, required=True)
@reading
@answering
def command(
    files: tuple[str, ...], map_: tuple[str, ...], where: str | None, schedule: str | None, warmup: int | None
) -> Answer:
    """Say what was understood of run logs: columns, units, runs, gaps, diverged rows, learning rate.

    \b
    Example:
      scalefit inspect data/schedules/curves.csv
    """
    from scalefit.runs import inspect, read_runs

    rename = {column: name for name, column in pairs(map_, "--map").items()}
    runs = read_runs(list(files), rename=rename, schedule=schedule, warmup=warmup, need=(), tell_ties=True)
    if where:
        runs = runs.where(where)
        refuse_empty(runs, "left", "--where")
    report = inspect(runs)
    return Answer("\n".join(report.lines), report.as_dict(), runs.table)
