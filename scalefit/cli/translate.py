"""What will the loss be on another data set? From the runs of two families of models, paired by size and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, coded, figures, records

if TYPE_CHECKING:
    from scalefit.planning.downstream.answer import Downstream


@click.command()
@click.argument("source", metavar="SOURCE", required=True)
@click.argument("other", metavar="TARGET", required=True)
@options.reading
@options.shared("--at", metavar="N=7B,D=2T|loss_source=2.3", required=True, help="The target at which it is asked for.")
@options.shared("--target", default="loss")
@options.shared("--law", default="auto")
@click.option("--procedure", type=click.Choice(["stages", "joint"]), default="stages", help="How floors are found.")
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    source: str,
    other: str,
    at: tuple[str, ...],
    target: str,
    law: str,
    procedure: Any,
    draws: int,
    seed: int,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """SOURCE holds final losses of one family of models, TARGET those of another, both with N and D. A law of size and
    data gives the source loss at the target, a shifted power law fitted to the pairs takes it to the other family. The
    law is that whose floors predict held-out pairs best, or --law. With few pairs the floor of TARGET is fitted with
    the map. A source loss that was measured is given as loss_source.
    Exit code 1 where a check of either stage failed, or far beyond the runs.

    \b
    Example:
      scalefit translate data/size_data/runs.csv data/loss_to_loss/runs.csv --at N=2e5,D=1.5e6 --draws 50 --exit-zero
    """
    from scalefit.planning.downstream.translate import translate

    goal = options.target(at, translate)
    first, second = (options.read((path,), **reading) for path in (source, other))
    found = translate(first, second, loss=target, law=law, procedure=procedure, draws=draws, seed=seed, **goal)
    return Answer(
        found.lines,
        content(found),
        found.table,
        found.ok,
        [*options.told(first), *options.told(second)],
        figures(plot, found.plot),
    )


def content(found: Downstream) -> dict[str, Any]:
    """A prediction by way of another loss, as JSON."""
    stages = {"law": found.first.parameters, "map": found.second.parameters}
    answer: dict[str, Any] = {"target": found.at, "prediction": records(found.table)[0], "how": found.how}
    answer |= {"stages": stages, "direct": found.direct}
    warnings = {check.text: check for check in (*found.cautions, *found.first.warnings, *found.second.warnings)}
    return answer | {"warnings": coded(warnings.values())}
