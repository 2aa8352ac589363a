"""Draw a saved fit; runs given beside it are drawn as held out (hollow), with their prediction."""

from __future__ import annotations

import click

from scalefit.cli.options import pairs, read, reading
from scalefit.cli.output import Answer, answering, check_writable


@click.command()
@click.argument("fit_file", metavar="FIT.json")
@click.argument("files", nargs=-1)
@reading
@click.option("-o", "--output", help="The figure's file: png, pdf or svg; by default FIT.png, where there is none yet.")
@click.option("--at", multiple=True, metavar="N=7B,D=2T", help="Mark the prediction at this point.")
@click.option("--law", metavar="FILE.py:LAW", help="The law, where it lives in a file of yours.")
@answering
def command(
    fit_file: str,
    files: tuple[str, ...],
    map_: tuple[str, ...],
    where: str | None,
    schedule: str | None,
    warmup: int | None,
    output: str | None,
    at: tuple[str, ...],
    law: str | None,
) -> Answer:
    """Draw a saved fit; runs given beside it are drawn as held out (hollow), with their prediction.

    \b
    Example:
      scalefit plot fit.json -o fit.png
    """
    from pathlib import Path

    import pandas as pd

    from scalefit.errors import InputError
    from scalefit.fitting.saved import load_fit
    from scalefit.plots import save_figure

    default = Path(fit_file).with_suffix(".png")
    if output is None and default.exists():
        raise InputError(
            "the figure exists already", where=str(default), todo=f"name a file: -o {default} overwrites it"
        )
    output = output or str(default)
    check_writable(output)
    fit = load_fit(fit_file, law)
    held = read(files, map_, where, schedule, warmup) if files else None
    path = save_figure(fit.plot(held, target=pairs(at, "--at") or None), output)
    content = {"figure": str(path), "status": fit.status}
    return Answer(f"wrote {path}", content, pd.DataFrame([content]), fit.ok)
