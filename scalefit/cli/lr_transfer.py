"""Which learning rate is best at a larger size, and does the best one stay the same as models grow?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.completion import columns
from scalefit.cli.options import number, pairs, read, together, told
from scalefit.cli.output import Answer, OutputFile, answering, as_lines, figures, records
from scalefit.errors import InputError

SIZES = "the first of d_model, N, n_layer, batch, D that varies"
BACKTEST = "Also predict the largest size from the others, and show what that costs in loss (regret)."

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.transfer.lr_transfer import Transfer


@click.command()
@options.logs
@click.option("--over", metavar="COLUMN", shell_complete=columns, show_default=SIZES, help="The column of the size.")
@click.option(
    "--arms",
    metavar="COLUMN",
    shell_complete=columns,
    show_default="parametrization",
    help="The column whose values are compared.",
)
@options.shared("--at", metavar="d_model=512")
@options.shared("--ignore")
@options.shared("--initial-loss", show_default="a column of the log, else ln(vocab)")
@click.option("--measured-only", is_flag=True, help="Fit the drift to the runs alone, without what theory expects.")
@click.option("--backtest", "back", is_flag=True, help=BACKTEST)
@options.shared("--draws", default=1000)
@options.shared("--seed", "--plot")
@click.option(
    "--plot-sensitivity",
    type=OutputFile("figure"),
    metavar="FILE",
    help="Write the figure of learning-rate sensitivity to this file.",
)
@answering
def command(
    files: tuple[str, ...],
    over: str | None,
    arms: str | None,
    at: tuple[str, ...],
    ignore: tuple[str, ...],
    initial_loss: str | None,
    measured_only: bool,
    back: bool,
    draws: int,
    seed: int,
    plot: str | None,
    plot_sensitivity: str | None,
    **reading: Any,
) -> Answer:
    """FILES hold learning-rate sweeps at several sizes: one row for each run, with a size, a learning rate and a final
    loss. --plot draws loss against learning rate. Exit code 1 for a target further beyond the measured sizes than they
    span, where the law contradicts a size whose best rate lies outside its grid, where an optimum is in doubt, and
    where another setting changes with the size or the learning rate.

    \b
    Example:
      scalefit lr-transfer data/lr_width/runs.csv --at d_model=256
    """
    from scalefit.transfer.backtest import backtest_transfer
    from scalefit.transfer.lr_transfer import lr_transfer
    from scalefit.transfer.sweeps import column_named, read_sweeps

    initial, (named, target), runs = together(
        lambda: number(initial_loss, "--initial-loss") if initial_loss else None,
        lambda: _target(at),
        lambda: read(files, **reading),
    )
    named = runs.column(named) if named else named
    sweeps = read_sweeps(runs, over or named, arms, initial, ignore)
    if named and column_named(sweeps.points.rename(columns={"size": sweeps.over}), named) != sweeps.over:
        why = f"the sizes are {sweeps.over}, the target is {named}"
        raise InputError(why, where="--at", todo=f"add --over {named}")
    settings: dict[str, Any] = {"theory": not measured_only, "draws": draws, "seed": seed}
    found = lr_transfer(sweeps, target=target, **settings)
    tested = backtest_transfer(sweeps, **settings) if back else None
    lines = [*found.lines]
    if tested is not None:
        shown = tested.assign(**{sweeps.over: [f"{size:g}" for size in tested[sweeps.over]]})
        for name in ("regret", "noise"):
            shown[name] = ["-" if value != value else f"{100 * value:.2f} %" for value in tested[name]]
        lines += ["", "back-test, the largest size predicted from the smaller ones:", as_lines(shown, 3)]
    drawn = figures(plot, lambda: _figure("plot_lr_transfer", found))
    drawn += figures(plot_sensitivity, lambda: _figure("plot_lr_sensitivity", found))
    return Answer(lines, _content(found, tested), found.table, found.ok, told(runs), drawn)


def _figure(name: str, found: Transfer) -> Axes:
    import scalefit.plots

    drawn: Axes = getattr(scalefit.plots, name)(found)
    return drawn


def _target(at: tuple[str, ...]) -> tuple[str | None, float | None]:
    given = pairs(at, "--at")
    if len(given) > 1:
        raise InputError("a target is one size", where="--at", todo="write --at d_model=512")
    for name, value in given.items():
        size = number(value, "--at")
        if not 0 < size < math.inf:
            raise InputError(f"the target {name} is {size:g}", where="--at", todo="give a size above 0")
        return name, size
    return None, None


def _content(found: Transfer, tested: pd.DataFrame | None) -> dict[str, Any]:
    arms = []
    for arm in found.arms:
        at = arm.at(found.target)._asdict() if found.target and not math.isnan(arm.law_drift.value) else None
        drifts = {"drift": arm.drift._asdict(), "law_drift": arm.law_drift._asdict(), "theory": arm.expected}
        rest = {"verdict": arm.verdict, "at_target": at, "far_beyond": found.far.get(arm.name), "outside": arm.outside}
        arms.append({"arm": arm.name, **drifts, **rest})
    content: dict[str, Any] = {"over": found.sweeps.over, "settings": found.sweeps.settings, "target": found.target}
    content |= {"optima": records(found.table), "arms": arms, "notes": list(found.notes)}
    return content | {"backtest": None if tested is None else records(tested)}
