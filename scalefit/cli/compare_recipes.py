"""Which recipe is better at a target, and by how much compute? One joint fit of the runs of several recipes."""

from __future__ import annotations

from typing import Any

import click

from scalefit.cli import options
from scalefit.cli.completion import columns
from scalefit.cli.options import read
from scalefit.cli.output import Answer, answering, coded, figures, records


@click.command()
@options.logs
@click.option(
    "--by",
    required=True,
    metavar="COLUMN",
    shell_complete=columns,
    help="The column that names the recipe of each run.",
)
@options.shared("--at", metavar="C=1e23|N=7B,D=2T", required=True, help="The target at which recipes are compared.")
@click.option("--reference", metavar="NAME", show_default="the best at the target", help="The recipe to compare with.")
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    files: tuple[str, ...],
    by: str,
    at: tuple[str, ...],
    reference: str | None,
    draws: int,
    seed: int,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """FILES hold final losses of runs of two or more recipes, with C, or N and D. Floor, exponents and sizes of the law
    are shared by the recipes as far as no difference is found. The answer gives the chance that the reference is
    better, the difference of the losses, the gain (the factor of compute that the other needs for the same loss),
    where the curves cross, and the same under other structures and pinned floors.

    Exit code 1 where a check of the fit failed, or for a target far beyond the runs.

    \b
    Example:
      scalefit compare-recipes data/lr_width/runs.csv --by parametrization --where "lr == 0.00390625" --at C=1e12
    """
    from scalefit.planning.recipes.compare import compare_recipes

    target = options.target(at, compare_recipes)
    runs = read(files, **reading)
    found = compare_recipes(runs, by, reference=reference, draws=draws, seed=seed, **target)
    content: dict[str, Any] = {"structure": found.joint.structure.text, "law": found.joint.fit.law.spec}
    content |= {"target": found.at, "reference": found.reference, "recipes": records(found.table)}
    content |= {"one_curve_for_all": found.alike, "left_out": found.left_out}
    content |= {"pairs": records(found.pairs), "sensitivity": records(found.sensitivity)}
    content["warnings"] = coded([*found.cautions, *found.joint.fit.warnings])
    return Answer(found.lines, content, found.pairs, found.ok, options.told(runs), figures(plot, found.plot))
