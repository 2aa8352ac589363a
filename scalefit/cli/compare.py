"""Which law predicts the larger of these runs best from the smaller ones?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, as_lines, coded, figures, records
from scalefit.notices import Line, doubted

MEANING = (
    "backtest_error: median on held-out runs; coverage: share of them inside the 90 % interval; noise: scatter about "
    "the fit of all rows; bic: Bayesian information criterion, less is better"
)
SHARES = ("backtest_error", "coverage", "judge_error", "noise")


@click.command()
@options.logs
@options.shared("--law", multiple=True, show_default="the usual laws that the runs identify")
@options.shared("--hold-out", "--drop-diverged", "--seed", "--plot")
@answering
def command(
    files: tuple[str, ...],
    law: tuple[str, ...],
    hold_out: str | None,
    drop_diverged: bool,
    seed: int,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """Give --law once for each law to compare. Every law is fitted and back-tested (see scalefit backtest); the best
    comes first and is recommended. Exit code 1 where a law cannot be fitted or back-tested, or where a check of the
    recommended law's fit fails.

    \b
    Example:
      scalefit compare data/schedules/curves.csv --where "d_model == 96" --law annealing:decay=0.99 --law annealing
    """
    from scalefit.comparison import compare

    (runs, _), judge = options.together(lambda: options.read(files, **reading), lambda: options.known(*law)), None
    if hold_out:
        runs, judge = options.hold_out(runs, hold_out)
    found = compare(runs, law, judge=judge, seed=seed, drop_diverged=drop_diverged)
    shares = {name: [f"{100 * v:.3g} %" for v in found.table[name]] for name in SHARES if name in found.table.columns}
    text: list[Line] = [found.recommendation, MEANING, as_lines(found.table.assign(**shares))]
    text += doubted(f"{name}: {reason}" for name, reason in found.refused.items())
    doubts = found.best.warnings
    text += doubted(f"{found.best.law.spec}: {check.text}" for check in doubts)
    content = {"laws": records(found.table), "recommendation": found.recommendation, "refused": dict(found.refused)}
    content["warnings"] = coded(doubts)
    answer = Answer(text, content, found.table, not (found.refused or doubts), options.told(runs))
    return replace(answer, figures=figures(plot, found.plot))
