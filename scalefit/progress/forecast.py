"""The final loss of a run in progress, from its own curve so far and its declared schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.fitting.recipe import another_recipe
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.progress.drift import Scale, ahead, scale_from, squared, white_noise
from scalefit.progress.own_curve import fallen, own_curve
from scalefit.progress.partial_run import FEWEST, PartialRun, read_partial
from scalefit.runs import Runs
from scalefit.runs.clocks import Clock
from scalefit.schedules import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CUTS = (0.2, 0.4, 0.6, 0.8, 0.9)  #: shares of the fitted runs after which their ends are forecast, to see how well
PARTS = (0.4, 0.55, 0.7, 0.85)  #: shares of the run's own rows from which its present loss is forecast
HALF = 0.5  #: share of its fall that a learning rate must have behind it where no fit of other runs tells the rest
AHEAD = 40  #: steps of the curve ahead
LOST = "no forecast of a run that has diverged; if it stays so: "
EARLIER = 12  #: earlier forecasts in the history
OFF, TIMES_OFF = 0.02, 5.0  #: a run this far off its family, and this many times as far as the family's own, is named


@dataclass(frozen=True)
class PartialForecast:
    """The final loss of a run in progress; see :func:`scalefit.predict_partial`.

    ``final`` is the loss expected at step ``steps``, ``low`` and ``high`` the ends of the interval in which one
    measurement of it falls with probability ``level``. ``curve`` is the way there (step, loss, low, high), ``seen`` the
    run so far (step, loss), ``history`` the same forecast made at earlier steps (step, final, low, high).
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
    scale: float  #: by how much the random walk was widened by earlier forecasts
    forecasts: int  #: how many there were
    warnings: tuple[Check, ...] = ()
    among: str = ""  #: a sentence where the fit has seen further rows of this run

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the forecast."""
        return not self.warnings

    def __str__(self) -> str:
        now = float(self.seen["loss"].iloc[-1])
        lost = any(check.code == "diverged" for check in self.warnings)
        lines = [
            f"{self.run}: step {self.step} of {self.steps} ({100 * self.step / self.steps:.0f} %), loss {now:.4g}",
            f"  {LOST * lost}final loss {self.final:.5g}, {100 * self.level:.0f} % interval "
            f"[{self.low:.5g}, {self.high:.5g}] (±{_percent((self.high - self.low) / self.final / 2)} %)",
            f"  {self.basis}; widths times {self.scale:.2g} by {self.forecasts} earlier forecasts",
        ]
        lines += [f"  {self.among}"] if self.among else []
        return "\n".join([*lines, *(f"! {check.text}" for check in self.warnings)])

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
    """The final loss of a run in progress, from its own curve so far and its declared schedule.

    With a ``fit`` of other runs by a law along the schedule (``annealing`` and its like) the law's curve is followed:
    the run's residuals so far give its level, and a random walk, whose size the fitted runs show when each is forecast
    by the others, how far it may stray until its end. Without one, an annealing law is fitted to the run's own curve;
    that needs a learning rate that has half of its fall behind it (or does not fall), because one run before its decay
    cannot tell what the decay gains.

    Raises :class:`InputError` for a log of several runs, a finished one, one longer than its schedule or without one,
    losses that are not finite, a learning rate that is not the schedule's, a law that follows no schedule, or too
    little of the curve.

    >>> import scalefit as sf
    >>> plan = "constant:peak_lr=1e-3,steps=1000"
    >>> step = np.arange(10, 600, 10)
    >>> log = pd.DataFrame({"step": step, "loss": 2 + 0.5 * (1e-3 * (step + 1)) ** -0.5})
    >>> forecast = predict_partial(log, schedule=plan)
    >>> forecast.low < 2 + 0.5 * 1.001**-0.5 < forecast.high
    True
    """
    if not 0 < level < 1:
        raise InputError(f"level {level}", where="predict", todo="give a share between 0 and 1")
    part = read_partial(run, schedule, fit)
    method = _Family(fit, part) if fit is not None else _Alone(part)
    now = part.count
    forecast = method.at(now, np.unique(np.linspace(part.step, part.plan.steps, AHEAD).astype(np.int64))[1:])
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
        basis=method.basis + (f", {part.spikes} lone spike{'s' * (part.spikes > 1)} left out" if part.spikes else ""),
        scale=float(forecast.scale.square**0.5),
        forecasts=forecast.scale.forecasts,
        warnings=(*part.doubts(), *method.warnings()),
        among=part.among(fit) if fit is not None else "",
    )


@dataclass(frozen=True)
class _Ahead:
    """A forecast of some steps: mean, relative variance of what is not noise, relative noise, scale."""

    steps: NDArray[np.int64]
    mean: FloatArray
    variance: FloatArray
    noise: float
    scale: Scale

    def table(self, level: float) -> pd.DataFrame:
        """step, loss, low, high."""
        half = self.scale.half(self.variance, self.noise, level)
        ends = {"low": self.mean * np.exp(-half), "high": self.mean * np.exp(half)}
        return pd.DataFrame({"step": self.steps, "loss": self.mean, **ends})


class _Family:
    """Forecasts by a law that was fitted to other runs."""

    def __init__(self, fit: Fit, part: PartialRun) -> None:
        self.fit, self.part = fit, part
        self.clock = part.clock(part.steps)
        self.residual = np.log(part.loss / part.law_at(fit, part.steps))
        self.others, self.usual = _forecasts_of_fitted(fit)
        names = f"{fit.runs} run{'s' * (fit.runs > 1)}"
        self.basis = f"law {fit.law.spec} fitted to {names}, at the level of this run"

    def at(self, count: int, steps: NDArray[np.int64]) -> _Ahead:
        """The forecast that the first ``count`` rows allow."""
        clock, residual = self.clock.take(slice(0, count)), self.residual[:count]
        noise = white_noise(residual)
        own = [_one_ahead(clock, residual, round(share * count)) for share in PARTS if share * count >= FEWEST]
        moved, variance = ahead(clock, residual, self.part.clock(steps), noise)
        mean = self.part.law_at(self.fit, steps) * np.exp(moved)
        return _Ahead(steps, mean, variance, noise, scale_from([*self.others, *self._worse([[one] for one in own])]))

    def _worse(self, own: list[list[float]]) -> list[list[float]]:
        """The run's own forecasts where it strays more than the fitted runs do; a calm start promises no calm end."""
        return own if own and np.mean(own) > scale_from(self.others).square else []

    def warnings(self) -> list[Check]:
        """What speaks against using this fit for this run."""
        found = another_recipe(self.fit.law, self.fit.recipe, self.part.recipe())
        off = float(np.median(self.residual[-max(3, self.part.count // 10) :]))
        if abs(off) > max(OFF, TIMES_OFF * self.usual) and not self.part.lost:
            found.append(
                Check(
                    "off-family",
                    f"the run lies {_percent(np.expm1(off))} % {'above' if off > 0 else 'below'} the law fitted "
                    f"to other runs ({100 * self.usual:.1g} % is usual among them): its level is followed, but the "
                    "gain of what is ahead is theirs; fit runs of this recipe",
                )
            )
        return [*found, *(check for check in self.fit.warnings if check.code in ("not-converged", "not-identified"))]


class _Alone:
    """Forecasts by a run's own curve."""

    def __init__(self, part: PartialRun) -> None:
        self.part = part
        behind = fallen(part.plan, part.step)
        if behind < HALF and part.lost:
            raise InputError(part.doubts()[0].text, where=f"run {part.name}")
        if behind < HALF:
            lr = part.plan.per_step()
            half = int(np.flatnonzero(lr > lr.max() - HALF * (lr.max() - lr[-1]))[-1]) + 1
            raise InputError(
                f"at step {part.step} the learning rate has {100 * behind:.0f} % of its fall behind it: one run before "
                "its decay cannot tell what the decay gains",
                where=f"run {part.name}",
                todo=f"give a saved fit of other runs (scalefit predict FIT.json --from-partial ...), or wait for step "
                f"{half}",
            )
        self.basis = "an annealing law fitted to this run's own curve, averaged over its exponent and memory"

    def at(self, count: int, steps: NDArray[np.int64]) -> _Ahead:
        """The forecast that the first ``count`` rows allow."""
        part = self.part
        squares = []
        for share in PARTS:
            first = round(share * count)
            if first < FEWEST:
                continue
            shorter = part.plan_until(int(part.steps[count - 1]))
            mean, variance, noise = own_curve(
                part.steps[:first], part.loss[:first], shorter, part.steps[count - 1 : count]
            )
            seen = float(np.log(np.median(part.loss[max(first, count - 3) : count]) / mean[0]))
            squares.append([squared(seen, float(variance[0]), noise)])
        mean, variance, noise = own_curve(part.steps[:count], part.loss[:count], part.plan, steps)
        return _Ahead(steps, mean, variance, noise, scale_from(squares))

    def warnings(self) -> list[Check]:
        """Nothing: what one run cannot tell is refused."""
        return []


def _percent(share: float) -> str:
    """A share in per cent, two digits and never as a power of ten."""
    size = 100 * abs(share)
    return f"{size:.2g}" if size < 99.5 else f"{size:.0f}"


def _one_ahead(clock: Clock, residual: FloatArray, first: int) -> float:
    """What a run's first rows say of its last one, as :func:`scalefit.progress.drift.squared`."""
    noise = white_noise(residual[:first])
    mean, variance = ahead(clock.take(slice(0, first)), residual[:first], clock.take(slice(-1, None)), noise)
    return squared(float(residual[-1] - mean[0]), float(variance[0]), noise)


def _forecasts_of_fitted(fit: Fit) -> tuple[list[list[float]], float]:
    """What the forecasts of each fitted run's end by the fit without it say of the scale; and their usual offset."""
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
        squares = [_one_ahead(own, residual, first) for first in firsts if FEWEST <= first < len(rows)]
        if squares:
            found.append(squares)
            offsets.append(abs(float(np.median(residual))))
    return found, max(float(np.median(offsets)) if offsets else 0.0, fit.sigma)


def _history(method: _Family | _Alone, part: PartialRun, level: float) -> pd.DataFrame:
    """The forecast of the end, made at earlier steps with what was known then."""
    counts = np.unique(np.linspace(FEWEST, part.count, EARLIER).astype(int))
    if isinstance(method, _Alone):
        counts = np.array([c for c in counts if fallen(part.plan, int(part.steps[c - 1])) >= HALF])
    end = np.array([part.plan.steps])
    rows = [method.at(int(count), end).table(level).iloc[0] for count in counts]
    table = pd.DataFrame(rows).rename(columns={"loss": "final"}).reset_index(drop=True)
    return table.assign(step=part.steps[counts - 1])[["step", "final", "low", "high"]]
