"""Which batch size is efficient, and with which learning rate? The critical batch size, the gradient noise scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, pairs, read
from scalefit.cli.output import Answer, answering, as_lines, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.planning.batch import BatchAnswer
    from scalefit.runs import Runs
    from scalefit.transfer.lr_transfer import Transfer
    from scalefit.transfer.verdict import Interval


@click.command()
@options.logs
@click.option(
    "--loss",
    metavar="LOSS",
    show_default="the least that every batch size reaches",
    help="Count the steps to this loss.",
)
@options.shared("--at", metavar="batch=65536")
@answering
def command(
    files: tuple[str, ...],
    loss: str | None,
    at: tuple[str, ...],
    **reading: Any,
) -> Answer:
    """FILES hold the loss along runs that differ in batch size (in tokens), learning rate and seed. Exit code 1 where
    the steps determine no critical batch size, and for a target further beyond the measured batch sizes than they span.

    \b
    Example:
      scalefit batch data/lr_batch/curves.csv --at batch=8192
    """
    from scalefit.planning.batch import batch_size
    from scalefit.transfer.reach import far_beyond

    target = _target(at)
    runs = read(files, **reading)
    found = batch_size(runs, _loss(loss))
    rates, why = _rates(runs)
    missing = found.missing | ({"learning rate": why} if why else {})
    lines = [*_critical(found, target), *_noise(found), *_learning_rate(rates, target)]
    measured = runs.table["batch"].astype(float)
    doubts = [found.doubt, far_beyond("batch", [measured.min(), measured.max()], target) if target else ""]
    lines += [f"! {note}" for note in (*doubts, *found.notes) if note]
    lines += [f"no {name}: {reason}" for name, reason in missing.items()]
    content = _content(found, rates, target) | {"missing": missing, "doubts": [doubt for doubt in doubts if doubt]}
    return Answer("\n".join(lines), content, found.reached, ok=not any(doubts))


def _loss(text: str | None) -> float | None:
    if text is None:
        return None
    loss = number(text, "--loss")
    if not abs(loss) < float("inf"):
        raise InputError(f"a loss of {loss:g}", where="--loss", todo="give a loss that the runs reach")
    return loss


def _target(at: tuple[str, ...]) -> float | None:
    given = pairs(at, "--at")
    if not given:
        return None
    if list(given) != ["batch"]:
        raise InputError("a target is one batch", where="--at", todo="write --at batch=65536")
    batch = number(given["batch"], "--at")
    if not 0 < batch < float("inf"):
        raise InputError(f"a batch of {batch:g}", where="--at", todo="give a number of tokens above 0")
    return batch


def _rates(runs: Runs) -> tuple[Transfer | None, str]:
    """The best learning rate of each batch by its final loss, or why there is none."""
    from scalefit.transfer.lr_transfer import lr_transfer

    try:
        return lr_transfer(runs, over="batch", arms="", theory=False), ""
    except InputError as error:
        return None, str(error)


def _critical(found: BatchAnswer, target: float | None) -> list[str]:
    if not len(found.reached):
        return []
    lines = [
        f"to a loss of {found.loss:.5g}:",
        as_lines(_by_batch(found.reached.drop(columns="edge")).rename(columns={"tokens": found.counts}), 4),
        "",
    ]
    edges = zip(found.reached["batch"], found.reached["edge"], strict=True)
    lines += [f"! batch {batch:g}: {edge}; add runs beyond it" for batch, edge in edges if edge]
    trade, critical = found.tradeoff, found.critical
    if trade is None:
        return lines
    known = critical.low == critical.low
    ends = f" [{critical.low:.3g}, {critical.high:.3g}]" if known else " (two batches leave no interval)"
    B, word = f"{trade.B_crit:.4g}", found.counts
    lines.append(f"critical batch {critical.value:.3g} {word}{ends}: twice the least steps, twice the least {word}")
    lines.append(f"  steps = {trade.S_min:.4g} (1 + {B}/batch), {word} = {trade.E_min:.4g} (1 + batch/{B})")
    lines.append(f"  the learning rate that gets there first grows as batch^{_in_words(_fastest(found))}")
    if target:
        steps, tokens = float(trade.steps(target)), float(trade.examples(target))
        lines.append(
            f"  at batch {target:g}: {steps:.4g} steps, {steps / trade.S_min:.2f} times the least; "
            f"{tokens:.4g} {word}, {tokens / trade.E_min:.2f} times the least"
        )
    return lines


def _by_batch(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(batch=[f"{batch:.7g}" for batch in table["batch"]])


def _noise(found: BatchAnswer) -> list[str]:
    if not len(found.noise):
        return []
    return ["", f"gradient noise scale at the end of the runs, in {found.unit}:", as_lines(_by_batch(found.noise), 3)]


def _learning_rate(found: Transfer | None, target: float | None) -> list[str]:
    if found is None:
        return []
    (arm,) = found.arms
    lines = ["", "best learning rate by final loss:"]
    for size, best in arm.optima.items():
        place = f"{best.lr:.3g} [{best.low:.3g}, {best.high:.3g}]"
        lines.append(f"! batch {size:g}: {best.refused}" if best.refused else f"  batch {size:g}: {place}")
    drift = arm.drift
    if drift.value == drift.value:
        theory = "theory has 1/2 under Adam and 1 under SGD, up to the noise scale"
        lines.append(f"  lr ∝ batch^{_in_words(drift)}; {theory}")
    if target and drift.value == drift.value:
        at = arm.at(target)
        lines.append(f"  at batch {target:g}: learning rate {at.value:.3g} [{at.low:.3g}, {at.high:.3g}]")
    return lines


def _fastest(found: BatchAnswer) -> Interval:
    """The exponent of the learning rates that reach the loss in the fewest steps."""
    from scalefit.planning.noise import fit_lr_exponent

    return fit_lr_exponent(found.reached["batch"], found.reached["lr"])


def _in_words(exponent: Interval) -> str:
    known = exponent.low == exponent.low
    return f"{exponent.value:.2f}" + (f" [{exponent.low:.2f}, {exponent.high:.2f}]" if known else "")


def _content(found: BatchAnswer, rates: Transfer | None, target: float | None) -> dict[str, Any]:
    trade = found.tradeoff
    content: dict[str, Any] = {"loss": found.loss, "reached": records(found.reached), "noise": records(found.noise)}
    content |= {"noise_unit": found.unit, "critical_batch": found.critical._asdict() if trade else None}
    content["S_min"], content["E_min"] = (trade.S_min, trade.E_min) if trade else (None, None)
    content["fastest_lr_exponent"] = _fastest(found)._asdict() if trade else None
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
