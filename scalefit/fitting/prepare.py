"""What a fit starts from: its options, the law completed by the data, checked rows, bound parameters, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from scalefit.errors import InputError, counted
from scalefit.laws import Law, find_law
from scalefit.laws.registry import refuse_unknown
from scalefit.numerics import FloatArray
from scalefit.rows.door import check_identified, check_rows
from scalefit.rows.gather import Which, gather
from scalefit.rows.resolve import resolve
from scalefit.rows.rows import Rows
from scalefit.runs import Runs
from scalefit.solver.first_stage import held_by_base
from scalefit.solver.many import solve_each
from scalefit.solver.model import BoundLaw, bind
from scalefit.solver.solve import Settings, Solution, solve


@dataclass(frozen=True)
class Options:
    """The options that a fit, a back-test and a profile share; :func:`scalefit.fit` describes them."""

    target: str | None = None
    residuals: Literal["log", "linear"] | None = None
    loss: Literal["huber", "squared", "soft_l1"] = "huber"
    delta: float | Literal["auto"] = "auto"
    weights: str | None = None
    fix: Mapping[str, float] | None = None
    tie: Mapping[str, str] | None = None
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None
    parameters: Any = None
    start: Mapping[str, float] | pd.DataFrame | None = None
    starts: int = 8
    points: Which = "auto"
    drop_diverged: bool = False
    force: bool = False


@dataclass(frozen=True)
class Prepared:
    """A law bound to checked rows, and the settings of its fit."""

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


def prepare(runs: Runs, law: str | Law | type[Law], options: Options | None = None) -> Prepared:
    """Check and bind everything that a fit needs."""
    asked = options or Options()
    chosen = resolve(find_law(law), runs)
    residuals = asked.residuals or ("log" if chosen.log_residuals else "linear")
    explained = runs.column(asked.target) if asked.target else None
    rows = gather(chosen, runs, target=explained, points=asked.points)
    rows = check_rows(chosen, rows, runs, residuals == "log", asked.drop_diverged)
    given = _settings_of(asked)
    mentioned = given["tie"].keys() | given["bounds"].keys()
    held = {**chosen.held, **_earlier_stages(chosen, runs, asked)}
    settings = Settings(residuals, asked.loss, asked.delta, asked.starts)
    assert rows.values is not None
    held |= held_by_base(chosen, rows.variables, rows.values, settings)
    given["fix"] = {name: v for name, v in held.items() if name not in mentioned} | given["fix"]
    weight = _weights(asked.weights, rows, runs)
    if weight is not None and not weight.all():
        rows = rows.keep(weight > 0, f"{counted(int(np.sum(weight == 0)), 'row')} of weight 0 left out")
        weight = weight[weight > 0]
    fix, tie, bounds = given["fix"], given["tie"], given["bounds"]
    model = bind(chosen, rows.variables, fix=fix, tie=tie, bounds=bounds, position=rows.position)
    doubts: tuple[str, ...] = ()
    try:
        check_identified(chosen, rows, len(model.coordinates))
        chosen.check_fixed(rows.variables, rows.values, model.fixed)
    except InputError as error:
        if not asked.force or len(rows) < len(model.coordinates):
            raise
        doubts = (str(error),)
    assert rows.values is not None
    start, target = _starts(model, given["start"]), explained or chosen.target
    return Prepared(chosen, runs, rows, rows.values, weight, model, settings, start, target, given, doubts)


def _earlier_stages(law: Law, runs: Runs, asked: Options) -> dict[str, float]:
    """The parameters that a law takes from other laws, fitted first to the same runs."""
    first = []
    for other, column in law.stages.values():
        target = column or asked.target or law.target
        first.append(prepare(runs, other, Options(target=target, drop_diverged=True, starts=asked.starts)))
        if not first[-1].law.irreducible:
            todo = f"name a law with an irreducible loss, such as {law.name}:floors_of=chinchilla"
            raise InputError(f"{first[-1].law.name} has no irreducible loss", where=f"law {law.spec}", todo=todo)
    found = {}
    for name, stage, solution in zip(law.stages, first, _solved(first), strict=True):
        vector = stage.model.vector(solution.theta[None])[0]
        found[name] = float(vector[list(stage.law.parameters).index(stage.law.irreducible)])
    return found


def _solved(stages: Sequence[Prepared]) -> list[Solution]:
    """The fits of earlier stages: of one law to several columns as one batch. Raises InputError as each alone does."""
    if len({(stage.law.spec, stage.settings) for stage in stages}) != 1:
        return [solve(stage.model, stage.values, None, stage.settings) for stage in stages]
    jobs = ([stage.model for stage in stages], [stage.values for stage in stages], [None] * len(stages))
    found = solve_each(*jobs, stages[0].settings)
    return [
        one or solve(stage.model, stage.values, None, stage.settings) for stage, one in zip(stages, found, strict=True)
    ]


def _weights(column: str | None, rows: Rows, runs: Runs) -> FloatArray | None:
    if column is None:
        return None
    frame, column = runs.curves if rows.in_curves and runs.curves is not None else runs.table, runs.column(column)
    if column not in frame.columns:
        raise InputError(f'no column "{column}" for the weights', todo=f"choose one of {', '.join(map(str, frame))}")
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)[rows.positions]
    if not np.all(np.isfinite(values) & (values >= 0)) or not values.sum() > 0:
        row = int(np.argmin(np.isfinite(values) & (values >= 0)))
        where = f"{rows.place(runs, row)}, column {column}"
        raise InputError(f"weight {values[row]:g}", where=where, todo="give weights >= 0, one of them positive")
    return np.asarray(values)


def _settings_of(asked: Options) -> dict[str, Any]:
    """Fixed values, ties, bounds and start, from keywords or from ``lmfit.Parameters``."""
    found: dict[str, Any] = {
        "fix": dict(asked.fix or {}),
        "tie": dict(asked.tie or {}),
        "bounds": dict(asked.bounds or {}),
        "start": asked.start,
    }
    begin = {}
    for name, parameter in (asked.parameters or {}).items():
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
    if asked.start is None and begin:
        found["start"] = begin
    return found


def _starts(model: BoundLaw, start: Mapping[str, float] | pd.DataFrame | None) -> FloatArray | None:
    """Given starts as coordinates; parameters that are not named start in the middle of their range."""
    if start is None:
        return None
    table = start if isinstance(start, pd.DataFrame) else pd.DataFrame([dict(start)])
    refuse_unknown(model.law, [("start", str(name)) for name in table.columns])
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
