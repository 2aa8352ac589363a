"""Which size and how many tokens for a budget? How much compute for a loss? By any fitted law of size and data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, coded, figures, records
from scalefit.cli.usage import refuse_unread
from scalefit.errors import InputError

BUDGETS = ("compute", "hours", "money", "inference_tokens", "cost", "active", "gpu")  #: what only a plan of sizes reads

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit
    from scalefit.planning.allocation.answer import Plan
    from scalefit.runs import Runs


@click.command()
@click.argument("files", metavar="FIT.json|FILE...", nargs=-1)
@options.reading
@click.option("--compute", metavar="FLOP", help="Budgets: 1e23, or 1e21,1e23, or a range 1e20:1e24.")
@click.option("--loss", metavar="LOSS", help="Losses to reach: 2.2, or 2.2,2.1.")
@click.option("--hours", metavar="HOURS", help="Budgets in GPU-hours, with --gpu.")
@click.option("--money", metavar="PRICE", help="Budgets in money, with --gpu.")
@click.option("--inference-tokens", metavar="TOKENS", help="Tokens served over the model's life, 2 N each.")
@options.shared("--cost", "--active")
@click.option("--gpu", metavar="peak=989T,mfu=0.4,price=2", help="What a GPU does and costs; prints hours and price.")
@click.option("--schedules", multiple=True, metavar="TEXT|CSV", help='Rank these schedules of one budget, or "all".')
@click.option("--hyperparameters", is_flag=True, help="Learning rate, batch, weight decay at N and D (--at).")
@click.option("--tuned", metavar="lr=3e-4,D=100B", help="A rate tuned at other tokens, for --hyperparameters.")
@options.shared("--steps", show_default="the longest fitted run")
@options.shared("--lr", show_default="the fitted peak")
@options.shared("--at", metavar="N=7B|U=25B,...", help="Hold these; what else the law or the cost reads.")
@options.shared(
    "--law",
    default=None,
    show_default="chinchilla; for --hyperparameters lr-batch-surface; for --schedules the best in a back-test",
    help="The law to fit to FILE, or that of FIT.json in a file of yours.",
)
@options.shared("--draws", default=options.DRAWS)
@options.shared("--seed", "--plot")
@answering
def command(
    files: tuple[str, ...],
    at: tuple[str, ...],
    law: str | None,
    draws: int,
    seed: int,
    plot: str | None,
    schedules: tuple[str, ...],
    steps: int | None,
    lr: str | None,
    hyperparameters: bool,
    tuned: str | None,
    **given: Any,
) -> Answer:
    """FIT.json is a saved fit; to run logs a law is fitted first. With --at N=7B or --at D=2T the rest is planned.
    The law, what N counts, the cost and the distance beyond the fitted runs are printed with every plan.

    For a saved fit along the run, or for loss curves in FILE (then by the law that misjudges their order least in a
    back-test): --schedules all, or --schedules wsd:decay=20% --schedules cosine, ranks schedules of
    one length by their final loss with paired differences, and --schedules wsd:decay=5%..60% looks for the best share;
    --loss with --schedule gives the steps that a schedule of that shape needs.

    With --hyperparameters and --at N=7B,D=2T: the best peak learning rate, batch and weight decay, from fits of
    lr-batch-surface, optimal-lr-batch, critical-batch and adamw-timescale (several FIT.json), from a sweep in FILE, and
    by published rules, which need no fit. --at also takes batch, lr, loss, timescale, seq_len, n_layer and d_model.

    Exit code 1 where a check of the fit failed, or where a planned run lies far beyond its data. A loss below the
    floor of the law is an answer: it is unreachable, with the floor and its interval.

    \b
    Example:
      scalefit plan --hyperparameters --at N=7B,D=2T,seq_len=4096
      scalefit plan data/size_data/runs.csv --where "d_model <= 64" --compute 1e11 --plot plan.png
    """
    from scalefit.planning.allocation.plan import plan
    from scalefit.planning.schedules.ranking import rank_schedules

    if hyperparameters:
        refuse_unread("--hyperparameters", "plan", "schedules", "steps", "lr")
        held: dict[str, Any] = dict(options.pairs(at, "--at"))
        fitted = {"law": law, "draws": draws, "seed": seed, "tuned": tuned}
        return _of_hyperparameters(files, fitted, given, held, plot)
    if not files or tuned:
        what = "--tuned without --hyperparameters" if tuned else "no fit and no run logs"
        raise InputError(what, where="plan", todo="see scalefit plan --help")
    if schedules or (given["schedule"] is not None and files[0].endswith(".json")):
        beside, unread = ("--schedules", ("loss",)) if schedules else ("--schedule", ("steps", "lr"))
        refuse_unread(beside, "plan", *BUDGETS, *unread)
        held = options.target(at, rank_schedules)
        asked = {"schedules": schedules, "steps": steps, "lr": lr, "plot": plot, "draws": draws, "seed": seed}
        return _of_schedules(_curves_or_fit(files, law, given), asked | {"law": law}, given, held)
    if steps is not None or lr is not None:
        raise InputError("--steps and --lr without --schedules", where="plan", todo="give the schedules to rank")
    reading = {name: given.pop(name) for name in options.READING}
    source: Any = source_of(files, law, reading)
    held = options.target(at, plan)
    found = plan(source, law=law, draws=draws, seed=seed, **given, **held)
    notes = [] if files[0].endswith(".json") else options.told(source)
    return Answer(found.lines, _content(found), found.table, found.ok, notes, figures(plot, found.plot))


def _curves_or_fit(files: tuple[str, ...], law: str | None, given: dict[str, Any]) -> Fit | Runs:
    """What schedules are ranked by: a saved fit, or curves."""
    if files[0].endswith(".json") and len(files) == 1:
        refuse_unread("a saved fit", files[0], "draws", "seed", *_of_law(law))
        return _saved(files[0], law)
    todo = "give a FIT.json of a law along the run, or loss curves under two or more schedules"
    wrong = InputError("schedules are ranked by a saved fit, or by curves", where="--schedules", todo=todo)
    if not all(Path(name).exists() and not name.endswith(".json") for name in files):
        raise wrong
    runs = options.read(files, **{name: given[name] for name in options.READING})
    if runs.curves is None:
        raise wrong
    return runs


def _of_schedules(source: Fit | Runs, asked: dict[str, Any], given: dict[str, Any], held: dict[str, Any]) -> Answer:
    """The ranking of schedules, or the steps to a loss under one."""
    from scalefit.fitting.result import Fit
    from scalefit.planning.schedules.length import steps_for_loss
    from scalefit.planning.schedules.ranking import rank_schedules

    if not asked["schedules"]:
        if given["loss"] is None or not isinstance(source, Fit):
            raise InputError("--schedule without --loss", where="plan", todo="give the loss to reach")
        steps = steps_for_loss(source, given["loss"], given["schedule"], **held)
        answer: dict[str, Any] = {"law": source.law.spec, "schedule": steps.schedule, "steps": records(steps.table)}
        answer["warnings"] = coded([*steps.cautions, *source.warnings])
        return Answer(steps.lines, answer, steps.table, steps.ok)
    own = {"steps": asked["steps"], "lr": options.number(asked["lr"], "--lr") if asked["lr"] else None}
    own |= {"draws": asked["draws"], "seed": asked["seed"], "law": asked["law"]}
    found = rank_schedules(source, asked["schedules"], warmup=given["warmup"], **own, **held)
    fit = found.fit
    content: dict[str, Any] = {"law": fit.law.spec, "ranking": records(found.table), "shares": records(found.shares)}
    content |= {"resolution": found.resolution, "choice": found.choice}
    content |= {"budget": vars(found.budget), "known": type(fit.law).fails}
    content["warnings"] = coded([*found.cautions, *fit.warnings])
    notes = [] if isinstance(source, Fit) else options.told(source)
    return Answer(found.lines, content, found.table, found.ok, notes, figures(asked["plot"], found.plot))


def _of_hyperparameters(
    files: tuple[str, ...], fitted: dict[str, Any], given: dict[str, Any], held: dict[str, Any], plot: str | None
) -> Answer:
    """Learning rate, batch and weight decay at a place."""
    from scalefit.planning.allocation.plan import plan

    reading = {name: given.pop(name) for name in options.READING}
    logs = tuple(name for name in files if Path(name).suffix != ".json")
    sources: list[Any] = [_saved(name, fitted["law"]) for name in files if Path(name).suffix == ".json"]
    sources += [options.read(logs, **reading)] if logs else []
    if not logs:
        unread = ("draws", "seed", *options.READING, *_of_law(fitted["law"], saved=bool(files)))
        refuse_unread("--hyperparameters without run logs", "plan", *unread)
    given = {name: value for name, value in given.items() if value is not None}
    found = plan(hyperparameters=sources, **fitted, **given, **held)
    content: dict[str, Any] = {"at": found.at, "settings": records(found.table), "notes": list(found.notes)}
    content |= {"conventions": list(found.conventions), "laws": [fit.law.spec for fit in found.fits]}
    content["warnings"] = coded([*found.cautions, *(check for fit in found.fits for check in fit.warnings)])
    notes = options.told(sources[-1]) if logs else []
    return Answer(found.lines, content, found.table, found.ok, notes, figures(plot, found.plot))


def source_of(files: tuple[str, ...], law: str | None, reading: dict[str, Any]) -> Fit | Runs:
    """The saved fit, or the run logs."""
    if Path(files[0]).suffix != ".json":
        return options.read(files, **reading)
    if len(files) > 1 or any(reading.values()):
        raise InputError("a saved fit beside run logs", where=files[0], todo="give the fit alone, or the logs alone")
    refuse_unread("a saved fit", files[0], "draws", "seed", *_of_law(law))
    return _saved(files[0], law)


def _of_law(law: str | None, saved: bool = True) -> tuple[str, ...]:
    """The option of the law where nothing reads it: a saved fit has its own, unless that is defined in a file."""
    return () if saved and law and ".py" in law else ("law",)


def _saved(path: str, law: str | None) -> Fit:
    """A saved fit, whose law may be in a file of the user's."""
    from scalefit.fitting.saved import load_fit

    return load_fit(path, law if law and ":" in law and ".py" in law else None)


def _content(found: Plan) -> dict[str, Any]:
    fit = found.fit
    content: dict[str, Any] = {"law": fit.law.spec, "status": fit.status, "plans": records(found.table)}
    content |= {"assumptions": list(found.assumptions), "notes": list(found.notes)}
    content["warnings"] = coded([*found.cautions, *fit.warnings])
    return content
