"""What plans start from: a fit, the file of one, or run logs to which a law is fitted first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from scalefit.fitting.fit import fit as fit_law
from scalefit.fitting.result import Fit
from scalefit.fitting.saved import load_fit
from scalefit.planning.allocation.cost import SIZES
from scalefit.runs import Runs, read_runs

LAW = "chinchilla"  #: fitted where run logs are given instead of a fit
DRAWS = 200
SIZED = {*SIZES, "D", "C"}  #: a law that reads one of these can be planned by


def followed(fit: Fit) -> Fit:
    """The fit that a plan follows: of a mixture whose first law has no interval, that of most weight which has one."""
    if fit.intervals is not None or fit.choice is None:
        return fit
    able = [each for each in fit.choice.others if each.intervals is not None and SIZED & {*each.law.columns.values()}]
    if not able:
        return fit
    weights = dict(fit.choice.weights)
    lead = max(able, key=lambda each: weights[each.law.spec])
    rest = (replace(fit, choice=None), *(other for other in fit.choice.others if other is not lead))
    order = {each.law.spec: weights[each.law.spec] for each in (lead, *rest)}
    return replace(lead, choice=replace(fit.choice, weights=order, others=rest))


def fit_of(source: Any, law: str, draws: int, seed: int) -> Fit:
    """A fit, the one in a file, or that of a law to run logs."""
    if isinstance(source, Fit):
        return source
    if isinstance(source, str | Path) and Path(source).suffix == ".json":
        return load_fit(source)
    runs = source if isinstance(source, Runs) else read_runs(source)
    return fit_law(runs, law, draws=draws, seed=seed)
