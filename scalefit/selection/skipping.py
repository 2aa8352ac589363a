"""The first steps of curves that no law of their kind describes: how many of them a law is better fitted without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.fitting.prepare import Options
from scalefit.laws import Law
from scalefit.runs import Runs
from scalefit.selection.trials import OF_A_FIT, Ready

EARLY = 1 / 3  #: part of the longest run that can be its first steps
TRIED = 12  #: numbers of steps that are tried, evenly spaced in the logarithm
GAIN = 10.0  #: twice the gain in log-likelihood of the later rows that skipping further must bring


def first_steps_of(runs: Runs, law: Law, options: Mapping[str, Any]) -> int:
    """The fewest steps without which a law fits the later rows as well as it does without any more; 0 for none.

    The later rows are those of the last two thirds, the same for every number of steps. A law that is fitted to first
    steps which it does not describe bends to them, and misses the later rows.
    """
    asked = Options(**{name: value for name, value in options.items() if name not in OF_A_FIT})
    ready = Ready.of(runs, law, asked)
    steps = ready.prepared.rows.frame["step"].to_numpy()
    most = EARLY * float(steps.max())
    late = steps > most
    cuts = [0, *np.unique(np.geomspace(max(float(steps.min()), 1.0), most, TRIED).astype(int)).tolist()]
    squares, reached = [], []
    for cut, solution in zip(cuts, ready.solved_on([steps > cut for cut in cuts]), strict=True):
        if solution is None:
            break  # the rows that are left do not identify the law
        misses = np.abs(ready.misses(late, ready.prepared, solution))
        squares.append(max(float(np.mean(np.minimum(misses, np.quantile(misses, 0.99)) ** 2)), 1e-30))
        reached.append(cut)
    if not squares:
        return 0
    lost = late.sum() * np.log(np.array(squares) / min(squares))
    return int(reached[int(np.argmax(lost < GAIN))])
