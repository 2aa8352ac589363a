"""Two measures of progress along a schedule: the log of the area under the learning rate, and how far it has fallen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.runs.trajectory import Trajectory

BLOCK = 1 << 18  #: steps that are summed at a time


@dataclass(frozen=True)
class Clock:
    """Both at some steps of a run, (n,) each: log area (lr step), and the summed changes after warmup over the peak."""

    area: FloatArray
    fall: FloatArray

    @classmethod
    def of(cls, lr: FloatArray, warmup: int, steps: NDArray[np.int64]) -> Clock:
        """The clocks of a run with this learning rate at every step."""
        area, (fall, risen) = np.zeros(len(steps)), np.zeros((2, len(steps)))
        for first in range(0, len(lr), BLOCK):
            block = lr[first : first + BLOCK]
            ends = np.clip(steps - first, -1, len(block) - 1) + 1  # how many steps of the block precede each row
            change = np.abs(np.diff(block, prepend=lr[max(first - 1, 0)]))
            area += _sums(block)[ends]
            fall += _sums(change)[ends]
            risen += change[: max(warmup + 1 - first, 0)].sum()
        return cls(np.log(area), (fall - risen) / lr.max())

    def take(self, rows: NDArray[np.intp] | slice) -> Clock:
        """The clocks of some rows."""
        return Clock(self.area[rows], self.fall[rows])


def _sums(values: FloatArray) -> FloatArray:
    """Sums of the first 0, 1, ..., n of n values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def clocks_of(paths: Mapping[str, Trajectory], names: NDArray[Any], steps: NDArray[np.int64]) -> Clock:
    """The clocks of rows of several runs."""
    area, fall = np.empty(len(names)), np.empty(len(names))
    for run in dict.fromkeys(names.tolist()):
        rows = names == run
        clock = Clock.of(paths[run].lr, paths[run].warmup, steps[rows])
        area[rows], fall[rows] = clock.area, clock.fall
    return Clock(area, fall)
