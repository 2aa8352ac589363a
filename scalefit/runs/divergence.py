"""Whether a run has diverged: its loss is not finite, back at an untrained model's, or far above its own least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import MAD_TO_SIGMA, FloatArray

NEAR_INITIAL = 0.1  #: nats below the initial loss
LOST = 1.0  #: nats above the least loss
NOISES = 8.0  #: and noises of a row
LAST = 0.1  #: of the rows
FEWEST = 3  #: rows that are no lone spike


@dataclass(frozen=True)
class Divergence:
    """A run that has diverged: the step from which its loss stands high until its last row, and why it is said."""

    step: int
    why: str


def divergence(
    step: NDArray[np.int64], loss: FloatArray, initial_loss: float | None = None, share: float = LAST
) -> Divergence | None:
    """Whether a loss (n,) by rising step (n,) has diverged.

    It has where it is not finite at its end, or where its last rows (this share of all, three at least) are near the
    initial loss or all stand 1 nat and 8 noises above its least. ``initial_loss``: of the untrained model (default: the
    first finite loss, where the steps start at 0 or 1).

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
    """The step from which it stands high until the end."""
    low = np.flatnonzero(~high)
    return int(step[min(low[-1] + 1, len(step) - 1)]) if len(low) else int(step[0])


def _noise(loss: FloatArray) -> float:
    """Of a row, from differences of neighbours."""
    return MAD_TO_SIGMA * float(np.median(np.abs(np.diff(loss)))) / 2**0.5 if len(loss) > 1 else 0.0
