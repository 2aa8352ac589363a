"""The first steps of curves that no law of their kind describes: how many of them a law is better fitted without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.diagnosis.phases import first_steps
from scalefit.fitting.prepare import Options
from scalefit.laws import Law
from scalefit.runs import Runs
from scalefit.selection.trials import OF_A_FIT, Ready
from scalefit.solver.solve import Solution
from scalefit.uncertainty.pieces import piece_length

EARLY = 1 / 3  #: part of the longest run that can be its first steps
TRIED = 12  #: numbers of steps that are tried, evenly spaced in the logarithm
GAIN = 10.0  #: twice the gain in log-likelihood of the later rows that skipping further must bring


def first_steps_of(runs: Runs, law: Law, options: Mapping[str, Any]) -> int:
    """The fewest steps without which a law fits the later rows as well as it does without any more; 0 for none.

    The later rows are those of the last two thirds, the same for every number of steps; they count by pieces as long as
    their errors are correlated. A law that is fitted to first steps which it does not describe bends to them, and
    misses the later rows. First steps are kept that do not lie off the law which is fitted without them: what it misses
    of the later rows is something else.
    """
    asked = Options(**{name: value for name, value in options.items() if name not in OF_A_FIT})
    ready = Ready.of(runs, law, asked)
    rows = ready.prepared.rows
    steps = rows.frame["step"].to_numpy()
    most = EARLY * float(steps.max())
    late = steps > most
    cuts = [0, *np.unique(np.geomspace(max(float(steps.min()), 1.0), most, TRIED).astype(int)).tolist()]
    squares, without, lasting = [], [], 1.0
    for solution in ready.solved_on([steps > cut for cut in cuts]):
        if solution is None:
            break  # the rows that are left do not identify the law
        misses = ready.misses(late, ready.prepared, solution)
        size = np.abs(misses)
        squares.append(max(float(np.mean(np.minimum(size, np.quantile(size, 0.99)) ** 2)), 1e-30))
        without.append(solution)
        lasting = max(piece_length(misses, rows.run_codes[late]), 1.0)
    if not squares:
        return 0
    lost = late.sum() / lasting * np.log(np.array(squares) / min(squares))
    best = int(np.argmax(lost < GAIN))
    return int(cuts[best]) if best and _off(ready, without[best]) else 0


def _off(ready: Ready, solution: Solution) -> bool:
    """Whether first steps lie off a law that was fitted without them."""
    rows = ready.prepared.rows
    every = np.ones(len(rows.run_codes), dtype=bool)
    misses = ready.misses(every, ready.prepared, solution) * ready.unit(solution)
    return first_steps(rows.run_codes, rows.frame["step"].to_numpy(), misses) > 0
