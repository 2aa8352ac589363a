"""Intervals of parameters and predictions: from draws, noise, and a back-test on the user's own runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows
from scalefit.rows.scale import scale_of
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Settings, Solution
from scalefit.uncertainty.bootstrap import Method, bootstrap, resampled_as_one
from scalefit.uncertainty.calibration import (
    Calibration,
    EarlierCalibration,
    factor_of,
    small_sample,
    spreads,
    student,
    towards,
)
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.folds import bias_of, fitted_range, folds_of, recentred, walk
from scalefit.uncertainty.forms import other_form
from scalefit.uncertainty.levels import Levels
from scalefit.uncertainty.misfit import ALL, quieter, shares_missed
from scalefit.uncertainty.pieces import distinct, independent
from scalefit.uncertainty.unlike import promised

FEWEST_DRAWS = 20  #: fewest refits that give a 90 % interval
DRAW_ROWS = 4000  #: rows to which a long log is thinned for its draws
BLOCK = 1 << 20  #: elements of draws times rows that are held at a time


@dataclass(frozen=True)
class Resampling:
    """How draws are made. Raises InputError for 1 to FEWEST_DRAWS - 1 of them."""

    draws: int
    seed: int = 0
    method: Method = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.draws and self.draws < FEWEST_DRAWS:
            todo = f"give at least {FEWEST_DRAWS}, or 0 for no intervals"
            raise InputError(f"{self.draws} draws are too few for a 90 % interval", where="fit", todo=todo)


@dataclass(frozen=True)
class Intervals:
    """Draws of the parameters, (draws, P) in the law's order, and the calibration of predictions.

    Without a calibration, intervals are those of the draws: they hold if the law is true.
    """

    draws: tuple[tuple[float, ...], ...]
    few: float  #: small-sample factor by which the spread of the draws is widened
    calibration: Calibration | EarlierCalibration | None
    seed: int
    method: str
    between: float = 0.0  #: scatter of the levels by which the residuals cluster: the error at another level
    other: tuple[float, ...] = ()  #: parameters of the law's other form, towards which the centre is pulled

    def parameter_intervals(self, values: Mapping[str, float], level: float = 0.9) -> dict[str, tuple[float, float]]:
        """The central ``level`` interval of each parameter: that of the draws, widened by the small-sample factor."""
        tails = [50 * (1 - level), 50 * (1 + level)]
        drawn = np.array(self.draws)
        with np.errstate(invalid="ignore"):  # between draws that are infinite
            ends = np.percentile(drawn, tails, axis=0)
        ends = np.where(np.isnan(ends), np.percentile(drawn, tails, axis=0, method="nearest"), ends)
        return {
            name: (value + self.few * min(float(low - value), 0.0), value + self.few * max(float(high - value), 0.0))
            for (name, value), low, high in zip(values.items(), *ends, strict=True)
        }

    def at(
        self,
        fit: Estimate,
        variables: Mapping[str, FloatArray],
        level: float,
        interval: Literal["observation", "mean"],
        states: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the prediction intervals, (n,) each; ``states`` (n, 4) are those of schedules."""
        if not 0 < level < 1 or interval not in ("observation", "mean"):
            todo = 'give 0 < level < 1 and the interval "observation" or "mean"'
            raise InputError(f'level {level}, interval "{interval}"', where="predict", todo=todo)
        centre = fit.value(variables) + np.zeros(len(next(iter(variables.values()))))
        noise = fit.sigma if interval == "observation" else 0.0
        missed = None if self.calibration is None else self._missed(fit, dict(variables), centre, states)
        more_above: FloatArray | float = 0.0  # what is missed on that side alone
        if isinstance(self.calibration, Calibration):
            with np.errstate(all="ignore"):
                more_above = promised(self.calibration, np.log(centre) if fit.log else centre, states)
        halves = []
        for drawn, more in zip(self._spreads(fit, variables, centre), (0.0, more_above), strict=True):
            spread = np.hypot(drawn, self.between)
            if self.calibration is None or missed is None:
                halves.append(np.sqrt(spread**2 + noise**2) * student(level, np.inf))
            else:
                halves.append(self.calibration.half_width(spread, np.hypot(missed, more), noise, level))
        below, above = halves
        pulled = np.clip(self._pulled(fit, variables, centre, missed), -above, below)  # the prediction stays inside
        return fit.moved(centre, pulled - below), fit.moved(centre, pulled + above)

    def _pulled(
        self, fit: Estimate, variables: Mapping[str, FloatArray], centre: FloatArray, missed: FloatArray | None
    ) -> FloatArray:
        """By how much the centres of the intervals lie above the predictions, (n,), in residual space."""
        if missed is None or not isinstance(self.calibration, Calibration):
            return np.zeros(len(centre))
        pulled = self.calibration.bias * np.where(np.isfinite(missed), missed, 0.0)
        if self.other:
            with np.errstate(all="ignore"):
                other = fit.values(variables, np.array([self.other]))[0]
                ends = (np.log(other), np.log(centre)) if fit.log else (other, centre)
            pulled = pulled + towards(*ends)
        return self.calibration.misfit * pulled

    def _missed(
        self, fit: Estimate, variables: dict[str, FloatArray], centre: FloatArray, states: FloatArray | None
    ) -> FloatArray:
        """The error that is believed of the law, (n,), in residual space."""
        if isinstance(self.calibration, EarlierCalibration):
            unit = 1.0 if fit.log else np.abs(centre)
            return self.calibration.missed(self.calibration.distance(fit.law, variables), unit)
        assert self.calibration is not None
        return self.calibration.missed(fit.law, variables, states)

    def _spreads(
        self, fit: Estimate, variables: Mapping[str, FloatArray], centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Standard deviations of the draws' predictions below and above the fit's, (n,) each, in residual space."""
        table = np.array(self.draws)
        block = max(1, BLOCK // len(table))
        below, above = np.empty_like(centre), np.empty_like(centre)
        for begin in range(0, len(centre), block):
            part = slice(begin, begin + block)
            some = {name: values[part] for name, values in variables.items()}
            made, middle = fit.values(some, table), centre[part]
            with np.errstate(all="ignore"):
                made, middle = (np.log(made), np.log(middle)) if fit.log else (made, middle)
            below[part], above[part] = spreads(middle, made, self.few)
        return below, above


def make_intervals(
    law: Law,
    model: BoundLaw,
    rows: Rows,
    weights: FloatArray | None,
    solution: Solution,
    settings: Settings,
    resampling: Resampling,
    calibrated: bool,
    levels: Levels | None = None,
) -> Intervals:
    """Refit to resampled runs, and calibrate predictions by a back-test on the same runs.

    Where the residuals cluster by ``levels``, another level is off by as much as these; not where the law is taken for
    true (``calibrated=False``).
    """
    assert rows.values is not None
    levels = levels if calibrated else None
    keep = slice(None, None, max(1, -(-len(rows) // DRAW_ROWS)))
    values = rows.values[keep]
    blocks, method = _blocks(solution.residuals, rows, resampling.method, levels, keep)
    draws = bootstrap(
        model.take(keep),
        solution.objective,
        values,
        np.ones(len(values)) if weights is None else weights[keep],
        solution.theta,
        blocks,
        draws=resampling.draws,
        seed=resampling.seed,
        method=method,
        sigma=solution.sigma,
        workers=resampling.workers,
    )
    if keep.step > 1:  # with all rows the draws would be narrower, as far as the rows are independent
        every, _ = _blocks(solution.residuals, rows, resampling.method, levels)
        draws = solution.theta + (draws - solution.theta) * np.sqrt((blocks.max() + 1) / (every.max() + 1))
    free = len(model.coordinates)
    calibration, other = None, None
    if calibrated:
        calibration = _calibrated(law, model, rows, solution, settings, resampling.seed, levels)
        along = scale_of(law, dict(rows.variables))
        other = other_form(model, solution.objective, rows.values, weights, solution.theta, along)
    few = small_sample(int(blocks.max()) + 1, len(np.unique(distinct(rows)[keep])), free, method)
    table, between = tuple(map(tuple, model.vector(draws).tolist())), levels.between if levels else 0.0
    form = () if other is None else tuple(model.vector(other[None])[0].tolist())
    return Intervals(table, few, calibration, resampling.seed, method, between, form)


def _blocks(
    residuals: FloatArray, rows: Rows, method: Method, levels: Levels | None, keep: slice = slice(None)
) -> tuple[NDArray[np.intp], Method]:
    """Which of the kept rows are resampled together, and how: those of a level, where levels dominate."""
    if levels is not None and levels.dominate:
        return np.unique(levels.codes[keep], return_inverse=True)[1], method
    runs = np.unique(independent(rows)[keep], return_inverse=True)[1]
    return resampled_as_one(residuals[keep], runs, method)


def _calibrated(
    law: Law,
    model: BoundLaw,
    rows: Rows,
    solution: Solution,
    settings: Settings,
    seed: int,
    levels: Levels | None,
) -> Calibration:
    """The back-test on the fitted rows, and what their residuals say of the law."""
    log = settings.residuals == "log"
    held = [] if rows.stream else folds_of(law, rows, len(model.coordinates))
    folds = walk(law, model, rows, settings, seed, held)
    bias = bias_of(law, folds)
    factor, used, points = factor_of(recentred(folds, bias))
    predicted = model.value(solution.theta[None])[0]
    fitted = fitted_range(law, rows, predicted, log)
    quiet = quieter(law, rows, predicted, solution.residuals)
    sizes = ALL if levels else shares_missed(law, model, rows, solution, log)
    mean = min(sum(share * chance for share, chance in sizes), 1.0)
    told = replace(fitted, misfit=mean, sizes=sizes, bias=bias, quiet=quiet)
    return replace(told, factor=factor, folds=used, points=points)


def as_dict(intervals: Intervals) -> dict[str, Any]:
    """The intervals as JSON types."""
    content = asdict(intervals)
    return {"small_sample_factor": content.pop("few"), **content, "draws": [list(draw) for draw in intervals.draws]}


def from_dict(content: Mapping[str, Any]) -> Intervals:
    """The intervals of a saved fit."""
    found = content["calibration"]
    made: Calibration | EarlierCalibration | None = None
    if found is not None and "change" in found:
        known = {name: value for name, value in found.items() if name != "biases"}  # of earlier versions: of the fit
        pairs = {name: tuple(map(tuple, found.get(name, ()))) for name in ("states", "sizes")}
        made = Calibration(**{**known, **pairs})
    elif found is not None:
        made = EarlierCalibration(**found)
    draws, between = tuple(map(tuple, content["draws"])), content.get("between", 0.0)
    other = tuple(content.get("other", ()))
    return Intervals(draws, content["small_sample_factor"], made, content["seed"], content["method"], between, other)
