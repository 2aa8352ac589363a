"""What breaks first at a larger size? Probes logged in small runs, extrapolated to their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, pairs, read
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.runs import Runs
    from scalefit.stability.forecast import Forecast, Forecasts

LIKELY = 0.5  #: probability from which a forecast fails the check


@click.command()
@options.logs
@options.shared("--at", required=True, metavar="N=7e9")
@options.shared("--lr", required=True)
@click.option("--epsilon", default="1e-8", help="Adam's epsilon.")
@options.shared("--rule", "--beta", "--ignore", "--plot")
@answering
def command(
    files: tuple[str, ...],
    at: tuple[str, ...],
    lr: str,
    epsilon: str,
    rule: str,
    beta: float,
    ignore: tuple[str, ...],
    plot: str | None,
    **reading: Any,
) -> Answer:
    """--plot draws the probe that is likeliest to cross its limit. Exit code 1 where a limit is more likely crossed
    than not, where runs near this learning rate have diverged, where the log allows no forecast, and for a target
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
    runs = read(files, **reading)
    settings: dict[str, Any] = {"epsilon": number(epsilon, "--epsilon"), "rule": rule, "beta": beta, "ignore": ignore}
    found = forecast(runs, number(size, "--at"), number(lr, "--lr"), over, **settings)
    table = found.table
    if plot and not found.found and len(table):
        raise InputError("no probe to draw", where="--plot", todo="log one, or leave --plot out for what losses say")
    if plot:
        _draw(found, runs, settings, plot)
    content: dict[str, Any] = {"over": over, "size": found.size, "lr": found.lr, "level": 0.9}
    content |= {"forecasts": _records(found), "missing": found.missing, "settings": found.settings}
    content |= {"diverged_here": found.lost or None, "notes": list(found.notes)}
    content["far_beyond"] = list(found.far) or None
    crossed = found.diverging >= LIKELY or any(each.probability >= LIKELY for each in found.found)
    ok = bool(len(table)) and not crossed and not found.far and not found.lost
    return Answer(_text(found), content, table, ok)


def _records(found: Forecasts) -> list[dict[str, Any]]:
    """The table as JSON records, each with the cure, the column, and how many sizes it is from."""
    known = {
        each.name: {"cure": each.cure, "column": each.column, "sizes": each.sizes, "interpolated": each.line.between}
        for each in found.found
    }
    return [row | known.get(row["forecast"], {}) for row in records(found.table)]


def _draw(found: Forecasts, runs: Runs, settings: dict[str, Any], place: str) -> None:
    """The probe that is likeliest to cross its limit, against size."""
    from scalefit.plots import plot_forecast, save_figure

    if not found.found:
        raise InputError("there is no forecast to draw", where="--plot", todo="log one of the probes")
    name = str(found.table["forecast"].iloc[0])
    save_figure(plot_forecast(runs, name, found.size, [found.lr], over=found.over, **settings), place)


def _text(found: Forecasts) -> str:
    from scalefit.runs.settings import said

    reach = f", {found.beyond:.3g} times the largest measured" if found.beyond > 1.0 else ""
    head = f"at {found.over} {found.size:.4g}{reach}, and learning rate {found.lr:g} (intervals hold 90 %):"
    lines = [*said(found.settings), "", head]
    if len(found.table):
        lines.append(as_lines(_in_words(found.table), 3))
    else:
        lines.append("! nothing can be forecast: the log holds no probe at two or more sizes; log one of those below")
    lines += [f"! {each}" for each in (found.lost, *found.far, *found.notes) if each]
    if found.diverging >= LIKELY:
        lines.append(f"! learning rate {found.lr:g} is likelier than not to diverge: a lower one; a longer warm-up")
    for each in found.found:
        if each.probability >= LIKELY:
            lines.append(f"! {each.name} crosses {each.limit:g}: {each.cure}")
        if each.probability != each.probability:
            lines.append(f"! {each.name}: {_why_unknown(each)}")
    between = [each.name for each in found.found if each.line.between]
    if between:
        lines.append(f"  interpolated between learning rates of the sweep: {', '.join(between)}")
    lines += [f"  no forecast of {name}: {why}" for name, why in found.missing.items()]
    if any(why.startswith("no column") for why in found.missing.values()):
        lines.append("  (a probe under another name: --map attention_logit_max=COLUMN, and so on)")
    return "\n".join(lines)


def _why_unknown(forecast: Forecast) -> str:
    if forecast.line.lowered:
        return f"{forecast.sizes} sizes are too few for its shape: no interval; add a size"
    return f"{forecast.sizes} sizes leave no scatter to judge by; add a size or a seed"


def _chance(p: float) -> str:
    return "-" if p != p else "< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else f"{p:.2f}"


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with sizes and probabilities as they are said."""
    shown = table.copy()
    shown["probability"] = [_chance(p) for p in table["probability"]]
    for name in ("crossed_at", "from", "to"):
        shown[name] = ["-" if size != size else "> 1e16" if size > 1e16 else f"{size:.3g}" for size in table[name]]
    shown["lr_limit"] = ["-" if lr != lr else f"{lr:.3g}" for lr in table["lr_limit"]]
    for name in ("low", "high"):
        shown[name] = ["-" if end != end else f"{end:.3g}" for end in table[name]]
    return shown
