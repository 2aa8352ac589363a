"""The recipe of the fitted runs that the law does not read, and the warning for a prediction at another recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import ALIKE, Check
from scalefit.laws.identification import move_together
from scalefit.laws.law import Law
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, runs_of
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
SCALES = ("N", "D", "C")  #: scales of training, of which two give the third
TIED = 0.1  #: scatter, in decades, up to which one scale follows another
STILL = 0.01  #: exponent below which the other scale is one number
READS_PEAKS = ("R1",)  #: variables of laws made for several peak learning rates


def recipe_of(law: Law, rows: Rows, runs: Runs) -> dict[str, tuple[Any, ...]]:
    """Peak rates, warmups, sizes, batches, data and tokenisers of the fitted runs: (lowest, highest), or names."""
    table = runs.table[runs.table["run"].astype(str).isin(rows.names)]
    found: dict[str, tuple[Any, ...]] = {}
    if law.is_trajectory and rows.paths:
        peaks = [float(path.lr.max()) for path in rows.paths.values()]
        warmups = [path.warmup for path in rows.paths.values()]
        found |= {"peak_lr": (min(peaks), max(peaks)), "warmup": (min(warmups), max(warmups))}
    several = len(law.variables) > 1
    read = {column: rows.variables[name] for name, column in law.columns.items() if column in SCALES}
    return found | _settings(law, table) | tie_of(law, pd.DataFrame(read) if several else table)


def tie_of(law: Law, table: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    """How the scale that a law in one scale does not read follows it: {"D by N": (b, lowest, highest of D / N^b)}.

    Of a law in several scales, how D follows N where they grow together in all rows: nothing tells its terms apart
    there. Empty for other laws, where the other scale is not known, and where it varies at the same value of the first.
    """
    names, scales = _tied_names(law), _with_all_scales(table)
    if not names or not {*names} <= {*scales.columns}:
        return {}
    with np.errstate(all="ignore"):
        x, other = (np.log(scales[name].to_numpy(float)) for name in names)
    known = np.isfinite(x) & np.isfinite(other)
    if known.sum() < 2 or np.ptp(x[known]) == 0:
        return {}
    slope = float(np.polyfit(x[known], other[known], 1)[0])
    left = other[known] - slope * x[known]
    tied = np.std(left) <= TIED * np.log(10)
    if len(law.variables) > 1:
        tied = slope > 0 and move_together(*(np.exp(each[known]) for each in (x, other)))
    if not tied:
        return {}
    return {f"{names[1]} by {names[0]}": (slope, float(np.exp(left.min())), float(np.exp(left.max())))}


def _tied_names(law: Law) -> tuple[str, str] | None:
    """The scale that a law in one scale reads, and the one that it is compared with; N and D for a law in several."""
    read = [column for column in law.columns.values() if column in SCALES]
    if law.is_trajectory or not read or (len(read) == 1 and len(law.variables) > 1):
        return None
    return ("N", "D") if len(read) > 1 else (read[0], "D" if read[0] == "N" else "N")


def off_the_line(law: Law, recipe: Mapping[str, tuple[Any, ...]], asked: pd.DataFrame) -> list[Check]:
    """A warning where a point leaves the line along which size and data grew together in all fitted runs."""
    names = _tied_names(law)
    line = recipe.get(f"{names[1]} by {names[0]}") if names else None
    table = _with_all_scales(asked)
    if names is None or line is None or not {*names} <= {*table.columns}:
        return []
    slope, low, high = line
    with np.errstate(all="ignore"):
        place = table[names[1]].to_numpy(float) / table[names[0]].to_numpy(float) ** slope
        off = np.maximum(place / high, low / place)
    row = int(np.argmax(np.nan_to_num(off)))
    if not off[row] > SHAPE:
        return []
    (x, other), middle = names, float(np.sqrt(low * high))
    power = f" {x}^{slope:.2g}".removesuffix("^1") if abs(slope) > STILL else ""
    text = f"in all fitted runs {other} = {middle:.3g}{power}, and {x} = {table[x].iloc[row]:.3g}, {other} = "
    text += f"{table[other].iloc[row]:.3g} leaves that by a factor of {off[row]:.2g}: these runs do not tell the two "
    return [Check("tied-scales", f"{text}apart, and no interval holds there; add a run of another {other}")]


def _with_all_scales(table: pd.DataFrame) -> pd.DataFrame:
    """The scales of training in a table, that which follows from two others among them."""
    found = {name: pd.to_numeric(table[name], errors="coerce") for name in SCALES if name in table.columns}
    if found.keys() == {"N", "D"}:
        found["C"] = 6.0 * found["N"] * found["D"]
    for one, other in (("N", "D"), ("D", "N")):
        if found.keys() == {"C", one}:
            found[other] = found["C"] / (6.0 * found[one])
    return pd.DataFrame(found)


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
        logs = runs_of(data)
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
