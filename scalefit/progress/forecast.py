"""The final loss of a run in progress, from its curve so far and its schedule to the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.answers import Shown
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.fitting.cautions import another_schedule
from scalefit.fitting.recipe import another_recipe
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.progress.drift import PRIOR_FORECASTS, Scale, ahead, one_ahead, scale_from, squared, white_noise
from scalefit.progress.own_curve import EPOCHS, HALF, bounds, fallen, new_fall, own_curve
from scalefit.progress.partial_run import FEWEST, PartialRun, read_partial
from scalefit.runs import Runs
from scalefit.runs.trajectory import Clock
from scalefit.schedules import Schedule
from scalefit.uncertainty.calibration import student

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CUTS = (0.2, 0.4, 0.6, 0.8, 0.9)  #: shares of the fitted runs from which their ends are forecast in back-tests
PARTS = (0.4, 0.55, 0.7, 0.85)  #: shares of the run's own rows from which its present loss is forecast in back-tests
OWN_PRIOR = 6.0  #: number of forecasts that the prior k = 1 is worth where a run is its only back-test
AHEAD = 40  #: steps at which the curve ahead is forecast
LOST = "no forecast of a run that has diverged; if it continues like this: "
EARLIER = 12  #: forecasts in the history
OFF, TIMES_OFF = 0.02, 5.0  #: relative offset from the law, and its multiple of the usual one, that are warned about


@dataclass(frozen=True, repr=False)
class PartialForecast(Shown):
    """The final loss of a run in progress; see :func:`scalefit.predict_partial`.

    ``final`` is the loss expected at step ``steps``, ``low`` and ``high`` the ends of its prediction interval at
    ``level``. ``curve`` is the way there (step, loss, low, high), ``seen`` the run so far (step, loss), ``history`` the
    same forecast made at earlier steps (step, final, low, high).
    """

    run: str
    step: int
    steps: int
    final: float
    low: float
    high: float
    level: float
    curve: pd.DataFrame
    seen: pd.DataFrame
    history: pd.DataFrame
    basis: str
    scale: float  #: factor on the random walk's standard deviation, from back-tested forecasts
    forecasts: int  #: number of back-tested forecasts
    warnings: tuple[Check, ...] = ()
    among: str = ""  #: a note if the fit has seen later rows of this run

    @property
    def ok(self) -> bool:
        """Whether the forecast has no warning."""
        return not self.warnings

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        now = float(self.seen["loss"].iloc[-1])
        lost = any(check.code == "diverged" for check in self.warnings)
        tested = f"{self.forecasts} back-tested forecast{'s' * (self.forecasts > 1)}"
        scaled = f"interval scaled by {self.scale:.2g} from the errors of {tested}"
        lines = [
            f"{self.run}: {LOST * lost}final loss {self.final:.5g}, {100 * self.level:.0f} % interval "
            f"[{self.low:.5g}, {self.high:.5g}] (±{_percent((self.high - self.low) / self.final / 2)} %)",
            f"  now at step {self.step} of {self.steps} ({100 * self.step / self.steps:.0f} %), loss {now:.4g}",
            f"  {self.basis}; {scaled if self.forecasts else 'interval not checked by any back-test'}",
        ]
        lines += [f"  {self.among}"] * bool(self.among)
        return [*lines, *doubted(check.text for check in self.warnings)]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The run so far, the fan ahead of it, and how the forecast of its end narrowed."""
        from scalefit.plots import plot_partial

        return plot_partial(self, ax=ax)


def predict_partial(
    run: Runs | pd.DataFrame,
    *,
    schedule: str | Schedule | None = None,
    fit: Fit | None = None,
    level: float = 0.9,
) -> PartialForecast:
    """The final loss of a run in progress, from its curve so far and its schedule to the end.

    With a ``fit`` of other runs by a law along the schedule (such as ``annealing``), the forecast follows that law: the
    run's residuals so far give its level, and a random walk gives how far it may stray until its end; back-tests, in
    which each fitted run is forecast from the others, give the size of the walk. Without a fit, an annealing law is
    fitted to the run's own curve; then half of the learning rate's fall must be over (or there is no fall), because a
    run before its decay cannot tell what the decay gains.

    Raises :class:`InputError` for a log of several runs, a finished run, one longer than its schedule or without one,
    losses that are not finite, a learning rate that differs from the schedule, a law that follows no schedule, or too
    few rows.

    >>> import scalefit as sf
    >>> plan = "constant:peak_lr=1e-3,steps=1000"
    >>> step = np.arange(10, 600, 10)
    >>> log = pd.DataFrame({"step": step, "loss": 2 + 0.5 * (1e-3 * (step + 1)) ** -0.5})
    >>> forecast = predict_partial(log, schedule=plan)
    >>> forecast.low < 2 + 0.5 * 1.001**-0.5 < forecast.high
    True
    """
    if not 0 < level < 1:
        raise InputError(f"level {level} is not between 0 and 1", where="predict", todo="give one such as 0.9")
    part = read_partial(run, schedule, fit)
    method = _Family(fit, part) if fit is not None else _Alone(part)
    steps = np.unique(np.linspace(part.step, part.plan.steps, AHEAD).astype(np.int64))[1:]
    forecast = method.at(part.count, steps)
    curve = forecast.table(level)
    end = curve.iloc[-1]
    return PartialForecast(
        run=part.name,
        step=part.step,
        steps=part.plan.steps,
        final=float(end["loss"]),
        low=float(end["low"]),
        high=float(end["high"]),
        level=level,
        curve=curve,
        seen=pd.DataFrame({"step": part.steps, "loss": part.loss}),
        history=_history(method, part, level),
        basis=method.basis + f", {part.spikes} row{'s' * (part.spikes > 1)} of spikes left out" * bool(part.spikes),
        scale=float(forecast.scale.square**0.5),
        forecasts=forecast.scale.forecasts,
        warnings=(*part.doubts(), *method.warnings()),
        among=part.among(fit) if fit is not None else "",
    )


@dataclass(frozen=True)
class _Ahead:
    """A forecast at some steps: mean, relative variance without the noise, relative noise, scale."""

    steps: NDArray[np.int64]
    mean: FloatArray
    variance: FloatArray
    noise: FloatArray | float
    scale: Scale
    least: float = 0.0  #: no loss lies below it, if the mean does not
    most: float = np.inf  #: and none above this
    promised: FloatArray | float = 0.0  #: relative error above the mean alone

    def table(self, level: float) -> pd.DataFrame:
        """step, loss, low, high."""
        half = self.scale.half(self.variance, self.noise, level)
        low = np.maximum(self.mean * np.exp(-half), np.minimum(self.least, self.mean))
        above = np.hypot(half, student(level, PRIOR_FORECASTS) * self.promised)  # back-tests say nothing of that
        high = np.minimum(self.mean * np.exp(above), np.maximum(self.most, self.mean))
        return pd.DataFrame({"step": self.steps, "loss": self.mean, "low": low, "high": high})


class _Family:
    """Forecasts by a law that was fitted to other runs."""

    def __init__(self, fit: Fit, part: PartialRun) -> None:
        self.fit, self.part = fit, part
        self.clock = part.clock(part.steps)
        self.residual = np.log(part.loss / part.law_at(fit, part.steps))
        self.others, self.usual = _forecasts_of_fitted(fit)
        self.basis = f"law {fit.law.spec} fitted to {fit.runs} run{'s' * (fit.runs > 1)}, shifted to this run's level"

    def at(self, count: int, steps: NDArray[np.int64]) -> _Ahead:
        """The forecast that the first ``count`` rows allow."""
        clock, residual = self.clock.take(slice(0, count)), self.residual[:count]
        noise = white_noise(residual)
        own = [[one_ahead(clock, residual, round(share * count))] for share in PARTS if share * count >= FEWEST]
        strays = bool(own) and np.mean(own) > scale_from(self.others).square  # a calm start promises no calm end
        moved, variance = ahead(clock, residual, self.part.clock(steps), noise)
        mean = self.part.law_at(self.fit, steps) * np.exp(moved)
        beside, above = self.part.missed_by(self.fit, count, steps)
        scale = scale_from([*self.others, *own] if strays else self.others)
        return _Ahead(steps, mean, variance, np.hypot(noise, beside), scale, promised=above)

    def warnings(self) -> list[Check]:
        """Reasons against using this fit for this run."""
        found = another_recipe(self.fit.law, self.fit.recipe, self.part.recipe())
        rest = np.arange(self.part.step + 1, self.part.plan.steps + 1)
        found += another_schedule(self.fit, self.part.states(rest), self.part.states(self.part.steps))
        off = float(np.median(self.residual[-max(3, self.part.count // 10) :]))
        if abs(off) > max(OFF, TIMES_OFF * self.usual) and not self.part.lost:
            side = "above" if off > 0 else "below"
            text = f"the run lies {_percent(np.expm1(off))} % {side} the law fitted to other runs (usual among them: "
            text += (
                f"{100 * self.usual:.1g} %): the forecast follows its level, but takes the gain still ahead from those"
            )
            found.append(Check("off-family", f"{text}; fit runs of the same recipe"))
        return [*found, *(check for check in self.fit.warnings if check.code in ("not-converged", "not-identified"))]


class _Alone:
    """Forecasts by a law fitted to the run's own curve."""

    def __init__(self, part: PartialRun) -> None:
        self.part = part
        behind = fallen(part.plan, part.step)
        if behind < HALF and part.lost:
            raise InputError(part.doubts()[0].text, where=f"run {part.name}")
        if behind < HALF:
            lr = part.plan.per_step()
            half = int(np.flatnonzero(lr > lr.max() - HALF * (lr.max() - lr[-1]))[-1]) + 1
            why = f"at step {part.step} only {100 * behind:.0f} % of the learning rate's fall is over"
            todo = f"give a fit of other runs (scalefit predict FIT.json --from-partial ...), or wait for step {half}"
            why += ", and a run before its decay cannot tell what the decay gains"
            raise InputError(why, where=f"run {part.name}", todo=todo)
        self.basis = "an annealing law fitted to this run's own curve, averaged over its exponent, memory and shape"

    def at(self, count: int, steps: NDArray[np.int64]) -> _Ahead:
        """The forecast that the first ``count`` rows allow."""
        part, squares, last = self.part, [], self.part.steps[count - 1 : count]
        shorter = replace(part.plan, steps=int(last[0]))
        for first in [round(share * count) for share in PARTS if round(share * count) >= FEWEST]:
            if part.plan.steps <= EPOCHS and fallen(shorter, int(part.steps[first - 1])) < HALF:
                continue  # no such part would be forecast from
            mean, variance, noise = own_curve(part.steps[:first], part.loss[:first], shorter, last)
            seen = float(np.log(np.median(part.loss[max(first, count - 3) : count]) / mean[0]))
            squares.append([squared(seen, float(variance[0]), noise)])
        mean, variance, noise = own_curve(part.steps[:count], part.loss[:count], part.plan, steps)
        least, most = bounds(part.steps[:count], part.loss[:count], part.plan, noise)
        return _Ahead(
            steps,
            mean,
            variance,
            noise,
            scale_from(squares, OWN_PRIOR if part.plan.steps <= EPOCHS else PRIOR_FORECASTS),
            least,
            most,
        )

    def warnings(self) -> list[Check]:
        """A warning of a decay ahead that the run has not shown; what it cannot tell at all is refused."""
        begins = new_fall(self.part.plan, self.part.step)
        if not begins:
            return []
        text = f"after step {begins} the learning rate falls in a way that this run has not shown"
        return [Check("another-schedule", f"{text}; fit other runs with such a decay, or wait for half of it")]


def _percent(share: float) -> str:
    """A share in percent with two digits, never as a power of ten."""
    size = 100 * abs(share)
    return f"{size:.2g}" if size < 99.5 else f"{size:.0f}"


def _forecasts_of_fitted(fit: Fit) -> tuple[list[list[float]], float]:
    """Back-tests of each fitted run's end by the fit without it, and the usual offset of a run from the law."""
    points = fit.points
    if points.area is None or points.fall is None:
        return [], 0.0
    names = np.array(points.runs)
    steps, values = np.array(points.steps), np.array(points.values)
    clock = Clock(np.array(points.area), np.array(points.fall))
    found, offsets = [], []
    for run, parameters in fit.without.items():
        rows = np.flatnonzero(names == run)
        if not parameters or len(rows) < 2 * FEWEST:
            continue
        variables = {name: np.array(column)[rows] for name, column in points.variables.items()}
        law = fit.law.evaluate(variables, dict(zip(fit.law.parameters, parameters, strict=True)))
        residual = np.log(values[rows] / law)
        own, last = clock.take(rows), steps[rows][-1]
        firsts = [int(np.sum(steps[rows] <= cut * last)) for cut in CUTS]
        squares = [one_ahead(own, residual, first) for first in firsts if FEWEST <= first < len(rows)]
        if squares:
            found.append(squares)
            offsets.append(abs(float(np.median(residual))))
    return found, max(float(np.median(offsets)) if offsets else 0.0, fit.sigma)


def _history(method: _Family | _Alone, part: PartialRun, level: float) -> pd.DataFrame:
    """The forecast of the end made at earlier steps, with what was known then."""
    counts = np.unique(np.linspace(FEWEST, part.count, EARLIER).astype(int))
    if isinstance(method, _Alone):
        counts = np.array([c for c in counts if fallen(part.plan, int(part.steps[c - 1])) >= HALF])
    end = np.array([part.plan.steps])
    rows = [method.at(int(count), end).table(level).iloc[0] for count in counts]
    table = pd.DataFrame(rows).rename(columns={"loss": "final"}).reset_index(drop=True)
    return table.assign(step=part.steps[counts - 1])[["step", "final", "low", "high"]]
