"""The health of a log in progress: spikes, rises, divergence, and which signal warned first.

A spike is a stretch of rows far above the running median from which the loss comes back; a loss that does not come
back, or that climbs slowly, has risen; one that rises ever faster at the end of the log, or is as high as that of a
lost run and rises on, is diverging. A run has diverged by the one rule of `scalefit.runs.divergence`, or if its log
marks it as diverged; whose last rows are lost, three or more but not yet a tenth of the log, is undecided. For noise
see `scalefit.progress.rises`, for dips `scalefit.progress.dips`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.answers import Shown
from scalefit.errors import InputError, listed
from scalefit.notices import Line
from scalefit.numerics import FloatArray
from scalefit.progress.dips import in_dips
from scalefit.progress.events import (
    SIGNALS,
    Risen,
    Warned,
    brief_spikes,
    dip_warnings,
    explained,
    gap_warnings,
    lone_warnings,
    shift,
    signal_warnings,
    slow_rise,
    unread_warnings,
    warming_up,
)
from scalefit.progress.rises import FEWEST, GAP, SURE, Spike, far_out, find_rise, find_spikes, isolated, least_level
from scalefit.progress.runaway import begun, explodes, jumps, norm_rises, runaway
from scalefit.runs import Runs
from scalefit.runs.divergence import LAST, LOST, NEAR_INITIAL, divergence
from scalefit.runs.final import marked

UNLEARNED = 6.0  #: standard errors by which the lowest level of a run that learned lies below the initial loss
#: what a run can be, the gravest first
GRAVEST = ("diverged", "diverging", "undecided", "stuck", "risen", "spikes", "too short", "calm")
JUDGED = 2 * GAP  #: fewest rows with which more than the end can be judged


@dataclass(frozen=True, repr=False)
class Watch(Shown):
    """The health of a run so far, judged by its log."""

    status: str  #: "calm", "spikes", "risen", "stuck", "undecided", "diverging", "diverged" or "too short"
    step: int  #: the last one
    spikes: tuple[Spike, ...]  #: of the loss
    warnings: tuple[Warned, ...]  #: by step
    unseen: tuple[str, ...]  #: signals that could not be watched
    why: str  #: reason for the status

    @property
    def first(self) -> Warned | None:
        """The first warning."""
        return self.warnings[0] if self.warnings else None

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        lines = [f"  step {each.step}: {each.signal} {each.text}" for each in self.warnings]
        return [f"{self.status} at step {self.step}: {self.why}", *lines]


def watch(
    rows: Runs | pd.DataFrame,
    initial_loss: float | None = None,
    predicted: FloatArray | None = None,
    steps: int | None = None,
) -> Watch:
    """Spikes, divergence and warnings in one run.

    ``rows``: a log of one run, or its rows: columns step and loss, and any of grad_norm, attention_logit_max,
    output_logit_logsumexp, lr.
    ``initial_loss``: of the untrained model (default: the first finite loss, if the log starts at step 0 or 1);
    ``predicted``: (n,) the loss by a fitted law at the same rows (NaN where it gives none); ``steps``: length of the
    whole run, up to which growth is extrapolated (default: as far ahead as the log goes back). Losses missing at many
    places count as not logged, those of a few stretches as not finite. Raises InputError for missing columns,
    several runs, or fewer than three rows.

    >>> calm = 3.0 + 5.0 / np.arange(1, 201) + 0.01 * np.cos(np.arange(200.0) ** 2)
    >>> loss = np.where(np.abs(np.arange(200) - 151) < 2, 5.0, calm)
    >>> seen = watch(pd.DataFrame({"step": np.arange(200), "loss": loss}))
    >>> seen.status, [(spike.start, spike.stop) for spike in seen.spikes], seen.first.step
    ('spikes', [(150, 152)], 150)
    """
    rows, predicted = _by_step(_of_one_run(rows), predicted)
    step, loss = rows["step"].to_numpy(int), rows["loss"].to_numpy(float)
    lone = np.isfinite(loss)
    lone[lone] = isolated(np.log(np.maximum(loss[lone], 1e-99))) if lone.sum() >= JUDGED else False
    kept = np.isfinite(loss) & ~lone
    dips = np.zeros(len(loss), dtype=bool)
    dips[kept] = in_dips(loss[kept], rows["lr"].to_numpy(float)[kept] if "lr" in rows.columns else None)
    kept &= ~dips
    spikes = find_spikes(step[kept], loss[kept])
    brief, risen = brief_spikes(rows[kept], spikes), _risen(rows[kept], spikes)
    gaps, stuck = gap_warnings(step, loss), "" if risen else _stuck(rows[kept], initial_loss)
    warnings = (
        lone_warnings(step, loss, lone)
        + dip_warnings(step, loss, dips)
        + gaps
        + [each.warned for each in [*brief, *risen]]
    )
    warnings += unread_warnings(step[kept], loss[kept])
    warnings += [Warned("loss", int(step[-1]), stuck)] if stuck else []
    warnings += signal_warnings(rows, steps)
    warnings += _residuals(step[kept], loss[kept], predicted[kept]) if predicted is not None else []
    warnings.sort(key=lambda each: each.step)
    unseen = [name for name in SIGNALS if name not in rows.columns]
    unseen += ["residual against a fitted law"] if predicted is None else []
    few = f"; a slow rise needs {FEWEST} rows to be seen" if kept.sum() < FEWEST else ""
    reasons = {
        "diverged": _lost(step, loss, lone | dips, initial_loss) or _marked(rows),
        "diverging": _diverging(rows[kept], spikes, risen, initial_loss),
        "undecided": _undecided(_lost(step, loss, lone | dips, initial_loss, share=0.0)),
        "stuck": stuck,
        "too short": _few(loss),
        "risen": "".join(f"the loss is {each.warned.text}" for each in risen if not each.explained),
        "spikes": _counted(spikes, {each.warned.step for each in brief if not each.explained}, gaps),
        "calm": "".join(f"the loss is {each.warned.text}" for each in risen) or "no spike of the loss" + few,
    }
    status = next(name for name, why in reasons.items() if why)
    return Watch(status, int(step[-1]), tuple(spikes), tuple(warnings), tuple(unseen), reasons[status])


def _few(loss: FloatArray) -> str:
    """Why the rows are too few to judge, or "": those with a loss that is not above zero do not count."""
    if len(loss) < JUDGED:
        return f"{len(loss)} rows are too few to judge, {JUDGED} are needed"
    left = int((~(loss <= 0)).sum())
    what = f"{left} of {len(loss)} rows have a loss above zero, {JUDGED} are needed to judge"
    return f"{what}; see that the loss is the right column (--map loss=COLUMN)" if left < JUDGED else ""


def _marked(rows: pd.DataFrame) -> str:
    """Why the run has diverged, if its log marks it so, else ""."""
    lost = marked(rows)
    return "the log marks it as diverged" if lost.any() else ""


def _diverging(rows: pd.DataFrame, spikes: list[Spike], risen: list[Risen], initial_loss: float | None) -> str:
    """Why the run is diverging, or "": its loss rises ever faster at the end, or is lost and rises on.

    A rise of less than a nat that the learning rate explains is none.
    """
    rows = rows[rows["loss"] > 0]
    step, loss = rows["step"].to_numpy(int), rows["loss"].to_numpy(float)
    last = next((spike.start for spike in spikes if spike.recovered is None), None)
    slow = find_rise(loss) if last is None else None
    start = int(np.searchsorted(step, last)) if last is not None else slow.least + 1 if slow is not None else len(loss)
    if start >= len(loss) or any(each.explained for each in risen):
        return ""
    start = begun(loss, start)
    norm = rows["grad_norm"].to_numpy(float) if "grad_norm" in rows.columns else None
    level = float(np.median(loss[max(0, start - GAP) : start])) if start else np.inf
    if explained(rows.iloc[max(0, start - GAP) :]) and loss[-1] - level < LOST:
        return ""
    known = _untrained(step, loss, initial_loss)
    if jumps(loss[start:], level) and not explodes(loss[start:], level, known):
        return ""
    if not runaway(loss, start, norm, known):
        return ""
    too = (
        " and the gradient norm with it"
        if norm is not None and norm_rises(norm, start, max(1, (len(loss) - start) // 3))
        else ""
    )
    return f"the loss has been rising since step {step[start]} ({level:.3g} to {loss[-1]:.3g}){too}"


def _risen(rows: pd.DataFrame, spikes: list[Spike]) -> list[Risen]:
    """A level shift from which the loss has not come back, or a slow rise before a spike that still lasts."""
    last = next((spike for spike in spikes if spike.recovered is None), None)
    rows = rows[rows["loss"] > 0]
    before = rows if last is None else rows[rows["step"] < last.start]
    risen = shift(rows, last) or slow_rise(before)
    return [risen] if risen else []


def _of_one_run(rows: Runs | pd.DataFrame) -> pd.DataFrame:
    """The rows of the only run, with its mark of divergence. Raises InputError for several runs."""
    if isinstance(rows, Runs):
        if rows.curves is None:
            raise InputError("the log holds no steps", todo="give a log with one row per logged step")
        rows = rows.curves.assign(diverged=bool(marked(rows.table).any()))
    names = [str(each) for each in rows["run"].unique()] if "run" in rows.columns else []
    if len(names) > 1:
        todo = f"select one: .where({f'run == {names[0]!r}'!r})"
        raise InputError(f"the log holds {len(names)} runs: {listed(names, 5)}", todo=todo)
    return rows


def _by_step(rows: pd.DataFrame, predicted: FloatArray | None) -> tuple[pd.DataFrame, FloatArray | None]:
    """The rows at which a loss was logged, by step, and the loss predicted there."""
    for name in ("step", "loss"):
        if name not in rows.columns:
            raise InputError(f"no column {name}", todo=f"write --map {name}=COLUMN")
    order = np.argsort(rows["step"].to_numpy(), kind="stable")
    rows, predicted = rows.iloc[order], None if predicted is None else predicted[order]
    missing = rows["loss"].isna().to_numpy()
    starts = missing[1:] & ~missing[:-1]
    if starts.sum() > max(3, len(rows) // 20):
        seen = np.flatnonzero(~missing)
        ended = len(rows) - 1 - seen[-1] > np.diff(seen).max()  # for longer than any gap between logged losses
        logged = ~missing | (ended & (np.arange(len(rows)) > seen[-1]))
        rows, predicted = rows[logged], None if predicted is None else predicted[logged]
    if len(rows) < 3:
        raise InputError(f"{len(rows)} rows are too few to watch", todo="wait for more")
    return rows, predicted


def _undecided(why: str) -> str:
    """Why it is open whether the run is lost, or "", from why its last three rows are."""
    return why and f"{why}: a spike from which it may come back, or a run that is lost; look again after more rows"


def _lost(
    step: NDArray[np.int64],
    loss: FloatArray,
    lone: NDArray[np.bool_],
    initial_loss: float | None,
    share: float = LAST,
) -> str:
    """Why the run has diverged, by the last rows (this share of all), or "": lone and a few low ones do not count."""
    step, loss = step[~lone], loss[~lone]
    finite = np.isfinite(loss)
    known = _untrained(step, loss, initial_loss)
    if finite.sum() >= JUDGED:
        least, error = least_level(loss[finite])
        learned = known - least > UNLEARNED * error
        loss = np.where(finite, np.maximum(loss, least if learned else max(least, known - NEAR_INITIAL)), loss)
    lost = divergence(step, loss, initial_loss, share)
    if lost is None:
        return ""
    end = float(np.median(loss[-max(3, int(share * len(loss))) :]))
    if np.isfinite(end) and end > known + NEAR_INITIAL:
        return f"the loss ({end:.3g}) is above that of an untrained model ({known:.3g})"
    return lost.why


def _untrained(step: NDArray[np.int64], loss: FloatArray, initial_loss: float | None) -> float:
    """The loss of the untrained model: as given, else the first finite one of a log from step 0 or 1 on, else inf."""
    if initial_loss is not None:
        return initial_loss
    seen = loss[np.isfinite(loss)]
    return float(seen[0]) if len(seen) and step[0] <= 1 else np.inf


def _stuck(rows: pd.DataFrame, initial_loss: float | None) -> str:
    """Why the run has not learned, or "": its loss is where it began and does not fall, although warmup is over."""
    step, loss = rows["step"].to_numpy(int), rows["loss"].to_numpy(float)
    from_start = len(step) >= JUDGED and step[0] <= max(1, step[1] - step[0])
    if len(step) < JUDGED or (initial_loss is None and not from_start) or np.any(loss <= 0) or warming_up(rows):
        return ""
    known = float(np.median(loss[:3])) if initial_loss is None else initial_loss
    half, tail = len(loss) // 2, max(5, len(loss) // 10)
    end = float(np.median(loss[-tail:]))
    error = end * far_out(np.log(loss))[1] * np.sqrt(np.pi / 2 * (1 / half + 1 / tail))
    falls = np.median(loss[:half]) - end > SURE * error
    if falls or abs(end - known) > NEAR_INITIAL:
        return ""
    return f"has not learned: still at the initial loss ({known:.4g})"


def _residuals(step: NDArray[np.int64], loss: FloatArray, predicted: FloatArray) -> list[Warned]:
    known = ~np.isnan(predicted)
    off = find_spikes(step[known], (loss / predicted)[known], drifting=False) if known.any() else []
    return [Warned("residual", each.start, f"lies {each.height:.1%} above the fitted law") for each in off]


def _counted(spikes: list[Spike], starts: set[int], gaps: list[Warned]) -> str:
    spikes = [spike for spike in spikes if spike.start in starts]
    back = sum(spike.recovered is not None for spike in spikes)
    count = f"{len(spikes)} spike{'s' * (len(spikes) != 1)} of the loss, {back} recovered"
    return "; ".join([count] * bool(spikes) + [f"the loss {each.text}" for each in gaps])
