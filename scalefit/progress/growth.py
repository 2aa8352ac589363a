"""Growth of a probe along a run: when the attention logit will reach its limit, and growth of the gradient norm.

The shape of the growth is not known: a power of the step, an exponential and a line are fitted, and only those that
predict the last third of the rows forecast the limit. That the true shape is among them is not known either: the same
forecast, made at earlier rows of the log for what has been reached since, shows by how much it misses, and the range is
widened by that, or given up. Sources: own; arXiv:2309.14322 for the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from scalefit.numerics import MAD_TO_SIGMA, FloatArray

STRETCHES = (0.9, 0.6, 0.4, 0.25, 0.15, 0.08)  #: shares of the rows that are tried, the longest first
FEWEST = 8  #: rows
BLOCKS = 24  #: medians to which a stretch is thinned
HELD = 3  #: the last of this many parts is held out and predicted from the others
SURE = 5.0  #: standard errors by which a slope must exceed zero
UPPER = 0.95  #: quantile of the band of a new value, on either side
FITS = 2.0  #: largest error on the held-out part, in units of the noise
CLOSE = 1.5  #: shapes whose error is within this factor of the smallest count as well
EXACT = 5e-3  #: smallest noise of the logarithm
LOOKS = 100  #: rows at which the forecast is repeated with what was known then
NARROW = 1.02  #: ratio of last to first step below which a range is written as one step
FAR = 1e4  #: a crossing is looked for up to this many times the last step
MULTIPLIED = 10.0  #: growth of the running median of a gradient norm that is warned about
EARLIER = (
    (0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    (0.1, 0.2, 0.3),
)  #: shares of the rows; the second where none of the first can
NEAR = (
    3.0  #: times as far (in the logarithm of the value) as an earlier forecast could be checked, a forecast may reach
)
WORTH = 3.0  #: factor by which earlier forecasts missed above which a range is worth nothing
GREW = 1.05  #: growth since an earlier row without which there is nothing to check
SHAPES = {"a power of the step": (True, True), "an exponential": (False, True), "a line": (False, False)}


@dataclass(frozen=True)
class Growth:
    """When growth reaches a limit."""

    shapes: tuple[str, ...]  #: that predict the last third of the rows
    earliest: float  #: step
    latest: float  #: step; inf: the limit may never be reached
    doubt: str = ""  #: why this range is not worth having

    def __str__(self) -> str:
        if self.doubt:
            return f"{' or '.join(self.shapes)}, but when cannot be told: {self.doubt}"
        when = f"between steps {self.earliest:.0f} and {self.latest:.0f}"
        if self.latest < NARROW * self.earliest:
            when = f"at step {(self.earliest * self.latest) ** 0.5:.0f}"
        elif np.isinf(self.latest):
            when = f"from step {self.earliest:.0f} on, or never"
        return f"{' or '.join(self.shapes)}, {when}"


def growth(step: FloatArray, value: FloatArray, limit: float) -> Growth | None:
    """When a growing series reaches a limit, over the shapes that fit and checked against earlier rows; None without
    significant growth.

    Of the recent stretches the longest that some shape describes is used: fitted to the first two thirds, it predicts
    the last third with an error of at most twice the noise. Shapes within 1.5 times the smallest error count as well.

    >>> step = np.arange(10, 5001, 10.0)
    >>> found = growth(step, 5 * (step / 10) ** 0.8, 1e4)
    >>> found.shapes, round(found.earliest, -3), round(found.latest, -3)
    (('a power of the step',), 134000.0, 134000.0)
    """
    x, y = _known(step, value)
    found = _growth(x, y, limit)
    return found and _checked(x, y, limit, found)


def _known(step: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    known = np.isfinite(value) & (value > 0) & (step > 0)
    return step[known].astype(float), value[known]


def _checked(x: FloatArray, y: FloatArray, limit: float, found: Growth) -> Growth:
    """The range widened by the factor by which forecasts from earlier rows missed what was reached since, in the time
    that was left; that factor grows with how much farther the limit is. A doubt where it is too large, or not known."""
    missed: list[float] = []
    for shares in EARLIER:
        missed = missed or [miss for share in shares if (miss := _missed(x, y, limit, share)) is not None]
    if not missed:
        return replace(found, doubt="the log is too short to check a forecast so far ahead on its own past")
    factor = max(missed)
    if factor > WORTH:
        by = f"by a factor of {factor:.2g}" if np.isfinite(factor) else "what followed"
        return replace(found, doubt=f"forecasts from earlier rows missed {by} in the time left")
    now = float(x[-1])
    return replace(found, earliest=now + (found.earliest - now) / factor, latest=now + (found.latest - now) * factor)


def _missed(x: FloatArray, y: FloatArray, limit: float, share: float) -> float | None:
    """The factor of the time left by which a forecast from this share of the rows missed the last level, 1 for inside
    its range, inf for none; None where it cannot be checked, or not near enough to the limit."""
    width, rows = max(1, min(len(x) // BLOCKS, 50)), int(np.ceil(share * len(x)))
    if rows < FEWEST or rows > len(x) - width:
        return None
    now, here, there = x[rows - 1], np.median(y[max(0, rows - width) : rows]), np.median(y[-width:])
    if not (here < there / GREW and there < limit):
        return None
    farther = float(np.log(limit / there) / np.log(there / here))
    if farther > NEAR:
        return None
    then = _growth(x[:rows], y[:rows], float(there))
    if then is None:
        return np.inf
    took = float(x[-width:].mean()) - now
    factor = max((then.earliest - now) / took, took / max(then.latest - now, 1e-9), 1.0)
    return float(factor ** max(farther, 1.0))


def _growth(x: FloatArray, y: FloatArray, limit: float) -> Growth | None:
    """The growth by its shapes alone."""
    best: list[str] = []
    for share in STRETCHES:
        rows = max(FEWEST, int(np.ceil(share * len(x))))
        if rows > len(x):
            return None
        parts = np.array_split(np.arange(len(x) - rows, len(x)), min(BLOCKS, rows))
        at, high = np.array([x[part].mean() for part in parts]), np.array([np.median(y[part]) for part in parts])
        best = _fitting(at, high, share == STRETCHES[-1] or rows == FEWEST)
        if best:
            break
    sure = [each for shape in best if (each := _crossing(at, high, shape, limit)) is not None]
    first, last = min((low for low, _ in sure), default=np.inf), max((high for _, high in sure), default=np.inf)
    return Growth(tuple(best), first, last) if np.isfinite(first) else None


def _fitting(x: FloatArray, y: FloatArray, last: bool) -> list[str]:
    """Shapes that predict the last third from the rest; on the ``last`` stretch tried the best one always counts."""
    kept = len(x) - len(x) // HELD
    missed = {}
    for shape, (log_x, log_y) in SHAPES.items():
        u, v = (np.log(x) if log_x else x), (np.log(y) if log_y else y)
        fitted = np.polyval(np.polyfit(u[:kept] - u[0], v[:kept], 1), u - u[0])
        off = v - fitted if log_y else np.log(y / np.maximum(fitted, 1e-3 * y))
        missed[shape] = float(np.sqrt(np.mean(off[kept:] ** 2)))
    curved = np.diff(np.log(y), 2)
    noise = max(MAD_TO_SIGMA * float(np.median(np.abs(curved))) / np.sqrt(6), EXACT)
    least = min(missed.values())
    if least > FITS * noise and not last:
        return []
    return [shape for shape, miss in missed.items() if miss <= max(CLOSE * least, noise)]


def _crossing(x: FloatArray, y: FloatArray, shape: str, limit: float) -> tuple[float, float] | None:
    """First and last step at which the 90 % prediction band reaches the limit."""
    log_x, log_y = SHAPES[shape]
    u, v, top = (np.log(x) if log_x else x), (np.log(y) if log_y else y), np.log(limit) if log_y else limit
    centre = u.mean()
    slope, height = np.polyfit(u - centre, v, 1)
    sigma = np.sqrt(np.sum((v - height - slope * (u - centre)) ** 2) / (len(u) - 2))
    error = sigma / np.sqrt(np.sum((u - centre) ** 2))
    if slope <= SURE * error or slope <= 0:
        return None
    ahead = x[-1] * np.geomspace(1, FAR, 20000)
    w = (np.log(ahead) if log_x else ahead) - centre
    band = float(stdtrit(len(u) - 2, UPPER)) * np.sqrt(sigma**2 * (1 + 1 / len(u)) + (error * w) ** 2)
    reached = [np.flatnonzero(height + slope * w + sign * band >= top)[:1] for sign in (1, -1)]
    first, last = (float(ahead[each[0]]) if len(each) else np.inf for each in reached)
    return first, last


def first_seen(step: FloatArray, value: FloatArray, limit: float, until: int | None) -> tuple[int, Growth] | None:
    """The step at which growth to the limit before the end of the run was first seen, and the forecast made then.

    ``until``: length of the run (default: as far ahead as the log went back at that step).
    """
    known = np.flatnonzero(np.isfinite(value))
    for row in np.unique(known[np.linspace(0, len(known) - 1, LOOKS).astype(int)]) if len(known) else []:
        x, y = _known(step[: row + 1], value[: row + 1])
        seen = _growth(x, y, limit)
        if seen and seen.earliest <= (until or 2 * step[row] - step[0]):
            return int(step[row]), _checked(x, y, limit, seen)
    return None


def multiplied(value: FloatArray, start: int) -> tuple[int, float] | None:
    """The first row at which the running median of a positive series exceeds ten times its lowest so far, or None.

    With it comes that ratio at the last row. ``start``: row at which warmup ends; earlier rows are left out.

    >>> row, times = multiplied(np.exp(np.arange(1000) / 200), 100)
    >>> row, round(times, 1)
    (624, 65.4)
    """
    rows = np.flatnonzero((np.arange(len(value)) >= start) & np.isfinite(value) & (value > 0))
    width = int(np.clip(len(rows) // 8, 10, 64))
    if len(rows) < 2 * width:
        return None
    median = np.median(np.lib.stride_tricks.sliding_window_view(value[rows], width), axis=1)
    times = median / np.minimum.accumulate(median)
    high = np.flatnonzero(times > MULTIPLIED)
    return (int(rows[high[0] + width - 1]), float(times[-1])) if len(high) else None
