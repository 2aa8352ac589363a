"""Laws weighed by their errors on the same held-out rows; where none can be held out, by misfit and parameters.

The logarithm of a law's mean absolute error on the rows of a fold is taken to be its score plus what all laws have in
common there. So a law that has too many parameters to be fitted to some parts of the runs is judged on the others, and
at least on all rows (``Trial.each``), against the same laws on the same parts; and a law that few parts have judged is
drawn towards the mean of all (PRIOR). The weight is exp(-POWER score), and zero below a share of the best.
docs/choosing.md names the public data sets on which this was chosen: back-tests rank laws by few and dependent errors,
and a mixture is closer than the law with the least score. Where nothing can be held out, the weight is misfit^-2, less
the penalty for parameters: exp(-criterion / m), the criterion as if of one row.

A law of more than MANY free parameters is tried only where it fits better than every smaller one, and enters only where
it, or a form of it, has a better score than all of those: few folds hardly tell what so many constants make of noise.

A form that turns far beyond the runs (``runaway``) has no weight where there is another.

A law with other forms (``forms``) has the weights of all of them, each by its own score; within the law they share its
forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.selection.trials import FITTED, Trial

POWER = 3.0  #: weights are the scores to minus this power
PRIOR = 1.0  #: how many folds on which it is an average law each law is taken to have had before
LEAST = 0.03  #: share of the best weight below which a law or a form is left out of the mixture
MANY = 6  #: a law of more free parameters than this must be better than every smaller one
EXACT = 1e-6  #: errors below this are rounding: losses are logged with fewer digits


def scores(trials: Mapping[str, Trial]) -> dict[str, float]:
    """The score of each law, the least first; empty where none was held to rows beyond those that it was fitted to."""
    found = {name: forms[FITTED] for name, forms in _scores_of_forms(trials).items()}
    return dict(sorted(found.items(), key=lambda each: each[1]))


def form_shares(trials: Mapping[str, Trial]) -> dict[str, dict[str, float]]:
    """The share that each other form has in a law's forecast, where it matters."""
    found = {name: shares(weights) for name, weights in _weights_of_forms(trials).items()}
    return {name: {form: share for form, share in each.items() if form != FITTED} for name, each in found.items()}


def weigh(trials: Mapping[str, Trial]) -> tuple[dict[str, float], bool]:
    """The weight of each law in the mixture, the largest first, and whether held-out rows decided."""
    held = {name: sum(weights.values()) for name, weights in _weights_of_forms(trials).items()}
    if held:
        return shares(held), True
    each = {name: trial.criterion / trial.independent for name, trial in trials.items() if FITTED not in trial.turning}
    each = each or {name: trial.criterion / trial.independent for name, trial in trials.items()}
    least = min(each.values())
    return shares({name: float(np.exp(least - criterion)) for name, criterion in each.items()}), False


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights that add up to one, the largest first, without those that are too small to matter.

    Weights that differ by rounding alone stay in their order, in which laws of few parameters come first.
    """
    most = max(weights.values())
    kept = {name: weight for name, weight in weights.items() if weight >= LEAST * most}
    whole = sum(kept.values())
    return {name: weight / whole for name, weight in sorted(kept.items(), key=lambda each: -round(each[1] / most, 9))}


def mean_error(trial: Trial, labels: Sequence[str]) -> float:
    """The mean over folds of a law's error; NaN where it predicted none of them."""
    found = [trial.errors[label] for label in labels if label in trial.errors]
    return float(np.mean(found)) if found else float("nan")


def common_scores(logs: FloatArray) -> FloatArray:
    """Score (members,) of each row of logarithms of errors (members, folds), NaN where there is none.

    At the least of sum (log error - score - fold)^2 + PRIOR sum score^2, over scores and folds.
    """
    members, folds = logs.shape
    member, fold = np.nonzero(np.isfinite(logs))
    known = np.zeros((len(member) + members, members + folds))
    known[np.arange(len(member)), member] = 1.0
    known[np.arange(len(member)), members + fold] = 1.0
    known[np.arange(members) + len(member), np.arange(members)] = np.sqrt(PRIOR)
    values = np.concatenate([logs[member, fold], np.zeros(members)])
    return np.asarray(np.linalg.lstsq(known, values, rcond=None)[0][:members])


def _scores_of_forms(trials: Mapping[str, Trial]) -> dict[str, dict[str, float]]:
    """The score of each law as it was fitted, under the name FITTED, and of its other forms."""
    if not any(trial.walked for trial in trials.values()):
        return {}
    errors = {
        (name, form): made
        for name, trial in trials.items()
        if trial.errors
        for form, made in [(FITTED, trial.errors), *((form, each.errors) for form, each in trial.forms.items())]
    }
    labels = list(dict.fromkeys(label for made in errors.values() for label in made))
    made_of = [[made.get(label, np.nan) for label in labels] for made in errors.values()]
    logs = np.log(np.maximum(np.array(made_of), EXACT))
    found: dict[str, dict[str, float]] = {}
    for (name, form), score in zip(errors, common_scores(logs), strict=True):
        found.setdefault(name, {})[form] = float(np.exp(score))
    return found


def _weights_of_forms(trials: Mapping[str, Trial]) -> dict[str, dict[str, float]]:
    """score^-POWER of every form of every law, without those that are too small to matter beside the best of all."""
    scored = _scores_of_forms(trials)
    best = {name: min(forms.values()) for name, forms in scored.items()}

    def enters(name: str) -> bool:
        smaller = [best[other] for other in best if trials[other].free < trials[name].free]
        return trials[name].free <= MANY or best[name] < min(smaller, default=np.inf)

    found = {
        name: {form: score**-POWER for form, score in forms.items()} for name, forms in scored.items() if enters(name)
    }
    ahead = {
        name: {form: w for form, w in forms.items() if form not in trials[name].turning}
        for name, forms in found.items()
    }
    found = {name: forms for name, forms in ahead.items() if forms} or found
    least = LEAST * max((max(forms.values()) for forms in found.values()), default=0.0)
    kept = {name: {form: w for form, w in forms.items() if w >= least} for name, forms in found.items()}
    return {name: forms for name, forms in kept.items() if forms}
