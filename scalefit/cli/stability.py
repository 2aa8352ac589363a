"""What breaks first at a larger size? Probes logged in small runs, extrapolated to their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, pairs, read, together, told
from scalefit.cli.output import Answer, answering, figures, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.runs import Runs
    from scalefit.stability.forecast import Forecasts


@click.command()
@options.logs
@options.shared("--at", required=True, metavar="N=7e9")
@options.shared("--lr", required=True)
@click.option("--epsilon", default="1e-8", help="Adam's epsilon.")
@options.shared("--rule", "--beta", "--ignore", "--plot")
@answering
def command(
    files: tuple[str, ...],
    at: tuple[str, ...],
    lr: str,
    epsilon: str,
    rule: str,
    beta: float,
    ignore: tuple[str, ...],
    plot: str | None,
    **reading: Any,
) -> Answer:
    """--plot draws the probe that is likeliest to cross its limit. Exit code 1 where a limit is more likely crossed
    than not, where runs near this learning rate have diverged, where the log allows no forecast or no interval,
    and for a target further beyond the measured sizes than they span.

    \b
    Example:
      scalefit stability data/lr_width/runs.csv --where "parametrization == 'sp'" --at N=4e6 --lr 0.0078125
    """
    from scalefit.stability.forecast import forecast

    given = pairs(at, "--at")
    if len(given) != 1:
        raise InputError("a target is one size", where="--at", todo="write --at N=7e9")
    over, size = next(iter(given.items()))
    runs, least, goal, rate = together(
        lambda: read(files, **reading),
        lambda: number(epsilon, "--epsilon"),
        lambda: number(size, "--at"),
        lambda: number(lr, "--lr"),
    )
    settings: dict[str, Any] = {"epsilon": least, "rule": rule, "beta": beta, "ignore": ignore}
    found = forecast(runs, goal, rate, over, **settings)
    table = found.table
    content: dict[str, Any] = {"over": over, "size": found.size, "lr": found.lr, "level": 0.9}
    content |= {"forecasts": _records(found), "missing": found.missing, "settings": found.settings}
    content |= {"diverged_here": found.lost or None, "notes": list(found.notes)}
    content["far_beyond"] = list(found.far) or None
    drawn = figures(plot, lambda: _figure(found, runs, settings))
    return Answer(found.lines, content, table, found.ok, told(runs), drawn)


def _figure(found: Forecasts, runs: Runs, settings: dict[str, Any]) -> Axes:
    """The probe that is most likely to cross its limit, against size."""
    from scalefit.plots import plot_forecast

    if not found.found:
        todo = "log one of the probes, or leave --plot out" if found.boundary else "log one of the probes"
        raise InputError("no forecast to draw", where="--plot", todo=todo)
    drawn = {each.name for each in found.found}  # the boundary of divergence is no probe
    likeliest = next(str(name) for name in found.table["forecast"] if name in drawn)
    return plot_forecast(runs, likeliest, found.size, [found.lr], over=found.over, **settings)


def _records(found: Forecasts) -> list[dict[str, Any]]:
    """The table as JSON records, each with the cure, the column, and the number of sizes in its fit."""
    known = {
        each.name: {"cure": each.cure, "column": each.column, "sizes": each.sizes, "interpolated": each.line.between}
        for each in found.found
    }
    return [row | known.get(row["forecast"], {}) for row in records(found.table)]
