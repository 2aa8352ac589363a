"""Spikes, level shifts and slow rises of a loss, and isolated rows, distinguished from the noise of the log.

Everything works on the logarithm, so nothing depends on the unit. The noise of a row is its distance from the median
of the ten rows around it, which the fall of the loss, however steep, does not affect. Sources of the rules: own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing
from scipy.special import stdtrit

from scalefit.numerics import MAD_TO_SIGMA, FloatArray
from scalefit.progress.drift import white_noise

WINDOW = 64  #: rows of the running median (an eighth of the rows, where that is less)
GAP = 10  #: rows up to which two stretches are merged; also the fewest rows of a window
NEAR = 5  #: rows on either side
DEVIATIONS = 7.0  #: robust deviations above which a row is far out
LONE = 4  #: most neighbouring rows that still count as isolated
BY_CHANCE = 0.002  #: expected number of rows in a whole log that noise alone puts beyond the limit
TAIL = 20  #: rank of the downward deviation, by size, that the tail of the noise is estimated from
HEAVY = 3.0  #: degrees of freedom taken for noise of too few rows to tell, as losses of single batches have them
LONG_ENOUGH = 24  #: rows below which the steep fall at the beginning of a log is most of what looks like noise
FREEDOMS = np.array([2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0, 25.0, 1e6])  #: degrees of freedom of Student's t
QUIET = 1e-3  #: smallest robust deviation of a log, so that a calm log has no spikes
MATERIAL = 0.02  #: smallest relative rise that is reported
SURE = 4.0  #: standard errors added to those expected of the lowest of so many levels
BLOCKS = 40  #: blocks of a log whose medians are its levels
FINE = 16  #: rows of a block in a second, finer look at a long log
HELD = 1 / 8  #: share of a log for which a level must be held to count as reached
FEWEST = 40  #: fewest rows in which a slow rise can be seen
BEFORE = 5  #: earlier calm rows with which a loss is compared
LASTS = 3  #: rows from which a rise counts as real
NOISES, LEAST = 8.0, 0.03  #: smallest height of a spike, in units of the noise of a row and relative


@dataclass(frozen=True)
class Spike:
    """A stretch of rows above the running median."""

    start: int  #: step
    stop: int  #: step of its last row
    height: float  #: largest ratio to the level before, minus 1
    recovered: int | None  #: rows until the value was back in the calm range; None: not yet
    shift: float  #: ratio of the ten rows from its start to the ten before, minus 1 (medians)
    still: float  #: ratio of the last ten rows of the log to the ten before its start, minus 1 (medians)
    after: int  #: rows from its start to the last of the log


@dataclass(frozen=True)
class Rise:
    """The last level of a loss above its lowest one."""

    least: int  #: row at which the lowest level ends
    seen: int  #: row from which the level is significantly above it
    peak: int  #: row at which the highest level since then ends
    nats: float  #: last level minus the lowest
    falling: bool  #: whether the last level is well below the highest since


def far_out(log: FloatArray) -> tuple[FloatArray, float, float]:
    """Distance of each row from the median of the ten around it, the deviation of these, and the limit for far out.

    The limit is seven robust deviations, or more for noise with heavy tails: the distance that a Student t, with the
    degrees of freedom that fit the largest distances below the median (no spikes there), exceeds in one of 500 logs.
    """
    padded = np.pad(log, NEAR, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR + 1)
    with np.errstate(invalid="ignore"):
        residual = log - np.median(np.delete(around, NEAR, axis=1), axis=1)
    known = residual[np.isfinite(residual)]
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(known))) if len(known) else 0.0, QUIET)
    below = np.sort(-known[known < 0])[::-1]
    count = min(TAIL, len(below) // 10)
    freedom = HEAVY if sigma > QUIET and len(known) >= LONG_ENOUGH else FREEDOMS[-1]
    if count >= 3:
        tail = stdtrit(FREEDOMS, 1 - (count - 0.5) / len(known)) / stdtrit(FREEDOMS, 0.75)
        seen = (
            MAD_TO_SIGMA * below[count - 1] / sigma * (1 + (1 + 3 / count) / (3 * np.sqrt(count)))
        )  # and 1 to 2 standard errors
        freedom = FREEDOMS[np.argmin(np.abs(np.log(tail / seen)))]
    rare = stdtrit(freedom, 1 - BY_CHANCE / max(len(known), 1)) / stdtrit(freedom, 0.75) / MAD_TO_SIGMA
    return residual, sigma, float(max(DEVIATIONS, rare) * sigma)


def isolated(log: FloatArray) -> NDArray[np.bool_]:
    """Which rows, up to four in a row, lie far below all rows near them."""
    residual, _, far = far_out(log)
    low = residual < -far
    padded = np.pad(np.where(low, np.inf, log), NEAR, constant_values=np.inf)
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR + 1).min(axis=1)
    few = np.convolve(low, np.ones(2 * NEAR + 1), mode="same") <= LONE
    last = np.logical_and.accumulate(low[::-1])[::-1]  # rows up to the end may be a new level
    return np.asarray(low & few & ~last & (least - log > far))


def find_spikes(step: NDArray[Any], value: FloatArray, drifting: bool = True) -> list[Spike]:
    """Stretches of positive values far above the running median, each until the value is back at its level.

    The median is of up to 64 rows before (of the first half, for a series that should not drift). Values that are not
    finite count as far out; those not above zero are left out. Far is seven robust deviations where most of five rows
    lie that far; for a single row see `far_out`. A value has come back when a row and the median of the three from
    there lie within half of that limit of the ten rows before the stretch; a level shift never comes back.
    """
    kept = ~(value <= 0)
    steps, log = np.asarray(step)[kept], np.log(np.where(np.isfinite(value[kept]), value[kept], np.inf))
    if len(log) < 2 * GAP:
        return []
    half = len(log) // 2 + 1
    median = running_median(log) if drifting else np.full(len(log), _middle(log[:half]))
    with np.errstate(invalid="ignore"):
        residual = log - np.where(np.isfinite(median), median, np.inf)
    _, sigma, alone = far_out(log)
    strays = wander(residual, width_of(log)) if drifting else MAD_TO_SIGMA * _middle(np.abs(residual[:half]))
    far = DEVIATIONS * max(sigma, strays)
    together = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(residual, 2, mode="edge"), 5), axis=1)
    above = np.flatnonzero(residual > np.where(together > far, far, max(far, alone)))
    groups = np.split(above, np.flatnonzero(np.diff(above) > GAP) + 1) if len(above) else []
    spikes, upto = [], 0
    for group in groups:
        if group[0] >= upto:
            level = _middle(log[max(0, group[0] - GAP) : group[0]]) if drifting else float(median[0])
            spike, upto = _spike(steps, log, group, level, far)
            spikes += [spike] if spike.height > np.expm1(far) else []  # a lower one is a slope
    return spikes


def _spike(
    step: NDArray[Any], log: FloatArray, group: NDArray[np.int64], level: float, far: float
) -> tuple[Spike, int]:
    """The spike, and the row from which the next one may start."""
    start, rest = int(group[0]), int(group[-1]) + 1
    calm = log[rest:] < level + far / 2
    soon = (k for k in np.flatnonzero(calm).tolist() if np.median(log[rest + k : rest + k + 3]) < level + far / 2)
    back = next((rest + k for k in soon), None)
    upto = len(log) if back is None else back
    high = np.flatnonzero(log[start:upto] - level > far) if np.isfinite(level) else np.zeros(0, int)
    stop = start + int(high[-1]) if len(high) and back is not None else upto - 1 if back is None else int(group[-1])
    height, shift, still = (
        float(np.expm1(value - level))
        for value in (np.max(log[start:upto]), _middle(log[start : start + GAP]), _middle(log[-GAP:]))
    )
    recovered = None if back is None else back - start
    return Spike(int(step[start]), int(step[stop]), height, recovered, shift, still, len(log) - start), upto


def _middle(log: FloatArray) -> float:
    """The median of the finite values."""
    known = log[np.isfinite(log)]
    return float(np.median(known)) if len(known) else float("nan")


def wander(residual: FloatArray, width: int) -> float:
    """The deviation within windows, which exceeds that from neighbouring rows where neighbours deviate together."""
    parts = residual[len(residual) % width :].reshape(-1, width)
    parts = parts[np.isfinite(parts).all(axis=1)]
    return (
        MAD_TO_SIGMA * _middle(np.abs(parts - np.median(parts, axis=1, keepdims=True)).ravel()) if len(parts) else 0.0
    )


def width_of(log: FloatArray) -> int:
    """Rows of the running median of a log."""
    return int(np.clip(len(log) // 8, GAP, WINDOW))


def running_median(log: FloatArray) -> FloatArray:
    """The median of the rows before each row, from five rows on."""
    width = width_of(log)
    median = np.full(len(log), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(log[:-1], width)
    median[width:] = np.median(windows, axis=1)
    for row in range(NEAR, width):
        median[row] = np.median(log[:row])
    return median


def find_rise(loss: FloatArray) -> Rise | None:
    """Whether the last level of a positive loss (n,) lies above its lowest one by more than noise and 2 %.

    Levels are means of neighbouring block medians. Because the lowest of many levels is partly low by chance, the rise
    must exceed sqrt(2 ln blocks) + 4 standard errors, which include the scatter of the blocks.

    >>> rise = find_rise(3.0 + 0.01 * np.maximum(0, np.arange(400) - 300))
    >>> rise.least, round(rise.nats, 2), rise.falling
    (299, 0.84, False)
    """
    if len(loss) < FEWEST:
        return None
    log = np.log(loss)
    sigma = far_out(log)[1]
    coarse = max(NEAR, len(log) // BLOCKS)
    fine = len(log) >= 2 * FINE * BLOCKS
    return _rise(log, coarse, sigma) or (_rise(log, FINE, sigma) if fine else None)


def _rise(log: FloatArray, rows: int, sigma: float) -> Rise | None:
    count = len(log) // rows
    first = len(log) - count * rows
    medians = np.median(log[first:].reshape(count, rows), axis=1)
    width = int(np.clip(count // 13, 1, 3))
    level = np.convolve(medians, np.ones(width) / width, mode="valid")
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(np.diff(medians, 2)))) / np.sqrt(6)
    error = max(scatter, np.sqrt(np.pi / 2 / rows) * sigma) * np.sqrt(2 / width)
    reached = held(level)
    lowest = np.flatnonzero(reached == reached.min())
    least = int(lowest[len(lowest) - 1 - np.argmin(level[lowest][::-1])])
    above = level[least:] - reached[least] > max(MATERIAL, (np.sqrt(2 * np.log(count)) + SURE) * error)
    if not above[-1]:
        return None
    seen = least + int(np.argmax(above))
    peak = least + int(np.argmax(level[least:]))
    nats = float(np.exp(level[-1]) - np.exp(reached[least]))
    falling = level[peak] - level[-1] > max(3 * error, 0.1 * (level[peak] - reached[least]))
    ends = [first + (each + width) * rows - 1 for each in (least, seen, peak)]
    return Rise(ends[0], ends[1], ends[2], nats, bool(falling))


def held(level: FloatArray) -> FloatArray:
    """The levels (k,) with each valley narrower than an eighth of them filled up.

    >>> held(np.array([3.0, 2.9, 1.0, 2.8, *[2.7] * 12]))[:5].tolist()
    [3.0, 2.9, 2.8, 2.8, 2.7]
    """
    width = round(HELD * len(level)) + 1
    return np.asarray(grey_closing(np.pad(level, width, mode="edge"), size=width)[width:-width])


def least_level(loss: FloatArray) -> tuple[float, float]:
    """The lowest running median (of an eighth of the rows, 5 to 64) and its standard error: no single row decides.

    >>> least_level(np.array([0.0, *[3.0] * 50, 1.0, *[4.0] * 50]))[0]
    3.0
    """
    rows = min(int(np.clip(len(loss) // 8, NEAR, WINDOW)), len(loss))
    medians = np.median(np.lib.stride_tricks.sliding_window_view(loss, rows), axis=1)
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(np.diff(loss)))) / np.sqrt(2)
    return float(medians.min()), sigma * float(np.sqrt(np.pi / 2 / rows))


def spikes(loss: FloatArray) -> NDArray[np.bool_]:
    """Which losses of a curve (n,) lie above the five rows before them by 8 times the noise and 3 %, for 1-2 rows.

    A rise that lasts for three rows counts as real; fewer rows at the end count as spikes until more rows come.

    >>> curve = np.array([4.0, 3.5, 3.2, 3.1, 3.05, 3.0, 9.0, 2.96, 2.95, 2.94, 2.93, 4.0])
    >>> np.flatnonzero(spikes(curve)).tolist()
    [6, 11]
    >>> np.flatnonzero(spikes(np.append(curve, [4.0, 3.9]))).tolist()
    [6]
    """
    logs = np.log(loss)
    limit = max(NOISES * white_noise(logs), LEAST)
    found = np.zeros(len(loss), dtype=bool)
    first, i = 0, BEFORE
    while i < len(loss):
        level = np.median(logs[first:i][~found[first:i]][-BEFORE:])
        below = np.flatnonzero(logs[i:] - level <= limit)
        high = int(below[0]) if len(below) else len(loss) - i
        found[i : i + high] = high < LASTS
        first = i if high >= LASTS else first
        i += high + (1 if high < LASTS else 0)
    return found
