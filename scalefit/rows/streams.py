"""The rows of a large log, block by block, so that they are never all in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.runs import Trajectory

STREAM_ROWS = 200_000  #: curves with more rows than this are streamed
STREAM_SUMS = 30_000  #: the same of laws whose rows are sums over many values
SAMPLE_ROWS = 20_000  #: rows of the sample that is checked and kept
Block = tuple[dict[str, FloatArray], FloatArray]


@dataclass(frozen=True)
class Curve:
    """The rows of one run under a law whose rows are sums over many values, which are made where they are asked."""

    steps: FloatArray  #: (n,)
    values: FloatArray  #: (n,)
    single: Mapping[str, FloatArray]  #: the variables of which a row has one value, (n,) each
    at: Callable[[np.ndarray], dict[str, FloatArray]]  #: all variables at some of the rows


@dataclass(frozen=True)
class Stream:
    """The rows of a large log: variables and measured values, block by block or curve by curve."""

    rows: int
    blocks: Callable[[], Iterator[Block]]
    curves: tuple[Curve, ...] = ()


def curve_of(law: Law, path: Trajectory, values: FloatArray, constants: dict[str, float]) -> Curve:
    """The rows of a run after its warmup; ``values`` (n,) are those of all its rows."""
    after = int(np.searchsorted(path.steps, path.warmup, side="right"))
    steps = path.steps[after:]
    same = {name: np.full(len(steps), value) for name, value in constants.items()}
    along = law.along(path.lr, path.warmup)  # type: ignore[attr-defined]

    def at(rows: np.ndarray) -> dict[str, FloatArray]:
        own = {name: column[rows] for name, column in same.items()}
        return {**law.at_steps(path.lr, path.warmup, steps[rows]), **own}

    single = {**{name: column[steps] for name, column in along.items()}, **same}
    return Curve(steps.astype(np.float64), values[after:], single, at)


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
