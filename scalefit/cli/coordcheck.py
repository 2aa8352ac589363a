"""Do activations keep their size as the model grows? A verdict per module, with the fitted slopes."""

from __future__ import annotations

import click

from scalefit.cli.options import pairs
from scalefit.cli.output import Answer, answering
from scalefit.cli.train import plain, torch_is_there


@click.command()
@click.option("--parametrization", default="mup", show_default=True, help="sp, ntk, mup, depth-mup, completep ...")
@click.option("--axis", type=click.Choice(["width", "depth"]), default="width", show_default=True)
@click.option("--sizes", default="32,64,128,256", show_default=True, help="Widths or depths.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--steps", default=8, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the configuration.")
@answering
def command(parametrization: str, axis: str, sizes: str, seeds: int, steps: int, settings: tuple[str, ...]) -> Answer:
    """Do activations keep their size as the model grows? A verdict per module, with the fitted slopes.

    \b
    Example:
      scalefit coordcheck --parametrization mup --seeds 1 --steps 5
    """
    torch_is_there()
    from scalefit.errors import InputError
    from scalefit.proxy import Config, coordinate_check

    try:
        grown = [int(size) for size in sizes.split(",")]
    except ValueError:
        raise InputError(f'"{sizes}" is not a list of sizes', where="--sizes", todo="write 32,64,128") from None
    content = {"parametrization": parametrization, "lr": 0.02, "seq_len": 32, "batch": 128, "eval_batch": 64}
    content |= {"data": "zipf-markov", "data_options": {"tokens": 50000}}
    content |= {key: plain(value) for key, value in pairs(settings, "--set").items()}
    found = coordinate_check(Config.read(content, "--set"), grown, axis=axis, seeds=seeds, steps=steps)
    slopes = {module: {"slope": slope, "passed": found.passed[module]} for module, slope in found.worst.items()}
    text = "\n".join([*found.lines, "pass" if found.ok else "FAIL: the learning rate will not transfer"])
    return Answer(text, {"axis": axis, "sizes": grown, "modules": slopes, "ok": found.ok}, ok=found.ok)
