"""A prediction by way of another loss, as an answer: what is reached, from what, and on what it rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scalefit.answers import Shown, interval, place
from scalefit.diagnosis.checks import Check
from scalefit.fitting.cautions import how_far
from scalefit.fitting.prediction import predict
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.planning.downstream.chain import Ends, chained, spread_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Downstream(Shown):
    """What :func:`scalefit.translate` and :func:`scalefit.task_ladder` found."""

    first: Fit  #: the law in size and data of the loss on the way
    second: Fit  #: the map from it to what is asked for
    how: str  #: the procedure
    at: Mapping[str, float]  #: the target
    on_the_way: Ends  #: the loss on the way there, with its prediction interval
    reached: Ends  #: what is reached there
    direct: Ends | None  #: the same by a law of size and data fitted to its own runs, where there is one
    cautions: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether neither stage has warnings and the target is within the reach of both."""
        return self.second.ok and (self.first.ok or not self._through_law) and not self.cautions

    @property
    def _through_law(self) -> bool:
        return "loss_source" not in self.at

    @property
    def table(self) -> pd.DataFrame:
        """One row: the target, the loss on the way and what is reached, with 90 % prediction intervals."""
        row = dict(self.at) | dict(
            zip(("on_the_way", "on_the_way_low", "on_the_way_high"), self.on_the_way, strict=True)
        )
        row |= dict(zip((self.second.target, "low", "high"), self.reached, strict=True))
        return pd.DataFrame([row | {"decades_beyond": self.decades_beyond}])

    @property
    def decades_beyond(self) -> float:
        """How far the target lies beyond the fitted runs, or a source loss that is given beyond those of the map."""
        return float(self._asked[1]["decades_beyond"])

    @property
    def _asked(self) -> tuple[Fit, pd.Series]:
        asked = self.first if self._through_law else self.second
        return asked, predict(asked, at=self.at).iloc[0]

    def predict(self, N: float, D: float) -> float:
        """What is reached at N parameters and D tokens, without an interval."""
        loss = ends_of(self.first, {"N": N, "D": D})[0]
        return ends_of(self.second, {next(iter(self.second.law.columns.values())): loss})[0]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The map with the pairs it was fitted to, and the target."""
        from scalefit.plots.downstream import plot_downstream

        return plot_downstream(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        where = place(self.at)
        what = self.second.target
        lines = [f"{what} at {where}: {interval(self.reached, '.4g')}, {how_far(*self._asked)}"]
        way = next(iter(self.second.law.columns.values()))
        if self._through_law:
            lines.append(f"  by way of {'the source loss' if way == 'loss_source' else 'the loss of the task'}"
                         f" {interval(self.on_the_way, '.4g')}")  # fmt: skip
        if self.direct is not None:
            lines.append(f"  by a law of size and data of its own: {interval(self.direct, '.4g')}")
        lines += ["", "assumed:"]
        lines += [f"  law: {self.first.law.equation}, fitted to {self.first.rows} runs"] if self._through_law else []
        lines.append(f"  map: {self.second.law.equation}, fitted to {self.second.rows} rows")
        known = self.reached[1] == self.reached[1]
        ends = "90 % intervals: the prediction intervals of both stages, taken as independent"
        if way == "loss_source":
            ends = (
                "90 % intervals: draws of loss, floors and map together, the errors believed of law and map, and noise"
            )
        lines += [f"  {self.how}", f"  {ends if known else 'no interval: there are no draws, or too few rows for one'}"]
        warnings = (*self.cautions, *(self.first.warnings if self._through_law else ()), *self.second.warnings)
        return [*lines, *doubted(dict.fromkeys(check.text for check in warnings))]


def without_draws(fit: Fit, sigma: float | None = None) -> Fit:
    """The fit, and those mixed with it, with intervals that count the error believed of a law, and noise, but no draws.

    What draws say is joined apart, where those of two stages belong together. ``sigma``: another noise than the fit's.
    """
    if fit.intervals is None:
        return fit
    still = replace(fit.intervals, draws=(tuple(fit.parameters.values()),) * 2)
    choice = fit.choice and replace(fit.choice, others=tuple(without_draws(each, sigma) for each in fit.choice.others))
    return replace(fit, intervals=still, choice=choice, sigma=fit.sigma if sigma is None else sigma)


def ends_of(fit: Fit, at: Mapping[str, float], interval: Literal["observation", "mean"] = "observation") -> Ends:
    """The prediction of a fit at one point with its interval."""
    row = predict(fit, at=at, interval=interval).iloc[0]
    return float(row[fit.target]), float(row["low"]), float(row["high"])


def through(way: Ends, second: Fit, extra: tuple[float, float] = (0.0, 0.0), most: float = np.inf) -> Ends:
    """What a map makes of a loss on the way: both intervals joined.

    ``extra``: how far a further error of the map reaches below and above, as the half widths of its 90 % interval.
    """
    name = next(iter(second.law.variables))
    column = second.law.columns[name]
    value, low, high = ends_of(second, {column: way[0]})
    if not np.isfinite(low) or not np.isfinite(way[1] if way[1] == way[1] else way[0]):
        return value, np.nan, np.nan
    down, up = np.hypot(value - low, extra[0]), np.hypot(high - value, extra[1])
    errors = spread_out((0.0, -down, up), log=False)
    losses = spread_out(way, log=True) if way[1] == way[1] else np.array([way[0]])
    middle = float(second.evaluate({name: np.array(way[0])}))  # of a mixture the first law says how losses change
    ends = chained(losses, lambda x: np.asarray(second.evaluate({name: x})) + value - middle, errors)
    return value, min(ends[0], value), min(ends[1], most)
