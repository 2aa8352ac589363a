"""Which runs a prediction depends on: the fit repeated without each run, in one batch of the same solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.leverage import expected_changes, leverage_of
from scalefit.laws.law import Law
from scalefit.numerics import MAD_TO_SIGMA, FloatArray
from scalefit.rows.door import SAME, distinct_schedules
from scalefit.rows.points import Points
from scalefit.rows.rows import Rows
from scalefit.rows.scale import GROWS_WITH_DATA, reads_scale, scale_of
from scalefit.solver.derivatives import second_derivatives
from scalefit.solver.descent import refit
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.calibration import student
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.intervals import Intervals

MOST_RUNS = 300  #: runs that are left out in turn; of more, an evenly spaced choice
MOST_ROWS = 4000
FEWEST = 5  #: runs below which the usual change of the prediction is not known
CHANCE = 0.01  #: share of sets of runs that follow the law in which one may be called influential
ALONE, NOISES = 0.9, 3.0  #: share of the prediction's variance above which it rests on one run; least change then
MATTERS = 0.1  #: runs with less than this share of the largest expected change do not enter the noise
MOST_NAMED = 3
LEAST = 0.003  #: relative change of the prediction from which a run can be called influential
OF_INTERVAL = 0.5  #: share of the half width of an interval, where there is one, that a change must exceed
OFF = 0.01  #: chance that the largest run of a set that follows the law is said to lie off it
OFF_BY = 0.01  #: and the least relative error
FAR = 10.0  #: influence is judged at this many times the largest fitted compute


def without_each(
    law: Law, model: BoundLaw, rows: Rows, weights: FloatArray | None, solution: Solution
) -> dict[str, tuple[float, ...]]:
    """The parameters fitted without each run, by its name; empty where the other runs do not identify the law."""
    assert rows.values is not None
    keep = slice(None, None, max(1, -(-len(rows) // MOST_ROWS)))
    codes, blocks = np.unique(rows.run_codes[keep], return_inverse=True)
    values, count = rows.values[keep], len(codes)
    if count < 2 or len(values) <= len(model.coordinates) + 1:
        return {}
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_RUNS)).astype(int))
    own = np.ones(len(values)) if weights is None else weights[keep]
    drawn = np.vstack([own, *(np.where(blocks == run, 0.0, own)[None] for run in chosen)])
    part = model.condensed_at(solution.theta).take(keep)
    start = np.repeat(solution.theta[None], len(drawn), axis=0)
    second = second_derivatives(part, solution.theta)
    ends = refit(part, solution.objective, values, drawn, start, second).theta
    ends = np.clip(ends[1:] + (solution.theta - ends[0]), model.low, model.high)  # thinning alone moves ends[0]
    table = model.vector(ends)
    names = rows.frame["run"].astype(str).to_numpy()[keep]
    first = np.unique(blocks, return_index=True)[1]
    found = {}
    for run, parameters in zip(chosen, table, strict=True):
        needed = _needed(law, rows, int(codes[run]), count)
        found[str(names[first[run]])] = () if needed else tuple(parameters.tolist())
    return found


def _needed(law: Law, rows: Rows, run: int, count: int) -> bool:
    """Whether the law is not identified without a run."""
    codes = rows.run_codes
    if law.is_trajectory:
        name = str(rows.frame["run"].astype(str).iloc[int(np.argmax(codes == run))])
        others = [path for other, path in rows.paths.items() if other != name]
        return count <= 2 * law.schedules_needed + 2 and distinct_schedules(others) < law.schedules_needed
    for name, variable in law.variables.items():
        values = rows.variables[name]
        if not variable.may_be_constant and values.ndim == 1:
            rest = values[codes != run]
            if np.ptp(rest) <= SAME * max(abs(float(rest[0])), 1e-300):
                return True
    return False


def usual_target(law: Law, rows: Rows) -> dict[str, FloatArray]:
    """The point at which influence is judged unless one is given: variables, one value each.

    Ten times the largest fitted compute (N and D each grow by the root of ten); the end of the longest run for laws
    along the schedule; the row with the lowest measured value for laws that read neither size nor data.
    """
    assert rows.values is not None
    variables, columns = rows.variables, law.columns
    grow = {name: FAR if c == "C" else FAR**0.5 for name, c in columns.items() if c in ("C", "N", *GROWS_WITH_DATA)}
    if law.is_trajectory:  # of runs of equal length the one with the lowest loss
        at, grow = int(np.argmax(rows.frame["step"].to_numpy() - 1e-9 * rows.values / rows.values.max())), {}
    else:
        at = int(np.argmax(scale_of(law, dict(variables)))) if grow else int(np.argmin(rows.values))
    return {name: np.asarray(values[at : at + 1] * grow.get(name, 1.0)) for name, values in variables.items()}


@dataclass(frozen=True)
class Influence:
    """The fit repeated without each run, and how a prediction changes."""

    estimate: Estimate
    without: Mapping[str, tuple[float, ...]]  #: parameters fitted without each run; empty where they are not identified
    points: Points  #: the fitted rows
    free: int  #: free parameters
    intervals: Intervals | None

    def changes(self, variables: Mapping[str, Any]) -> pd.DataFrame:
        """How much the prediction at one point changes when each run is left out, the largest change first.

        ``change`` is relative (absolute for linear residuals); ``by_chance`` its usual size if the run follows the law
        (:func:`scalefit.diagnosis.leverage.expected_changes` times the noise); ``influential`` whether it exceeds the
        noise, half of the width of the prediction's interval where there is one, and either chance or, if the
        prediction rests on the run ``alone``, a lower limit: see :func:`standing_out`.
        """
        fit = self.estimate
        here = float(np.ravel(fit.value(variables))[0])
        unknown = (np.nan,) * len(fit.parameters)
        table = np.array([refit or unknown for refit in self.without.values()]).reshape(len(self.without), -1)
        there = fit.values(variables, table)[:, 0]
        change = there / here - 1 if fit.log else there - here
        expected = expected_changes(fit, self.without, self.points, variables)
        by_chance, alone, far = standing_out(change, expected, fit.sigma, self._least(variables, here), self.free)
        columns = {"prediction": there, "change": change, "by_chance": by_chance, "alone": alone, "influential": far}
        order = np.argsort(-np.abs(np.nan_to_num(change, nan=np.inf)), kind="stable")
        return pd.DataFrame({"run": list(self.without), **columns}).iloc[order].set_index("run")

    def _least(self, variables: Mapping[str, Any], here: float) -> float:
        """The least change for which a run can be called influential."""
        fit = self.estimate
        least = max(1.645 * fit.sigma, LEAST * (1.0 if fit.log else abs(here)))
        if self.intervals is None:
            return least
        point = {name: np.asarray(values) for name, values in variables.items()}
        low, high = (float(np.ravel(end)[0]) for end in self.intervals.at(fit, point, 0.9, "mean"))
        return max(least, OF_INTERVAL * (high - low) / 2 / (abs(here) if fit.log else 1.0))

    def largest(self, variables: Mapping[str, Any]) -> list[Check]:
        """A warning where the largest run does not lie where the others predict it; ``variables``: a point beyond.

        A forecast rests on that run more than on any other, and the fit bends towards it, so that its residual tells
        little. What the others predict there scatters by the noise over sqrt(1 - h), with h its leverage; the noise is
        that of the others around their own fit.
        """
        fit, points = self.estimate, self.points
        own = self._largest_alone()
        if own is None:
            return []
        name, refit = points.runs[own], np.array([self.without[points.runs[own]]])
        fitted = {key: np.array(column) for key, column in points.variables.items()}
        made, measured = fit.values(fitted, refit)[0], np.array(points.values)
        with np.errstate(all="ignore"):
            error = np.log(measured / made) if fit.log else measured - made
        others = np.delete(error, own)
        freedom = len(others) - self.free
        at = {key: column[own : own + 1] for key, column in fitted.items()}
        pulled = expected_changes(fit, self.without, points, at)[list(self.without).index(name)]
        if freedom < 2 or not np.isfinite([*error, pulled]).all() or leverage_of(pulled) >= 1:
            return []  # where the leverage is 1 the others say nothing of this run
        noise = float(np.sqrt(np.sum(others**2) / freedom)) / np.sqrt(1 - leverage_of(pulled))
        size, unit = abs(float(error[own])), 1.0 if fit.log else float(np.median(np.abs(measured))) or 1.0
        if not size > max(student(1 - OFF, freedom) * noise, OFF_BY * unit):
            return []
        side = "above" if error[own] > 0 else "below"
        here, there = float(np.ravel(fit.value(variables))[0]), float(np.ravel(fit.values(variables, refit))[0])
        text = f"the largest run, {name}, lies {100 * size / unit:.2g} % {side} what the others predict, "
        text += (
            f"{size / noise:.2g} times their error: the forecast at {point(fit.law, variables)} is {here:.4g} with it"
        )
        return [Check("largest-run", f"{text}, {there:.4g} without; check that run, or add one like it")]

    def _largest_alone(self) -> int | None:
        """The position of the largest of the fitted rows, where each is a run and no other is as large."""
        if self.points.steps is not None or len(set(self.points.runs)) < len(self.points.runs):
            return None
        scale = scale_of(self.estimate.law, {key: np.array(column) for key, column in self.points.variables.items()})
        own = int(np.argmax(scale))
        known = self.without.get(self.points.runs[own]) and np.sum(scale > scale[own] - 1e-9) == 1
        return own if known and reads_scale(self.estimate.law) else None

    def checks(self, variables: Mapping[str, Any]) -> list[Check]:
        """A warning where the prediction at a point depends on single runs."""
        if not self.without:
            return []
        changes = self.changes(variables)
        found = changes[changes["influential"]]
        if found.empty:
            return []
        here = float(np.ravel(self.estimate.value(variables))[0])
        unit, suffix = (100.0, " %") if self.estimate.log else (1.0, "")
        texts = [
            f"without {run} it is {row['prediction']:.4g} ({unit * row['change']:+.2g}{suffix}; "
            + ("no other run lies near it)" if row["alone"] else f"usual change {unit * row['by_chance']:.1g}{suffix})")
            for run, row in found.head(MOST_NAMED).iterrows()
        ]
        more = f" and {len(found) - MOST_NAMED} more, see Fit.influence" if len(found) > MOST_NAMED else ""
        count = "one run" if len(found) == 1 else f"{len(found)} single runs"
        text = f"the prediction {here:.4g} at {point(self.estimate.law, variables)} depends on {count}: "
        return [Check("influential", f"{text}{', '.join(texts)}{more}; check the runs, or add runs like them")]


def standing_out(
    change: FloatArray, expected: FloatArray, sigma: float, least: float, parameters: int = 1
) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """The usual size of each change (n,), on which runs the prediction rests alone, and which changes stand out.

    ``expected`` are the usual sizes for unit noise. The noise is sigma, or, where larger, that of the changes
    themselves (errors along a curve are correlated). A change stands out if it exceeds ``least`` (the noise of one
    measurement) and either exceeds Student's t at a level reached in one of 100 sets of runs, or belongs to a run with
    more than nine tenths of the prediction's variance. With fewer than five runs nothing stands out.

    >>> change = np.array([0.001, -0.001, 0.002, 0.001, -0.002, 0.001, 0.1])
    >>> standing_out(change, np.ones(7), 0.001, 0.003)[2].tolist()
    [False, False, False, False, False, False, True]
    """
    known = np.isfinite(change) & np.isfinite(expected) & (expected > 0)
    if known.sum() < FEWEST:
        return np.full(len(change), np.nan), np.zeros(len(change), bool), np.zeros(len(change), bool)
    square = np.where(known, expected, 0.0) ** 2
    alone = square > ALONE * square.sum()
    matters = known & (square >= MATTERS**2 * square.max())
    sizes = np.abs(change[matters] / expected[matters])
    noise = max(sigma, float(MAD_TO_SIGMA * np.median(sizes)) if len(sizes) >= FEWEST else 0.0)
    by_chance = np.where(known, noise * expected, np.nan)
    limit = student(1 - CHANCE / int(known.sum()), max(int(known.sum()) - parameters, 2))
    size = np.where(known, np.abs(change), 0.0)
    far = (size > least) & (alone & (size > NOISES * sigma) | known & (size > limit * np.nan_to_num(by_chance)))
    return by_chance, alone, far


def point(law: Law, variables: Mapping[str, Any]) -> str:
    """A point as "N = 1e+09, D = 2e+10"."""
    single = {column: np.ravel(variables[name]) for name, column in law.columns.items()}
    return ", ".join(f"{column} = {values[0]:.3g}" for column, values in single.items() if len(values) == 1)
