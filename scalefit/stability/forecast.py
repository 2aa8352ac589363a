"""What breaks first at a larger size: probes of small runs, extrapolated to their limits.

Each probe is fitted over log N separately at each learning rate, by least squares, with Student's interval from the
scatter that neighbouring learning rates share:

    largest attention logit    log z = quadratic in log N      limit 1e4                 arXiv:2309.14322, section 3.3
    log Z                      linear in log N                 limit ±50, our choice: bfloat16 is a quarter apart there
    gradient RMS               log g = linear in log N         limit 10 epsilon of Adam  arXiv:2309.14322, section 3.4
    activation RMS             log a = linear in log N         limit 65504/10, our choice: ten times the RMS fits fp16
    sharpness times lr         log = linear in log N           2, 2 (1 + beta), 38: see ``sharpness_threshold``

The largest stable learning rate comes from the losses alone: a line in log-log through those of the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from scalefit.answers import Shown, alike, as_lines
from scalefit.errors import InputError
from scalefit.notices import Notice, doubted, doubts_of
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, runs_of
from scalefit.runs.final import final_losses, finished
from scalefit.runs.matching import canonical
from scalefit.runs.settings import refuse_mixed, said, shared
from scalefit.stability.lines import Line, Lines
from scalefit.stability.probes import Probe, column_of, measured, probes
from scalefit.stability.stable import boundary_of, by_the_rule, followed, lost_near, told_of
from scalefit.transfer.boundary import Boundary
from scalefit.transfer.grid import snapped
from scalefit.transfer.reach import far_beyond, refuse_target
from scalefit.transfer.sweeps import columns_of, refuse_unusable, without
from scalefit.transfer.verdict import Interval

LARGEST_N = 1e16
EARLY, LATE = 0.05, 0.95  #: probabilities of the ends of the interval of a crossing
LIKELY = 0.5  #: probability from which a limit is reported as likely to be crossed
STABLE = "largest stable learning rate"
COLUMNS = ["forecast", "value", "low", "high", "limit", "probability", "crossed_at", "from", "to", "lr_limit"]


@dataclass(frozen=True)
class Forecast:
    """One probe at the target."""

    name: str
    column: str
    limit: float
    value: Interval  #: at the target, with its interval; ends NaN where the fit leaves no degrees of freedom
    probability: float  #: that the limit is crossed at the target
    crossing: Interval  #: size at which it is crossed (probability .5, .05 and .95); inf: above 1e16
    lr_limit: float  #: learning rate at which it is crossed at the target size; NaN where it is at none of the sweep
    cure: str
    sizes: int  #: in the fit at this learning rate
    far: str  #: why the target is too far beyond the sizes of the fit, or ""
    probe: Probe = field(repr=False)
    line: Line = field(repr=False)  #: of the probe, or of its logarithm, over log size at this learning rate
    level: float = field(repr=False)  #: of the intervals

    def curve(self, sizes: FloatArray) -> FloatArray:
        """The probe at sizes (n,): its value and the ends of its interval, (3, n)."""
        ends = self.line.band(np.asarray(sizes, dtype=float), self.level)
        return np.asarray(np.exp(ends) if self.probe.log else ends)

    @property
    def unknown(self) -> str:
        """Why there is no interval and no probability, or ""."""
        few = "are too few for the shape of its fit; add a size" if self.line.lowered else ""
        why = few or "leave no degrees of freedom to estimate the noise; add a size or a seed"
        return f"no interval and no probability: {self.sizes} sizes {why}" if np.isnan(self.probability) else ""


@dataclass(frozen=True, eq=False, repr=False)
class Forecasts(Shown):
    """All forecasts that the log allows, and what is missing for the others."""

    over: str
    size: float
    lr: float
    found: tuple[Forecast, ...]
    missing: dict[str, str]  #: forecast -> what the log lacks
    beyond: float  #: factor from the largest size measured to the target
    boundary: Boundary | None  #: the largest stable learning rate over size; needs diverged runs of two sizes
    lost: str  #: which runs near this learning rate have diverged or have an infinite probe; "" for none
    far: tuple[str, ...] = ()  #: the forecasts whose target is too far beyond their sizes, and why
    settings: dict[str, str] = field(default_factory=dict)  #: what the runs share: batch, schedule, ...
    notes: tuple[str, ...] = ()  #: which loss counts, which runs were left out

    @property
    def diverging(self) -> float:
        """Probability that this learning rate diverges at the target size; NaN without a boundary."""
        return self.boundary.chance(self.size, self.lr) if self.boundary else float("nan")

    @property
    def table(self) -> pd.DataFrame:
        """One row per forecast, the most probable crossing first."""
        rows: list[list[str | float]] = [
            [each.name, *each.value, each.limit, each.probability, *each.crossing, each.lr_limit] for each in self.found
        ]
        if self.boundary:
            stable, crossed = self.boundary.at(self.size), self.boundary.size_of(self.lr)
            rows.append([STABLE, *stable, self.lr, self.diverging, crossed, np.nan, np.nan, stable.value])
        if not rows:
            return pd.DataFrame()
        return pd.DataFrame(rows, columns=COLUMNS).sort_values("probability", ascending=False, kind="stable")

    @property
    def likely(self) -> list[str]:
        """The forecasts whose limit is more likely crossed than not, the most probable first."""
        table = self.table
        return [str(name) for name in table["forecast"][table["probability"] >= LIKELY]] if len(table) else []

    @property
    def ok(self) -> bool:
        """Whether no limit is likely to be crossed, and there is no doubt about the forecasts."""
        return not doubts_of(self.lines)

    @property
    def lines(self) -> list[Notice | str]:
        """What is said, line by line."""
        reach = f" ({self.beyond:.3g} times the largest measured)" if self.beyond > 1.0 else ""
        head = f"{len(self.likely) or 'no'} {'limits are' if len(self.likely) > 1 else 'limit is'} likely to be crossed"
        head += f" at {self.over} {self.size:.4g}{reach} and learning rate {self.lr:g}"
        lines: list[Notice | str] = [f"{head}: {', '.join(self.likely)}" if self.likely else head, *said(self.settings)]
        if self.found or self.boundary:
            level = self.found[0].level if self.found else 1 - 2 * EARLY
            lines += ["", f"forecasts, with intervals of {100 * level:.0f} %:", as_lines(_in_words(self.table), 3)]
        else:
            lines[0] = Notice(
                "nothing can be forecast: the log holds no probe at two or more sizes; log one of those below"
            )
        far = alike({each.name: each.far for each in self.found if each.far}) or self.far
        lines += doubted(each for each in (self.lost, *far) if each)
        if self.diverging >= LIKELY:
            lines.append(Notice(f"learning rate {self.lr:g} is likely to diverge: try a lower one, or a longer warmup"))
        likely = [each for each in self.found if each.probability >= LIKELY]
        lines += doubted(f"{each.name} is likely to cross {each.limit:g}: try {each.cure}" for each in likely)
        lines += doubted(alike({each.name: each.unknown for each in self.found if each.unknown}))
        lines += self.notes
        between = [each.name for each in self.found if each.line.between]
        lines += [f"  interpolated between learning rates of the sweep: {', '.join(between)}"] * bool(between)
        lines += [f"  no forecast of {name}: {why}" for name, why in self.missing.items()]
        if any(why.startswith("no column") for why in self.missing.values()):
            lines.append("  (for a probe under another name: --map attention_logit_max=COLUMN, and so on)")
        return lines


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
    """Forecast which probes cross their limits at a size and learning rate, from probes logged in smaller runs.

    ``runs``: tables with one row per run, or curves, whose last tenth is averaged; columns of size (``over``: default
    N, else d_model), learning rate, and probes. At a learning rate between those of a size, its probe is interpolated.
    The largest stable learning rate comes from the losses. Runs without a finite loss do not enter the fits of the
    probes; those near this learning rate are reported (``lost``). ``missing`` lists the forecasts whose probe is not in
    the log. Raises InputError for a learning rate outside the sweep, and where runs of one size differ in anything but
    learning rate, seed and the columns ``ignore``.

    >>> N = np.repeat([1e6, 1e7, 1e8], 2)
    >>> rows = pd.DataFrame({"N": N, "lr": 0.01, "attention_logit_max": 10 * (N / 1e6), "loss": 3.0})
    >>> found = forecast(rows, 1e10, 0.01).found[0]
    >>> round(found.value.value), round(found.probability, 2), f"{found.crossing.value:.2g}"
    (100000, 1.0, '1e+09')
    """
    if not 0 < epsilon < np.inf:
        raise InputError(f"epsilon is {epsilon:g}, not a number above 0", todo="give Adam's epsilon")
    table, over, notes = _sweep(runs, over, ignore)
    refuse_target(size, over)
    low, high = table["lr"].min(), table["lr"].max()
    if not low * 0.99 <= lr <= high * 1.01:
        why = f"learning rate {lr:g} lies outside those of the sweep, {low:g} to {high:g}"
        raise InputError(why, todo="forecast at one of them, or add runs")
    alive = ~by_the_rule(table, over) if "loss" in table.columns else pd.Series(True, table.index)
    found, missing, sizes = [], {}, table[over].astype(float)
    for probe in probes(epsilon, rule, beta):
        column, values = column_of(table, probe)
        if not column:
            missing[probe.name] = f"no column {' or '.join(probe.columns)}"
            continue
        values = np.where(alive, values, np.nan)
        lines = Lines(table[over].to_numpy(float), table["lr"].to_numpy(float), values, probe.degree)
        line = lines.at(lr)
        if line is None:
            missing[probe.name] = f"fewer than two sizes have {column} at learning rates near {lr:g}"
            continue
        found.append(_forecast(probe, column, lines, line, over, size, level))
    bounds, why_none = boundary_of(table, over)
    missing |= {STABLE: why_none} if why_none else {}
    far = tuple(dict.fromkeys(f"{each.name}: {each.far}" for each in found if each.far))
    if not found and bounds:
        why = far_beyond(over, bounds.sizes, size)
        far = (f"{STABLE}: {why}",) if why else ()
    beyond, near, settings = size / float(sizes.max()), lost_near(table, over, lr, alive), shared(table, over)
    return Forecasts(over, size, lr, tuple(found), missing, beyond, bounds, near, far, settings, notes)


def _sweep(
    runs: Runs | pd.DataFrame, over: str | None, ignore: Sequence[str]
) -> tuple[pd.DataFrame, str, tuple[str, ...]]:
    """One row per run with equal learning rates merged, the column of the size, notes. Mixed settings are refused."""
    known = runs_of(runs)
    table = without(measured(known), [known.column(name) for name in ignore])
    over = known.column(over) if over else "d_model" if {"d_model", "N"} & {*table.columns} == {"d_model"} else "N"
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
    along = followed(table, over)
    refuse_mixed(table, table[over].astype(str), {over, *along}, table["lr"], arms=False)
    return table, over, (*notes, *told_of(along, over))


def _forecast(probe: Probe, column: str, lines: Lines, line: Line, over: str, size: float, level: float) -> Forecast:
    target = np.array([size])
    ends = line.band(target, level)[:, 0]
    if probe.both and ends[0] < 0:
        probe = replace(probe, limit=-probe.limit, above=False)
    sign, limit = 1.0 if probe.above else -1.0, float(np.log(probe.limit)) if probe.log else probe.limit
    value = Interval(*(np.exp(ends) if probe.log else ends).tolist())
    crossing = Interval(*(_first(line, limit, sign, share) for share in (0.5, EARLY, LATE)))
    at_target = float(line.chance(target, limit, sign)[0])
    far = far_beyond(over, [line.smallest, line.largest], size)
    return Forecast(
        probe.name, column, probe.limit, value, at_target, crossing, _lr_limit(lines, size, limit, sign), probe.cure,
        line.sizes, far, probe, line, level,
    )  # fmt: skip


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with sizes and probabilities as text."""
    shown = table.copy()
    shown["probability"] = [
        "-" if p != p else "< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else f"{p:.2f}" for p in table["probability"]
    ]
    for name in ("low", "high", "crossed_at", "from", "to", "lr_limit"):
        most = LARGEST_N if name in ("crossed_at", "from", "to") else np.inf
        shown[name] = ["-" if x != x else "> 1e16" if x > most else f"{x:.3g}" for x in table[name]]
    return shown


def _first(line: Line, limit: float, sign: float, share: float) -> float:
    """The first size at which the probability is at least a share; NaN where no probability is known."""
    sizes = np.geomspace(line.smallest, LARGEST_N, 2000)
    chance = line.chance(sizes, limit, sign)
    if np.isnan(chance).all():
        return float("nan")
    reached = np.flatnonzero(chance >= share)
    if not len(reached) or not reached[0]:
        return float(sizes[0]) if len(reached) else float("inf")
    finer = np.geomspace(float(sizes[reached[0] - 1]), float(sizes[reached[0]]), 50)
    return float(finer[np.argmax(line.chance(finer, limit, sign) >= share)])


def _lr_limit(lines: Lines, size: float, limit: float, sign: float) -> float:
    """The learning rate, between two of the sweep, at which the mean crosses the limit at a size; else NaN."""
    rates = np.unique(lines.lr[np.isfinite(lines.value)])
    over = np.array([sign * (lines.mean(rate, size) - limit) for rate in rates])
    rates, over = rates[np.isfinite(over)], over[np.isfinite(over)]
    for i in range(len(rates) - 1):
        if (over[i] < 0) != (over[i + 1] < 0):
            share = over[i] / (over[i] - over[i + 1])
            return float(np.exp(np.log(rates[i]) + share * np.log(rates[i + 1] / rates[i])))
    return float("nan")
