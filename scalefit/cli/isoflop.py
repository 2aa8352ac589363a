"""How do the best size and data grow with compute? IsoFLOP minima, the envelope and a fitted law, side by side."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.options import read
from scalefit.cli.output import Answer, answering, coded, figures, records


@click.command()
@options.logs
@click.option(
    "--curve",
    type=click.Choice(["auto", "cubic", "akima", "local", "parabola"]),
    default="auto",
    help="The curve through a budget: a cubic through all sizes, an Akima spline, a parabola near the lowest loss, or "
    "one through all sizes; auto: the cubic, or the spline where cubics miss more than the noise.",
)
@click.option(
    "--compute", metavar="FLOP", show_default="ten times the largest budget", help="Predict the best size here."
)
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    files: tuple[str, ...],
    curve: Any,
    compute: str | None,
    draws: int,
    seed: int,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """FILES hold final losses with N and D (or C) of runs at several budgets, or loss curves of runs of several
    lengths. Approach 1 is the envelope of the sizes, approach 2 the minima of the budgets, approach 3 the law
    chinchilla; intervals resample runs. A budget without a minimum inside its sizes is named.

    Exit code 1 where two approaches disagree beyond their intervals, or the target lies far beyond the runs.

    \b
    Example:
      scalefit isoflop data/size_data/runs.csv --map N=N_total --plot isoflop.png --exit-zero
    """
    from scalefit.planning.isoflop import isoflop

    runs = read(files, **reading)
    found = isoflop(runs, curve=curve, compute=compute, draws=draws, seed=seed)
    content: dict[str, Any] = {"approaches": records(found.table), "optima": records(found.optima)}
    content |= {"curve": found.curve, "target": found.target, "bias": found.bias, "missing": dict(found.missing)}
    content["how"] = {name: each.what for name, each in found.found.items()}
    content["left_out"] = [text for each in found.found.values() for text in each.left_out]
    content["edges"] = [text for each in found.found.values() for text in each.edges]
    content |= {
        "disagreements": found.disagreements,
        "warnings": coded([*found.cautions, *(found.law.warnings if found.law else ())]),
    }
    return Answer(found.lines, content, found.table, found.ok, options.told(runs), figures(plot, found.plot))
