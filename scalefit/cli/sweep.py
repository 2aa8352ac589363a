"""Train a family of small (proxy) models: plan a grid, run it, see its status, collect one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from scalefit import proxy
from scalefit.cli import options
from scalefit.cli.output import Answer, OutputFile, answering, as_lines, records
from scalefit.cli.train import plain, progress, read_toml, torch_is_there
from scalefit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MOST_SHOWN = 40  #: runs that are printed
QUESTIONS = "lr-transfer|chinchilla|annealing|encoder-decoder"  #: names of `scalefit.proxy.sweep.designs`
#: what only some actions take
TAKEN = {"curves": ["collect"], "save": ["collect"], "sbatch": ["slurm"]}
TAKEN |= {name: ["run"] for name in ("index", "job", "most", "engine", "gpus", "address")}
TAKEN |= {name: ["run", "slurm"] for name in ("device", "members", "chunk")}
SHOWN = ("run", "N", "D", "C", "loss", "val_loss", "status")  #: columns of a collected sweep that are always printed


@click.command()
@click.argument("action", type=click.Choice(["plan", "run", "status", "collect", "slurm"]))
@click.argument("grid", required=False, metavar="[GRID.toml]")
@click.option("--for", "question", metavar="QUESTION", help="plan: a grid of its own, for this question: " + QUESTIONS)
@click.option("--core-hours", type=click.FloatRange(0, min_open=True), metavar="H", help="plan: what --for may cost.")
@options.shared("--set")
@click.option("--out", default="sweep", metavar="FOLDER", help="Write into this folder.")
@click.option(
    "--device", metavar="cpu|cuda", show_default="as each configuration says", help="run, slurm: train there."
)
@click.option(
    "--members", default=64, type=click.IntRange(min=1), help="run, slurm: most models of one shape trained together."
)
@click.option("--index", type=int, metavar="I", help="run: only job I of the sweep, from 0, as a task of an array.")
@click.option("--chunk", type=click.IntRange(1), default=1, metavar="K", help="run, slurm: K jobs for each --index.")
@click.option("--job", metavar="ID", help="run: only the job of this id.")
@click.option("--max", "most", type=click.IntRange(1), metavar="N", help="run: at most N jobs.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="run: in this process, or on Ray.")
@click.option(
    "--gpus",
    type=click.FloatRange(0),
    default=0.0,
    metavar="X",
    help="run on Ray: GPUs for each pack, or a part of one.",
)
@click.option("--address", metavar="HOST:PORT", help="run on Ray: the cluster, if RAY_ADDRESS does not name it.")
@click.option("--sbatch", multiple=True, metavar="OPTION", help='slurm: a line for sbatch, such as "--gpus=1".')
@click.option("--curves", is_flag=True, help="collect: one row for each logged step, not for each run.")
@click.option("--save", type=OutputFile("table"), metavar="FILE.csv", help="collect: write the table here.")
@answering
def command(
    action: str,
    grid: str | None,
    question: str | None,
    core_hours: float | None,
    settings: tuple[str, ...],
    out: str,
    curves: bool,
    save: str | None,
    **chosen: Any,
) -> Answer:
    """A run is identified by the hash of its configuration, so every action can be repeated: run trains only what is
    not finished yet, and stopping it loses at most the steps since the last checkpoint. Any number of processes and
    machines that share the folder may run one sweep: --index makes each task of an array (GNU parallel, Slurm) train
    its own part, slurm writes such an array, and --engine ray trains on a Ray cluster. With --for, plan proposes the
    grid, seeds and steps that decide a question within a budget, and keeps them in FOLDER/grid.toml.

    \b
    Example:
      scalefit sweep plan data/size_data/grid.toml --out sweep
      scalefit sweep status --out sweep
      scalefit sweep plan --for lr-transfer --core-hours 0.5 --out transfer
    """
    _refuse_others(action, chosen["engine"])
    if (question or core_hours or settings) and (grid or action != "plan"):
        raise InputError("--for, --core-hours and --set plan a grid of their own", todo="leave them out")
    if question or core_hours or settings:
        return _design(question, core_hours, settings, out)
    if action in ("plan", "slurm") and grid:
        planned = _plan(grid, out)
        return planned if action == "plan" else _slurm(out, chosen)
    if action == "plan":
        raise InputError("no grid is given", where="sweep plan", todo="write scalefit sweep plan GRID.toml")
    if grid:
        raise InputError(f"{action} takes no grid", where=grid, todo=f"write scalefit sweep {action} --out {out}")
    if action == "collect":
        return _collect(out, curves, save)
    if action == "slurm":
        return _slurm(out, chosen)
    return _table(_run(out, chosen) if action == "run" else proxy.sweep_status(out))


def _refuse_others(action: str, engine: str) -> None:
    """Raise InputError for an option of another action, which would do nothing."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and action not in TAKEN.get(str(option.name), [action]):
            what = f"{option.opts[0]} is of {' and '.join(TAKEN[str(option.name)])}"
            raise InputError(what, where=f"sweep {action}", todo="leave it out")
        if given and engine != "ray" and option.name in ("gpus", "address"):
            what = f"{option.opts[0]} without --engine ray"
            raise InputError(what, where="sweep run", todo="add that, or leave it out")


def _plan(grid: str, out: str) -> Answer:
    read_toml(grid)
    jobs = proxy.plan_sweep(grid, out)
    count = "1 run" if len(jobs) == 1 else f"{len(jobs)} runs"
    return Answer([f"{count} planned in {out}; next: scalefit sweep run --out {out}"], {"jobs": len(jobs)})


def _design(question: str | None, core_hours: float | None, settings: tuple[str, ...], out: str) -> Answer:
    """Plan a grid for a question, and keep it beside the jobs."""
    from pathlib import Path

    from scalefit.proxy.sweep.designs import DESIGNS, as_toml, design
    from scalefit.writing import write_text

    if not question or not core_hours:
        todo = f"write --for {question or QUESTIONS} --core-hours 0.5"
        raise InputError("a question and a budget are needed", where="sweep plan", todo=todo)
    own = {key: plain(value) for key, value in options.pairs(settings, "--set").items()}
    table, hours = design(question, core_hours, own)
    jobs = proxy.plan_sweep(table, out)
    head = f"For {question}, within {core_hours:g} core-hours: about {hours:.2g} of one 2.5 GHz core."
    place = Path(out) / "grid.toml"
    write_text(place, as_toml(table, head), "grid")
    steps = ", ".join(map(str, table["grid"]["steps"]))
    lines = [f"{len(jobs)} runs of {steps} steps planned in {out}, about {hours:.2g} core-hours; grid: {place}"]
    lines += [f"next: scalefit sweep run --out {out}, then {DESIGNS[question].verdict} {out}"]
    return Answer(lines, {"jobs": len(jobs), "core_hours": hours, "grid": table})


def _run(out: str, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    """Train the jobs that are not done, here or on Ray."""
    torch_is_there()
    parts = {key: chosen[key] for key in ("index", "chunk", "job", "most")}
    kind = {key: chosen[key] for key in ("device", "members")}
    if chosen["engine"] == "local":
        return proxy.run_sweep(out, **kind, **parts, progress=progress())
    if any(parts[key] is not None for key in ("index", "job", "most")):
        what = "--index, --job and --max are for arrays of other schedulers"
        raise InputError(what, where="--engine ray", todo="leave them out: Ray gives out the jobs")
    return proxy.run_on_ray(out, **kind, gpus=chosen["gpus"], address=chosen["address"], progress=progress())


def _slurm(out: str, chosen: dict[str, Any]) -> Answer:
    """Write the array of what is not done."""
    words = ["--members", str(chosen["members"])] + (["--device", chosen["device"]] if chosen["device"] else [])
    place = proxy.write_slurm(out, chosen["sbatch"], chunk=chosen["chunk"], run=words)
    tasks = next(line for line in place.read_text().splitlines() if "--array" in line).removeprefix("#SBATCH --array=")
    return Answer([f"{place}: tasks {tasks}; next: sbatch {place}"], {"script": str(place), "array": tasks})


def _collect(out: str, curves: bool, save: str | None) -> Answer:
    from scalefit.writing import write_text

    table = proxy.collect_sweep(out, curves=curves)
    if save:
        write_text(save, table.to_csv(index=False), "table")
    constant = [name for name in table.columns if name not in SHOWN and table[name].nunique(dropna=False) < 2]
    text = _shown(table.drop(columns=constant if len(table) > 1 else []))
    if constant and len(table) > 1:
        text += f"\n({len(constant)} columns that are the same in every row: --csv or --save FILE.csv writes them too)"
    return Answer([text], {"runs": records(table)}, table)


def _table(rows: list[dict[str, object]]) -> Answer:
    import pandas as pd

    table = pd.DataFrame(rows)
    counts = ", ".join(f"{count} {name}" for name, count in table["status"].value_counts().items())
    more = f", of which {MOST_SHOWN} are shown (--csv has all)" if len(table) > MOST_SHOWN else ""
    return Answer([_shown(table), f"{counts}{more}"], {"runs": rows}, table)


def _shown(table: pd.DataFrame) -> str:
    """The first rows as text; what no run has yet is left out, what one lacks is empty, a mixture is in short."""

    def cell(value: Any) -> Any:
        if isinstance(value, dict):
            return " ".join(f"{name}={each}" for name, each in value.items())
        return "" if value is None or value != value else value

    return as_lines(table.head(MOST_SHOWN).dropna(axis="columns", how="all").astype(object).map(cell))
