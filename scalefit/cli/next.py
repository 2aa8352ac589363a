"""Which runs should be made next? Those that shrink the interval at a target most, within a budget of compute."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.completion import columns
from scalefit.cli.output import Answer, answering, coded, figures, records
from scalefit.cli.plan import source_of
from scalefit.cli.usage import refuse_unread
from scalefit.errors import InputError

#: parameters of runs by a law, which a sweep does not read; nor does it count draws: lr-transfer's own are taken
OF_RUNS = ("budget", "at", "runs", "candidates", "cost", "active", "failure", "law", "draws")


@click.command()
@click.argument("files", metavar="FIT.json|FILE...", nargs=-1, required=True)
@options.reading
@click.option("--budget", metavar="FLOP", help="Compute of all runs together.")
@options.shared("--at", metavar="N=7B,D=2T", help="The target whose interval is to shrink.")
@click.option("--sweep", is_flag=True, help="FILE holds a sweep of learning rates: what would decide it?")
@click.option(
    "--over",
    metavar="COLUMN",
    shell_complete=columns,
    show_default="as for lr-transfer",
    help="With --sweep: the size's column.",
)
@click.option(
    "--arms",
    metavar="COLUMN",
    shell_complete=columns,
    show_default="as for lr-transfer",
    help="The column whose values are compared.",
)
@click.option("--runs", type=int, default=4, help="At most so many runs.")
@click.option(
    "--candidates", metavar="seen|CSV", show_default="a grid around the fitted runs", help="What to choose from."
)
@options.shared("--cost", "--active")
@click.option("--failure", type=float, default=0.05, help="The chance that a run fails and tells nothing.")
@options.shared("--law", default="chinchilla", help="The law to fit to FILE, or that of FIT.json in a file of yours.")
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    files: tuple[str, ...],
    at: tuple[str, ...],
    candidates: str | None,
    law: str,
    draws: int,
    seed: int,
    plot: str | None,
    sweep: bool,
    over: str | None,
    arms: str | None,
    **given: Any,
) -> Answer:
    """FIT.json is a saved fit with draws, by a law of size and data; to run logs one is fitted first. The answer lists
    the runs in the order of what they add, with the interval expected after each, and the compute that would halve the
    interval; or it says to stop, where no affordable run helps. Candidates are a grid, the sizes and data seen, or a
    CSV with the columns of the law. Exit code 1 where a check of the fit failed.

    With --sweep the question is that of lr-transfer: which sizes, learning rates and seeds would turn an undecided
    verdict into one? Exit code 1 where no plan is likely to.

    \b
    Example:
      scalefit next data/lr_depth/runs.csv --sweep
      scalefit next data/size_data/runs.csv --where "d_model <= 64" --budget 3e12 --at N=1e6,D=1e7
    """
    from scalefit.planning.next_runs.advice import next_runs
    from scalefit.runs import runs_of

    reading = {name: given.pop(name) for name in options.READING}
    if sweep:
        refuse_unread("--sweep", "next", *OF_RUNS)
        return _of_sweep(files, reading, {"over": over, "arms": arms, "seed": seed}, plot)
    for name, value in (("--over", over), ("--arms", arms)):
        if value:
            raise InputError(f"{name} without --sweep", where="next", todo=f"add --sweep, or leave out {name}")
    if given["budget"] is None or not at:
        lacking, todo = ("--at", "--at N=7B,D=2T") if given["budget"] is not None else ("--budget", "--budget 3e20")
        raise InputError(f"no {lacking}", where="next", todo=f"write {todo}, or --sweep for a sweep of learning rates")
    source: Any = source_of(files, law, reading)
    table: Any = candidates
    if candidates is not None and candidates != "seen":
        table = runs_of(candidates).table
    target = options.target(at, next_runs)
    found = next_runs(source, candidates=table, law=law, draws=draws, seed=seed, **given, **target)
    notes = [] if files[0].endswith(".json") else options.told(source)
    content: dict[str, Any] = {"law": found.fit.law.spec, "target": found.target, "budget": found.budget}
    content |= {"stop": found.stop, "runs": records(found.table), "now": found.now, "after": found.after}
    content |= {"halving": found.halving, "candidates": records(found.candidates), "cost": found.cost.text}
    content["warnings"] = coded([*found.cautions, *found.fit.warnings])
    return Answer(found.lines, content, found.table, found.ok, notes, figures(plot, found.plot))


def _of_sweep(files: tuple[str, ...], reading: dict[str, Any], settings: dict[str, Any], plot: str | None) -> Answer:
    """The further runs that would decide the verdict of a sweep."""
    from scalefit.transfer.further import next_sweeps

    runs = options.read(files, **reading)
    found = next_sweeps(runs, **settings)
    verdicts = {arm.name: arm.verdict for arm in found.transfer.arms}
    content: dict[str, Any] = {"over": found.transfer.sweeps.over, "verdicts": verdicts, "stop": found.stop}
    content |= {"plans": records(found.table), "advised": records(found.advised)}
    return Answer(found.lines, content, found.table, found.ok, options.told(runs), figures(plot, found.plot))
