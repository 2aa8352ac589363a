"""What are the constants of a law on these runs, how certain are they, and what does the law predict?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.completion import columns
from scalefit.cli.headline import forecasts
from scalefit.cli.options import box, number, pairs, shared
from scalefit.cli.output import Answer, OutputFile, answering, as_lines, coded, figures, records
from scalefit.errors import InputError, all_of
from scalefit.notices import Line, Notice, doubted

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.diagnosis.checks import Check
    from scalefit.diagnosis.choices import Sensitivity
    from scalefit.fitting.result import Fit
from scalefit.runs import Runs

RESIDUALS = "The residuals that are minimised: differences of logarithms, or plain differences."
LOSS = "The loss of a residual; huber and soft_l1 give outliers less weight."
POINTS = "Rows read by a law without a schedule: the last of each run, or all; auto: all if only curves hold them."
SKIP = "Leave out the rows up to this step; auto: the first steps that lie off the law of the later ones."
EACH = "Fit the law to the rows of each value of this column (run, task, seed), all as one batch; prints a table."
HELD = "the best on the same held-out rows first"
UNTESTED = "the least misfit with a penalty for each constant first (nothing could be held out)"
MISFIT = "error: none, since nothing was held out; misfit: of the rows that were fitted"
TRIED = "error: mean on held-out rows; folds: ways of holding out that it could be refitted to; misfit: of all rows"
OWN = "own rows: judged by its misfit over the share of the rows that its constants leave"
DRAWS = (
    f"{options.SHARED['--draws']['help']} 0: no intervals. The Python function fit makes none (draws=0) unless asked, "
    f"this command {options.DRAWS}: each draw costs as much as a fit."
)

MOST_SHOWN = 40  #: fits of many that are printed


@click.command()
@options.logs
@shared("--law", default="auto", show_default="chosen by the runs")
@shared("--hold-out")
@shared("--target", show_default="the law's, mostly loss")
@click.option("--residuals", type=click.Choice(["log", "linear"]), show_default="the law's, mostly log", help=RESIDUALS)
@click.option("--loss", type=click.Choice(["huber", "squared", "soft_l1"]), default="huber", help=LOSS)
@click.option("--delta", default="auto", help="Residual from which a row counts less; papers use 1e-3.")
@click.option("--weights", metavar="COLUMN", shell_complete=columns, help="A column of row weights.")
@click.option("--fix", multiple=True, metavar="NAME=VALUE", help="Hold a parameter at a value; repeat.")
@click.option("--tie", multiple=True, metavar="NAME=EXPR", help="Compute a parameter from others: beta=alpha; repeat.")
@click.option("--bounds", multiple=True, metavar="NAME=LOW:HIGH", help="Bound a parameter: E=1:2, E=:2; repeat.")
@click.option("--start", multiple=True, metavar="NAME=VALUE", help="Values from which one more search starts; repeat.")
@click.option("--starts", type=click.IntRange(1), default=8, help="Starts refined after the global search.")
@click.option("--points", type=click.Choice(["auto", "final", "all"]), default="auto", help=POINTS)
@click.option("--skip", metavar="STEPS|auto", help=SKIP)
@shared("--drop-diverged")
@click.option("--each", metavar="COLUMN", shell_complete=columns, help=EACH)
@click.option("--force", is_flag=True, help="Fit even where the runs cannot identify the law.")
@shared("--draws", default=options.DRAWS, help=DRAWS)
@shared("--seed")
@shared("--at", metavar="N=7B,D=2T")
@click.option(
    "--save", type=OutputFile("fit"), metavar="FIT.json", help="Write the fit to this file, for predict and plot."
)
@shared("--plot")
@answering
def command(
    files: tuple[str, ...],
    law: str,
    hold_out: str | None,
    at: tuple[str, ...],
    save: str | None,
    plot: str | None,
    skip: str | None,
    each: str | None,
    **given: Any,
) -> Answer:
    """Without --law the law is chosen: every one that the runs identify is tried on rows held out beyond growing
    scales, and forecasts mix those that come closest, with the weights in the answer.

    \b
    Exit code 1 where a check fails; each failed check is a line that begins with "!":
      not converged, starts disagree, not identified, at a bound, outside its domain
      runs that bend away from the fit with scale, influential runs, outliers
      under-trained runs, losses in mid-schedule, mixed conventions or runs
      a prediction far beyond the data, for another recipe, that depends on one run, or where the law has no value
      a column that varies and that no law among those tried reads

    \b
    Example:
      scalefit fit data/schedules/curves.csv --where "d_model == 96" --law annealing:decay=0.99 --save fit.json
      scalefit fit data/size_data/runs.csv --law power:over=D --each N
    """
    from scalefit.fitting.prediction import predict
    from scalefit.selection.automatic import fit

    reading = {name: given.pop(name) for name in options.READING}
    runs, place, settings, _ = options.together(
        lambda: options.read(files, **reading),
        lambda: options.points(at),
        lambda: _settings(dict(given)),
        lambda: options.known(law),
    )
    held = None
    if each:
        return _many(runs, law, each, given, hold_out=hold_out, at=at, save=save, plot=plot, skip=skip)
    if hold_out:
        runs, held = options.hold_out(runs, hold_out)
    first: Any = skip if skip in (None, "auto") else number(skip, "--skip")
    result = fit(runs, law, at=_numbers(place), skip=first, **settings)
    scores = result.score(held) if held is not None else None
    point = predict(result, at=place) if at else None
    asked = options.one_by_one(place)
    cautions = tuple(dict.fromkeys(check for each in asked for check in result.cautions(**each)))
    if held is not None:
        cautions += tuple(check for check in result.cautions(held) if check.code == "no-image")
    if save:
        result.save(save)
    drawn = figures(plot, lambda: result.plot(held, at=place or None))
    other = result.sensitivity(**place) if len(asked) == 1 and not result.choice else None
    return replace(_answer(result, scores, point, cautions, save, other), figures=drawn)


def _many(runs: Runs, law: str, by: str, given: dict[str, Any], **of_one: Any) -> Answer:
    """The table of one fit for each value of a column."""
    from scalefit.fitting.many import TOLD, fit_many

    usual = {option.name: option.default for option in click.get_current_context().command.params}
    settings, text = {name: given[name] for name in TOLD}, given["delta"]
    of_one |= {name: value for name, value in given.items() if name not in (*TOLD, "draws", "seed")}
    named = [name for name, value in of_one.items() if value and value != usual.get(name)]
    if law == "auto" or named:
        what = f"--{named[0].replace('_', '-')}" if named else "a law chosen by the runs"
        todo = "leave it out" if named else "name the law with --law"
        raise InputError(f"{what} is for one fit, not for one of each {by}", where="--each", todo=todo)
    settings["delta"] = text if text == "auto" else number(text, "--delta")
    settings["points"] = {"auto": "all" if runs.curves is not None else "auto"}.get(given["points"], given["points"])
    made = fit_many(runs, law, by=by, **settings)
    count = made["status"].value_counts()
    head = f"{law}: {len(made)} fits, one of each {by}: " + ", ".join(f"{n} {status}" for status, n in count.items())
    shown = made.drop(columns=["delta", "cost"])
    shown = shown if made["reason"].any() else shown.drop(columns="reason")
    lines = as_lines(shown.head(MOST_SHOWN).reset_index())
    more = f"\n... and {len(made) - MOST_SHOWN} more: --csv gives all" if len(made) > MOST_SHOWN else ""
    content = {"law": law, "by": by, "fits": records(made)}
    told, most = options.told(runs), int(made["runs"].max()) if "runs" in made else 1
    if most > 1:
        told = [Notice(f"the curves of up to {most} runs are pooled in one fit: --each run fits each of them"), *told]
    return Answer([head, "", f"{lines}{more}"], content, made, bool((made["status"] == "converged").all()), told)


def _numbers(place: dict[str, Any]) -> dict[str, float]:
    """The point of --at in numbers, as far as its values are numbers."""
    found = {}
    for name, text in place.items():
        try:
            found[name] = number(text[-1] if isinstance(text, list) else text, "--at")
        except InputError:
            continue  # the prediction refuses it, with the reason
    return found


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """The keywords of :func:`scalefit.fit` from the options' texts."""
    named = ("fix", "tie", "bounds", "start")
    texts = dict(zip(named, all_of(lambda name: pairs(given.pop(name), f"--{name}"), named), strict=True))
    texts["delta"] = {} if given["delta"] == "auto" else {"delta": given["delta"]}
    read: dict[str, Callable[[str, str], Any]] = {"bounds": box, "tie": lambda text, _: text}
    tasks = [(option, name, text) for option, each in texts.items() for name, text in each.items()]
    values = all_of(lambda task: read.get(task[0], number)(task[2], f"--{task[0]}"), tasks)
    found: dict[str, dict[str, Any]] = {option: {} for option in texts}
    for (option, name, _), value in zip(tasks, values, strict=True):
        found[option][name] = value
    delta = found.pop("delta").get("delta", "auto")
    return {**given, **found, "delta": delta, "start": found["start"] or None}


def _answer(
    result: Fit,
    scores: pd.DataFrame | None,
    point: pd.DataFrame | None,
    cautions: tuple[Check, ...],
    saved: str | None,
    other: Sensitivity | None,
) -> Answer:
    import pandas as pd

    from scalefit.fitting.document import as_dict
    from scalefit.fitting.summary import lines_of_fit
    from scalefit.selection.candidates import told

    head = [] if point is None else forecasts(result, point)
    text: list[Line] = [*head, *([""] if head else []), *lines_of_fit(result)]
    content = as_dict(result)
    for heavy in ("points", "without", "choices"):
        content.pop(heavy)
    for row in records(result.table[["low", "high", "state"]]):
        content["parameters"][row.pop("parameter")] |= row
    if result.choice is not None:
        chosen = content.pop("choice")
        content["automatic"] = {"recommendation": chosen["text"], "laws": chosen["errors"]}
        content["automatic"] |= {name: chosen[name] for name in ("weights", "tested", "refused", "forms")}
        shown = pd.DataFrame(result.choice.errors).drop(columns="score")
        unseen = "own rows" if result.choice.tested else "untested"
        error = [f"{100 * e:.3g} %" if math.isfinite(e) else unseen for e in shown["error"]]
        order, about = (HELD, TRIED) if result.choice.tested else (UNTESTED, MISFIT)
        text += ["", f"laws tried, {order}:", as_lines(shown.assign(error=error))]
        text.append(f"  {about}" + f"; {OWN}" * ("own rows" in error))
        text += [f"  not tried further: {line}" for line in told(dict(result.choice.refused))]
    if scores is not None:
        text += ["", "held out:", as_lines(scores)]
        content["held_out"] = records(scores)
    if point is not None:
        text += ["", "prediction:", as_lines(point), *doubted(check.text for check in cautions)]
        content["prediction"] = records(point)
        content["cautions"] = coded(cautions)
    if other is not None:
        text.append(other.text)
        content["sensitivity"] = {"spread": other.spread, "this": other.predicted, **other.others}
    text += ["", f"wrote {saved}"] if saved else []
    sound = result.ok and not cautions
    return Answer(text, content, result.table, sound, result.told)
