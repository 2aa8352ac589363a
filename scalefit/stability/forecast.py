"""What breaks first at a larger size: probes of small runs, extrapolated to their limits.

Each probe is fitted over log N at each learning rate apart, by least squares, with Student's interval from the scatter
that all learning rates share:

    largest attention logit    log z = quadratic in log N      limit 1e4                 arXiv:2309.14322, section 3.3
    |log Z|                    linear in log N                 limit 50, our choice: bfloat16 is a quarter apart there
    gradient RMS               log g = linear in log N         limit 10 epsilon of Adam  arXiv:2309.14322, section 3.4
    activation RMS             log a = linear in log N         limit 65504/10, our choice: ten deviations fit fp16
    sharpness times lr         log = linear in log N           2, 2 (1 + beta), 38: see ``sharpness_threshold``
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.runs import Runs
from scalefit.runs.matching import canonical
from scalefit.stability.lines import Line, fit_lines
from scalefit.stability.probes import Probe, column_of, measured, probes
from scalefit.stability.reach import far_beyond, refuse_target
from scalefit.stability.sweeps import columns_of, refuse_mixed, refuse_unusable
from scalefit.stability.verdict import Interval

LARGEST_N = 1e16
EARLY, LATE = 0.05, 0.95  #: probabilities between which the crossing lies


@dataclass(frozen=True)
class Forecast:
    """One probe at the target."""

    name: str
    column: str
    limit: float
    value: Interval  #: at the target, with its 90 % interval; ends NaN where the fit leaves no scatter
    probability: float  #: that the limit is crossed at the target
    crossing: Interval  #: size at which it is crossed (probability .5, .05 and .95); inf: not below 1e16
    lr_limit: float  #: learning rate at which it is crossed at the target size; NaN where none tried is
    cure: str
    sizes: int  #: that the fit at this learning rate used
    probe: Probe = field(repr=False)
    line: Line = field(repr=False)  #: of the probe, or of its logarithm, over log size at this learning rate
    level: float = field(repr=False)  #: of the intervals

    def curve(self, sizes: FloatArray) -> FloatArray:
        """The probe at sizes (n,): its value and the ends of its interval, (3, n)."""
        mean, error = self.line.at(np.asarray(sizes, dtype=float))
        reach = self.line.quantile((1 + self.level) / 2) * error
        ends = np.stack([mean, mean - reach, mean + reach])
        return np.asarray(np.exp(ends) if self.probe.log else ends)


@dataclass(frozen=True, eq=False)
class Forecasts:
    """All forecasts that the log allows, and what is missing for the others."""

    over: str
    size: float
    lr: float
    found: tuple[Forecast, ...]
    missing: dict[str, str]  #: forecast -> what the log lacks
    beyond: float  #: factor from the largest size measured to the target
    far: str = ""  #: why the target is too far beyond the measured sizes

    @property
    def table(self) -> pd.DataFrame:
        """One row a forecast, the most probable trouble first."""
        rows = [
            {
                "forecast": each.name, "value": each.value.value, "low": each.value.low, "high": each.value.high,
                "limit": each.limit, "probability": each.probability, "crossed_at": each.crossing.value,
                "from": each.crossing.low, "to": each.crossing.high, "lr_limit": each.lr_limit,
            }
            for each in self.found
        ]  # fmt: skip
        return pd.DataFrame(rows).sort_values("probability", ascending=False, kind="stable") if rows else pd.DataFrame()


def forecast(
    runs: Runs | pd.DataFrame,
    size: float,
    lr: float,
    over: str | None = None,
    epsilon: float = 1e-8,
    rule: str = "adam",
    beta: float = 0.9,
    level: float = 0.90,
) -> Forecasts:
    """Forecast what crosses its limit at a size and learning rate, from probes logged in smaller runs.

    ``runs``: tables with a row a run, or curves, of which the last tenth is averaged; columns of size (``over``:
    default N, else d_model), learning rate, and probes. Between two learning rates of the sweep fits are interpolated;
    beyond them InputError is raised, and where runs of one size differ in anything but learning rate and seed.
    Forecasts whose probe is not in the log are listed in ``missing``.

    >>> N = np.repeat([1e6, 1e7, 1e8], 2)
    >>> rows = pd.DataFrame({"N": N, "lr": 0.01, "attention_logit_max": 10 * (N / 1e6), "loss": 3.0})
    >>> found = forecast(rows, 1e10, 0.01).found[0]
    >>> round(found.value.value), round(found.probability, 2), f"{found.crossing.value:.2g}"
    (100000, 1.0, '1e+09')
    """
    table = measured(runs)
    over = over or next((name for name in ("N", "d_model") if name in table.columns), "N")
    over = canonical(over) if over not in table.columns else over
    for name in (over, "lr"):
        if name not in table.columns:
            raise InputError(f"there is no column {name}", todo=f"write --map {name}=COLUMN; {columns_of(table)}")
    refuse_unusable(table, {"lr": table["lr"], over: table[over]})
    refuse_mixed(table, table[over].astype(str), {over}, arms=False)
    refuse_target(size, over)
    rates = np.unique(table["lr"].astype(float))
    if not rates.min() * 0.99 <= lr <= rates.max() * 1.01:
        raise InputError(
            f"learning rate {lr:g} lies outside those of the sweep, {rates.min():g} to {rates.max():g}",
            todo="forecast at one of them, or add runs",
        )
    found, missing = [], {}
    for probe in probes(epsilon, rule, beta):
        column, values = column_of(table, probe)
        if not column:
            missing[probe.name] = f"no column {' or '.join(probe.columns)}"
            continue
        lines = fit_lines(table[over].to_numpy(float), table["lr"].to_numpy(float), values, probe.degree)
        if not lines:
            missing[probe.name] = f"{column} has no learning rate with two or more sizes"
            continue
        found.append(_forecast(probe, column, lines, size, lr, level))
    sizes = table[over].astype(float)
    far = far_beyond(over, [sizes.min(), sizes.max()], size)
    return Forecasts(over, size, lr, tuple(found), missing, size / float(sizes.max()), far)


def _forecast(probe: Probe, column: str, lines: dict[float, Line], size: float, lr: float, level: float) -> Forecast:
    sign = 1.0 if probe.above else -1.0
    limit = np.log(probe.limit) if probe.log else probe.limit
    line = between(lines, lr)
    mean, error = line.at(np.array([size]))
    reach = line.quantile((1 + level) / 2) * float(error[0])
    ends = np.array([mean[0], mean[0] - reach, mean[0] + reach])
    value = Interval(*(float(end) for end in (np.exp(ends) if probe.log else ends)))
    sizes = np.geomspace(line.smallest, LARGEST_N, 2000)
    chance = line.chance(sizes, limit, sign)
    crossing = Interval(*(_first(sizes, chance, share) for share in (0.5, EARLY, LATE)))
    at_target = float(line.chance(np.array([size]), limit, sign)[0])
    return Forecast(
        probe.name, column, probe.limit, value, at_target, crossing, _lr_limit(lines, size, limit, sign), probe.cure,
        line.sizes, probe, line, level,
    )  # fmt: skip


def between(lines: dict[float, Line], lr: float) -> Line:
    """The line at a learning rate: that of the sweep's, or a mixture of the two beside it."""
    rates = np.array(list(lines))
    above = int(np.searchsorted(rates, lr))
    if above in (0, len(rates)):
        return lines[rates[min(above, len(rates) - 1)]]
    low, high = rates[above - 1], rates[above]
    share = float(np.log(lr / low) / np.log(high / low))
    if share < 0.01 or share > 0.99:
        return lines[low if share < 0.5 else high]
    return lines[low].mixed(lines[high], share)


def _first(sizes: FloatArray, chance: FloatArray, share: float) -> float:
    """The first size from which the chance is at least a share; NaN where no chance is known."""
    if np.isnan(chance).all():
        return float("nan")
    reached = np.flatnonzero(chance >= share)
    return float(sizes[reached[0]]) if len(reached) else float("inf")


def _lr_limit(lines: dict[float, Line], size: float, limit: float, sign: float) -> float:
    """The learning rate at which the mean crosses the limit at a size, between two of the sweep's."""
    rates = np.array(list(lines))
    over = np.array([sign * (line.at(np.array([size]))[0][0] - limit) for line in lines.values()])
    for i in range(len(rates) - 1):
        if (over[i] < 0) != (over[i + 1] < 0):
            share = over[i] / (over[i] - over[i + 1])
            return float(np.exp(np.log(rates[i]) + share * np.log(rates[i + 1] / rates[i])))
    return float("nan")
