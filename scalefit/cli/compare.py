"""Compare laws by how well they predict larger runs from smaller ones."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli.options import read, reading
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records

SHARES = ("backtest_error", "coverage", "judge_error", "noise")


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--law", "laws", multiple=True, metavar="LAW", help="A law to compare; repeat.  [default: the usual ones]"
)
@reading
@click.option("--hold-out", metavar="EXPR", help="Judge the laws on these rows as well.")
@click.option("--drop-diverged", is_flag=True, help="Leave out rows without a finite loss, counted.")
@click.option("--seed", default=0, show_default=True, help="Of the resampling.")
@click.option("--plot", metavar="FILE", help="Write the figure (png, pdf, svg).")
@answering
def command(files: tuple[str, ...], laws: tuple[str, ...], hold_out: str | None, seed: int, **options: Any) -> Answer:
    """Compare laws by how well they predict larger runs from smaller ones.

    Exit code 1 where a law cannot be fitted or back-tested, or where a check of the recommended law's fit fails.

    \b
    Example:
      scalefit compare data/schedules/curves.csv --where "d_model == 96" --law annealing:decay=0.99 --law annealing
    """
    from scalefit.comparison import compare

    check_writable(options["plot"])
    runs = read(files, options["map_"], options["where"], options["schedule"], options["warmup"])
    judge = None
    if hold_out:
        runs, judge = runs.hold_out(hold_out)
    found = compare(runs, laws, judge=judge, seed=seed, drop_diverged=options["drop_diverged"])
    if options["plot"]:
        from scalefit.plots import save_figure

        save_figure(found.plot(), options["plot"])
    shares = {name: [f"{100 * v:.3g} %" for v in found.table[name]] for name in SHARES if name in found.table.columns}
    text = [as_lines(found.table.assign(**shares)), "", found.recommendation]
    text += [f"! {name}: {reason}" for name, reason in found.refused.items()]
    doubts = found.best.warnings
    text += [f"! {found.best.law.spec}: {check.text}" for check in doubts]
    content = {"laws": records(found.table), "recommendation": found.recommendation, "refused": dict(found.refused)}
    content["warnings"] = [{"code": check.code, "text": check.text} for check in doubts]
    return Answer("\n".join(text), content, found.table, not (found.refused or doubts))
