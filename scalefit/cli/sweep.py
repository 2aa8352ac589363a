"""Train a family of small (proxy) models: plan a grid, run it, see its status, collect one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from scalefit.cli.output import Answer, OutputFile, answering, as_lines, records
from scalefit.cli.train import progress, read_toml, torch_is_there
from scalefit.errors import InputError

SHOWN = ("run", "N", "D", "C", "loss", "val_loss", "status")  #: columns of a collected sweep that are always printed


@click.command()
@click.argument("action", type=click.Choice(["plan", "run", "status", "collect"]))
@click.argument("grid", required=False, metavar="[GRID.toml]")
@click.option("--out", default="sweep", metavar="FOLDER", help="Write into this folder.")
@click.option("--device", metavar="cpu|cuda", show_default="as each configuration says", help="run: train there.")
@click.option(
    "--members", default=64, type=click.IntRange(min=1), help="run: most models of one shape trained together."
)
@click.option("--index", type=int, metavar="I", help="run: only job I of the sweep, from 0, as a task of an array.")
@click.option("--chunk", type=click.IntRange(1), default=1, metavar="K", help="run: K jobs for each --index.")
@click.option("--job", metavar="ID", help="run: only the job of this id.")
@click.option("--max", "most", type=click.IntRange(1), metavar="N", help="run: at most N jobs.")
@click.option("--curves", is_flag=True, help="collect: one row for each logged step, not for each run.")
@click.option("--save", type=OutputFile("table"), metavar="FILE.csv", help="collect: write the table here.")
@answering
def command(
    action: str,
    grid: str | None,
    out: str,
    device: str | None,
    members: int,
    curves: bool,
    save: str | None,
    **chosen: Any,
) -> Answer:
    """A run is identified by the hash of its configuration, so every action can be repeated: run trains only what is
    not finished yet, and stopping it loses at most the steps since the last checkpoint. Any number of processes and
    machines that share the folder may run one sweep; --index makes each task of an array (Slurm, GNU parallel) train
    its own part.

    \b
    Example:
      scalefit sweep plan data/size_data/grid.toml --out sweep
      scalefit sweep status --out sweep
    """
    torch_is_there()
    from scalefit.proxy import plan_sweep, run_sweep, sweep_status

    if action == "plan":
        return _plan(plan_sweep, grid, out)
    if grid:
        raise InputError(f"{action} takes no grid", where=grid, todo=f"write scalefit sweep {action} --out {out}")
    if action == "run":
        return _table(run_sweep(out, device=device, members=members, **chosen, progress=progress()))
    if action == "status":
        return _table(sweep_status(out))
    return _collect(out, curves, save)


def _plan(plan_sweep: Callable[..., list[Any]], grid: str | None, out: str) -> Answer:
    if not grid:
        raise InputError("no grid is given", where="sweep plan", todo="write scalefit sweep plan GRID.toml")
    read_toml(grid)
    jobs = plan_sweep(grid, out)
    return Answer(f"{len(jobs)} runs planned in {out}; next: scalefit sweep run --out {out}", {"jobs": len(jobs)})


def _collect(out: str, curves: bool, save: str | None) -> Answer:
    from scalefit.proxy import collect_sweep
    from scalefit.writing import write_text

    table = collect_sweep(out, curves=curves)
    if save:
        write_text(save, table.to_csv(index=False), "table")
    constant = [name for name in table.columns if name not in SHOWN and table[name].nunique(dropna=False) < 2]
    text = as_lines(table.drop(columns=constant if len(table) > 1 else []).head(40))
    if constant and len(table) > 1:
        text += f"\n({len(constant)} columns that are the same in every row: --csv or --save FILE.csv writes them too)"
    return Answer(text, {"runs": records(table)}, table)


def _table(rows: list[dict[str, object]]) -> Answer:
    import pandas as pd

    table = pd.DataFrame(rows)
    counts = ", ".join(f"{count} {name}" for name, count in table["status"].value_counts().items())
    return Answer(f"{as_lines(table.head(40))}\n{counts}", {"runs": rows}, table)
