"""Whether a run has diverged: its loss is not finite, back at an untrained model's, or far above its own lowest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import MAD_TO_SIGMA, FloatArray

NEAR_INITIAL = 0.1  #: a loss less than this many nats below the initial one is back at an untrained model's
LOST = 1.0  #: a loss more than this many nats above the lowest is lost,
NOISES = 8.0  #: if it is also more than this many standard deviations of the noise above it
LAST = 0.1  #: share of the rows, at the end of the run, that must all be lost
FEWEST = 3  #: and at least so many rows, so that a single spike does not count


@dataclass(frozen=True)
class Divergence:
    """A run that has diverged: the step from which its loss stays high until its last row, and the reason."""

    step: int
    why: str


def divergence(
    step: NDArray[np.int64], loss: FloatArray, initial_loss: float | None = None, share: float = LAST
) -> Divergence | None:
    """Whether and where a run diverged, from its loss (n,) at increasing steps (n,).

    It diverged if its loss is not finite at its end, or if its last rows (this ``share`` of all, at least three) are
    near the initial loss or all more than 1 nat and 8 standard deviations of the noise above its lowest.
    ``initial_loss``: that of the untrained model (default: the first finite loss, if the steps start at 0 or 1).

    >>> loss = np.where(np.arange(100) < 80, 3.0, 9.5)
    >>> divergence(np.arange(100, 10100, 100), loss)
    Divergence(step=8100, why='the loss stays 1 nat above its least (3) over the last tenth')
    >>> divergence(np.arange(100), loss - np.where(np.arange(100) == 99, 6.5, 0.0)) is None
    True
    """
    finite = np.isfinite(loss)
    if not len(loss) or not finite[-1]:
        first = int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0
        return Divergence(int(step[first]), f"the loss is not finite at step {step[-1]}") if len(loss) else None
    first_loss = float(loss[finite][0])
    known = initial_loss if initial_loss is not None else first_loss if step[0] <= 1 else np.inf
    least = float(loss[finite].min())
    tail = loss[-max(FEWEST, int(share * len(loss))) :]
    if least < known - 2 * NEAR_INITIAL and np.median(tail) > known - NEAR_INITIAL:
        since = _since(step, loss > known - NEAR_INITIAL)
        return Divergence(since, f"the loss is back at that of an untrained model ({np.median(tail):.3g})")
    if np.all(tail > least + max(LOST, NOISES * _noise(loss[finite]))):
        over = "the last tenth" if share else "its last rows"
        return Divergence(
            _since(step, loss > least + LOST), f"the loss stays {LOST:g} nat above its least ({least:.3g}) over {over}"
        )
    return None


def _since(step: NDArray[np.int64], high: NDArray[np.bool_]) -> int:
    """The step from which the loss stays high until the end."""
    low = np.flatnonzero(~high)
    return int(step[min(low[-1] + 1, len(step) - 1)]) if len(low) else int(step[0])


def _noise(loss: FloatArray) -> float:
    """The standard deviation of a row's noise, from differences between neighbours."""
    return MAD_TO_SIGMA * float(np.median(np.abs(np.diff(loss)))) / 2**0.5 if len(loss) > 1 else 0.0
