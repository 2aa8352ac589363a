"""Which learning rate is best at a larger size, and does the best one stay the same as models grow?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, pairs, read
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records
from scalefit.errors import InputError

FORMS = {"lr": ".3g", "low": ".3g", "high": ".3g", "log2_lr": ".2f", "loss": ".5g", "lr_sensitivity": ".3f"}

SIZES = "the first of d_model, N, n_layer, batch, D that varies"
BACKTEST = "Also predict the largest size from the others, and show what that costs in loss (regret)."

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.transfer.lr_transfer import Arm, Transfer


@click.command()
@options.logs
@click.option("--over", metavar="COLUMN", show_default=SIZES, help="The column of the size.")
@click.option("--arms", metavar="COLUMN", show_default="parametrization", help="The column whose values are compared.")
@options.shared("--at", metavar="d_model=512")
@options.shared("--ignore")
@options.shared("--initial-loss", show_default="a column of the log, else ln(vocab)")
@click.option("--measured-only", is_flag=True, help="Fit the drift to the runs alone, without what theory expects.")
@click.option("--backtest", "back", is_flag=True, help=BACKTEST)
@options.shared("--draws", default=300)
@options.shared("--seed", "--plot")
@click.option("--plot-sensitivity", metavar="FILE", help="Write the figure of learning-rate sensitivity to this file.")
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
    span.

    \b
    Example:
      scalefit lr-transfer data/lr_width/runs.csv --at d_model=256
    """
    from scalefit.transfer.lr_transfer import backtest_transfer, lr_transfer
    from scalefit.transfer.sweeps import column_named, read_sweeps

    check_writable(plot, plot_sensitivity)
    initial = number(initial_loss, "--initial-loss") if initial_loss else None
    named, target = _target(at)
    sweeps = read_sweeps(read(files, **reading), over or named, arms, initial, ignore)
    if named and column_named(sweeps.points.rename(columns={"size": sweeps.over}), named) != sweeps.over:
        raise InputError(
            f"the sizes are {sweeps.over}, the target is {named}", where="--at", todo=f"add --over {named}"
        )
    found = lr_transfer(sweeps, target=target, theory=not measured_only, draws=draws, seed=seed)
    tested = backtest_transfer(sweeps, theory=not measured_only, draws=draws, seed=seed) if back else None
    _draw(found, plot, plot_sensitivity)
    return Answer(_text(found, tested), _content(found, tested), found.table, ok=not found.far)


def _draw(found: Transfer, losses: str | None, sensitivity: str | None) -> None:
    """The figures that were asked for."""
    if losses or sensitivity:
        from scalefit.plots import plot_lr_sensitivity, plot_lr_transfer, save_figure
    if losses:
        save_figure(plot_lr_transfer(found), losses)
    if sensitivity:
        save_figure(plot_lr_sensitivity(found), sensitivity)


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


def _text(found: Transfer, tested: pd.DataFrame | None) -> str:
    from scalefit.runs.settings import said

    sweeps = found.sweeps
    lines = [*said(sweeps.settings), "", "optimum of each size, with its 90 % interval:"]
    shown = found.table.drop(columns=["refused", "interval_from"]).rename(columns={"size": sweeps.over})
    for name, form in FORMS.items():
        shown[name] = [format(value, form) if value == value else "-" for value in shown[name]]
    lines.append(as_lines(shown, digits=5))
    for arm in found.arms:
        left_out = ((size, best.refused) for size, best in arm.optima.items() if best.refused)
        lines += [f"! {arm.name}, {sweeps.over} {size:g}: {why}" for size, why in left_out]
    for arm in found.arms:
        lines += ["", *_arm_lines(found, arm)]
    if tested is not None:
        lines += ["", "the largest size, predicted from the smaller ones:"]
        lines.append(as_lines(_in_percent(tested, sweeps.over), 3))
    return "\n".join([*lines, *(["", *(f"! {note}" for note in found.notes)] if found.notes else [])])


def _in_percent(tested: pd.DataFrame, over: str) -> pd.DataFrame:
    shown = tested.copy()
    shown[over] = [f"{size:g}" for size in tested[over]]
    for name in ("regret", "noise"):
        shown[name] = ["-" if value != value else f"{100 * value:.2f} %" for value in tested[name]]
    return shown


def _arm_lines(found: Transfer, arm: Arm) -> list[str]:
    over, drift = found.sweeps.over, arm.drift
    if drift.value != drift.value:
        return [f"{arm.name}: {arm.verdict}"]
    lines = [
        f"{arm.name}: {drift.value:+.2f} octaves per doubling of {over} [{drift.low:+.2f}, {drift.high:+.2f}]",
        f"  {arm.verdict}",
    ]
    if found.target is not None and arm.law_drift.value == arm.law_drift.value:
        at = arm.at(found.target)
        lines.append(f"  at {over} {found.target:g}: learning rate {at.value:.3g} [{at.low:.3g}, {at.high:.3g}]")
        if arm.name in found.far:
            lines.append(f"! {found.far[arm.name]}")
    if arm.expected is not None:
        expected, spread = arm.expected
        lines.append(
            f"  the law leans on theory's {expected:+g} ± {spread:g} and drifts {arm.law_drift.value:+.2f} "
            "(--measured-only: without)"
        )
    return lines


def _content(found: Transfer, tested: pd.DataFrame | None) -> dict[str, Any]:
    arms = []
    for arm in found.arms:
        known = found.target is not None and arm.law_drift.value == arm.law_drift.value
        arms.append(
            {
                "arm": arm.name,
                "drift": arm.drift._asdict(),
                "law_drift": arm.law_drift._asdict(),
                "theory": arm.expected,
                "verdict": arm.verdict,
                "at_target": arm.at(found.target)._asdict() if known and found.target is not None else None,
                "far_beyond": found.far.get(arm.name),
            }
        )
    return {
        "over": found.sweeps.over,
        "settings": found.sweeps.settings,
        "target": found.target,
        "optima": records(found.table),
        "arms": arms,
        "backtest": None if tested is None else records(tested),
        "notes": list(found.notes),
    }
