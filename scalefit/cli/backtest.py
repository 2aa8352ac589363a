"""How far can a law be trusted on these runs? Fit the smaller ones, predict the larger ones."""

from __future__ import annotations

import click

from scalefit.cli.options import read, reading
from scalefit.cli.output import Answer, answering, as_lines, check_writable, records


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--law", required=True, metavar="LAW", help='Name, "name:option=value", a formula, or ./mine.py:MyLaw.')
@reading
@click.option("--drop-diverged", is_flag=True, help="Leave out rows without a finite loss, counted.")
@click.option("--seed", default=0, show_default=True, help="Of the resampling.")
@click.option("--plot", metavar="FILE", help="Write the figure (png, pdf, svg).")
@answering
def command(
    files: tuple[str, ...],
    law: str,
    map_: tuple[str, ...],
    where: str | None,
    schedule: str | None,
    warmup: int | None,
    drop_diverged: bool,
    seed: int,
    plot: str | None,
) -> Answer:
    """How far can a law be trusted on these runs? Fit the smaller ones, predict the larger ones.

    \b
    Example:
      scalefit backtest data/size_data/runs.csv --law chinchilla
    """
    from scalefit.comparison import backtest

    check_writable(plot)
    tested = backtest(read(files, map_, where, schedule, warmup), law, seed=seed, drop_diverged=drop_diverged)
    summary = tested.summary
    shown = summary.assign(
        **{name: [f"{100 * value:.2f} %" for value in summary[name]] for name in summary.columns[1:]}
    )
    if plot:
        from scalefit.plots import save_figure

        save_figure(tested.plot(), plot)
    folds = tested.table["fold"].nunique()
    text = [
        f"{tested.law}: {len(tested.table)} predictions of larger runs by {folds} fits to smaller ones",
        as_lines(shown),
    ]
    content = {"law": tested.law, "error": tested.error, "summary": records(summary), "table": records(tested.table)}
    return Answer("\n".join(text), content, tested.table)
