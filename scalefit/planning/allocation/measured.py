"""A cost fitted to what runs measured: FLOP, or GPU-hours, as a power of the size for each token.

    measured = a size^b D

by least squares in the logarithm. Hours become the FLOP of 6 N D at the throughput of these runs, so that budgets in
hours and in FLOP both mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.planning.allocation.cost import SIZES, TRAINING, Cost, Rate, cost_of
from scalefit.runs import runs_of

FITTED = "fitted:"
FEWEST = 3  #: runs
HOURS = {"hour": 1.0, "second": 1 / 3600, "day": 24.0}  #: units of time by a part of the column's name


def priced(
    cost: str | None, source: Any, columns: tuple[str, ...], active: float | None, given: Mapping[str, float]
) -> tuple[Cost, Rate | None]:
    """The cost model of a text; for ``fitted:COLUMN`` fitted to the runs of the source, with their rate for hours.

    Raises InputError for a source without that column.
    """
    if not cost or not cost.startswith(FITTED):
        return cost_of(cost, columns, active, given), None
    name = cost.removeprefix(FITTED).strip()
    if isinstance(source, Fit) or str(source).endswith(".json"):
        todo = "give the run logs that hold the column instead of the saved fit"
        raise InputError(f'a saved fit has no column "{name}"', where="cost", todo=todo)
    runs = runs_of(source)
    size, column = next((each for each in SIZES if each in columns), "N"), runs.column(name)
    for each in (column, size, "D"):
        if each not in runs.table.columns:
            have = ", ".join(map(str, runs.table.columns))
            raise InputError(f'no column "{each}"', where="cost", todo=f"fitted:COLUMN reads one of: {have}")
    table = runs.table[[size, "D", column]].astype(float).set_axis(["size", "D", "cost"], axis=1)
    table = table[((table > 0) & np.isfinite(table)).all(axis=1)]
    unit = next((hours for word, hours in HOURS.items() if word in name.lower()), None)
    return _fitted(table, size, name, unit, columns, given)


def _fitted(
    table: pd.DataFrame, size: str, name: str, unit: float | None, columns: tuple[str, ...], given: Mapping[str, float]
) -> tuple[Cost, Rate | None]:
    """The cost of size and data that these runs measured."""
    if len(table) < FEWEST or table["size"].nunique() < 2:
        what = f"{len(table)} runs of {table['size'].nunique()} sizes measured {name}"
        raise InputError(what, where="cost", todo="give three or more runs of two or more sizes")
    sizes, tokens, costs = (table[each].to_numpy(float) for each in ("size", "D", "cost"))
    per_token, logs = np.log(costs / tokens), np.log(sizes)
    power, height = np.polyfit(logs, per_token, 1)
    scatter = float(np.std(per_token - power * logs - height, ddof=2)) if len(table) > 2 else 0.0
    rate, text = None, f"fitted to {name} of {len(table)} runs, which scatter by {100 * scatter:.2g} %"
    if unit is not None:
        speed = float(np.exp(np.median(np.log(TRAINING * sizes) - per_token))) / (3600 * unit)
        rate = Rate(peak=speed, mfu=1.0)
        height += np.log(3600 * unit * speed)
        text += f", at {speed:.3g} FLOP/s of 6 {size} D"
    made = cost_of(f"{np.exp(height):.12g} * {size}**{power:.12g} * D", columns, 1.0, given)
    return replace(made, text=f"{np.exp(height):.3g} {size}^{power:.3g} D, {text}"), rate
