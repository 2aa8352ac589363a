"""A law chosen by the runs: candidates tried on the same held-out rows, fitted in full, and mixed by their weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.identifiable import identify
from scalefit.diagnosis.unread import RECIPE
from scalefit.errors import InputError, counted, listed
from scalefit.fitting.fit import fit as fit_one
from scalefit.fitting.prepare import Options
from scalefit.fitting.result import Fit
from scalefit.laws import Law, find_law
from scalefit.memory import remembering
from scalefit.parallel import each
from scalefit.rows.asked import asked_of, read_point
from scalefit.rows.gather import gather
from scalefit.rows.resolve import resolve
from scalefit.runs import Runs, runs_of
from scalefit.runs.inspect import likely_losses
from scalefit.runs.matching import in_shell
from scalefit.runs.quantities import quantity
from scalefit.selection.candidates import Candidates, candidates_for, explains, told
from scalefit.selection.holding import Fold, axes_for, beyond_scales, left_out_runs
from scalefit.selection.judging import MANY, form_shares, mean_error, scores, weigh
from scalefit.selection.skipping import first_steps_of
from scalefit.selection.trials import OF_A_FIT, Attempt, Trial
from scalefit.selection.unread_columns import RATES, untold
from scalefit.status_line import tell
from scalefit.uncertainty.mixture import Choice, OtherForm

AUTO = "auto"
LEADS = 0.5  #: share of the largest weight from which on a law whose constants are known goes before one without them
OPEN = {"not-converged", "not-identified", "at-bound", "degenerate"}  #: warnings that its constants are not known
OF_ONE_LAW = ("fix", "tie", "bounds", "parameters", "start")  #: keywords that name the parameters of a law


def fit(
    runs: Runs | pd.DataFrame,
    law: str | Law | type[Law] = AUTO,
    *,
    at: Mapping[str, float] | None = None,
    skip: int | Literal["auto"] | None = None,
    **options: Any,
) -> Fit:
    """Fit a law to run logs; without a law, that which predicts held-out runs best, mixed with others that do so.

    ``options`` are those of :func:`scalefit.fitting.fit.fit`: target, residuals, loss, delta, weights, fix, tie,
    bounds, start, starts, points, drop_diverged, force, draws, seed, method, workers. ``draws`` says how many refits to
    resampled runs intervals are made from; 0 (the default) makes no intervals, since each draw costs as much as a fit.
    The command ``scalefit fit`` makes 200.

    ``at`` is the point for which the law is chosen: rows are then also held out along each variable that it takes
    beyond the runs. Some laws name several procedures (``loss-to-loss``: whose floors), and mix them where their name
    alone is given. ``skip`` leaves out rows up to a step; ``"auto"`` those first steps of curves that lie off the law
    which the curves follow afterwards.

    >>> import numpy as np
    >>> N = np.repeat(np.geomspace(1e7, 1e9, 5), 5)
    >>> D = np.tile(np.geomspace(1e9, 1e11, 5), 5)
    >>> runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    >>> fit(runs).law.name, round(fit(runs, "chinchilla")["alpha"], 6)
    ('chinchilla', 0.34)
    """
    logs = runs_of(runs)
    if skip is not None:
        logs = without_first_steps(logs, law, skip, at, options)
    if law == AUTO:
        named = [name for name in OF_ONE_LAW if options.get(name)]
        if named:
            raise InputError(f"{named[0]} without a law", where="fit", todo="name the law whose parameters they are")
        return automatic(logs, at=at, **options)
    known = find_law(law)
    others = [] if known.alternatives(()) == (known,) else _others(logs, options.get("target"))
    procedures = known.alternatives(others)
    if len(procedures) == 1 or any(options.get(name) for name in OF_ONE_LAW):
        return _with_unread(fit_one(logs, law, **options), logs)
    return automatic(logs, procedures, at=at, **options)


def _with_unread(found: Fit, runs: Runs, laws: Sequence[Law] = ()) -> Fit:
    """The fit, warned of every column that varies and that neither its law nor any of ``laws`` reads.

    A column that another warning of a named law names is said once, as is a sweep of a recipe.
    """
    if not laws and found.law.is_trajectory:
        return found  # which columns its runs share is a check of its own
    told_of = " ".join(check.text for check in found.warnings if check.code.startswith("mixed"))

    def news(line: str) -> bool:
        name = line.split()[0]
        once = not laws or name in (*RECIPE, *RATES)
        return not (once and re.search(rf"\b{re.escape(name)}\b", told_of))

    lines = [line for line in untold(runs, laws or [found.law]) if news(line)]
    return replace(found, warnings=(*(Check("unread", line) for line in lines), *found.warnings))


def without_first_steps(
    runs: Runs,
    law: str | Law | type[Law],
    skip: int | Literal["auto"],
    at: Mapping[str, float] | None,
    options: Mapping[str, Any],
) -> Runs:
    """The runs without the rows up to a step, or without those first ones that the law does not describe."""
    if runs.curves is None or "step" not in runs.curves.columns:
        raise InputError("there are no steps to skip", where="skip", todo="give curves with a column step")
    if skip != "auto":
        return runs.where(f"step > {int(skip)}")
    chosen = fit(runs, law, at=at, **{**options, "draws": 0}).law
    if not chosen.is_trajectory:
        raise InputError(
            f"the law {chosen.name} reads no steps along a run", where="skip", todo="give a number of steps"
        )
    step = first_steps_of(runs, chosen, options)
    return runs.where(f"step > {step}") if step else runs


@remembering()
def automatic(
    runs: Runs | pd.DataFrame,
    laws: Sequence[str | Law | type[Law]] = (),
    *,
    at: Mapping[str, float] | None = None,
    **options: Any,
) -> Fit:
    """The fit of the law that predicts held-out runs best; ``choice`` holds the weights and the fits mixed with it.

    Every law of the registry that these runs identify and that explains the target is tried (or ``laws``), on the same
    held-out rows: beyond growing scales, along each variable that ``at`` takes beyond the runs, and for curves without
    each run. Where nothing can be held out, the misfit decides, with a penalty for parameters, and that is said.
    Raises :class:`InputError` where the runs identify none.
    """
    logs = runs_of(runs)
    found = _named(laws) if laws else _expanded(candidates_for(logs, options.get("target")), logs, options)
    if not found.laws:
        if not options.get("target") and "loss" not in (logs.table if logs.curves is None else logs.curves).columns:
            raise _without_loss(logs)
        undecided = (one.reason for one in identify(logs, options.get("target")) if "which column is x" in one.reason)
        reasons = "; ".join(told(found.left_out)) or next(reversed([*undecided]), "see scalefit laws --for FILE")
        raise InputError("these runs identify no law that explains the target", where="fit", todo=reasons)
    read = set[str]().union(*(asked_of(law) for forms in found.laws for law in forms))
    point = {name: quantity(one) if isinstance(one, str) else one for name, one in read_point(at or {}, read).items()}
    trials, refused = compared(logs, found, options, point)
    refused = {**found.left_out, **refused}
    if not trials:
        raise InputError("none of the laws can be fitted", where="fit", todo="; ".join(told(refused)))
    weights, tested = weigh(trials)
    members = {name: fit_one(logs, trials[name].law, **options) for name in weights}
    lead = next((n for n in weights if known(members[n]) and weights[n] >= LEADS * max(weights.values())), None)
    order = list(weights) if lead is None else [lead, *(name for name in weights if name != lead)]
    weights = {name: weights[name] for name in order}
    first, *others = (members[name] for name in order)
    forms = {name: _forms(trials[name], each) for name, each in form_shares(trials).items() if each and name in weights}
    text = reason(trials, weights, tested)
    choice = Choice(weights, text, tested, records(trials), refused, tuple(others), forms)
    left = [Check("left-out", f"left out: {line}") for line in told(found.left_out)]
    first = replace(first, choice=choice, warnings=(*left, *first.warnings))
    return _with_unread(first, logs, [trial.law for trial in trials.values()])


def _forms(trial: Trial, shares: Mapping[str, float]) -> tuple[OtherForm, ...]:
    return tuple(
        OtherForm(name, share, dict(zip(trial.law.parameters, trial.forms[name].parameters, strict=True)))
        for name, share in shares.items()
    )


def known(fit: Fit) -> bool:
    """Whether these runs determine the constants of a fit, and are enough for intervals of them."""
    return not ({check.code for check in fit.warnings} & OPEN or fit.none_worth_having)


def compared(
    runs: Runs, found: Candidates, options: Mapping[str, Any], at: Mapping[str, float]
) -> tuple[dict[str, Trial], dict[str, str]]:
    """Every candidate tried on the same folds, those with few parameters first; and why some are refused."""
    asked = Options(**{name: value for name, value in options.items() if name not in OF_A_FIT})
    folds = folds_for(runs, [forms[0] for forms in found.laws], asked, at)
    count = len(found.laws)

    def one(numbered: tuple[int, Sequence[Law]], rivals: Collection[Trial] = ()) -> Trial | str:
        number, forms = numbered
        tell(f"trying law {forms[0].spec}, {number} of {count}")
        try:
            fitted = Attempt.of(runs, forms, asked)
            if rivals:
                alone = fitted.judged(())
                if alone.free > MANY and alone.criterion >= min(trial.criterion for trial in rivals):
                    return f"{alone.free} parameters fit these rows no better than fewer do"
            return fitted.judged(folds)
        except InputError as error:
            return str(error)

    numbered = list(enumerate(found.laws, 1))
    large = [len(forms[0].parameters) - len(forms[0].held) > MANY for forms in found.laws]
    first = [law for law, many in zip(numbered, large, strict=True) if not many]
    outcomes = dict(zip((number for number, _ in first), each(one, first), strict=True))
    for law, many in zip(numbered, large, strict=True):
        if many:
            outcomes[law[0]] = one(
                law, [made for number, made in outcomes.items() if number < law[0] and not isinstance(made, str)]
            )
    trials: dict[str, Trial] = {}
    refused: dict[str, str] = {}
    for number, forms in numbered:
        made = outcomes[number]
        if isinstance(made, str):
            refused[forms[0].spec] = made
        else:
            trials[made.law.spec] = made
    return trials, refused


def folds_for(runs: Runs, laws: Sequence[Law], options: Options, at: Mapping[str, float]) -> list[Fold]:
    """What is held out, the same for all of the laws; nothing where their rows cannot be read."""
    for law in laws:
        try:
            rows = gather(resolve(law, runs), runs, target=options.target, points=options.points)
        except InputError:
            continue
        if law.is_trajectory:
            return left_out_runs(rows)
        return beyond_scales(axes_for(laws, rows, runs, at), rows, runs)
    return []


def records(trials: Mapping[str, Trial]) -> list[dict[str, Any]]:
    """One record a law, the best first: score, mean error on held-out rows, misfit, parameters, rows."""
    labels = list(dict.fromkeys(label for trial in trials.values() for label in trial.walked))
    scored = scores(trials)
    order = [*scored, *sorted(trials.keys() - scored.keys(), key=lambda name: trials[name].criterion)]
    return [
        {
            "law": name,
            "score": scored.get(name, float("nan")),
            "error": mean_error(trials[name], labels),
            "folds": len(trials[name].walked),
            "misfit": trials[name].misfit,
            "parameters": trials[name].free,
            "rows": trials[name].rows,
        }
        for name in order
    ]


def reason(trials: Mapping[str, Trial], weights: Mapping[str, float], tested: bool) -> str:
    """Which law was chosen, and by what."""
    best = next(iter(weights))
    if not tested:
        why = (
            "by its misfit with a penalty for parameters"
            if len(trials) > 1
            else "the only law that these runs identify"
        )
        return f"{best}, {why}: untested, since too few runs can be held out; add runs at more scales or schedules"
    labels = list(trials[best].walked)
    if not labels:
        why = "by the error of its own rows and the constants spent on them"
        return f"{best} of {len(trials)} laws, {why}: it could be refitted to no part of these runs; add runs"
    error = 100 * mean_error(trials[best], labels)
    ways = counted(len(labels), "way")
    return f"{best} of {len(trials)} laws, with a mean error of {error:.2g} % on rows held out in {ways}"


def _without_loss(logs: Runs) -> InputError:
    """The error where no column is a loss, with the columns that are likely to be one."""
    frames = [frame for frame in (logs.curves, logs.table) if frame is not None]
    other = [find_law(one.law) for one in identify(logs) if one.can and not explains(one, None)]
    likely = [name for name in dict.fromkeys(likely_losses(frames)) if name not in {law.target for law in other}]
    todo = listed([f"--map loss={in_shell(name)}" for name in likely or ["COLUMN"]], 4, " or ")
    todo += " (perplexities and bits become nats)"
    todo += "".join(f"; or fit {law.target} with --law {law.name}" for law in other[:1])
    return InputError("no column is known as the loss", where="fit", todo=todo)


def _named(laws: Sequence[str | Law | type[Law]]) -> Candidates:
    return Candidates(tuple((find_law(law),) for law in laws))


def _others(runs: Runs, target: str | None) -> list[Law]:
    return [forms[0] for forms in candidates_for(runs, target).laws]


def _expanded(found: Candidates, runs: Runs, options: Mapping[str, Any]) -> Candidates:
    """The candidates, with every procedure of those that have several."""
    others = [forms[0] for forms in found.laws]
    laws: list[tuple[Law, ...]] = []
    for forms in found.laws:
        procedures = forms[0].alternatives(others)
        laws += [forms] if len(procedures) == 1 else [(procedure,) for procedure in procedures]
    return Candidates(tuple(laws), found.left_out)
