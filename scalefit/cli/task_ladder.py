"""What accuracy will a larger model reach on a task? In two steps, from evaluated checkpoints of small runs."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, figures
from scalefit.cli.translate import content


@click.command()
@options.logs
@options.shared("--at", metavar="N=13B,D=5T", required=True, help="The target at which it is asked for.")
@click.option("--average", type=int, default=5, help="Checkpoints in a running mean.")
@click.option("--early", "skip", type=float, default=0.1, help="Share of each run left out of the second step.")
@click.option("--ideal/--no-ideal", default=True, help="Add the point of loss 0 and accuracy 1.")
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    files: tuple[str, ...],
    at: tuple[str, ...],
    average: int,
    skip: float,
    ideal: bool,
    draws: int,
    seed: int,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """FILES hold evaluations of checkpoints: run, N, tokens so far, the task's loss (bits per byte of the correct
    answer) and its accuracy as a share; --map loss=COLUMN and --map accuracy=COLUMN name the two. The loss of a run in
    N and D is the mean of its last checkpoints, the accuracy is a sigmoid of the loss. Exit code 1 where a check of
    either step failed, or far beyond the runs.

    \b
    Example:
      scalefit task-ladder evaluations.csv --map loss=bpb --map accuracy=acc --at N=2B,D=60B --exit-zero
    """
    from scalefit.planning.downstream.ladder import task_ladder

    goal = options.target(at, task_ladder)
    runs = options.read(files, **reading)
    found = task_ladder(runs, average=average, skip=skip, ideal=ideal, draws=draws, seed=seed, **goal)
    return Answer(found.lines, content(found), found.table, found.ok, options.told(runs), figures(plot, found.plot))
