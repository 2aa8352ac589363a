"""A schedule from the log of a finished run: the warmup from its curvature, the decay from its gradient norms."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli.options import number, read, reading
from scalefit.cli.output import Answer, answering, check_writable, records
from scalefit.errors import InputError


@click.command()
@click.argument("files", nargs=-1, required=True)
@reading
@click.option("--run", metavar="NAME", help="Which run, where the log holds several.")
@click.option("--lr", metavar="LR", help="The peak learning rate (default: the largest in the log).")
@click.option("--steps", type=int, metavar="STEPS", help="The length of the schedule (default: the run's).")
@click.option("--rule", type=click.Choice(["adam", "heavy-ball", "gd"]), default="adam", show_default=True)
@click.option("--beta", default=0.9, show_default=True, help="First beta, or momentum.")
@click.option("--out", metavar="FILE.csv", help="Write the schedule (step, lr), for --schedule and the trainer.")
@click.option(
    "--plot", metavar="FILE", help="Write the figure: the schedule and the measurements behind it (png, pdf, svg)."
)
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
    **logs: Any,
) -> Answer:
    """A schedule from the log of a finished run: warmup from its curvature, decay from its gradient norms.

    Exits with 1 if no warmup within the log is long enough.

    \b
    Example:
      scalefit schedule data/divergence/curves.csv --run lr-0.015625 --lr 0.0078 --out refined.csv
    """
    from scalefit.planning.run_schedule import schedule_of

    check_writable(out, plot)
    peak = number(lr, "--lr") if lr else None
    found = schedule_of(read(files, **logs), run, peak, steps, rule, beta)
    if out and found.lr is None:
        todo = "log grad_norm, or write --map grad_norm=COLUMN"
        raise InputError("no refined schedule to write", where="--out", todo=todo)
    if out:
        from scalefit.fitting.document import write_text

        write_text(out, found.table.to_csv(index=False))
    if plot:
        from scalefit.plots import plot_run_schedule, save_figure

        save_figure(plot_run_schedule(found), plot)
    content = {name: getattr(found, name) for name in ("run", "peak_lr", "steps", "warmup", "threshold")}
    content |= {"sharpness_times_lr": records(found.sharpness), "schedule": records(found.table)}
    content |= {"notes": list(found.notes), "missing": found.missing}
    written = f"\nwritten: {out}, {len(found.table)} rows of step and lr" if out else ""
    never = len(found.sharpness) > 0 and found.warmup != found.warmup
    return Answer(f"{found}{written}", content, found.table, ok=not never)
