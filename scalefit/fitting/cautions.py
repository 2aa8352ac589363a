"""Warnings about a prediction: too far out, for another recipe, under another schedule, decided by a single run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.answers import far_out
from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.image import without_image
from scalefit.diagnosis.reach import side, unsupported
from scalefit.errors import FitWarning, counted
from scalefit.fitting.prediction import Asked, Data, Plan, Point, asked_for, ends, predict
from scalefit.fitting.recipe import another_recipe, asked_recipe, off_the_line
from scalefit.numerics import FloatArray
from scalefit.rows.asked import own_point, scales_asked, takes
from scalefit.uncertainty.calibration import Calibration
from scalefit.uncertainty.unlike import LENGTH, unshown

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit

SOUND = ("converged", "at a bound")  #: what a fit may be without a warning with each of its predictions
WIDE = 0.75  #: width of an interval, in units of the prediction, from which on it says next to nothing
ANOTHER = 0.15  #: distance from the fitted schedules from which on a prediction is for another one


def cautions(fit: Fit, data: Data, *, schedule: Plan, at: Point) -> tuple[Check, ...]:
    """See :meth:`scalefit.Fit.cautions`."""
    scales, whole, point = scales_asked(data, at), fit, at
    fit, at = able(fit, data, at)
    asked = asked_for(fit, data, schedule, None, at)
    recipe = another_recipe(fit.law, fit.recipe, asked_recipe(fit.law, data, schedule))
    recipe += off_the_line(fit.law, fit.recipe, scales)
    with np.errstate(all="ignore"):  # a fit of damaged logs can be steep beyond all numbers
        found = without_image(fit.law, fit.parameters, asked.variables)
        found += [*far_beyond(fit, asked.variables), *recipe, *another_schedule(fit, asked.states)]
        if whole.choice is None or not whole.choice.mixes:
            found += too_wide(fit, asked)
        elif asked.states is None:
            found += mixed_too_wide(whole, predict(whole, data, at=point))
        if data is None:
            found += fit.left_out.checks({name: values[-1:] for name, values in asked.variables.items()})
    known = {check.text for check in fit.warnings}
    return tuple(check for check in found if check.text not in known)


def warn_of(fit: Fit, data: Data, *, schedule: Plan, at: Point) -> None:
    """Raise a :class:`FitWarning`, as Python raises warnings, for each caution, and for a fit that is not sound."""
    texts = [] if fit.status in SOUND else [f"{fit.status}: fit.warnings says why"]
    for text in [*texts, *(check.text for check in cautions(fit, data, schedule=schedule, at=at))]:
        warnings.warn(text, FitWarning, stacklevel=3)


def able(fit: Fit, data: Data, at: Point) -> tuple[Fit, Point]:
    """Of a mixture the first member that a point can be asked of, and what its law takes of it."""
    if fit.choice is None or not fit.choice.others or data is not None:
        return fit, at
    one = next((each for each in (fit, *fit.choice.others) if takes(each.law, at)), fit)
    return one, own_point(one.law, at)


def how_far(fit: Fit, row: Mapping[str, Any] | pd.Series) -> str:
    """How far a row of predictions lies outside the fitted runs, as text, and whether beyond or below them."""
    law = fit.law.columns
    variables = {name: np.array([float(row[column])]) for name, column in law.items() if column in row}
    columns = {name: law[name] for name in variables}
    ranges = None if fit.ranges is None else {name: fit.ranges[name] for name in variables if name in fit.ranges}
    return far_out(float(row["decades_beyond"]), side(columns, fit.points.variables, variables, ranges))


def far_beyond(fit: Fit, variables: Mapping[str, FloatArray]) -> list[Check]:
    """A warning where what is asked for lies further outside the fitted runs than these span that way, or two decades.

    In a variable, or in two sizes or amounts of data together.
    """
    text = unsupported(fit.law.columns, fit.points.variables, variables, fit.ranges)
    what = "the data do not support a prediction so far out; add runs nearer to it, and see scalefit backtest"
    return [Check("far-beyond", f"{text}: {what}")] if text else []


def too_wide(fit: Fit, asked: Asked) -> list[Check]:
    """A warning where the interval of the last row says next to nothing."""
    if fit.intervals is None or asked.states is not None:
        return []
    last = Asked(asked.frame.tail(1), {name: values[-1:] for name, values in asked.variables.items()})
    value = float(np.ravel(fit.evaluate(last.variables))[0])
    low, high = ends(fit, last, 0.9, "observation")
    of, todo = f"{fit.runs} runs, {fit.free} constants", "add runs nearer to it, or hold constants with --fix"
    return _says_nothing(fit, value, float(high[0] - low[0]), of, todo)


def mixed_too_wide(fit: Fit, forecast: pd.DataFrame) -> list[Check]:
    """The same of the forecast of a mixture, whose interval is not that of its first law."""
    value, low, high = (float(forecast[name].iloc[-1]) for name in (fit.target, "low", "high"))
    laws = counted(len(fit.choice.weights) if fit.choice else 1, "law")
    return _says_nothing(fit, value, high - low, f"{fit.runs} runs, {laws}", "add runs nearer to it")


def _says_nothing(fit: Fit, value: float, width: float, of: str, todo: str) -> list[Check]:
    if value <= 0 and fit.settings.residuals == "log":
        why = f"the law falls to {value:.3g} there, and a {fit.target} that is fitted in logarithms is positive"
        return [Check("wide-interval", f"no interval: {why}; ask nearer to the runs, or fit a law with a floor")]
    if not width > WIDE * abs(value):
        return []
    why = (
        f"it spans {100 * width / abs(value):.0f} % of the prediction ({of})"
        if value
        else f"it is {width:.3g} wide around 0 ({of})"
    )
    return [Check("wide-interval", f"no interval worth having: {why}; {todo}")]


def another_schedule(fit: Fit, states: FloatArray | None, seen: FloatArray | None = None) -> list[Check]:
    """A warning where the learning rate falls in a way that no fitted run has shown, nor the run itself so far.

    ``states`` of the schedule, and those that a run in progress has ``seen``. Peaks are compared by ``another-recipe``.
    Where the fit kept no schedules, as earlier versions did, a run in progress is compared with itself alone.
    """
    fitted = _shown(fit)
    known = fitted if seen is None else np.vstack([fitted, seen[:, : fitted.shape[1]]])
    if states is None or not len(known):
        return []
    far = unshown(states, known)
    row = int(np.argmax(far))
    if far[row] <= ANOTHER:
        return []
    shape, steps = states[row, :3], float(states[row, LENGTH])
    near = known[int(np.argmin(np.sum((known[:, :3] - shape) ** 2, axis=1)))]
    text = f"the learning rate falls in a way that no fitted run has shown: here it {_falls(shape)}, "
    text += f"in the most similar {'fitted run' if len(fitted) else 'part so far'} it {_falls(near[:3])}"
    if len(near) > LENGTH and _falls(near[:3]) == _falls(shape):
        text += f", in {10 ** near[LENGTH]:.3g} steps and not in {10**steps:.3g}"
    todo = "the interval is wider for that; a short run with such a schedule would test it"
    return [Check("another-schedule", f"{text}; {todo}")]


def _shown(fit: Fit) -> FloatArray:
    """The states of the fitted schedules, (n, 5); those of a fit without intervals are kept with its points."""
    calibration = fit.intervals.calibration if fit.intervals else None
    kept = calibration.states if isinstance(calibration, Calibration) else ()
    kept = kept or fit.points.states or ()
    return np.array(kept) if kept else np.empty((0, LENGTH + 1))


def _falls(state: FloatArray) -> str:
    """A state of a schedule in words."""
    fallen, share, mean = (100 * float(value) for value in state)
    if fallen < 1:
        return "does not fall"
    over = "at once" if share < 0.5 else f"over the last {share:.0f} % of the steps"
    return f"falls by {fallen:.0f} % {over} (mean {mean:.0f} % of the peak)"
