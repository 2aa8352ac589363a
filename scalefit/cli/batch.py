"""Which batch size is efficient, and with which learning rate? The critical batch size, the gradient noise scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.answers import interval
from scalefit.cli import options
from scalefit.cli.options import number, pairs, read, together, told
from scalefit.cli.output import Answer, answering, figures, records
from scalefit.errors import InputError
from scalefit.notices import Line, Notice

if TYPE_CHECKING:
    from scalefit.planning.batch import BatchAnswer
    from scalefit.runs import Runs
    from scalefit.transfer.lr_transfer import Transfer


@click.command()
@options.logs
@click.option(
    "--loss",
    metavar="LOSS",
    show_default="the least that every batch size reaches",
    help="Count the steps to this loss.",
)
@options.shared("--at", metavar="batch=65536")
@options.shared("--plot")
@answering
def command(
    files: tuple[str, ...],
    loss: str | None,
    at: tuple[str, ...],
    plot: str | None,
    **reading: Any,
) -> Answer:
    """FILES hold the loss along runs that differ in batch size (in tokens), learning rate and seed. Exit code 1 where
    the steps determine no critical batch size, where the fewest steps are at an end of the learning rates tried, and
    for a target further beyond the measured batch sizes than they span. --plot draws the steps and the critical batch.

    \b
    Example:
      scalefit batch data/lr_batch/curves.csv --at batch=8192
    """
    from scalefit.planning.batch import batch_size
    from scalefit.transfer.reach import far_beyond

    target, runs, goal = together(
        lambda: _target(at),
        lambda: read(files, **reading),
        lambda: number(loss, "--loss") if loss is not None else None,
    )
    if goal is not None and not abs(goal) < float("inf"):
        raise InputError(f"a loss of {goal:g} is not finite", where="--loss", todo="give a loss that the runs reach")
    found = batch_size(runs, goal)
    rates, why = _rates(runs)
    measured = runs.table["batch"].astype(float)
    far = far_beyond("batch", [measured.min(), measured.max()], target) if target else ""
    lines = [*found.lines, *_learning_rate(rates, why), *_at(found, rates, target), *[Notice(far)] * bool(far)]
    missing = found.missing | ({"learning rate": why} if why else {})
    content = _content(found, rates, target) | {"missing": missing}
    undetermined = runs.curves is not None and "critical batch" in missing
    return Answer(lines, content, found.reached, not undetermined, told(runs), figures(plot, found.plot))


def _target(at: tuple[str, ...]) -> float | None:
    given = pairs(at, "--at")
    if not given:
        return None
    if list(given) != ["batch"]:
        raise InputError("a target is one batch size", where="--at", todo="write --at batch=65536")
    batch = number(given["batch"], "--at")
    if not 0 < batch < float("inf"):
        raise InputError(f"the target batch is {batch:g}", where="--at", todo="give a number of tokens above 0")
    return batch


def _rates(runs: Runs) -> tuple[Transfer | None, str]:
    """The best learning rate of each batch size by its final loss, or why there is none."""
    from scalefit.transfer.lr_transfer import lr_transfer

    try:
        return lr_transfer(runs, over="batch", arms="", theory=False), ""
    except InputError as error:
        return None, str(error)


def _learning_rate(found: Transfer | None, why: str) -> list[Line]:
    """The best learning rate of each batch size, and how it grows."""
    if found is None:
        return ["", f"no learning rate: {why}"]
    (arm,) = found.arms
    lines: list[Line] = ["", "best learning rate by final loss:"]
    for size, best in arm.optima.items():
        place = interval((best.lr, best.low, best.high))
        found_at = f"  batch {size:g}: {place}"
        lines.append(f"  no learning rate at batch {size:g}: {best.refused}" if best.refused else found_at)
    if arm.drift.value == arm.drift.value:
        theory = "theory: 1/2 under Adam and 1 under SGD, for batch sizes below the noise scale"
        lines.append(f"  lr ∝ batch^{interval(arm.drift, '.2f')} ({theory})")
    return lines


def _at(found: BatchAnswer, rates: Transfer | None, target: float | None) -> list[str]:
    """Steps, tokens and learning rate at a target batch size."""
    lines: list[str] = []
    if target and found.tradeoff:
        trade, word = found.tradeoff, found.counts
        steps, tokens = float(trade.steps(target)), float(trade.examples(target))
        lines.append(f"at batch {target:g}: {steps:.4g} steps, {steps / trade.S_min:.2f} times the least")
        lines.append(f"at batch {target:g}: {tokens:.4g} {word}, {tokens / trade.E_min:.2f} times the least")
    if target and rates and rates.arms[0].drift.value == rates.arms[0].drift.value:
        lines.append(f"at batch {target:g}: learning rate {interval(rates.arms[0].at(target))}")
    return ["", *lines] if lines else []


def _content(found: BatchAnswer, rates: Transfer | None, target: float | None) -> dict[str, Any]:
    trade = found.tradeoff
    content: dict[str, Any] = {"loss": found.loss, "reached": records(found.reached), "noise": records(found.noise)}
    content |= {"noise_unit": found.unit, "critical_batch": found.critical._asdict() if trade else None}
    content["S_min"], content["E_min"] = (trade.S_min, trade.E_min) if trade else (None, None)
    content["fastest_lr_exponent"] = found.fastest._asdict() if trade else None
    content["lr_exponent"] = rates.arms[0].drift._asdict() if rates else None
    content["lr"] = records(rates.table) if rates else []
    if target:
        content["target"] = {
            "batch": target,
            "steps": float(trade.steps(target)) if trade else None,
            "tokens": float(trade.examples(target)) if trade else None,
            "lr": rates.arms[0].at(target)._asdict() if rates else None,
        }
    return content | {"notes": list(found.notes)}
