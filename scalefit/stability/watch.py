"""A log in progress: spikes against divergence, and which signal warned first.

A spike is a stretch of rows far above the running median, in robust deviations of the log, and the loss comes back from
it. A run has diverged when its loss is not finite, ends near the loss of an untrained model, or stays a nat above its
least over the last tenth. Source of the robust detector: own; arXiv:2309.14322 for the limit of the attention logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import MAD_TO_SIGMA, FloatArray
from scalefit.runs.divergence import divergence
from scalefit.stability.thresholds import LOGIT_LIMIT

WINDOW = 64  #: rows before, whose median counts
DEVIATIONS = 7.0  #: above which a row is far out
GAP = 10  #: rows between which two stretches are one
TREND = 0.25  #: of the rows, from which growth is extrapolated
SURE = 5.0  #: standard errors by which a growth must exceed zero
DRIFTED = 10.0  #: of log Z
QUIET = 1e-3  #: smallest robust deviation of a log, so that a calm log has no spikes


@dataclass(frozen=True)
class Spike:
    """A stretch of rows above the running median."""

    start: int  #: step
    stop: int  #: step of the last row above
    height: float  #: largest ratio to the median, minus 1
    recovered: int | None  #: rows until the value was back within the calm range; None: it is not


@dataclass(frozen=True)
class Warned:
    """A signal and the step at which it first warned."""

    signal: str
    step: int
    text: str


@dataclass(frozen=True)
class Watch:
    """What a log says of its run so far."""

    status: str  #: "calm", "spikes" or "diverged"
    step: int  #: last
    spikes: tuple[Spike, ...]  #: of the loss
    warnings: tuple[Warned, ...]  #: by step
    unseen: tuple[str, ...]  #: signals that the log does not hold
    why: str  #: of the status

    @property
    def first(self) -> Warned | None:
        """The first warning."""
        return self.warnings[0] if self.warnings else None


def watch(
    rows: pd.DataFrame,
    initial_loss: float | None = None,
    predicted: FloatArray | None = None,
    steps: int | None = None,
) -> Watch:
    """Spikes, divergence and warnings in the rows of one run, by rising step.

    ``rows``: columns step and loss, and any of grad_norm, attention_logit_max, output_logit_logsumexp.
    ``initial_loss``: of the untrained model (default: the first finite loss, where the log starts at step 0 or 1);
    ``predicted``: (n,) the loss by a fitted law at the same rows (nan where it gives none); ``steps``: length of the
    whole run, up to which growth is extrapolated (default: twice the last step). Losses that are missing before the
    last finite one were not logged. Raises InputError for missing columns or fewer than three rows.

    >>> calm = 3.0 + 0.01 * np.cos(np.arange(200.0) ** 2)
    >>> loss = np.where(np.abs(np.arange(200) - 151) < 2, 5.0, calm)
    >>> seen = watch(pd.DataFrame({"step": np.arange(200), "loss": loss}))
    >>> seen.status, [(spike.start, spike.stop) for spike in seen.spikes], seen.first.step
    ('spikes', [(150, 152)], 150)
    """
    for name in ("step", "loss"):
        if name not in rows.columns:
            raise InputError(f"there is no column {name}", todo=f"write --map {name}=COLUMN")
    rows = rows.sort_values("step", kind="stable")
    seen = np.flatnonzero(rows["loss"].notna().to_numpy())
    not_logged = rows["loss"].isna().to_numpy() & (np.arange(len(rows)) < (seen[-1] if len(seen) else 0))
    predicted = None if predicted is None else predicted[~not_logged]
    rows = rows[~not_logged]
    step, loss = rows["step"].to_numpy(int), rows["loss"].to_numpy(float)
    if len(step) < 3:
        raise InputError(f"{len(step)} rows are too few to watch", todo="wait for more")
    lost = divergence(step, loss, initial_loss)
    why = lost.why if lost else ""
    found = find_spikes(step, loss)
    unbounded = step[~np.isfinite(loss)][:1].tolist()
    warnings = [
        Warned("loss", spike.start, _told(f"rises by {spike.height:.0%} over its median", spike, "rises"))
        for spike in found
        if spike.start not in unbounded
    ]
    warnings += [Warned("loss", first, "is not finite") for first in unbounded]
    signals = {name: rows[name].to_numpy(float) for name in SIGNALS if name in rows.columns}
    warnings += _signals(step, signals, steps or 2 * int(step[-1]))
    if predicted is not None:
        told = ~np.isnan(predicted)
        off = find_spikes(step[told], (loss / predicted)[told], drifting=False) if told.any() else []
        warnings += [
            Warned("residual", s.start, _told(f"leaves the fitted law by {s.height:.1%}", s, "leaves the fitted law"))
            for s in off
        ]
    warnings.sort(key=lambda each: each.step)
    unseen = [name for name in SIGNALS if name not in signals]
    unseen += ["residual against a fitted law"] if predicted is None else []
    status = "diverged" if why else "spikes" if found else "calm"
    return Watch(status, int(step[-1]), tuple(found), tuple(warnings), tuple(unseen), why or _calm(found))


SIGNALS = ("grad_norm", "attention_logit_max", "output_logit_logsumexp")


def find_spikes(step: FloatArray, value: FloatArray, drifting: bool = True) -> list[Spike]:
    """Stretches of positive values more than seven robust deviations (of the log) above the running median.

    The median is over the 64 rows before (over the first half of a series that should not drift); values that are not
    finite count as far out. The deviation is that of all residuals, so a noisy run needs larger spikes.
    """
    log = np.log(np.where(np.isfinite(value) & (value > 0), value, np.inf))
    half = log[: len(log) // 2 + 1]
    known = half[np.isfinite(half)]
    still = float(np.median(known)) if len(known) else np.nan
    median = _running_median(log) if drifting else np.full(len(log), still)
    residual = np.where(np.isfinite(median), log - np.where(np.isfinite(median), median, 0.0), 0.0)
    judged = residual if drifting else residual[: len(half)]
    finite = judged[np.isfinite(judged)]
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(finite))) if len(finite) else 0.0, QUIET)
    far = np.flatnonzero(residual > DEVIATIONS * sigma)
    groups = np.split(far, np.flatnonzero(np.diff(far) > GAP) + 1) if len(far) else []
    return [_spike(step, residual, group, sigma) for group in groups]


def _spike(step: FloatArray, residual: FloatArray, group: np.ndarray, sigma: float) -> Spike:
    after = residual[group[-1] + 1 :]
    back = np.flatnonzero(after < DEVIATIONS / 2 * sigma)
    recovered = int(group[-1] + 1 + back[0] - group[0]) if len(back) else None
    height = float(np.expm1(np.max(residual[group])))
    return Spike(int(step[group[0]]), int(step[group[-1]]), height, recovered)


def _running_median(log: FloatArray) -> FloatArray:
    """The median of up to WINDOW rows before each; infinite where most of them are."""
    padded = np.concatenate([np.full(WINDOW, np.nan), log[:-1]])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    median = np.full(len(log), np.nan)
    median[GAP:] = np.nanmedian(windows[GAP:], axis=1)
    return median


def _calm(found: list[Spike]) -> str:
    back = sum(spike.recovered is not None for spike in found)
    count = f"{len(found)} spike{'s' * (len(found) > 1)} of the loss"
    return f"{count}, {back} recovered" if found else "no spike of the loss"


def _told(text: str, spike: Spike, verb: str) -> str:
    """The text of a spike, or that it has no height."""
    return text if np.isfinite(spike.height) else f"{verb}, until it is not finite"


def _signals(step: FloatArray, signals: Mapping[str, FloatArray], until: int) -> list[Warned]:
    """The first warning of each signal that is not the loss."""
    norm = signals.get("grad_norm", np.array([]))
    logged = ~np.isnan(norm)
    first = find_spikes(step[logged], norm[logged])[:1] if logged.any() else []
    found = [
        Warned("grad_norm", each.start, _told(f"rises to {1 + each.height:.3g} times its median", each, "rises"))
        for each in first
    ]
    logit = signals.get("attention_logit_max")
    if logit is not None:
        found += _growth("attention_logit_max", step, logit, LOGIT_LIMIT, until)
    return found + _drift(step, signals.get("output_logit_logsumexp"))


def _growth(name: str, step: FloatArray, value: FloatArray, limit: float, until: int) -> list[Warned]:
    """A warning at the first row above the limit, or at the last row when growth reaches it before the run ends."""
    above = np.flatnonzero(value > limit)
    if len(above):
        return [Warned(name, int(step[above[0]]), f"is above {limit:g}")]
    rows = np.flatnonzero(np.isfinite(value) & (value > 0))
    rows = rows[-max(8, int(TREND * len(rows))) :]
    if len(rows) < 8:
        return []
    x, y = step[rows].astype(float), np.log(value[rows])
    slope, height = np.polyfit(x - x[-1], y, 1)
    error = np.std(y - np.polyval([slope, height], x - x[-1])) / (np.std(x) * np.sqrt(len(x)) + 1e-300)
    if slope <= SURE * error or slope <= 0:
        return []
    reached = x[-1] + (np.log(limit) - height) / slope
    if reached > until:
        return []
    pace = f"doubles every {np.log(2) / slope:.2g} steps, to {limit:g} at {reached:.0f}"
    return [Warned(name, int(step[-1]), pace)]


def _drift(step: FloatArray, value: FloatArray | None) -> list[Warned]:
    """A warning where log Z has moved by ten from its median over the first tenth."""
    if value is None:
        return []
    known = value[np.isfinite(value)]
    early = float(np.median(known[: max(3, len(known) // 10)])) if len(known) else np.nan
    far = np.flatnonzero(np.abs(value - early) > DRIFTED)
    return [Warned("output_logit_logsumexp", int(step[far[0]]), f"is {value[far[0]]:.3g}")] if len(far) else []
