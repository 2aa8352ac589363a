"""One page to forward: forecast, checks, figures, back-test, sensitivity, plan and provenance of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from scalefit.cli import options
from scalefit.cli.output import Answer, OutputFile, answering
from scalefit.errors import InputError
from scalefit.notices import doubted

FORECAST = "Predict the end of a run under this schedule."


@click.command()
@click.argument("files", metavar="FIT.json|FILE...", nargs=-1, required=True)
@options.reading
@click.option(
    "-o",
    "--output",
    "--report",
    "report",
    type=OutputFile("report"),
    required=True,
    metavar="FILE",
    help="The page: .html, or .md.",
)
@options.shared("--law", default="auto", show_default="chosen by the runs; that of FIT.json")
@options.shared("--hold-out")
@options.shared("--at", metavar="N=7B,D=2T")
@click.option("--forecast", metavar="SCHEDULE", help=FORECAST)
@click.option("--compute", metavar="FLOP", show_default="that of the predicted run", help="The budget to plan for.")
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--drop-diverged")
@answering
def command(
    files: tuple[str, ...],
    report: str,
    law: str,
    hold_out: str | None,
    at: tuple[str, ...],
    forecast: str | None,
    compute: str | None,
    draws: int,
    seed: int,
    drop_diverged: bool,
    **reading: Any,
) -> Answer:
    """The page is one file without scripts that opens anywhere, on a light or a dark screen and in print; as .md its
    figures lie beside it. Of curves, a saved fit alone allows no back-test: give the run logs for that.

    Exit code 1 where a check of the fit or of its prediction failed; the page says which.

    \b
    Example:
      scalefit report fit.json --forecast cosine:peak_lr=8e-3,steps=2400,warmup=100 -o report.html
    """
    from scalefit.reports.of_answer import made_by
    from scalefit.reports.of_fit import report as report_of

    saved = Path(files[0]).suffix == ".json"
    if saved and (len(files) > 1 or hold_out or law != "auto" or drop_diverged or any(reading.values())):
        todo = "give the fit alone, or the logs alone"
        raise InputError("a saved fit beside run logs, another law or their options", where=files[0], todo=todo)
    source, place, _ = options.together(
        lambda: files[0] if saved else options.read(files, **reading),
        lambda: options.target(at, report_of),
        lambda: options.known(law),
    )
    held = None
    if hold_out:
        source, held = options.hold_out(source, hold_out)
    asked: dict[str, Any] = {
        "schedule": forecast,
        "compute": compute,
        "draws": draws,
        "seed": seed,
        "drop_diverged": drop_diverged,
    }
    made = report_of(source, law=law, held_out=held, command=made_by(), **asked, **place)
    path = made.save(report)
    content = {"report": str(path), "title": made.title, "verdict": made.verdict, "warnings": list(made.warnings)}
    notes = [] if saved else options.told(source)
    lines = [made.verdict, *doubted(made.warnings), "", f"wrote {path}"]
    return Answer(lines, content, pd.DataFrame([{"report": str(path), "verdict": made.verdict}]), made.ok, notes)
