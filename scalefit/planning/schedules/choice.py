"""Which law ranks schedules, where curves are given instead of a fit: the one that misjudges their order least.

Where the curves have several runs of one length, each law is back-tested on them (refits without each run, differences
within a length). Where they have not, a back-test of theirs would judge little more than chance, and the order of the
laws on public curves decides (benchmarks/schedule_ranking.py; on its 11 groups of epfl_schedules the schedule that
multi-power ranks first lies .0007 above the best measured one, that of annealing .0053).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.errors import IdentificationError, InputError
from scalefit.fitting.fit import fit as fit_law
from scalefit.fitting.result import Fit
from scalefit.fitting.saved import load_fit
from scalefit.planning.schedules.final import resolution
from scalefit.runs import Runs, runs_of

LAWS = ("multi-power", "annealing", "annealing:decay=0.99")  #: in the order of their regret on public curves
MOST_DRAWS = 40  #: a refit of multi-power takes a second


def fitted_by_choice(runs: Runs, law: str | None, draws: int, seed: int) -> tuple[Fit, str]:
    """The fit that ranks schedules, and why it is by this law; a law that is named is fitted as it is."""
    if law is not None:
        return fit_law(runs, law, draws=draws, seed=seed), ""
    tried, refused = {}, []
    for name in LAWS:
        try:
            found = fit_law(runs, name)
        except IdentificationError as error:
            refused.append(f"{name}: {error.what}")
            continue
        if found.converged:
            tried[name] = found
    if not tried:
        todo = "give loss curves under two or more schedules"
        raise InputError("no law along the run can be fitted", where="schedules", todo=f"{todo} ({'; '.join(refused)})")
    chosen, why = _least_misjudged({name: (resolution(each), each.sigma) for name, each in tried.items()})
    return fit_law(runs, chosen, draws=min(draws, MOST_DRAWS), seed=seed), why


def _least_misjudged(scores: Mapping[str, tuple[float, float]]) -> tuple[str, str]:
    """The law chosen by its resolution and noise, and why.

    >>> _least_misjudged({"multi-power": (0.03, 0.01), "annealing": (0.02, 0.01)})[0]
    'annealing'
    >>> nothing = float("nan")
    >>> _least_misjudged({"multi-power": (nothing, 0.02), "annealing": (nothing, 0.01)})[0]
    'multi-power'
    """
    if all(np.isfinite(each) for each, _ in scores.values()):
        chosen = min(scores, key=lambda name: scores[name][0])
        texts = [f"{name} {each:.2g}" for name, (each, _) in scores.items()]
        return chosen, f"of {len(scores)} laws the one that misjudges these curves least: by up to {', '.join(texts)}"
    first = next(iter(scores))
    family = [name for name in scores if name.partition(":")[0] == first.partition(":")[0]]
    chosen = min(family, key=lambda name: scores[name][1])
    why = "these curves have too few runs of one length for a back-test, on public ones it misjudges least"
    return chosen, f"of {', '.join(scores)} the law {chosen}: {why}"


def source_of(source: Any, law: str | None, draws: int, seed: int) -> tuple[Fit, str]:
    """A fit as it is, the one in a file, or that of the law of choice to curves."""
    if isinstance(source, Fit):
        return source, ""
    if isinstance(source, str | Path) and Path(source).suffix == ".json":
        return load_fit(source), ""
    return fitted_by_choice(runs_of(source), law, draws, seed)
