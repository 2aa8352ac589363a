"""A plan as an answer: what to do, with intervals; then what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.answers import Shown, as_lines, place, said
from scalefit.diagnosis.checks import Check
from scalefit.fitting.cautions import how_far
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.planning.allocation.cost import SHAPE, SIZES, Rate
from scalefit.planning.allocation.surface import FLAT, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]  #: what is known of one target

MOST_BLOCKS = 3  #: targets that are told one by one; more become a table


def _flop(value: float) -> str:
    return "unlimited" if np.isinf(value) else f"{value:.3g}"


def _with_ends(row: Row, name: str, form: Callable[[float], str] = said) -> str:
    """A value with its interval, where it has one."""
    low, high = row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan)
    return form(row[name]) + (f" [{form(low)}, {form(high)}]" if low == low and high == high else "")


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Shown):
    """What :func:`scalefit.plan` found. One row of ``table`` for each target."""

    fit: Fit
    surface: Surface  #: the law with what was held, and the cost
    rate: Rate | None
    table: pd.DataFrame  #: target, C, sizes and D with their 90 % intervals, loss with its prediction interval, ...
    assumptions: tuple[str, ...]  #: law, convention, cost, intervals
    cautions: tuple[Check, ...]  #: as ``predict`` has them
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the fit has no warnings and no planned run lies too far beyond its data."""
        return self.fit.ok and not self.cautions

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The valleys of equal compute, the path of their bottoms with its band, and the targets."""
        from scalefit.plots.plan import plot_plan

        return plot_plan(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        lines: list[str] = []
        rows: list[Row] = [{str(k): v for k, v in row.dropna().items()} for _, row in self.table.iterrows()]
        if len(rows) <= MOST_BLOCKS:
            for row in rows:
                lines += [*self._block(row), ""]
        else:
            lines += [f"{len(rows)} targets:", as_lines(self._short(rows), 4), ""]
        lines += [f"plan by law {self.fit.law.spec} ({self.fit.status}); assumed:"]
        lines += [f"  {text}" for text in self.assumptions]
        checks = [check.text for check in (*self.cautions, *self.fit.warnings)]
        return [*lines, *doubted(checks), *self.notes]

    def _block(self, row: Row) -> list[str]:
        """One target, in lines."""
        if "floor" in row:
            return [f"{row['target']}: unreachable: {self._floor(row)}"]
        answer = []
        if "aim" in row and "C" in row:
            what = "compute" if self.surface.free else "its compute"
            answer.append(f"{what} {_with_ends(row, 'C', _flop)} FLOP")
        answer += [f"{name} {_with_ends(row, name)}" for name in self._chosen(row)]
        ends = f" [{row['low']:.4g}, {row['high']:.4g}]" if "low" in row else ""
        answer.append(f"{self.fit.target} {row['loss']:.5g}{ends}")
        lines = [f"{row['target']}: {', '.join(answer)}"]
        ratio = row.get("tokens_per_parameter")
        lines += [f"  {ratio:.3g} tokens per parameter"] if ratio else []
        if "flat_low" in row:
            reach = f"{said(row['flat_low'])} to {said(row['flat_high'])}"
            lines.append(f"  flat valley: {self.surface.free[0]} from {reach} is within {100 * FLAT:g} % of that loss")
        if "overhead" in row:
            lines.append(f"  {row['overhead']:.3g} times the least compute that reaches this loss")
        if "C_training" in row:
            lines.append(f"  of it {_flop(row['C_training'])} FLOP of training")
        if "saving" in row:
            lines.append(f"  {100 * row['saving']:.2g} % less in all than the plan of least training at that loss")
        if "gpu_hours" in row:
            price = f", at a price of {said(row['money'])}" if "money" in row else ""
            lines.append(f"  {said(row['gpu_hours'])} GPU-hours{price}")
        return [*lines, f"  {how_far(self.fit, {**self.surface.held, **row})}{self._times_the_compute(row)}"]

    def _times_the_compute(self, row: Row) -> str:
        """The training's compute over that of the dearest fitted run, where it is beyond and all of these are kept."""
        seen = {column: np.array(self.fit.points.variables[name]) for name, column in self.fit.law.columns.items()}
        if "C" not in row or not self.surface.has_budget or min(map(len, seen.values())) < self.fit.rows:
            return ""
        dearest = float(np.max(self.surface.cost.of_training({**self.surface.held, **seen})))
        times = float(f"{row.get('C_training', row['C']) / dearest:.2g}")
        return f" ({said(times)} times their largest compute)" if 1 < times < np.inf else ""

    def _chosen(self, row: Row) -> list[str]:
        """The columns that the plan chose, in the law's order."""
        return [name for name in (*SIZES, "precision", "D") if name in row and name not in self.surface.held]

    def _floor(self, row: Row) -> str:
        """The least loss of the law, by the name of its parameter where it is one."""
        name = floor_name(self.fit, row["floor"])
        what = f"{name} is" if name else "the least loss that the law allows is"
        if not name and self.surface.held:
            what = f"with {place(self.surface.held)} {what}"
        ends = f" [{row['floor_low']:.4g}, {row['floor_high']:.4g}]" if "floor_low" in row else ""
        return f"{what} {row['floor']:.4g}{ends}"

    def _short(self, rows: list[Row]) -> pd.DataFrame:
        """Several targets as a table of texts."""
        found = []
        for row in rows:
            short = {"target": row["target"]}
            if "floor" in row:
                found.append(short | {"note": f"unreachable: {self._floor(row)}"})
                continue
            if "aim" in row and "C" in row:
                short["C"] = _with_ends(row, "C", _flop)
            short |= {name: _with_ends(row, name) for name in self._chosen(row)}
            ends = f" [{row['low']:.4g}, {row['high']:.4g}]" if "low" in row else ""
            short[self.fit.target] = f"{row['loss']:.4g}{ends}"
            short["decades_beyond"] = f"{row['decades_beyond']:.2f}"
            found.append(short)
        return pd.DataFrame(found).fillna("")


def floor_name(fit: Fit, floor: float) -> str:
    """The law's irreducible loss, where that is the least loss with what is held; else ""."""
    name = fit.law.irreducible
    return name if name and abs(fit.parameters[name] - floor) < 1e-6 else ""


def assumptions(fit: Fit, surface: Surface, rate: Rate | None) -> tuple[str, ...]:
    """What a plan rests on, in sentences."""
    law = fit.law
    lines = [f"law: {law.equation}, fitted to {fit.rows} rows of {fit.runs} runs"]
    sizes = {column: law.variables[name] for name, column in law.columns.items() if column in SIZES}
    lines += [f"{column}: {variable.meaning}, counted as in the fitted runs" for column, variable in sizes.items()]
    if surface.has_budget:
        lines.append(f"cost in FLOP: {surface.cost.text}")
    if surface.held:
        lines.append(f"held: {place(surface.held)}")
    if {*SHAPE, "N"} <= {*surface.held}:
        lines.append("width and depth that are held give the size, N = 12 n_layer d_model^2 unless N is given")
    if rate is not None:
        lines.append(f"GPU: {rate.text}")
    if fit.intervals is None:
        return (*lines, f"no intervals: {fit.no_intervals}")
    draws = f"{len(fit.intervals.draws)} refits to resampled runs"
    lines.append(f"90 % intervals of sizes, data and compute: from {draws}, as if the law held at that scale")
    return (*lines, "interval of the loss: the prediction interval of one run, as scalefit predict gives it")
