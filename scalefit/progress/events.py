"""Events in a log, in words: spikes, level shifts and rises of the loss, and the warnings of its other signals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import counted
from scalefit.numerics import FloatArray
from scalefit.progress.growth import first_seen, growth, multiplied
from scalefit.progress.rises import GAP, Spike, find_rise, find_spikes
from scalefit.runs.divergence import LOST
from scalefit.schedules import warmup_end
from scalefit.stability.thresholds import LOGIT_LIMIT

SIGNALS = ("grad_norm", "attention_logit_max", "output_logit_logsumexp")
DRIFTED = 10.0  #: change of log Z that is warned about
NAMED = 3  #: most stretches without a finite loss that are listed one by one
MANY = 9.0  #: heights above this are written as a factor
AFTER = 1.0  #: rows after a warmup, in units of those before its end, from which on a loss must have fallen
FASTER = 1.02  #: factor above which a learning rate has risen


@dataclass(frozen=True)
class Warned:
    """A signal and the step at which it first warned."""

    signal: str
    step: int
    text: str


@dataclass(frozen=True)
class Risen:
    """A loss that has risen, and whether the log explains it (a nat or more is never explained)."""

    warned: Warned
    explained: bool


def lone_warnings(step: NDArray[np.int64], loss: FloatArray, lone: NDArray[np.bool_]) -> list[Warned]:
    """Warnings of rows whose loss lies far below that of all neighbouring rows; such rows decide nothing."""
    return [
        Warned("loss", int(step[rows[0]]), f"isolated value {loss[rows].min():.4g} at {_steps(step, rows)}")
        for rows in _stretches(lone)
    ]


def dip_warnings(step: NDArray[np.int64], loss: FloatArray, dips: NDArray[np.bool_]) -> list[Warned]:
    """Warnings of stretches in which the loss falls far below its level and comes back to it; they decide nothing."""
    return [
        Warned(
            "loss", int(step[rows[0]]), f"dips to {np.median(loss[rows]):.4g} at {_steps(step, rows)} and comes back"
        )
        for rows in _stretches(dips)
    ]


def _stretches(marked: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    rows = np.flatnonzero(marked)
    return np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else []


def _steps(step: NDArray[np.int64], rows: NDArray[np.int64]) -> str:
    return f"step {step[rows[0]]}" if len(rows) == 1 else f"steps {step[rows[0]]} to {step[rows[-1]]}"


def gap_warnings(step: NDArray[np.int64], loss: FloatArray) -> list[Warned]:
    """Warnings of stretches of rows whose loss is not finite, and whether it came back."""
    groups = _stretches(~np.isfinite(loss))
    back = [group for group in groups if group[-1] < len(loss) - 1]
    places = [(group, f"at {_steps(step, group)}, then came back") for group in back]
    if len(back) > NAMED:
        places = [(back[0], f"at {sum(map(len, back))} rows in {len(back)} places, then came back")]
    places += [(group, f"from step {step[group[0]]} on") for group in groups[len(back) :]]
    return [Warned("loss", int(step[group[0]]), f"is not finite {where}") for group, where in places]


def unread_warnings(step: NDArray[np.int64], loss: FloatArray) -> list[Warned]:
    """A warning of losses that have no logarithm: spikes and rises are looked for in the other rows."""
    rows = np.flatnonzero(loss <= 0)
    text = f"is not above zero at {counted(len(rows), 'row')}, left out here"
    return [Warned("loss", int(step[rows[0]]), text)] if len(rows) else []


def brief_spikes(rows: pd.DataFrame, spikes: list[Spike]) -> list[Risen]:
    """Spikes that came back, or that are too recent to judge. ``rows``: those with a finite loss, by step.

    A spike of ten rows or more during which the learning rate rises is explained by it.
    """
    found = []
    for spike in spikes:
        if spike.recovered is not None or spike.after < GAP:
            at = int(np.searchsorted(rows["step"].to_numpy(), spike.start))
            rest = GAP if spike.recovered is None else spike.recovered
            reason = explained(rows.iloc[max(0, at - GAP) : at + rest]) if rest >= GAP else ""
            size = f"by {spike.height:.0%} above" if spike.height < MANY else f"to {1 + spike.height:.3g} times"
            text = _height(spike, f"rises {size} its earlier level") + reason
            found.append(Risen(Warned("loss", spike.start, text), bool(reason)))
    return found


def _height(spike: Spike, text: str) -> str:
    """The text of a spike, or of one that ends in a value that is not finite."""
    return text if np.isfinite(spike.height) else "rises until it is not finite"


def shift(rows: pd.DataFrame, spike: Spike | None) -> Risen | None:
    """A spike from which the loss has not come back in ten rows. ``rows``: those with a finite loss, by step."""
    if spike is None or spike.recovered is not None or spike.after < GAP:
        return None
    at = int(np.searchsorted(rows["step"].to_numpy(), spike.start))
    before = float(rows["loss"].iloc[max(0, at - GAP) : at].median())
    jump, still = before * max(spike.shift, spike.still), before * spike.still
    reason = explained(rows.iloc[max(0, at - GAP) : at + GAP])
    now = "" if jump < 1.1 * still else f" (now {still:.2g})"
    text = f"{jump:.2g} nats above its level before step {spike.start} and not recovered{now}{reason}"
    return Risen(Warned("loss", spike.start, text), bool(reason) and still < LOST)


def slow_rise(rows: pd.DataFrame) -> Risen | None:
    """A last level of the loss above its lowest one. ``rows``: those with a loss above zero, by step."""
    rise = find_rise(rows["loss"].to_numpy(float))
    if rise is None:
        return None
    step = rows["step"].to_numpy(int)
    least = int(step[rise.least])
    reason = explained(rows.iloc[rise.least : rise.peak + 1])
    end = f", falling again since step {step[rise.peak]}" if rise.falling else ""
    text = f"rising since step {least}: {rise.nats:.2g} nats above its lowest smoothed level{end}{reason}"
    return Risen(Warned("loss", int(step[rise.seen]), text), bool(reason) and rise.nats < LOST)


def explained(rows: pd.DataFrame) -> str:
    """What else changed over these rows: the learning rate rose, or a column of text changed."""
    if "lr" in rows.columns:
        lr = rows["lr"].to_numpy(float)
        lr = lr[np.isfinite(lr)]
        if len(lr) and lr.max() > FASTER * lr[0]:
            return f"; the learning rate rises from {lr[0]:.3g} to {lr.max():.3g} there"
    for name in rows.columns:
        if name != "run" and not pd.api.types.is_numeric_dtype(rows[name]):
            first, last = str(rows[name].iloc[0]), str(rows[name].iloc[-1])
            if first != last:
                return f"; {name} changes from {first} to {last} there"
    return ""


def signal_warnings(rows: pd.DataFrame, until: int | None) -> list[Warned]:
    """The warnings of each signal other than the loss."""
    step = rows["step"].to_numpy(int)
    signals = {name: rows[name].to_numpy(float) for name in SIGNALS if name in rows.columns}
    found: list[Warned] = []
    if "grad_norm" in signals:
        found += _norm(step, signals["grad_norm"], _warmup(rows))
    if "attention_logit_max" in signals:
        found += _logit(step, signals["attention_logit_max"], until)
    if "output_logit_logsumexp" in signals:
        found += _drift(step, signals["output_logit_logsumexp"])
    return found


def _warmup(rows: pd.DataFrame) -> int:
    """The row at which warmup ends; 0 without learning rates."""
    lr = rows["lr"].to_numpy(float) if "lr" in rows.columns else np.zeros(0)
    return warmup_end(lr[np.isfinite(lr)])


def warming_up(rows: pd.DataFrame) -> bool:
    """Whether the learning rate still rises as it has from the start, or has reached its peak only a while ago."""
    end = _warmup(rows)
    return "lr" in rows.columns and len(rows) > 1 and end > 0 and len(rows) - 1 - end < AFTER * end


def _norm(step: NDArray[np.int64], norm: FloatArray, warmup: int) -> list[Warned]:
    """The first spike of the gradient norm, and its growth since warmup (since half of the log at the latest)."""
    logged = np.flatnonzero(~np.isnan(norm))
    found = [
        Warned("grad_norm", each.start, _height(each, f"rises to {1 + each.height:.3g} times its earlier level"))
        for each in find_spikes(step[logged], norm[logged])[:1]
    ]
    start = int(np.clip(warmup, len(norm) // 10, len(norm) // 2))
    grown = multiplied(norm, start)
    if grown:
        text = (
            f"grows: its running median passes ten times its lowest since step {step[start]} (now {grown[1]:.3g} times)"
        )
        found.append(Warned("grad_norm", int(step[grown[0]]), text))
    return found


def _logit(step: NDArray[np.int64], logit: FloatArray, until: int | None) -> list[Warned]:
    """The first row above the limit, and the growth to it: where it was first seen, and its forecast now."""
    above = np.flatnonzero(logit > LOGIT_LIMIT)[:1]
    passed = [Warned("attention_logit_max", int(step[row]), f"is above {LOGIT_LIMIT:g}") for row in above]
    upto = int(above[0]) if len(above) else len(step)
    steps = step.astype(float)
    now = None if passed else growth(steps, logit, LOGIT_LIMIT)
    if not passed and (now is None or now.earliest > (until or 2 * step[-1] - step[0])):
        return []
    seen = first_seen(steps[:upto], logit[:upto], LOGIT_LIMIT, until)
    if now or seen:
        when = f"as {now}" if now else f"(first forecast: as {seen[1]})" if seen else ""
        first = Warned("attention_logit_max", seen[0] if seen else int(step[-1]), f"grows to {LOGIT_LIMIT:g} {when}")
        passed.insert(0, first)
    return passed


def _drift(step: NDArray[np.int64], value: FloatArray) -> list[Warned]:
    """A warning where log Z is more than ten away from its median over the first tenth."""
    known = value[np.isfinite(value)]
    early = float(np.median(known[: max(3, len(known) // 10)])) if len(known) else np.nan
    far = np.flatnonzero(np.abs(value - early) > DRIFTED)
    return [
        Warned("output_logit_logsumexp", int(step[row]), f"has moved from {early:.3g} to {value[row]:.3g}")
        for row in far[:1]
    ]
