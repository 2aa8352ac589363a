"""Do activations keep their size as the model grows? A verdict for each module, with its fitted slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from scalefit.cli import options
from scalefit.cli.completion import columns
from scalefit.cli.output import Answer, answering, figures, records
from scalefit.cli.train import plain, torch_is_there
from scalefit.notices import Notice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.proxy import Coordinates


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@click.option(
    "--over",
    metavar="COLUMN",
    shell_complete=columns,
    show_default="width, depth or N",
    help="FILE: the column of the size.",
)
@click.option("--measure", metavar="COLUMN", show_default="mean_abs, l1, rms, ...", help="FILE: what was measured.")
@click.option("--parametrization", default="mup", help="One of sp, ntk, mup, depth-mup, completep.")
@click.option("--axis", type=click.Choice(["width", "depth"]), default="width", help="How the model grows.")
@click.option("--sizes", default="32,64,128,256", help="The widths or depths to compare.")
@click.option("--seeds", default=3, type=click.IntRange(min=1), help="Number of runs of each size.")
@click.option("--steps", default=8, help="Optimiser steps of each run.")
@options.shared("--lr", "--set", "--plot")
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
    lr: str | None,
    settings: tuple[str, ...],
    plot: str | None,
) -> Answer:
    """Without FILE, small models are trained for a few steps at each size. FILE is a Python file with a model of your
    own, mymodel.py:build, which is trained instead (8 seeds, --lr 0.01): build(size) returns it, loss(model, generator)
    its loss on a random batch. Or FILE holds activations that you measured: a row for each module, size, step and seed
    (or a column for each module); the other options are for the models trained here. Exit code 1 where a module does
    not keep its size, or may not (undecided).

    \b
    Example:
      scalefit coordcheck --parametrization mup --steps 6
    """
    own = file is not None and (file.endswith(".py") or ".py:" in file)
    if file is not None and not own:
        return _measured(file, over, measure, plot)
    torch_is_there()
    from scalefit.errors import InputError
    from scalefit.proxy import Config, coordinate_check

    try:
        grown = [int(size) for size in sizes.split(",")]
    except ValueError:
        raise InputError(f'"{sizes}" is not a list of sizes', where="--sizes", todo="write 32,64,128") from None
    rate = None if lr is None else options.number(lr, "--lr")
    if file is not None:
        if settings:
            todo = "set what you need in build(size) and loss(model, generator)"
            raise InputError("it is for the models that scalefit builds", where="--set", todo=todo)
        given_seeds = click.get_current_context().get_parameter_source("seeds") is not ParameterSource.DEFAULT
        return _own(file, grown, plot, parametrization, axis, seeds if given_seeds else None, steps, rate)
    content = {"parametrization": parametrization, "lr": 0.02 if rate is None else rate}
    content |= {"seq_len": 32, "batch": 128, "eval_batch": 64}
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
    return Answer(found.lines, answer, found.table, found.ok, figures=drawn)


def _own(
    file: str,
    sizes: list[int],
    plot: str | None,
    parametrization: str,
    axis: str,
    seeds: int | None,
    steps: int,
    lr: float | None,
) -> Answer:
    """The verdict on a model of the user's own: changes keep their size, and what is put out does not grow."""
    from scalefit.errors import listed
    from scalefit.proxy.own.activations import AXES, GATE, LR, SEEDS, activations, read_model_file
    from scalefit.stability.coordinates import coordinate_slopes

    own = read_model_file(file)
    seeds, lr = seeds or SEEDS, LR if lr is None else lr
    table = activations(own, sizes, parametrization, axis=axis, seeds=seeds, steps=steps, lr=lr)
    change, rms = (
        coordinate_slopes(table[table[name] != 0].drop(columns=other), AXES[axis], name, GATE)
        for name, other in (("change", "rms"), ("rms", "change"))
    )
    larger = rms.table.loc[rms.table["verdict"].isin(["grows", "not finite"]), "module"]
    ok = change.ok and not len(larger)
    lines = [*change.lines, f"change: root mean square of the change since initialisation, in {parametrization}"]
    lines += [Notice(f"the outputs themselves grow: {listed(larger, 9)}")] if len(larger) else []
    content = {"over": change.over, "parametrization": parametrization, "sizes": change.sizes, "seeds": change.seeds}
    content |= {"modules": records(change.table), "outputs": records(rms.table), "gate": GATE, "ok": ok}
    return Answer(lines, content, table, ok, figures=figures(plot, change.plot))


def _measured(file: str, over: str | None, measure: str | None, plot: str | None) -> Answer:
    """The verdict on a table of measured activations."""
    from scalefit.stability.coordinates import coordinate_slopes

    found = coordinate_slopes(file, over, measure)
    content = {"over": found.over, "measure": found.measure, "sizes": found.sizes, "seeds": found.seeds}
    content |= {"modules": records(found.table), "ok": found.ok}
    return Answer(found.lines, content, found.table, found.ok, figures=figures(plot, found.plot))


def _figure(found: Coordinates, name: str) -> Axes:
    """Each module at the last step."""
    from scalefit.plots import plot_coordinates

    last = found.table[found.table["step"] == found.table["step"].max()]
    slopes = {module: float(ends[0]) for module, ends in found.last.items()}
    return plot_coordinates(last, slopes, verdicts=found.verdict, gate=found.gate, name=name)
