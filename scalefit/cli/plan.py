"""Which size and how many tokens for a budget? How much compute for a loss? By any fitted law of size and data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, coded, figures, records
from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit
    from scalefit.planning.allocation.answer import Plan
    from scalefit.runs import Runs


@click.command()
@click.argument("files", metavar="FIT.json|FILE...", nargs=-1, required=True)
@options.reading
@click.option("--compute", metavar="FLOP", help="Budgets: 1e23, or 1e21,1e23, or a range 1e20:1e24.")
@click.option("--loss", metavar="LOSS", help="Losses to reach: 2.2, or 2.2,2.1.")
@click.option("--hours", metavar="HOURS", help="Budgets in GPU-hours, with --gpu.")
@click.option("--money", metavar="PRICE", help="Budgets in money, with --gpu.")
@click.option("--inference-tokens", metavar="TOKENS", help="Tokens served over the model's life, 2 N each.")
@click.option(
    "--cost", metavar="FORMULA", show_default="6*N*D", help="FLOP of a run: a formula or shape:aspect=128,..."
)
@click.option("--active", type=float, metavar="SHARE", help="Share of all parameters that a token passes (experts).")
@click.option("--gpu", metavar="peak=989T,mfu=0.4,price=2", help="What a GPU does and costs; prints hours and price.")
@options.shared("--at", metavar="N=7B|U=25B,...", help="Hold these; what else the law or the cost reads.")
@options.shared("--law", default="chinchilla", help="The law to fit to FILE, or that of FIT.json in a file of yours.")
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    files: tuple[str, ...], at: tuple[str, ...], law: str, draws: int, seed: int, plot: str | None, **given: Any
) -> Answer:
    """FIT.json is a saved fit; to run logs a law is fitted first. With --at N=7B or --at D=2T the rest is planned.
    The law, what N counts, the cost and the distance beyond the fitted runs are printed with every plan.

    Exit code 1 where a check of the fit failed, or where a planned run lies far beyond its data. A loss below the
    floor of the law is an answer: it is unreachable, with the floor and its interval.

    \b
    Example:
      scalefit plan data/size_data/runs.csv --where "d_model <= 64" --compute 1e11 --plot plan.png
    """
    reading = {name: given.pop(name) for name in options.READING}
    source = _source(files, law, reading)
    from scalefit.planning.allocation.plan import plan

    held: dict[str, Any] = dict(options.pairs(at, "--at"))
    found = plan(source, law=law, draws=draws, seed=seed, **given, **held)
    return Answer(str(found), _content(found), found.table, found.ok, figures=figures(plot, found.plot))


def _source(files: tuple[str, ...], law: str, reading: dict[str, Any]) -> Fit | Runs:
    """The saved fit, or the run logs."""
    if Path(files[0]).suffix != ".json":
        return options.read(files, **reading)
    from scalefit.fitting.saved import load_fit

    if len(files) > 1 or any(reading.values()):
        raise InputError("a saved fit beside run logs", where=files[0], todo="give the fit alone, or the logs alone")
    return load_fit(files[0], law if ":" in law and ".py" in law else None)


def _content(found: Plan) -> dict[str, Any]:
    fit = found.fit
    content: dict[str, Any] = {"law": fit.law.spec, "status": fit.status, "plans": records(found.table)}
    content |= {"assumptions": list(found.assumptions), "notes": list(found.notes)}
    content["warnings"] = coded([*found.cautions, *fit.warnings])
    return content
