"""What breaks first at a larger size: probes of small runs, extrapolated to their limits.

Each probe is fitted over log N at each learning rate apart, by least squares, with Student's interval from the scatter
that all learning rates share:

    largest attention logit    log z = quadratic in log N      limit 1e4                 arXiv:2309.14322, section 3.3
    log Z                      linear in log N                 limit ±50, our choice: bfloat16 is a quarter apart there
    gradient RMS               log g = linear in log N         limit 10 epsilon of Adam  arXiv:2309.14322, section 3.4
    activation RMS             log a = linear in log N         limit 65504/10, our choice: ten deviations fit fp16
    sharpness times lr         log = linear in log N           2, 2 (1 + beta), 38: see ``sharpness_threshold``

and from the losses alone the largest learning rate that is stable, a line in log-log through those of the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, read_runs
from scalefit.runs.final import diverged, final_losses, finished
from scalefit.runs.matching import canonical
from scalefit.runs.settings import refuse_mixed, shared
from scalefit.stability.lines import Line, Lines
from scalefit.stability.probes import Probe, column_of, measured, probes
from scalefit.transfer.boundary import Boundary, fit_boundary
from scalefit.transfer.grid import snapped
from scalefit.transfer.reach import far_beyond, refuse_target
from scalefit.transfer.sweeps import columns_of, initial_loss_of, refuse_unusable, without
from scalefit.transfer.verdict import Interval

LARGEST_N = 1e16
EARLY, LATE = 0.05, 0.95  #: probabilities between which the crossing lies
STABLE = "largest stable learning rate"
BESIDE = 1.5  #: factor between learning rates that count as beside each other


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
    far: str  #: why the target is too far beyond the sizes of the fit
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
    boundary: Boundary | None  #: the largest stable learning rate over size, where runs of two sizes diverged
    lost: str  #: which runs have already diverged, or have an infinite probe, near this learning rate; "" for none
    far: tuple[str, ...] = ()  #: why the target is too far beyond the measured sizes, of any forecast
    settings: dict[str, str] = field(default_factory=dict)  #: what the runs share: batch, schedule, ...
    notes: tuple[str, ...] = ()  #: which loss counts, which runs were left out

    @property
    def diverging(self) -> float:
        """Probability that this learning rate diverges at the target size; NaN where no boundary is known."""
        return self.boundary.chance(self.size, self.lr) if self.boundary else float("nan")

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
        if self.boundary:
            stable = self.boundary.at(self.size)
            rows.append(
                {
                    "forecast": STABLE, "value": stable.value, "low": stable.low, "high": stable.high,
                    "limit": self.lr, "probability": self.diverging, "crossed_at": self.boundary.size_of(self.lr),
                    "from": np.nan, "to": np.nan, "lr_limit": stable.value,
                }
            )  # fmt: skip
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
    ignore: Sequence[str] = (),
) -> Forecasts:
    """Forecast what crosses its limit at a size and learning rate, from probes logged in smaller runs.

    ``runs``: tables with a row a run, or curves, of which the last tenth is averaged; columns of size (``over``:
    default N, else d_model), learning rate, and probes. At a learning rate between those of a size, its probe is
    interpolated; beyond those of the sweep InputError is raised, and where runs of one size differ in anything but
    learning rate, seed and the columns ``ignore``. From the losses comes the largest learning rate that is stable.
    Runs without a finite loss have no part in the probes' fits and are told (``lost``). Forecasts whose probe is not
    in the log are listed in ``missing``.

    >>> N = np.repeat([1e6, 1e7, 1e8], 2)
    >>> rows = pd.DataFrame({"N": N, "lr": 0.01, "attention_logit_max": 10 * (N / 1e6), "loss": 3.0})
    >>> found = forecast(rows, 1e10, 0.01).found[0]
    >>> round(found.value.value), round(found.probability, 2), f"{found.crossing.value:.2g}"
    (100000, 1.0, '1e+09')
    """
    if not 0 < epsilon < np.inf:
        raise InputError(f"epsilon is {epsilon:g}", todo="give Adam's, above 0")
    table, over, notes = _sweep(runs, over, ignore)
    refuse_target(size, over)
    rates = np.unique(table["lr"])
    if not rates.min() * 0.99 <= lr <= rates.max() * 1.01:
        raise InputError(
            f"learning rate {lr:g} lies outside those of the sweep, {rates.min():g} to {rates.max():g}",
            todo="forecast at one of them, or add runs",
        )
    alive = table["loss"].astype(float).abs().lt(np.inf) if "loss" in table.columns else pd.Series(True, table.index)
    found, missing = [], {}
    for probe in probes(epsilon, rule, beta):
        column, values = column_of(table, probe)
        if not column:
            missing[probe.name] = f"no column {' or '.join(probe.columns)}"
            continue
        values = np.where(alive, values, np.nan)
        lines = Lines(table[over].to_numpy(float), table["lr"].to_numpy(float), values, probe.degree)
        line = lines.at(lr)
        if line is None:
            missing[probe.name] = f"{column}: fewer than two sizes have it at learning rates round {lr:g}"
            continue
        found.append(_forecast(probe, column, lines, line, over, size, lr, level))
    bounds = _boundary(table, over, missing)
    sizes = table[over].astype(float)
    far = tuple(dict.fromkeys(f"{each.name}: {each.far}" for each in found if each.far))
    if not found and bounds:
        why = far_beyond(over, bounds.sizes, size)
        far = (f"{STABLE}: {why}",) if why else ()
    beyond = size / float(sizes.max())
    lost = _lost(table, over, lr, alive)
    return Forecasts(over, size, lr, tuple(found), missing, beyond, bounds, lost, far, shared(table, over), notes)


def _sweep(
    runs: Runs | pd.DataFrame, over: str | None, ignore: Sequence[str]
) -> tuple[pd.DataFrame, str, tuple[str, ...]]:
    """A row a run, learning rates snapped to each other; the column of the size; notes. Mixed settings are refused."""
    known = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    table = without(measured(known), ignore)
    over = over or next((name for name in ("N", "d_model") if name in table.columns), "N")
    over = canonical(over) if over not in table.columns else over
    for name in (over, "lr"):
        if name not in table.columns:
            raise InputError(f"there is no column {name}", todo=f"write --map {name}=COLUMN; {columns_of(table)}")
    refuse_unusable(table, {"lr": table["lr"], over: table[over]})
    notes: tuple[str, ...] = ()
    if "loss" in table.columns:
        last, which = final_losses(known)
        table, unfinished = finished(table.assign(loss=last["loss"]), over, "", curves=known.curves is not None)
        notes = (*which, *unfinished)
    table = table.assign(lr=snapped(table["lr"].to_numpy(float)))
    refuse_mixed(table, table[over].astype(str), {over}, table["lr"], arms=False)
    return table, over, notes


def _forecast(
    probe: Probe, column: str, lines: Lines, line: Line, over: str, size: float, lr: float, level: float
) -> Forecast:
    mean, error = line.at(np.array([size]))
    if probe.both and mean[0] < 0:
        probe = replace(probe, limit=-probe.limit, above=False)
    sign = 1.0 if probe.above else -1.0
    limit = float(np.log(probe.limit)) if probe.log else probe.limit
    reach = line.quantile((1 + level) / 2) * float(error[0])
    ends = np.array([mean[0], mean[0] - reach, mean[0] + reach])
    value = Interval(*(float(end) for end in (np.exp(ends) if probe.log else ends)))
    sizes = np.geomspace(line.smallest, LARGEST_N, 2000)
    chance = line.chance(sizes, limit, sign)
    crossing = Interval(*(_first(sizes, chance, share) for share in (0.5, EARLY, LATE)))
    at_target = float(line.chance(np.array([size]), limit, sign)[0])
    far = far_beyond(over, [line.smallest, line.largest], size)
    return Forecast(
        probe.name, column, probe.limit, value, at_target, crossing, _lr_limit(lines, size, limit, sign), probe.cure,
        line.sizes, far, probe, line, level,
    )  # fmt: skip


def _boundary(table: pd.DataFrame, over: str, missing: dict[str, str]) -> Boundary | None:
    """The largest stable learning rate over size, from the losses."""
    if "loss" not in table.columns:
        missing[STABLE] = "no column loss"
        return None
    losses = table["loss"].astype(float).where(~diverged(table))
    frame = pd.DataFrame({"size": table[over].astype(float), "lr": table["lr"].astype(float), "loss": losses})
    start = initial_loss_of(table)
    found = fit_boundary({float(str(key)): cell for key, cell in frame.groupby("size")}, start)
    if found is None:
        missing[STABLE] = "fewer than two sizes have runs that diverge above runs that do not"
    return found


def _lost(table: pd.DataFrame, over: str, lr: float, alive: pd.Series) -> str:
    """Which sizes have lost runs at the learning rates beside the one asked for."""
    infinite = pd.Series(False, table.index)
    for probe in probes():
        names = [name for name in probe.columns if name in table.columns]
        infinite |= table[names].apply(pd.to_numeric, errors="coerce").abs().eq(np.inf).any(axis=1) if names else False
    near = (table["lr"] / lr).between(1 / BESIDE, BESIDE)
    sizes = sorted(table.loc[near & (~alive | infinite), over].astype(float).unique())
    if not sizes:
        return ""
    said = ", ".join(f"{each:g}" for each in sizes)
    return f"runs of {over} {said} at learning rates within a factor {BESIDE:g} of {lr:g} have diverged"


def _first(sizes: FloatArray, chance: FloatArray, share: float) -> float:
    """The first size from which the chance is at least a share; NaN where no chance is known."""
    if np.isnan(chance).all():
        return float("nan")
    reached = np.flatnonzero(chance >= share)
    return float(sizes[reached[0]]) if len(reached) else float("inf")


def _lr_limit(lines: Lines, size: float, limit: float, sign: float) -> float:
    """The learning rate at which the mean crosses the limit at a size, between two of the sweep's."""
    rates = np.unique(lines.lr[np.isfinite(lines.value)])
    over = np.array([sign * (lines.mean(rate, size) - limit) for rate in rates])
    rates, over = rates[np.isfinite(over)], over[np.isfinite(over)]
    for i in range(len(rates) - 1):
        if (over[i] < 0) != (over[i + 1] < 0):
            share = over[i] / (over[i] - over[i + 1])
            return float(np.exp(np.log(rates[i]) + share * np.log(rates[i + 1] / rates[i])))
    return float("nan")
