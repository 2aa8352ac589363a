"""The one rule of divergence: a loss that is not finite, or far up the way back to that of an untrained model.

`lost_level` says how far is far, for the curve of one run (`divergence`) as for the final losses of a sweep
(`scalefit.runs.cliff`); a run that its log marks as diverged (`scalefit.runs.final.marked`) has diverged as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import MAD_TO_SIGMA, FloatArray

NEAR_INITIAL = 0.1  #: a loss less than this many nats below the initial one is back at an untrained model's
NEAR_SHARE = 1 / 3  #: or less than this share of what had been learned, where that is less
LOST = 1.0  #: a loss more than this many nats above the lowest is lost,
LOST_SHARE = 1 / 3  #: or this share of the lowest, where that is more,
WAY_BACK = 2 / 3  #: or this share of the way from the lowest back to the initial loss, where that is less
NOISES = 8.0  #: if it is also more than this many standard deviations of the noise above it
LAST = 0.1  #: share of the rows, at the end of the run, that must all be lost
FEWEST = 3  #: and at least so many rows, so that a single spike does not count


@dataclass(frozen=True)
class Divergence:
    """A run that has diverged: the step from which its loss stays high until its last row, and the reason."""

    step: int
    why: str


def lost_level(least: float, initial: float = np.inf) -> float:
    """The loss above which a run has lost what it had learned, from the lowest and the initial loss (inf: not known).

    It lies 1 nat above the lowest loss (a third of it, if that is more), but no more than two thirds of the way back to
    the initial loss: small losses far below the initial one differ by factors without being lost.

    >>> lost_level(3.0), lost_level(3.0, 10.8), round(lost_level(0.002, 0.5), 2), lost_level(30.0)
    (4.0, 4.0, 0.33, 40.0)
    """
    far = max(LOST, LOST_SHARE * least)
    return least + (min(far, WAY_BACK * (initial - least)) if np.isfinite(initial) and initial > least else far)


def near_initial(least: float, initial: float) -> float:
    """The loss from which on a run is back at that of an untrained model; inf where that is not known.

    >>> round(near_initial(3.0, 10.8), 2), round(near_initial(0.002, 0.05), 3), near_initial(3.0, np.inf)
    (10.7, 0.034, inf)
    """
    return initial - min(NEAR_INITIAL, NEAR_SHARE * max(initial - least, 0.0)) if np.isfinite(initial) else np.inf


def divergence(
    step: NDArray[np.int64], loss: FloatArray, initial_loss: float | None = None, share: float = LAST
) -> Divergence | None:
    """Whether and where a run diverged, from its loss (n,) at increasing steps (n,).

    It diverged if its loss is not finite at its end, or if its last rows (this ``share`` of all, at least three) are
    near the initial loss or all above `lost_level`, by more than 8 standard deviations of the noise above its lowest.
    ``initial_loss``: that of the untrained model (default: the first finite loss, if the steps start at 0 or 1).

    >>> loss = np.where(np.arange(100) < 80, 3.0, 9.5)
    >>> divergence(np.arange(100, 10100, 100), loss)
    Divergence(step=8100, why='the loss stays 6.5 nats above its least (3) over the last tenth')
    >>> divergence(np.arange(100), loss - np.where(np.arange(100) == 99, 6.5, 0.0)) is None
    True
    """
    finite = np.isfinite(loss)
    if not len(loss) or not finite[-1]:
        first = int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0
        return Divergence(int(step[first]), f"the loss is not finite at step {step[-1]}") if len(loss) else None
    first_loss = float(loss[finite][0])
    known = initial_loss if initial_loss is not None else first_loss if step[0] <= 1 else np.inf
    least, noise = float(loss[finite].min()), _noise(loss[finite])
    tail = loss[-max(FEWEST, int(share * len(loss))) :]
    back = near_initial(least, known)
    learned = np.sum(loss[finite] < back - max(known - back, NOISES * noise)) >= FEWEST
    if learned and np.median(tail) > back:
        return Divergence(
            _since(step, loss > back), f"the loss is back at that of an untrained model ({np.median(tail):.3g})"
        )
    level = lost_level(least, known)
    if np.all(tail > max(level, least + NOISES * noise)):
        over = "the last tenth" if share else "its last rows"
        why = f"the loss stays {_above(least, float(tail.min()))} its least ({least:.3g}) over {over}"
        return Divergence(_since(step, loss > level), why)
    return None


def _above(least: float, loss: float) -> str:
    """How far a loss lies above the least, in words."""
    far = loss - least
    return f"{far:.3g} nat{'s' * (f'{far:.3g}' != '1')} above"


def _since(step: NDArray[np.int64], high: NDArray[np.bool_]) -> int:
    """The step from which the loss stays high until the end."""
    low = np.flatnonzero(~high)
    return int(step[min(low[-1] + 1, len(step) - 1)]) if len(low) else int(step[0])


def _noise(loss: FloatArray) -> float:
    """The standard deviation of a row's noise, from differences between neighbours."""
    return MAD_TO_SIGMA * float(np.median(np.abs(np.diff(loss)))) / 2**0.5 if len(loss) > 1 else 0.0
