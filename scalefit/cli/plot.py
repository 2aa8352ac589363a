"""What does a saved fit look like? Its figure, with held-out runs, a predicted point or a predicted schedule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, OutputFile, answering
from scalefit.cli.predict import LAW_FILE
from scalefit.errors import InputError, counted
from scalefit.notices import Line, Notice
from scalefit.writing import refuse

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit
    from scalefit.runs import Runs


@click.command()
@click.argument("fit_file", metavar="FIT.json")
@click.argument("files", nargs=-1)
@options.reading
@click.option(
    "-o",
    "--output",
    type=OutputFile("figure"),
    metavar="FILE",
    show_default="FIT.png, if there is none yet",
    help="Write the figure to this file (png, pdf or svg).",
)
@options.shared("--at", metavar="N=7B,D=2T")
@LAW_FILE
@answering
def command(
    fit_file: str, files: tuple[str, ...], output: str | None, at: tuple[str, ...], law: str | None, **reading: Any
) -> Answer:
    """Runs in FILES that were not fitted are drawn as held out: hollow, with their prediction. --at marks a point with
    its prediction interval. Without FILES, --schedule draws the predicted loss under a schedule never run; with
    FILES it is their learning rate.

    \b
    Example:
      scalefit plot fit.json -o fit.png
    """
    import pandas as pd

    from scalefit.fitting.saved import load_fit
    from scalefit.plots import save_figure

    path = Path(output or Path(fit_file).with_suffix(".png"))
    if output is None and path.exists():
        raise InputError("the figure exists already", where=str(path), todo=f"name a file: -o {path} overwrites it")
    refuse(path, "figure", [fit_file])
    fit = load_fit(fit_file, law)
    held = options.read(files, **reading) if files else None
    again = _fitted_again(fit, held) if held is not None else []
    schedule = None if files else reading["schedule"]
    save_figure(fit.plot(held, schedule=schedule, at=options.points(at) or None), path, close=True)
    content = {"figure": str(path), "status": fit.status}
    return Answer([f"wrote {path}", *again], content, pd.DataFrame([content]), fit.ok)


def _fitted_again(fit: Fit, held: Runs) -> list[Line]:
    """A line on rows that were given as held out although they were fitted."""
    from scalefit.fitting.prediction import predict

    table = predict(fit, held)
    if "fitted" not in table.columns:
        return []
    some = counted(int(table["fitted"].sum()), "row", "was", "were")
    return [Notice(f"{some} fitted, of {len(table)} given: drawn as fitted, not as held out")]
