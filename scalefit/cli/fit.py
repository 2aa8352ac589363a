"""Fit a law to run logs and say what it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli.options import box, number, pairs, read, reading, refuse_empty
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.diagnosis.checks import Check
    from scalefit.fitting.result import Fit
    from scalefit.runs import Runs
    from scalefit.selection import Automatic

POINTS_HELP = "Rows that a law without a schedule reads: the last of each run, or all."
LAW_HELP = 'Name, "name:option=value", a formula, ./mine.py:MyLaw, or auto: chosen by back-test.'
LOSS_HELP = "How far-off rows count."


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--law", required=True, metavar="LAW", help=LAW_HELP)
@reading
@click.option("--hold-out", metavar="EXPR", help="Keep these rows out of the fit and judge the prediction on them.")
@click.option("--target", metavar="COLUMN", help="The column to explain.  [default: the law's, mostly loss]")
@click.option(
    "--residuals", type=click.Choice(["log", "linear"]), help="What is minimised.  [default: the law's, mostly log]"
)
@click.option(
    "--loss", type=click.Choice(["huber", "squared", "soft_l1"]), default="huber", show_default=True, help=LOSS_HELP
)
@click.option("--delta", default="auto", show_default=True, help="Robust threshold; 1e-3 as in the papers.")
@click.option("--weights", metavar="COLUMN", help="A column of row weights.")
@click.option("--fix", multiple=True, metavar="NAME=VALUE", help="Hold a parameter.")
@click.option("--tie", multiple=True, metavar="NAME=EXPR", help="Tie a parameter: beta=alpha.")
@click.option("--bounds", multiple=True, metavar="NAME=LOW:HIGH", help="Bound a parameter: E=1:2, E=:2.")
@click.option("--start", multiple=True, metavar="NAME=VALUE", help="Begin one start here, beside the global search.")
@click.option(
    "--starts",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Starts advanced to a minimum after the global search.",
)
@click.option(
    "--points", type=click.Choice(["auto", "final", "all"]), default="auto", show_default=True, help=POINTS_HELP
)
@click.option("--drop-diverged", is_flag=True, help="Leave out rows without a finite loss, counted.")
@click.option("--force", is_flag=True, help="Fit even where the data cannot identify the law.")
@click.option("--draws", default=200, show_default=True, help="Refits of resampled runs, for intervals; 0: none.")
@click.option("--seed", default=0, show_default=True, help="Of the resampling.")
@click.option("--at", multiple=True, metavar="N=7B,D=2T", help="Also predict here.")
@click.option("--save", metavar="FIT.json", help="Write the fit as JSON.")
@click.option("--plot", metavar="FILE", help="Write the figure (png, pdf, svg).")
@answering
def command(
    files: tuple[str, ...],
    law: str,
    hold_out: str | None,
    at: tuple[str, ...],
    save: str | None,
    plot: str | None,
    **options: Any,
) -> Answer:
    """Fit a law to run logs and say what it predicts.

    \b
    Exit code 1 where a check fails; each is a line that begins with "!":
      not converged, starts disagree, not identified, at a bound, outside its domain
      runs that bend away from the fit with scale, influential runs, outliers
      under-trained runs, losses in mid-schedule, mixed conventions or runs
      a prediction far beyond the data, or for another recipe

    \b
    Example:
      scalefit fit data/schedules/curves.csv --where "d_model == 96" --law annealing:decay=0.99 --save fit.json
    """
    from scalefit.fitting.fit import fit

    check_writable(save, plot)
    runs = read(files, *(options.pop(name) for name in ("map_", "where", "schedule", "warmup")))
    held = None
    if hold_out:
        runs, held = runs.hold_out(hold_out)
        refuse_empty(held, "held out", "--hold-out")
    settings = _settings(options)
    chosen = _automatic(runs, settings) if law == "auto" else None
    result = chosen.comparison.best if chosen else fit(runs, law, **settings)
    scores = result.score(held) if held is not None else None
    point = (chosen or result).predict(**_point(at)) if at else None
    cautions = result.cautions(**_point(at)) if at else ()
    if plot:
        _draw(result, held, _point(at), plot)
    if save:
        result.save(save)
    return _answer(result, scores, point, cautions, [path for path in (save, plot) if path], chosen)


def _automatic(runs: Runs, settings: dict[str, Any]) -> Automatic:
    from scalefit.selection import automatic

    return automatic(runs, **settings)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """The keywords of :func:`scalefit.fit` from the options' texts."""
    delta = options.pop("delta")
    fix, tie, bounds, start = (pairs(options.pop(name), f"--{name}") for name in ("fix", "tie", "bounds", "start"))
    return {
        **options,
        "delta": delta if delta == "auto" else number(delta, "--delta"),
        "fix": {name: number(text, "--fix") for name, text in fix.items()},
        "tie": tie,
        "bounds": {name: box(text, "--bounds") for name, text in bounds.items()},
        "start": {name: number(text, "--start") for name, text in start.items()} or None,
    }


def _point(at: tuple[str, ...]) -> dict[str, Any]:
    return dict(pairs(at, "--at"))


def _draw(result: Fit, held: Runs | None, point: dict[str, Any], path: str) -> None:
    from scalefit.plots import save_figure

    save_figure(result.plot(held, target=point or None), path)


def _answer(
    result: Fit,
    scores: pd.DataFrame | None,
    point: pd.DataFrame | None,
    cautions: tuple[Check, ...],
    written: list[str],
    chosen: Automatic | None,
) -> Answer:
    from scalefit.fitting.document import as_dict

    text = [result.summary()]
    content = as_dict(result)
    for heavy in ("points", "without"):
        content.pop(heavy)
    if chosen is not None:
        refused = dict(chosen.comparison.refused)
        text = [f"chosen: {chosen.text}", *(f"! left out: {name}: {why}" for name, why in refused.items()), "", *text]
        laws = {"weights": dict(chosen.weights), "laws": records(chosen.comparison.table), "refused": refused}
        content["automatic"] = {"recommendation": chosen.comparison.recommendation, **laws}
    if scores is not None:
        text += ["", "held out:", as_lines(scores)]
        content["held_out"] = records(scores)
    if point is not None:
        text += ["", "prediction:", as_lines(point), *(f"! {check.text}" for check in cautions)]
        content["prediction"] = records(point)
        content["cautions"] = [{"code": check.code, "text": check.text} for check in cautions]
    text += ["", *(f"wrote {path}" for path in written)] if written else []
    sound = result.ok and not cautions and not (chosen and chosen.comparison.refused)
    return Answer("\n".join(text), content, result.table, sound, [f"read: {note}" for note in result.notes])
