"""Which learning-rate schedule suits a model? From a finished run: warmup by its curvature, decay by its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, read, told
from scalefit.cli.output import Answer, OutputFile, answering, figures, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.planning.run_schedule import RunSchedule


@click.command()
@options.logs
@options.shared("--run", show_default="the only one")
@options.shared("--lr", show_default="the log's largest")
@options.shared("--steps", show_default="the length of the run in the log")
@options.shared("--rule", "--beta")
@click.option(
    "--out",
    type=OutputFile("table"),
    metavar="FILE.csv",
    help="Write the schedule (step, lr), for --schedule and the trainer.",
)
@options.shared("--plot")
@answering
def command(
    files: tuple[str, ...],
    run: str | None,
    lr: str | None,
    steps: int | None,
    rule: str,
    beta: float,
    out: str | None,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """The shortest stable warmup comes from the logged sharpness, the shape of the decay from the logged gradient
    norms; --plot draws both. Exit code 1 where no warmup within the log is long enough.

    \b
    Example:
      scalefit schedule data/divergence/curves.csv --run lr-0.015625 --lr 0.0078 --out refined.csv
    """
    from scalefit.planning.run_schedule import schedule_of

    peak = number(lr, "--lr") if lr else None
    runs = read(files, **reading)
    found = schedule_of(runs, run, peak, steps, rule, beta)
    if out and found.lr is None:
        todo = "log grad_norm, or write --map grad_norm=COLUMN"
        raise InputError("no refined schedule to write", where="--out", todo=todo)
    if out:
        from scalefit.writing import write_text

        write_text(out, found.table.to_csv(index=False), "table")
    content = {name: getattr(found, name) for name in ("run", "peak_lr", "steps", "warmup", "threshold")}
    content |= {"sharpness_times_lr": records(found.sharpness), "schedule": records(found.table)}
    content |= {"notes": list(found.notes), "missing": found.missing}
    written = [f"written: {out}, {len(found.table)} rows of step and lr"] * bool(out)
    drawn = figures(plot, lambda: _figure(found))
    return Answer([*found.lines, *written], content, found.table, notes=told(runs), figures=drawn)


def _figure(found: RunSchedule) -> Axes:
    from scalefit.plots import plot_run_schedule

    return plot_run_schedule(found)
