"""The recipe of the fitted runs that the law does not read, and the warning for a prediction at another recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import ALIKE, Check
from scalefit.laws.law import Law
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, read_runs
from scalefit.schedules import Schedule, parse_schedule

SAME = 1.02  #: numbers within this factor count as one
REACH = 2.0  #: a law made for several peak learning rates is trusted up to this factor beyond the fitted ones
STICKS = ("vocab", "tokenizer")
#: settings that a law in size does not read; numbers that vary among the fitted runs follow a rule of scaling
SETTINGS = ("peak_lr", "batch", "seq_len", "optimizer", "parametrization", "dataset", "train_dataset", "weight_decay")
#: what follows from two columns of final runs: the shape of a model, and how often its data are seen
RATIOS = {"d_model/n_layer": ("d_model", "n_layer"), "epochs": ("D", "U")}
SHAPE = 1.5  #: widths over depths, and epochs, are trusted up to this factor beyond the fitted ones
AS_NEW = 4.0  #: epochs up to which repeated data are worth nearly as much as new ones (arXiv:2305.16264)
READS_PEAKS = ("R1",)  #: variables of laws made for several peak learning rates


def recipe_of(law: Law, rows: Rows, runs: Runs) -> dict[str, tuple[Any, ...]]:
    """Peak learning rates, sizes, batches, data and tokenisers of the fitted runs: (lowest, highest), or names."""
    table = runs.table[runs.table["run"].astype(str).isin(set(rows.frame["run"].astype(str)))]
    found: dict[str, tuple[Any, ...]] = {}
    if law.is_trajectory and rows.paths:
        peaks = [float(path.lr.max()) for path in rows.paths.values()]
        found["peak_lr"] = (min(peaks), max(peaks))
    return found | _settings(law, table)


def _settings(law: Law, table: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    """The settings of the runs of a table, and the ratios of two of them that a law in size does not read."""
    found = {name: seen for name in _compared(law) if (seen := _seen(law, table, name))}
    for name, (above, below) in RATIOS.items():
        if law.is_trajectory or below in law.columns.values() or not {above, below} <= {*table.columns}:
            continue
        pair = table[[above, below]].dropna().astype(float)
        pair = pair[(pair > 0).all(axis=1)]
        if len(pair):
            ratio = pair[above] / pair[below]
            found[name] = (float(ratio.min()), float(ratio.max()))
    return found


def _compared(law: Law) -> list[str]:
    """The columns in which runs are compared."""
    return [*(ALIKE if law.is_trajectory else SETTINGS), *STICKS]


def asked_recipe(
    law: Law, data: Runs | pd.DataFrame | None, schedule: str | Schedule | None
) -> dict[str, tuple[Any, ...]]:
    """The recipe for which a prediction is asked, as far as it is known."""
    if data is not None:
        logs = data if isinstance(data, Runs) else read_runs(data, need=())
        found = _settings(law, logs.table)
        peaks = [float(logs.trajectory(run).lr.max()) for run in logs.names] if law.is_trajectory else []
        return found | ({"peak_lr": (min(peaks), max(peaks))} if peaks else {})
    if not law.is_trajectory or schedule is None:
        return {}
    plan = parse_schedule(schedule) if isinstance(schedule, str) else schedule
    return {"peak_lr": (float(plan.per_step().max()),)}


def _seen(law: Law, table: pd.DataFrame, name: str) -> tuple[Any, ...]:
    if name not in table.columns or name in law.columns.values():
        return ()
    values = table[name].dropna()
    if not len(values):
        return ()
    if pd.api.types.is_numeric_dtype(values.dtype):
        return (float(values.min()), float(values.max()))
    return tuple(sorted({str(value) for value in values}))


def another_recipe(
    law: Law, recipe: Mapping[str, tuple[Any, ...]], asked: Mapping[str, tuple[Any, ...]]
) -> list[Check]:
    """A warning where a prediction is asked for at another recipe than the fitted one."""
    found = [
        f"{name} {_shown(values)} (fitted: {_shown(fitted)})"
        for name, values in asked.items()
        if values and (fitted := recipe.get(name)) and not _covers(law, name, fitted, values)
    ]
    if not found:
        return []
    todo = "fit runs of that recipe"
    if law.is_trajectory and any(text.startswith("peak_lr") for text in found) and law.columns.get("R1") is None:
        todo += ", or fit the law annealing-transfer to runs at two or more peak learning rates"
    text = f"the prediction is for {', '.join(found)}, which the law {law.name} does not read: {todo}"
    return [Check("another-recipe", text)]


def _covers(law: Law, name: str, fitted: tuple[Any, ...], values: tuple[Any, ...]) -> bool:
    if isinstance(fitted[0], str) or isinstance(values[0], str):
        return {str(value) for value in values} <= {str(value) for value in fitted}
    if not law.is_trajectory and name in SETTINGS and float(fitted[-1]) > SAME * float(fitted[0]):
        return True
    if name in RATIOS:
        least = 0.0 if name == "epochs" else float(fitted[0]) / SHAPE
        most = max(float(fitted[-1]) * SHAPE, AS_NEW if name == "epochs" else 0.0)
        return bool(np.min(values) >= least * (1 - 1e-9) and np.max(values) <= most * (1 + 1e-9))
    reach = REACH if name == "peak_lr" and any(v in law.variables for v in READS_PEAKS) else SAME
    low, high = float(fitted[0]) / reach, float(fitted[-1]) * reach
    return bool(np.min(values) >= low * (1 - 1e-9) and np.max(values) <= high * (1 + 1e-9))


def _shown(values: tuple[Any, ...]) -> str:
    if isinstance(values[0], str):
        return ", ".join(values[:3])
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} to {high}"
