"""``Fit``: the immutable result of a fit. Checks first, numbers second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check, Outlier
from scalefit.diagnosis.influence import Influence
from scalefit.laws.law import Law
from scalefit.rows.points import Points
from scalefit.runs.columns import COLUMNS
from scalefit.solver.solve import Settings
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.intervals import Intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.runs import Runs
    from scalefit.schedules import Schedule

STATUSES = {
    "not-converged": "did not converge",
    "starts-disagree": "starts disagree",
    "not-identified": "not identified",
    "at-bound": "at a bound",
}


@dataclass(frozen=True)
class Starts:
    """What became of the starts: how many there were, how many agree, where the others ended."""

    count: int
    agree: int
    lost: Mapping[str, int] = field(default_factory=dict)
    iterations: int = 0


@dataclass(frozen=True)
class Fit:
    """A fitted law; see :func:`scalefit.fit`. Nothing in it changes after it is made."""

    law: Law
    target: str
    parameters: Mapping[str, float]
    settings: Settings
    delta: float  #: the robust threshold that was used
    cost: float  #: the objective at the optimum
    sigma: float  #: noise of the residuals, from their median absolute value
    starts: Starts
    converged: bool
    warnings: tuple[Check, ...]
    outliers: tuple[Outlier, ...]
    fixed: Mapping[str, float]
    ties: Mapping[str, str]
    bounds: Mapping[str, tuple[float | None, float | None]]
    rows: int
    runs: int
    ranges: Mapping[str, tuple[float, float]]  #: smallest and largest fitted value of each variable
    notes: tuple[str, ...]
    origin: tuple[Mapping[str, Any], ...]
    points: Points
    without: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  #: parameters fitted without each run
    recipe: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  #: what the law does not read, of fitted runs
    intervals: Intervals | None = None  #: draws and calibration, where draws were asked for

    def __getitem__(self, name: str) -> float:
        return self.parameters[name]

    @property
    def status(self) -> str:
        """One phrase: converged, did not converge, starts disagree, not identified, or at a bound."""
        codes = {check.code for check in self.warnings}
        return next((phrase for code, phrase in STATUSES.items() if code in codes), "converged")

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.warnings

    @property
    def table(self) -> pd.DataFrame:
        """One row a parameter: value, unit, meaning and how it was found."""
        flagged = " ".join(check.text for check in self.warnings if check.code == "at-bound")
        how = {name: f"= {text}" for name, text in self.ties.items()} | dict.fromkeys(self.fixed, "fixed")
        ends = self._ends()
        return pd.DataFrame(
            [
                {
                    "parameter": name,
                    "value": value,
                    **({"low": ends[name][0], "high": ends[name][1]} if ends else {}),
                    "unit": self.unit_of(name),
                    "meaning": self.law.parameters[name].meaning,
                    "state": how.get(name, "at bound" if f"{name} ended" in flagged else "fitted"),
                }
                for name, value in self.parameters.items()
            ]
        ).set_index("parameter")

    def unit_of(self, name: str) -> str:
        """The unit of a parameter; in that of the target where it is neither the law's own nor a loss."""
        unit = self.law.parameters[name].unit
        if self.target == self.law.target or "loss" in self.target:
            return unit
        known = COLUMNS.get(self.target)
        return unit.replace(self.law.target_unit, known.unit if known else f"unit of {self.target}")

    def _ends(self) -> dict[str, tuple[float, float]]:
        """The 90 % interval of each parameter, inside its domain."""
        if self.intervals is None:
            return {}
        found = {}
        for name, pair in self.intervals.parameter_intervals(self.parameters).items():
            parameter, given = self.law.parameters[name], self.bounds.get(name, (None, None))
            low = parameter.low if given[0] is None else given[0]
            high = parameter.high if given[1] is None else given[1]
            value = self.parameters[name]
            low, high = min(low, value), max(high, value)  # a held value may lie outside
            found[name] = (float(np.clip(pair[0], low, high)), float(np.clip(pair[1], low, high)))
        return found

    @property
    def no_intervals(self) -> str:
        """Why this fit can have no intervals; empty where it can."""
        if self.runs == 1 and self.points.steps is not None:
            return "one run: its points are not independent, and no other run shows how runs differ"
        return "" if self.converged else "the fit did not converge"

    @property
    def draws(self) -> pd.DataFrame:
        """The resampled fits, one row a draw and one column a parameter; empty without draws."""
        if self.intervals is None:
            return pd.DataFrame(columns=list(self.parameters))
        return pd.DataFrame(self.intervals.draws, columns=list(self.parameters))

    @property
    def estimate(self) -> Estimate:
        """The law with its numbers, as intervals and influence are computed from it."""
        return Estimate(self.law, self.parameters, self.settings.residuals == "log", self.sigma)

    @property
    def left_out(self) -> Influence:
        """The refits without each run, and what they say of a prediction."""
        free = len(self.parameters) - len(self.fixed) - len(self.ties)
        return Influence(self.estimate, self.without, self.points, free, self.intervals)

    def evaluate(self, variables: Mapping[str, Any]) -> np.ndarray:
        """The law's value at arrays of its own variables."""
        return self.estimate.value(variables)

    def predict(
        self,
        data: Runs | pd.DataFrame | None = None,
        *,
        schedule: str | Schedule | None = None,
        every: int | None = None,
        level: float = 0.9,
        interval: Literal["observation", "mean"] = "observation",
        **at: Any,
    ) -> pd.DataFrame:
        """Predictions for run logs, a table, one point (``N=7e9, D="2T"``) or a schedule never run.

        The result has the predicted ``loss`` and ``decades_beyond``: how far, in decades of its furthest variable,
        the point lies outside what was fitted. A fit with draws adds ``low`` and ``high``, between which a new
        observation falls with probability ``level`` (``interval="mean"``: the law's own value, without the noise).
        """
        from scalefit.fitting.prediction import predict

        return predict(self, data, schedule=schedule, every=every, at=at, level=level, interval=interval)

    def influence(
        self, data: Runs | pd.DataFrame | None = None, *, schedule: str | Schedule | None = None, **at: Any
    ) -> pd.DataFrame:
        """How far the prediction at one point moves when each run is left out of the fit, the furthest first.

        The point is given as for :meth:`predict`; of several rows the last counts. Columns: ``prediction`` without the
        run, its relative ``change``, ``by_chance`` (the size that it usually has for a run in that place which follows
        the law), ``alone`` (the run holds nine tenths of the prediction's variance) and ``influential`` (alone, or
        beyond what chance does in 99 of 100 sets of runs; and beyond the noise).
        """
        from scalefit.fitting.prediction import last_point

        return self.left_out.changes(last_point(self, data, schedule=schedule, at=at))

    def cautions(
        self, data: Runs | pd.DataFrame | None = None, *, schedule: str | Schedule | None = None, **at: Any
    ) -> tuple[Check, ...]:
        """What speaks against a prediction: far beyond the fitted runs, for another recipe, or hanging on one run."""
        from scalefit.fitting.prediction import cautions

        return cautions(self, data, schedule=schedule, at=at)

    def score(self, data: Runs | pd.DataFrame) -> pd.DataFrame:
        """Errors of the prediction on measured runs: R2, MAE, RMSE, mean, worst and final relative error."""
        from scalefit.fitting.prediction import score

        return score(self, data)

    def plot(
        self,
        held_out: Runs | pd.DataFrame | None = None,
        *,
        schedule: str | Schedule | None = None,
        at: Mapping[str, Any] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Axes:
        """The figure of this fit; held-out runs are drawn hollow, what is predicted is marked with its interval.

        A prediction is asked for as in :meth:`predict`: a point (``N=7e9, D="2T"``, or ``at={"N": 7e9, "D": "2T"}``; a
        list gives several) or a ``schedule`` never run. Other keywords: see :func:`scalefit.plot_fit`. Raises
        :class:`InputError` where the law has no such variable, or follows no schedule.
        """
        from scalefit.plots import plot_fit

        return plot_fit(self, held_out, schedule=schedule, at=at, ax=ax, **options)

    def save(self, path: str | Path) -> Path:
        """Write the fit as plain JSON, to a temporary name and then in place."""
        from scalefit.fitting.document import save

        return save(self, path)

    def to_lmfit(self) -> Any:
        """The fit as ``lmfit.Parameters``: values, bounds, fixed and tied ones."""
        from scalefit.fitting.lmfit_bridge import to_lmfit

        return to_lmfit(self)

    def summary(self) -> str:
        """The fit as text: verdict, parameters, doubts."""
        from scalefit.fitting.summary import as_text

        return as_text(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from scalefit.fitting.summary import as_html

        return as_html(self)
