"""Which data sets are bundled or public, what does one of them hold, and where is it?"""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli.output import Answer, answering
from scalefit.errors import InputError


@click.command()
@click.argument("words", metavar="[list | NAME | fetch NAME]", nargs=-1)
@click.option("--from", "given", metavar="FILE", help="With fetch: a file that you downloaded by hand.")
@answering
def command(words: tuple[str, ...], given: str | None) -> Answer:
    """Public data sets are fetched from where their authors put them, verified, turned into our columns and kept (in
    ~/.cache/scalefit, or in the folder that SCALEFIT_DATA names). None of them ships with this program.

    \b
    Example:
      scalefit data schedules
    """
    first, *rest = words or ("list",)
    if first == "fetch":
        if len(rest) != 1:
            raise InputError(
                "no data set to fetch" if not rest else "several data sets", todo="scalefit data fetch NAME"
            )
        return _fetched(rest[0], given)
    if given or rest:
        unused = "--from" if given else rest[0]
        raise InputError(f"{unused} has no meaning here", where="data", todo="scalefit data [list | NAME | fetch NAME]")
    return _listed() if first == "list" else _shown(first)


def _listed() -> Answer:
    import pandas as pd

    from scalefit.datasets import load, names
    from scalefit.datasets.fetching import public
    from scalefit.datasets.registry import root

    bundled = [{"name": each, "runs": len(load(each)), "folder": str(root() / each)} for each in names()]
    others = [
        {"name": one.name, "fetched": one.path.is_file(), "title": one.title, "licence": one.licence,
         "source": one.source, "url": one.url}
        for one in public().values()
    ]  # fmt: skip
    lines = [f"  {row['name']:<16} {row['runs']:>4} runs  {row['folder']}" for row in bundled]
    lines += ["", "public, scalefit data fetch NAME:"]
    for one in public().values():
        lines.append(f"  {one.name:<18} {one.title}")
        lines.append(f"  {'':<18} {one.source}; licence: {one.licence}; {_where(one)}")
    rows = [(row["name"], "bundled", str(row["runs"]), row["folder"], "Apache-2.0") for row in bundled]
    rows += [(one.name, "public", "", one.url, one.licence) for one in public().values()]
    table = pd.DataFrame(rows, columns=["name", "kind", "runs", "at", "licence"])
    return Answer(lines, {"data_sets": bundled, "public": others}, table)


def _where(one: Any) -> str:
    return f"fetched: {one.path}" if one.path.is_file() else "not fetched"


def _fetched(name: str, given: str | None) -> Answer:
    from scalefit.datasets.fetching import fetch, public
    from scalefit.runs import read_runs

    path, one = fetch(name, given), public()[name]
    runs = read_runs(path)
    lines = [f"{path}: {len(runs)} runs, verified", one.title, f"cite {one.source}; licence: {one.licence}", one.advice]
    facts = {"name": name, "path": str(path), "runs": len(runs), "source": one.source, "licence": one.licence}
    return Answer(lines, {**facts, "advice": one.advice}, runs.table)


def _shown(name: str) -> Answer:
    from scalefit.datasets import load
    from scalefit.datasets.fetching import public
    from scalefit.datasets.registry import root
    from scalefit.runs.inspect import inspect

    runs = load(name)
    report = inspect(runs)
    place = public()[name].path if name in public() else root() / name
    return Answer([str(place), *report.lines], report.as_dict(), runs.table)
