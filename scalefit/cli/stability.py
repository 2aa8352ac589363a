"""What breaks first at a larger size, forecast from probes logged in small runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli.options import number, pairs, read, reading
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.runs import Runs
    from scalefit.stability.forecast import Forecasts

LIKELY = 0.5  #: probability from which a forecast fails the check


@click.command()
@click.argument("files", nargs=-1, required=True)
@reading
@click.option("--at", multiple=True, required=True, metavar="N=7e9", help="The target size.")
@click.option("--lr", required=True, metavar="LR", help="The peak learning rate at the target.")
@click.option("--epsilon", default="1e-8", show_default=True, help="Adam's epsilon.")
@click.option("--rule", type=click.Choice(["adam", "heavy-ball", "gd"]), default="adam", show_default=True)
@click.option("--beta", default=0.9, show_default=True, help="First beta, or momentum.")
@click.option("--plot", metavar="FILE", help="Write the figure of the likeliest trouble (png, pdf, svg).")
@answering
def command(
    files: tuple[str, ...],
    map_: tuple[str, ...],
    where: str | None,
    schedule: str | None,
    warmup: int | None,
    at: tuple[str, ...],
    lr: str,
    epsilon: str,
    rule: str,
    beta: float,
    plot: str | None,
) -> Answer:
    """What breaks first at a larger size? Probes logged in small runs, extrapolated to their limits.

    Exits with 1 where a limit is more likely crossed than not, where the log allows no forecast, and for a target
    further beyond the measured sizes than they span.

    \b
    Example:
      scalefit stability data/lr_width/runs.csv --where "parametrization == 'sp'" --at N=4e6 --lr 0.0078125
    """
    from scalefit.stability.forecast import forecast

    check_writable(plot)
    given = pairs(at, "--at")
    if len(given) != 1:
        raise InputError("a target is one size", where="--at", todo="write --at N=7e9")
    over, size = next(iter(given.items()))
    runs = read(files, map_, where, schedule, warmup)
    settings: dict[str, Any] = {"epsilon": number(epsilon, "--epsilon"), "rule": rule, "beta": beta}
    found = forecast(runs, number(size, "--at"), number(lr, "--lr"), over, **settings)
    table = found.table
    if plot:
        _draw(found, runs, settings, plot)
    content = {"over": over, "size": found.size, "lr": found.lr, "forecasts": records(table), "missing": found.missing}
    content["far_beyond"] = found.far or None
    crossed = any(each.probability >= LIKELY for each in found.found)
    ok = bool(found.found) and not crossed and not found.far
    return Answer(_text(found), content, table, ok)


def _draw(found: Forecasts, runs: Runs, settings: dict[str, Any], place: str) -> None:
    """The probe that is likeliest to cross its limit, against size."""
    from scalefit.plots import plot_forecast, save_figure

    if not found.found:
        raise InputError("there is no forecast to draw", where="--plot", todo="log one of the probes")
    name = str(found.table["forecast"].iloc[0])
    save_figure(plot_forecast(runs, name, found.size, [found.lr], over=found.over, **settings), place)


def _text(found: Forecasts) -> str:
    reach = f", {found.beyond:.3g} times the largest measured" if found.beyond > 1.0 else ""
    lines = [f"at {found.over} {found.size:.4g}{reach}, and learning rate {found.lr:g}:"]
    if found.found:
        lines.append(as_lines(_in_words(found.table), 3))
    else:
        lines.append("! nothing can be forecast: the log holds no probe at two or more sizes; log one of those below")
    if found.far:
        lines.append(f"! {found.far}")
    for each in found.found:
        if each.probability >= LIKELY:
            lines.append(f"! {each.name} crosses {each.limit:g}: {each.cure}")
        if each.probability != each.probability:
            lines.append(f"! {each.name}: {each.sizes} sizes leave no scatter to judge by; add a size or a seed")
    lines += [f"  no forecast of {name}: {why}" for name, why in found.missing.items()]
    if found.missing:
        lines.append("  (a probe under another name: --map attention_logit_max=COLUMN, and so on)")
    return "\n".join(lines)


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with sizes and probabilities as they are said."""
    shown = table.copy()
    shown["probability"] = ["-" if p != p else "< 0.01" if p < 0.01 else f"{p:.2f}" for p in table["probability"]]
    for name in ("crossed_at", "from", "to"):
        shown[name] = ["-" if size != size else "none" if size == math.inf else f"{size:.3g}" for size in table[name]]
    shown["lr_limit"] = ["-" if lr != lr else f"{lr:.3g}" for lr in table["lr_limit"]]
    for name in ("low", "high"):
        shown[name] = ["-" if end != end else f"{end:.3g}" for end in table[name]]
    return shown
