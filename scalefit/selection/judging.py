"""Laws weighed by their errors on the same held-out rows; where none can be held out, by misfit and parameters.

The score of a law is the geometric mean, over the folds, of its mean absolute error relative to the median law's; its
weight is score^-2, and zero below a share of the best. Of public data sets (docs/choosing.md names those on which this
was chosen and those that were not looked at) such a mixture is closer than the law with the least score, and about as
close as the best single law in hindsight: back-tests rank laws by few and dependent errors. A law with too many
parameters to be refitted to parts of the runs is compared with the best one on the folds that both predicted, the
largest rows alone among them; or it enters where Akaike's criterion for few rows puts it before every law that was
back-tested: with the best one's weight, times the gain in likelihood of one row. Where nothing can be held out, the
weight is misfit^-2, less the penalty for parameters: exp(-criterion / m), the criterion as if of one row.

A law with a form whose constants are drawn towards published ones (``published``) has the weights of both forms, each
by its own score; within the law they share its forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scalefit.selection.trials import Trial

POWER = 2.0  #: weights are the scores to minus this power
LEAST = 0.03  #: share of the best weight below which a law is left out of the mixture
TESTED = 0.5  #: share of all folds that a law must have predicted to be compared with the others
EXACT = 1e-9  #: errors below this are rounding


def scores(trials: Mapping[str, Trial]) -> dict[str, float]:
    """The score of each law that predicted enough of the folds, the least first; empty without folds."""
    labels = {label for trial in trials.values() for label in trial.walked}
    tried = {name: trial for name, trial in trials.items() if len(trial.walked) >= TESTED * max(len(labels), 1)}
    if not labels or not tried:
        return {}
    usual = _usual(trials)
    found = {name: _score(trial.walked, usual) for name, trial in tried.items()}
    return dict(sorted(found.items(), key=lambda each: each[1]))


def _usual(trials: Mapping[str, Trial]) -> dict[str, float]:
    """The error of the median law in each fold."""
    labels = {label for trial in trials.values() for label in trial.walked}
    return {
        label: max(float(np.median([t.walked[label] for t in trials.values() if label in t.walked])), EXACT)
        for label in labels
    }


def _score(errors: Mapping[str, float], usual: Mapping[str, float]) -> float:
    return float(np.exp(np.mean([np.log(max(error, EXACT) / usual[label]) for label, error in errors.items()])))


def _drawn(trials: Mapping[str, Trial], scored: Mapping[str, float]) -> dict[str, float]:
    """The weight of the form that is drawn towards published constants, of each law that has one in every fold."""
    usual = _usual(trials)
    found = {name: {f: e for f, e in trials[name].drawn_errors.items() if f in trials[name].walked} for name in scored}
    return {
        name: _score(errors, usual) ** -POWER
        for name, errors in found.items()
        if trials[name].drawn and errors.keys() == trials[name].walked.keys()
    }


def drawn_shares(trials: Mapping[str, Trial]) -> dict[str, float]:
    """The share of each law's forecast that its form drawn towards published constants has, where it matters."""
    scored = scores(trials)
    drawn = _drawn(trials, scored)
    found = {name: weight / (weight + scored[name] ** -POWER) for name, weight in drawn.items()}
    return {name: share for name, share in found.items() if share >= LEAST}


def weigh(trials: Mapping[str, Trial]) -> tuple[dict[str, float], bool]:
    """The weight of each law in the mixture, the largest first, and whether held-out rows decided."""
    scored = scores(trials)
    if scored:
        drawn = _drawn(trials, scored)
        known = {name: score**-POWER + drawn.get(name, 0.0) for name, score in scored.items()}
        return shares({**known, **_too_large(trials, known)}), True
    each = {name: trial.criterion / trial.independent for name, trial in trials.items()}
    least = min(each.values())
    return shares({name: float(np.exp(least - criterion)) for name, criterion in each.items()}), False


def _too_large(trials: Mapping[str, Trial], known: Mapping[str, float]) -> dict[str, float]:
    """The weights of laws without a score: by the criterion, or by the folds that they share with the best law."""
    best = max(known, key=lambda name: known[name])
    least = min(trials[name].corrected for name in known)
    found = {}
    for name in trials.keys() - known.keys():
        gain = least - trials[name].corrected
        by_criterion = float(np.exp(gain)) if 0 < gain < np.inf else 0.0
        found[name] = known[best] * max(by_criterion, _on_few_folds(trials[name], trials[best]))
    return {name: weight for name, weight in found.items() if weight > 0}


def _on_few_folds(law: Trial, best: Trial) -> float:
    """The weight of a law over that of the best one by the folds that both predicted; zero where there is none.

    Errors are not counted below the noise that the law leaves, and n folds count with n / (n + 1) of the usual power.
    """
    shared = law.errors.keys() & best.errors.keys()
    if not shared:
        return 0.0
    floor = max(law.noise, EXACT)
    ratio = [np.log(np.hypot(law.errors[f], floor) / np.hypot(best.errors[f], floor)) for f in shared]
    return float(np.exp(-POWER * len(shared) / (len(shared) + 1) * np.mean(ratio)))


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights that add up to one, the largest first, without those that are too small to matter."""
    most = max(weights.values())
    kept = {name: weight for name, weight in weights.items() if weight >= LEAST * most}
    whole = sum(kept.values())
    return {name: weight / whole for name, weight in sorted(kept.items(), key=lambda each: -each[1])}


def mean_error(trial: Trial, labels: Sequence[str]) -> float:
    """The mean over folds of a law's error; NaN where it predicted none of them."""
    found = [trial.errors[label] for label in labels if label in trial.errors]
    return float(np.mean(found)) if found else float("nan")
