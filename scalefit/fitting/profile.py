"""Profile intervals of a law's parameters on run logs, by :mod:`scalefit.uncertainty.profile`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.prepare import Options, prepare
from scalefit.laws import Law
from scalefit.runs import Runs, runs_of
from scalefit.solver.solve import solve
from scalefit.uncertainty.profile import Search, interval


def profile(
    runs: Runs | pd.DataFrame,
    law: str | Law | type[Law],
    names: Sequence[str] = (),
    *,
    level: float = 0.9,
    **options: Any,
) -> pd.DataFrame:
    """Profile intervals of parameters: value, low, high, and at which side the domain ends first (``open``).

    ``names`` are the parameters, by default all free ones; options are those of :func:`scalefit.fit`. Method:
    :mod:`scalefit.uncertainty.profile`. Raises :class:`InputError` for curves, an unknown name, or a fit that did not
    converge.

    >>> import numpy as np
    >>> x = np.linspace(1, 9, 30)
    >>> noise = 0.1 * np.random.default_rng(0).standard_normal(30)
    >>> runs = pd.DataFrame({"x": x, "y": 3 + 2 * x + noise})
    >>> found = profile(runs, "y = a + b*x", ["b"], residuals="linear")
    >>> bool(found.loc["b", "low"] < 2 < found.loc["b", "high"])
    True
    """
    logs = runs_of(runs)
    ready = prepare(logs, law, Options(**options))
    if not 0 < level < 1:
        raise InputError(f"level {level}", where="profile", todo="give 0 < level < 1")
    if int(ready.rows.run_codes.max()) + 1 < len(ready.rows):
        todo = "use intervals from draws, or fit one row per run"
        raise InputError("rows of one curve are not independent", where="profile", todo=todo)
    free = [coordinate.name for coordinate in ready.model.coordinates]
    for name in names:
        if name not in free:
            todo = f"choose among {', '.join(free)}"
            raise InputError(f'"{name}" is not a free parameter', where="profile", todo=todo)
    solution = solve(ready.model, ready.values, ready.weights, ready.settings, ready.start)
    if not solution.converged:
        raise InputError("the fit did not converge", where="profile", todo="raise --starts, or give --start values")
    rows = [
        interval(Search(ready.model, ready.values, ready.weights, solution, free.index(name)), level)
        for name in names or free
    ]
    return pd.DataFrame(rows).set_index("parameter")
