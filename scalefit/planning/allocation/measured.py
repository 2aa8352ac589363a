"""A cost fitted to what runs measured: FLOP, or GPU-hours, as a power of the size for each token.

    measured = a size^b D

by least squares in the logarithm. Hours become the FLOP of 6 N D at the throughput of these runs, so that budgets in
hours and in FLOP both mean something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.planning.allocation.cost import SIZES, TRAINING, Cost, Rate, cost_of
from scalefit.runs import runs_of
from scalefit.runs.quantities import compute_unit

FITTED = "fitted:"
FEWEST = 3  #: runs
#: hours in a unit of time, by a word of the column's name
HOURS = {
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 1.0),
    **dict.fromkeys(("minutes", "minute", "mins", "min"), 1 / 60),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1 / 3600),
    **dict.fromkeys(("days", "day"), 24.0),
}
MOST_OFF = 1e3  #: measured FLOP that are further from 6 N D than this factor, either way, count something else
SPEEDS = (1e5, 1e22)  #: FLOP/s; times that mean others are no times of training


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
    unit = None if compute_unit(name.lower()) else _hours(name)
    return _fitted(table, size, name, unit, columns, given)


def _hours(name: str) -> float | None:
    """The hours in what a column counts by its name, or None where that is no time.

    >>> [_hours(name) for name in ("gpu_hours", "GPU-h", "wall_days", "days_h100", "flops", "threshold")]
    [1.0, 1.0, 24.0, 24.0, None, None]
    """
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return next((HOURS[word] for word in reversed(words) if word in HOURS), None)


def _refuse_others(table: pd.DataFrame, name: str, size: str, unit: float | None) -> None:
    """Raise InputError for values that are neither FLOP nor, by the name of their column, times of training."""
    plain = TRAINING * table["size"] * table["D"]
    found = float(np.median(table["cost"] / plain))
    todo = "give a column of FLOP, or one of times whose name says their unit, such as gpu_hours"
    if re.search(r"/|(?<![a-z])per(?![a-z])", name.lower()) and not compute_unit(name.lower()):
        raise InputError(f'"{name}" is a rate by its name', where="cost", todo=todo)
    if unit is None and not 1 / MOST_OFF <= found <= MOST_OFF:
        raise InputError(f'"{name}" is {found:.2g} times 6 {size} D: it does not count FLOP', where="cost", todo=todo)
    if unit is not None and not SPEEDS[0] <= 1 / (found * unit * 3600) <= SPEEDS[1]:
        what = f'"{name}" would mean {1 / (found * unit * 3600):.2g} FLOP/s: it does not count a time of training'
        raise InputError(what, where="cost", todo=todo)


def _fitted(
    table: pd.DataFrame, size: str, name: str, unit: float | None, columns: tuple[str, ...], given: Mapping[str, float]
) -> tuple[Cost, Rate | None]:
    """The cost of size and data that these runs measured."""
    if len(table) < FEWEST or table["size"].nunique() < 2:
        what = f"{len(table)} runs of {table['size'].nunique()} sizes measured {name}"
        raise InputError(what, where="cost", todo="give three or more runs of two or more sizes")
    _refuse_others(table, name, size, unit)
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
