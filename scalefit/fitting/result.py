"""``Fit``: the immutable result of a fit, with its predictions, scores, figure and file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check, Outlier
from scalefit.diagnosis.choices import Sensitivity, sensitivity
from scalefit.diagnosis.influence import Influence
from scalefit.diagnosis.one_sided import Bias, one_sided
from scalefit.fitting.cautions import able, cautions, warn_of
from scalefit.fitting.document import save
from scalefit.fitting.lmfit_bridge import to_lmfit
from scalefit.fitting.prediction import last_point, predict, score
from scalefit.fitting.summary import STATUSES, as_html, as_text
from scalefit.laws.law import Law
from scalefit.notices import Notice, noted
from scalefit.rows.points import Points
from scalefit.runs.columns import COLUMNS
from scalefit.solver.solve import Settings, Starts
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.intervals import Intervals
from scalefit.uncertainty.mixture import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.planning.allocation.answer import Plan
    from scalefit.planning.hyperparameters.answer import Hyperparameters
    from scalefit.runs import Runs
    from scalefit.schedules import Schedule

FEWEST_BEYOND = 2  #: runs beyond the number of constants that an interval needs


@dataclass(frozen=True)
class Fit:
    """A fitted law; see :func:`scalefit.fit`. Nothing in it changes after it is made."""

    law: Law
    target: str
    parameters: Mapping[str, float]
    settings: Settings
    delta: float  #: the robust threshold that was used
    cost: float  #: the objective at the optimum
    sigma: float  #: noise: robust standard deviation of the residuals, from their median absolute value
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
    notes: tuple[str, ...]  #: how the logs were read
    origin: tuple[Mapping[str, Any], ...]
    points: Points
    without: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  #: parameters fitted without each run
    recipe: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  #: settings that the law does not read
    choices: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  #: parameters under other choices of fitting
    biases: tuple[Bias, ...] = ()  #: of the refits to the smaller runs
    intervals: Intervals | None = None  #: draws and calibration, where draws were asked for
    choice: Choice | None = None  #: how the law was chosen, where it was, and what its forecasts are mixed with
    doubts: tuple[str, ...] = ()  #: those of the notes that tell of something doubtful

    def __getitem__(self, name: str) -> float:
        return self.parameters[name]

    @property
    def status(self) -> str:
        """One phrase: converged, did not converge, starts disagree, not identified, or at a bound."""
        codes = {check.code for check in self.warnings}
        return next((phrase for code, (phrase, _) in STATUSES.items() if code in codes), "converged")

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.warnings

    @property
    def told(self) -> list[Notice]:
        """The notes with their severity."""
        return noted(self.notes, self.doubts)

    @property
    def table(self) -> pd.DataFrame:
        """One row per parameter: value, 90 % interval, unit, meaning and state (fitted, fixed, at bound, or its tie).

        A fit without intervals has NaN in ``low`` and ``high``, and the reason in ``attrs["no_intervals"]``.
        """
        flagged = " ".join(check.text for check in self.warnings if check.code == "at-bound")
        heads = [check.text.partition(" can")[0] for check in self.warnings if check.code == "not-identified"]
        told = {word for head in heads for word in head.replace(",", " ").split()}
        loose = dict.fromkeys(told, "not identified")
        how = {name: f"= {text}" for name, text in self.ties.items()} | dict.fromkeys(self.fixed, "fixed")
        ends = self._ends()
        table = pd.DataFrame(
            [
                {
                    "parameter": name,
                    "value": value,
                    "low": ends[name][0],
                    "high": ends[name][1],
                    "unit": self.unit_of(name),
                    "meaning": self.law.parameters[name].meaning,
                    "state": how.get(name, "at bound" if f"{name} ended" in flagged else loose.get(name, "fitted")),
                }
                for name, value in self.parameters.items()
            ]
        ).set_index("parameter")
        table.attrs["no_intervals"] = self.no_intervals
        return table

    def unit_of(self, name: str) -> str:
        """The unit of a parameter; in that of the target where it is neither the law's own nor a loss."""
        unit = self.law.parameters[name].unit
        if self.target == self.law.target or "loss" in self.target:
            return unit
        known = COLUMNS.get(self.target)
        return unit.replace(self.law.target_unit, known.unit if known else f"unit of {self.target}")

    def _ends(self) -> dict[str, tuple[float, float]]:
        """The 90 % interval of each parameter, inside its domain; NaN without intervals."""
        if self.intervals is None:
            return dict.fromkeys(self.parameters, (np.nan, np.nan))
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
    def single_curve(self) -> bool:
        """Whether all fitted rows lie along the curve of one run."""
        return self.runs == 1 and self.points.steps is not None

    @property
    def no_intervals(self) -> str:
        """Why this fit has no intervals; empty where it has them."""
        if self.intervals is not None:
            return ""
        return self.none_worth_having or "no draws were asked for; fit with draws=200 (--draws 200)"

    @property
    def none_worth_having(self) -> str:
        """Why no draws would give this fit an interval worth having; empty where they would."""
        if self.single_curve:
            return "one run alone does not show how runs differ, and its points are not independent; add runs"
        if not self.converged:
            return "the fit did not converge; raise the number of starts"
        count = self.points.different
        if self.points.steps is None and count < self.free + FEWEST_BEYOND:
            return (
                f"no interval worth having: {count} runs, {self.free} constants; add runs, or hold constants with --fix"
            )
        return ""

    @property
    def one_sided(self) -> str:
        """What to say where every refit to the smaller runs misses the larger ones on the same side, else empty."""
        unit = 1.0 if self.settings.residuals == "log" else float(np.median(np.abs(self.points.values)))
        return one_sided(self.biases, unit)

    @property
    def free(self) -> int:
        """How many parameters were fitted."""
        return len(self.parameters) - len(self.fixed) - len(self.ties)

    @property
    def draws(self) -> pd.DataFrame:
        """The resampled fits, one row per draw and one column per parameter; empty without draws."""
        return pd.DataFrame(self.intervals.draws if self.intervals else None, columns=list(self.parameters))

    @property
    def estimate(self) -> Estimate:
        """The law with its numbers, as intervals and influence are computed from it."""
        return Estimate(self.law, self.parameters, self.settings.residuals == "log", self.sigma)

    @property
    def left_out(self) -> Influence:
        """The refits without each run, and what they say of a prediction."""
        return Influence(self.estimate, self.without, self.points, self.free, self.intervals)

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

        Columns: the predicted ``loss``; ``low`` and ``high``, the ends of its prediction interval, between which a new
        measurement falls with probability ``level`` (``interval="mean"``: the law's own value, without the noise);
        ``decades_beyond``, how far it lies outside the fitted runs (:func:`scalefit.diagnosis.reach.furthest`).
        A fit without intervals has NaN in ``low`` and ``high``, and the reason in ``attrs["no_intervals"]``.

        Warns with :class:`FitWarning` of each of :meth:`cautions`, and of a fit whose ``status`` is not sound.
        """
        table = predict(self, data, schedule=schedule, every=every, at=at, level=level, interval=interval)
        warn_of(self, data, schedule=schedule, at=at)
        return table

    def influence(
        self, data: Runs | pd.DataFrame | None = None, *, schedule: str | Schedule | None = None, **at: Any
    ) -> pd.DataFrame:
        """How much the prediction at one point changes when each run is left out of the fit, largest change first.

        The point is given as for :meth:`predict`; of several rows the last counts. Columns: ``prediction`` without the
        run; its relative ``change``; ``by_chance``, the usual size of that change if the run follows the law;
        ``alone``, whether the run carries nine tenths of the prediction's variance; ``influential``, whether the change
        exceeds the noise and the run is alone or its change is larger than chance makes it in 99 of 100 sets of runs.
        """
        one, own = able(self, data, at)
        return one.left_out.changes(last_point(one, data, schedule=schedule, at=own))

    def cautions(
        self, data: Runs | pd.DataFrame | None = None, *, schedule: str | Schedule | None = None, **at: Any
    ) -> tuple[Check, ...]:
        """Warnings about a prediction: too far out, for another recipe or schedule, or decided by a single run."""
        return cautions(self, data, schedule=schedule, at=at)

    def sensitivity(
        self, data: Runs | pd.DataFrame | None = None, *, schedule: str | Schedule | None = None, **at: Any
    ) -> Sensitivity | None:
        """The prediction at one point under other defensible choices: how robust the loss is, and which rows count.

        Of several rows the last counts. None for a fit without intervals, for which no other choices were tried.
        """
        one, own = able(self, data, at)
        found = sensitivity(one.estimate, one.choices, last_point(one, data, schedule=schedule, at=own))
        return replace(found, of=one.law.spec) if found and self.choice and self.choice.mixes else found

    def score(self, data: Runs | pd.DataFrame) -> pd.DataFrame:
        """Errors of the prediction on measured runs: R2, MAE, RMSE; mean, worst and final relative error."""
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

    def plan(self, **targets: Any) -> Plan | Hyperparameters:
        """The best size and data for ``compute=1e23``, least compute for ``loss=2.2``; ``hyperparameters=True``: the
        settings at N and D; see :func:`scalefit.plan`."""
        from scalefit.planning.allocation.plan import plan

        return plan(self, **targets)  # type: ignore[no-any-return]

    def save(self, path: str | Path) -> Path:
        """Write the fit as plain JSON, to a temporary name and then in place."""
        return save(self, path)

    def to_lmfit(self) -> Any:
        """The fit as ``lmfit.Parameters``: values, bounds, fixed and tied ones."""
        return to_lmfit(self)

    def summary(self) -> str:
        """The fit as text: verdict, numbers, intervals, warnings."""
        return as_text(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self)
