"""Which learning-rate schedule suits a model? From a finished run: warmup by its curvature, decay by its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, read
from scalefit.cli.output import Answer, answering, check_writable, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.planning.run_schedule import RunSchedule

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)  #: of the run, at which the refined schedule is told


@click.command()
@options.logs
@options.shared("--run", show_default="the only one")
@options.shared("--lr", show_default="the log's largest")
@options.shared("--steps", show_default="the length of the run in the log")
@options.shared("--rule", "--beta")
@click.option("--out", metavar="FILE.csv", help="Write the schedule (step, lr), for --schedule and the trainer.")
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

    check_writable(out, plot)
    peak = number(lr, "--lr") if lr else None
    found = schedule_of(read(files, **reading), run, peak, steps, rule, beta)
    if out and found.lr is None:
        raise InputError(
            "no refined schedule to write", where="--out", todo="log grad_norm, or write --map grad_norm=COLUMN"
        )
    if out:
        from scalefit.fitting.document import write_text

        write_text(out, found.table.to_csv(index=False))
    if plot:
        from scalefit.plots import plot_run_schedule, save_figure

        save_figure(plot_run_schedule(found), plot)
    content = _content(found)
    never = len(found.sharpness) > 0 and found.warmup != found.warmup
    return Answer(_text(found, out), content, found.table, ok=not never)


def _text(found: RunSchedule, out: str | None) -> str:
    lines = [f"{found.run}: {found.steps} steps, peak learning rate {found.peak_lr:.4g}"]
    if len(found.sharpness):
        lines.append(_warmup(found))
    if found.lr is not None:
        shape = found.lr[1:] / found.peak_lr
        rise = int(shape.argmax())
        lines.append(f"refined schedule: its peak is at {100 * rise / found.steps:.0f} % of the run, and then")
        told = [f"{100 * share:.0f} %: {shape[min(int(share * found.steps), found.steps - 1)]:.2f}" for share in SHARES]
        lines.append(f"  share of the run: share of the peak   {'   '.join(told)}")
        lines.append("  tune the peak anew: the shape is given, not the height")
    if out:
        lines.append(f"written: {out}, {len(found.table)} rows of step and lr")
    lines += [f"! {note}" for note in found.notes]
    return "\n".join([*lines, *(f"no {name}: {why}" for name, why in found.missing.items())])


def _warmup(found: RunSchedule) -> str:
    rows = f"{len(found.sharpness)} measurements to step {found.sharpness['step'].iloc[-1]:.0f}"
    if found.warmup != found.warmup:
        return f"! warm-up: lr times sharpness is not below {found.threshold:.3g} for good in {rows}: lower the peak"
    return f"warm-up: {found.warmup:.0f} steps until lr times sharpness stays below {found.threshold:.3g} ({rows})"


def _content(found: RunSchedule) -> dict[str, Any]:
    return {
        "run": found.run,
        "peak_lr": found.peak_lr,
        "steps": found.steps,
        "warmup": found.warmup,
        "threshold": found.threshold,
        "sharpness_times_lr": records(found.sharpness),
        "schedule": records(found.table),
        "notes": list(found.notes),
        "missing": found.missing,
    }
