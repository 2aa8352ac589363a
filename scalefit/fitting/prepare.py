"""What a fit begins with: the law as the data complete it, checked rows, parameters bound, and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.checks import check_identified, check_rows
from scalefit.fitting.model import BoundLaw, bind
from scalefit.fitting.rows import Points, Rows, gather
from scalefit.fitting.solver import Settings
from scalefit.laws import Law, find_law
from scalefit.laws.formula import FormulaLaw
from scalefit.numerics import FloatArray
from scalefit.runs import Runs
from scalefit.runs.table import DERIVED

SCALES = ("N", "D", "C", "x", "step", "tokens")


@dataclass(frozen=True)
class Prepared:
    """A law bound to checked rows, and how to fit it."""

    law: Law
    runs: Runs
    rows: Rows
    values: FloatArray
    weights: FloatArray | None
    model: BoundLaw
    settings: Settings
    start: FloatArray | None
    target: str
    given: Mapping[str, Any]
    doubts: tuple[str, ...]

    @property
    def free(self) -> int:
        """How many parameters are free."""
        return len(self.model.coordinates)


def prepare(
    runs: Runs,
    law: str | Law | type[Law],
    *,
    target: str | None = None,
    residuals: Literal["log", "linear"] | None = None,
    loss: Literal["huber", "squared", "soft_l1"] = "huber",
    delta: float | Literal["auto"] = "auto",
    weights: str | None = None,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    parameters: Any = None,
    start: Mapping[str, float] | pd.DataFrame | None = None,
    starts: int = 8,
    points: Points = "auto",
    drop_diverged: bool = False,
    force: bool = False,
) -> Prepared:
    """Check and bind everything that a fit needs; the arguments are those of :func:`scalefit.fit`."""
    chosen = resolve(find_law(law), runs)
    residuals = residuals or ("log" if chosen.log_residuals else "linear")
    rows = gather(chosen, runs, target=target, points=points)
    rows = check_rows(chosen, rows, runs, residuals == "log", drop_diverged)
    given = _settings_of(parameters, fix, tie, bounds, start)
    mentioned = given["tie"].keys() | given["bounds"].keys()
    given["fix"] = {name: v for name, v in chosen.held.items() if name not in mentioned} | given["fix"]
    weight = _weights(weights, rows, runs)
    if weight is not None and not weight.all():
        rows = rows.keep(weight > 0, f"{int(np.sum(weight == 0))} rows of weight 0 left out")
        weight = weight[weight > 0]
    model = bind(chosen, rows.variables, fix=given["fix"], tie=given["tie"], bounds=given["bounds"])
    doubts: tuple[str, ...] = ()
    try:
        check_identified(chosen, rows, len(model.coordinates))
        chosen.check_fixed(rows.variables, rows.values, model.fixed)
    except InputError as error:
        if not force or len(rows) < len(model.coordinates):
            raise
        doubts = (str(error),)
    assert rows.values is not None
    return Prepared(
        chosen,
        runs,
        rows,
        rows.values,
        weight,
        model,
        Settings(residuals, loss, delta, starts),
        _starts(model, given["start"]),
        target or chosen.target,
        given,
        doubts,
    )


def resolve(law: Law, runs: Runs) -> Law:
    """The law with what only the data can tell: the x of a law in one variable, the columns of a formula."""
    if isinstance(law, FormulaLaw):
        return law.with_columns(_column_names(runs))
    if "x" not in law.variables or law.options.get("over"):
        return law
    varying = [name for name in scales_of(runs) if name in _column_names(runs)]
    if len(varying) != 1:
        seen = f"{' and '.join(varying)} vary" if varying else f"none of {', '.join(SCALES)} varies"
        choices = varying or _others_that_vary(law, runs)
        raise InputError(
            f"which column is x? {seen}",
            where=f"law {law.name}",
            todo=f"write --law {law.name}:over=COLUMN with one of {', '.join(choices)}"
            if choices
            else "add runs in which the scale that is to be x differs",
        )
    return type(law)(**{**law.options, "over": varying[0]})


def _others_that_vary(law: Law, runs: Runs) -> list[str]:
    """Columns of numbers that vary, besides what the law explains."""
    frames = [frame for frame in (runs.table, runs.curves) if frame is not None]
    numbers = dict.fromkeys(name for frame in frames for name in frame.select_dtypes("number").columns)
    return [str(name) for name in numbers if name != law.target and _varies(runs, str(name))]


def scales_of(runs: Runs) -> list[str]:
    """The columns that vary and can be the x of a law in one variable: x, or else N, D, C, step, tokens."""
    varying = {name for name in SCALES if _varies(runs, name)}
    for name, (_, sources) in DERIVED.items():
        if name not in runs.table.columns and {*sources} <= {*runs.table.columns} and varying.intersection(sources):
            varying.add(name)
    return ["x"] if "x" in varying else [name for name in SCALES if name in varying]


def _column_names(runs: Runs) -> list[str]:
    return list(dict.fromkeys([*runs.table.columns, *(runs.curves.columns if runs.curves is not None else [])]))


def _varies(runs: Runs, name: str) -> bool:
    for frame in (runs.table, runs.curves):
        if frame is not None and name in frame.columns:
            return frame[name].nunique() > 1
    return False


def _weights(column: str | None, rows: Rows, runs: Runs) -> FloatArray | None:
    if column is None:
        return None
    frame = runs.curves if rows.in_curves and runs.curves is not None else runs.table
    if column not in frame.columns:
        raise InputError(
            f'no column "{column}" for the weights', todo=f"the columns: {', '.join(map(str, frame.columns))}"
        )
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)[rows.positions]
    if not np.all(np.isfinite(values) & (values >= 0)) or not values.sum() > 0:
        row = int(np.argmin(np.isfinite(values) & (values >= 0)))
        raise InputError(
            f"weight {values[row]:g}", where=f"{rows.place(runs, row)}, column {column}", todo="weights are >= 0"
        )
    return np.asarray(values)


def _settings_of(
    parameters: Any,
    fix: Mapping[str, float] | None,
    tie: Mapping[str, str] | None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None,
    start: Mapping[str, float] | pd.DataFrame | None,
) -> dict[str, Any]:
    """Fixed values, ties, bounds and start, from keywords or from ``lmfit.Parameters``."""
    found: dict[str, Any] = {"fix": dict(fix or {}), "tie": dict(tie or {}), "bounds": dict(bounds or {})}
    found["start"] = start
    if parameters is None:
        return found
    begin = {}
    for name, parameter in parameters.items():
        if parameter.expr:
            found["tie"].setdefault(name, parameter.expr)
        elif not parameter.vary:
            found["fix"].setdefault(name, float(parameter.value))
        else:
            limits = [float(v) if np.isfinite(v) else None for v in (parameter.min, parameter.max)]
            if limits != [None, None]:
                found["bounds"].setdefault(name, tuple(limits))
            if np.isfinite(parameter.value):
                begin[name] = float(parameter.value)
    if start is None and begin:
        found["start"] = begin
    return found


def _starts(model: BoundLaw, start: Mapping[str, float] | pd.DataFrame | None) -> FloatArray | None:
    """Given starts as coordinates; parameters that are not named begin in the middle of their range."""
    if start is None:
        return None
    table = start if isinstance(start, pd.DataFrame) else pd.DataFrame([dict(start)])
    for name in table.columns:
        if name not in model.law.parameters:
            raise InputError(
                f'law {model.law.name} has no parameter "{name}"',
                where="start",
                todo=f"it has {', '.join(model.law.parameters)}",
            )
    theta = np.empty((len(table), len(model.coordinates)))
    for j, coordinate in enumerate(model.coordinates):
        if coordinate.name in table.columns:
            values = pd.to_numeric(table[coordinate.name], errors="coerce").to_numpy(dtype=np.float64)
            if not np.isfinite(values).all():
                raise InputError("not a finite number", where=f"start of {coordinate.name}", todo="give numbers")
            theta[:, j] = np.log(np.maximum(values, np.exp(coordinate.low))) if coordinate.log else values
        else:
            theta[:, j] = 0.5 * (coordinate.start[0] + coordinate.start[1])
    return theta
