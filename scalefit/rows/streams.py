"""The rows of a large log, block by block, so that they are never all in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.runs import Trajectory

STREAM_ROWS = 200_000  #: curves with more rows than this are streamed
SAMPLE_ROWS = 20_000  #: rows of the sample that is checked and kept
Block = tuple[dict[str, FloatArray], FloatArray]


@dataclass(frozen=True)
class Stream:
    """The rows of a large log, block by block: variables and measured values."""

    rows: int
    blocks: Callable[[], Iterator[Block]]


def run_blocks(
    law: Law, path: Trajectory, constants: dict[str, float]
) -> Iterator[tuple[slice, dict[str, FloatArray]]]:
    """The positions of a run's rows after the warmup and the law's variables there, one block of steps at a time."""
    start, row = 0, int(np.searchsorted(path.steps, path.warmup, side="right"))
    for block in law.along_blocks(path.lr, path.warmup):  # type: ignore[attr-defined]
        stop = start + len(next(iter(block.values())))
        end = int(np.searchsorted(path.steps, stop - 1, side="right"))
        if end > row:
            inside = path.steps[row:end] - start
            every = len(inside) == inside[-1] - inside[0] + 1
            pick = slice(int(inside[0]), int(inside[-1]) + 1) if every else inside
            found = {name: np.asarray(column[pick]) for name, column in block.items()}
            found |= {name: np.full(end - row, value) for name, value in constants.items()}
            yield slice(row, end), found
            row = end
        start = stop
