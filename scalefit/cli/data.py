"""Which data sets are bundled with scalefit, and what does one of them hold?"""

from __future__ import annotations

import click

from scalefit.cli.output import Answer, answering


@click.command()
@click.argument("name", required=False)
@answering
def command(name: str | None) -> Answer:
    """\b
    Example:
      scalefit data schedules
    """
    import pandas as pd

    from scalefit.datasets import load, names
    from scalefit.datasets.registry import root
    from scalefit.runs.inspect import inspect

    if name:
        runs = load(name)
        report = inspect(runs)
        return Answer("\n".join([str(root() / name), *report.lines]), report.as_dict(), runs.table)
    found = [{"name": each, "runs": len(load(each)), "folder": str(root() / each)} for each in names()]
    lines = [f"  {row['name']:<16} {row['runs']:>4} runs  {row['folder']}" for row in found]
    return Answer("\n".join(lines), {"data_sets": found}, pd.DataFrame(found))
