"""How far can a law be trusted on these runs? Fit the smaller runs, predict the larger ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, as_lines, figures, records


@click.command()
@options.logs
@options.shared("--law", required=True)
@options.shared("--drop-diverged", "--seed", "--plot")
@answering
def command(
    files: tuple[str, ...], law: str, drop_diverged: bool, seed: int, plot: str | None, **reading: Any
) -> Answer:
    """Prints the error of the predictions and the share of them inside their 90 % prediction intervals (coverage), by
    how far beyond the fitted runs they lie. For loss curves, each run is left out in turn and predicted from the
    others.

    \b
    Example:
      scalefit backtest data/size_data/runs.csv --law chinchilla
    """
    from scalefit.comparison import backtest

    runs, _ = options.together(lambda: options.read(files, **reading), lambda: options.known(law))
    tested = backtest(runs, law, seed=seed, drop_diverged=drop_diverged)
    summary = tested.summary
    shown = summary.assign(
        **{name: [f"{100 * value:.2f} %" for value in summary[name]] for name in summary.columns[1:]}
    )
    meaning = "beyond: times the largest fitted scale (compute, for laws of size and data); worst_tenth: error that"
    meaning += " one of ten exceeds; coverage: share inside the 90 % interval"
    lines = [tested.headline, meaning, as_lines(shown)]
    content = {"law": tested.law, "error": tested.error, "summary": records(summary), "table": records(tested.table)}
    answer = Answer(lines, content, tested.table, notes=options.told(runs))
    return replace(answer, figures=figures(plot, tested.plot))
