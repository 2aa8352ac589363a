"""Residuals that cluster by the levels of a column: runs of one size, budget or setting that lie off the law alike."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.unread import RECIPE, by_run
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows
from scalefit.runs import Runs
from scalefit.runs.settings import is_setting
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.levels import Levels, clustered

LARGE = 0.01  #: relative scatter between levels from which it is reported
SEEDS = ("seed", "data_seed")


def clusters(law: Law, model: BoundLaw, rows: Rows, runs: Runs, solution: Solution) -> Levels | None:
    """The column by whose levels the residuals cluster beyond chance: a variable of the law, compute, or a setting."""
    if law.is_trajectory:
        return None
    columns: dict[str, pd.Series | FloatArray] = {
        column: rows.variables[name] for name, column in law.columns.items() if rows.variables[name].ndim == 1
    }
    if columns.keys() >= {"N", "D"}:
        columns.setdefault("C", np.asarray(columns["N"]) * np.asarray(columns["D"]))
    for name in map(str, runs.table.columns):
        if name in columns or name == law.target:
            continue
        if name in (*RECIPE, *SEEDS) or is_setting(name, runs.table[name]):
            columns[name] = by_run(runs, rows, name)
    return clustered(model, rows, solution, columns)


def clustered_residuals(levels: Levels | None, unit: float) -> list[Check]:
    """A warning where runs of one level err alike, by much. ``unit`` is the size of a residual of 1."""
    if levels is None or not (levels.dominate and levels.between > LARGE * unit):
        return []
    size = f"{100 * levels.between / unit:.2g} %"
    text = f"the residuals cluster by {levels.column}: its {levels.count} levels lie off the law by {size} (standard "
    text += f"deviation), the runs of one level scatter by {100 * levels.within / unit:.2g} %: a run at another "
    text += f"{levels.column} will be off by as much, and the intervals allow for that"
    todo = f"check the runs of the levels that lie off, fit a law with another term, or add levels of {levels.column}"
    return [Check("clustered", f"{text}; {todo}")]
