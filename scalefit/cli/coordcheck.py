"""Do activations keep their size as the model grows? A verdict for each module, with its fitted slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, figures, records
from scalefit.cli.train import plain, torch_is_there

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.proxy import Coordinates


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--over", metavar="COLUMN", show_default="width, depth or N", help="FILE: the column of the size.")
@click.option("--measure", metavar="COLUMN", show_default="mean_abs, l1, rms, ...", help="FILE: what was measured.")
@click.option("--parametrization", default="mup", help="One of sp, ntk, mup, depth-mup, completep.")
@click.option("--axis", type=click.Choice(["width", "depth"]), default="width", help="How the model grows.")
@click.option("--sizes", default="32,64,128,256", help="The widths or depths to compare.")
@click.option("--seeds", default=3, type=click.IntRange(min=1), help="Number of runs of each size.")
@click.option("--steps", default=8, help="Optimiser steps of each run.")
@options.shared("--set", "--plot")
@answering
def command(
    file: str | None,
    over: str | None,
    measure: str | None,
    parametrization: str,
    axis: str,
    sizes: str,
    seeds: int,
    steps: int,
    settings: tuple[str, ...],
    plot: str | None,
) -> Answer:
    """Without FILE, small models are trained for a few steps at each size. FILE holds activations measured in your own
    models: a row for each module, size, step and seed (or a column for each module); the other options are for the
    models trained here. Exit code 1 where a module does not keep its size, or may not (undecided).

    \b
    Example:
      scalefit coordcheck --parametrization mup --steps 6
    """
    if file is not None:
        return _measured(file, over, measure, plot)
    torch_is_there()
    from scalefit.errors import InputError
    from scalefit.proxy import Config, coordinate_check

    try:
        grown = [int(size) for size in sizes.split(",")]
    except ValueError:
        raise InputError(f'"{sizes}" is not a list of sizes', where="--sizes", todo="write 32,64,128") from None
    content = {"parametrization": parametrization, "lr": 0.02, "seq_len": 32, "batch": 128, "eval_batch": 64}
    given = {key: plain(value) for key, value in options.pairs(settings, "--set").items()}
    content |= {} if "data" in given else {"data": "zipf-markov", "data_options": {"tokens": 50000}}
    content |= given
    found = coordinate_check(Config.read(content, "--set"), grown, axis=axis, seeds=seeds, steps=steps)
    drawn = figures(plot, lambda: _figure(found, parametrization))
    slopes = {
        module: {"slope": ends[0], "low": ends[1], "high": ends[2], "verdict": found.verdict[module]}
        for module, ends in ((module, ends.tolist()) for module, ends in found.last.items())
    }
    answer = {"axis": axis, "sizes": grown, "modules": slopes, "ok": found.ok}
    return Answer("\n".join(found.lines), answer, found.table, found.ok, figures=drawn)


def _measured(file: str, over: str | None, measure: str | None, plot: str | None) -> Answer:
    """The verdict on a table of measured activations."""
    from scalefit.stability.coordinates import coordinate_slopes

    found = coordinate_slopes(file, over, measure)
    content = {"over": found.over, "measure": found.measure, "sizes": found.sizes, "seeds": found.seeds}
    content |= {"modules": records(found.table), "ok": found.ok}
    return Answer(str(found), content, found.table, found.ok, figures=figures(plot, found.plot))


def _figure(found: Coordinates, name: str) -> Axes:
    """Each module at the last step."""
    from scalefit.plots import plot_coordinates

    last = found.table[found.table["step"] == found.table["step"].max()]
    slopes = {module: float(ends[0]) for module, ends in found.last.items()}
    return plot_coordinates(last, slopes, verdicts=found.verdict, gate=found.gate, name=name)
