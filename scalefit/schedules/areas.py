"""The areas of a learning-rate curve that the annealing laws use, summed over every step in O(steps).

    S1(s) = sum_{i<=s} lr_i                        forward area, from step 0 on, inclusive
    m_i   = decay m_{i-1} + (lr_{i-1} - lr_i)      momentum of the drops; m = 0 up to the end of the warmup
    S2(s) = sum_{i<=s} m_i                         annealing area

Summing the second line gives the only recurrence that is computed here,

    S2_s = decay S2_{s-1} + (lr_w - lr_s)            for s > w, the step at which the warmup ends; 0 before.

Source: arXiv:2408.11029. Unit of both areas: lr step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError

Floats = NDArray[np.float64]
ON_LINE, FEWEST_ON_LINE, FARTHER = 0.005, 3, 1.5  #: relative distance from a line; rows that show one, and how far
NOISY, BINS, TINY = 8, 256, 1e-9  #: turns of the rate that show noise; of the search for the end of a noisy rise
LANES = 64  #: steps summed by one row of a matrix product
BLOCK = 1 << 15  #: steps held in temporary arrays at a time
MOST_STEPS = 50_000_000  #: the learning rate of every step is held in memory; no run has so many


def warmup_end(lr_per_step: ArrayLike, given: int | None = None) -> int:
    """The step at which the first rise of the learning rate ends; 0 if it does not rise at first.

    A pause no longer than the rise before it (a skipped step, say) does not end the rise. A warmup can be noisy: where
    the rate turns NOISY times or more and goes on rising, the end is the corner of a line and a parabola fitted to it.
    With the step of its end `given`, no fall before that step ends it, if the learning rate is higher there.

    >>> warmup_end([0, 1, 2, 3, 3, 3, 3, 3, 2, 4])
    3
    >>> warmup_end([1, 1, 0.5])
    0
    >>> warmup_end([0, 1, 0.9, 2, 3, 2], given=4)
    4
    """
    lr = np.asarray(lr_per_step, dtype=float)
    found = _first_rise(lr)
    if given is not None:
        return given if found < given < lr.size and lr[given] > lr[found] else found
    moves = np.diff(lr)
    at = np.flatnonzero(moves)
    turns = at[1:][(moves[at[1:]] > 0) != (moves[at[:-1]] > 0)]
    if not found or turns.size < NOISY:
        return found
    corner = _corner(lr)
    rises_on = corner > FARTHER * found and np.median(lr[corner : 2 * corner]) > lr[found]
    return corner if rises_on and np.sum(turns < corner) >= NOISY else found


def _corner(lr: Floats) -> int:
    """The step up to which a line from 0, and from which on a parabola, fits the learning rate best: see warmup_end.

    It is sought up to where the mean rate so far is highest, in means over BINS, and again closer by.
    """
    total = np.concatenate([[0.0], np.cumsum(lr)])
    limit = int(np.argmax(total[1:] / np.arange(1, total.size))) + 1
    while limit > NOISY:
        edge = np.unique(np.linspace(0, limit, BINS + 1).astype(int))
        mean, at = np.diff(total[edge]) / np.diff(edge), (edge[:-1] + edge[1:] - 1) / 2
        corner = at[2:-1, None]
        after = np.maximum(at - corner, 0) / corner
        shape = np.stack([np.minimum(at / corner, 1), after, after**2], axis=-1)
        square, pull = np.einsum("cni,cnj->cij", shape, shape), np.einsum("cni,n->ci", shape, mean)
        gain = np.sum(pull * np.linalg.solve(square + TINY * np.eye(3), pull[..., None])[..., 0], axis=-1)
        best = float(corner[np.argmax(gain), 0])
        if limit <= max(BINS, 5 * best):
            return round(best)
        limit = int(4 * best) + 1
    return 0


def _first_rise(lr: Floats) -> int:
    if lr.size < 2 or not lr[1] > lr[0]:
        return 0
    falls = lr[1:] < lr[:-1]
    stop = int(np.argmax(falls)) if falls.any() else falls.size
    rises = np.flatnonzero(lr[1 : stop + 1] > lr[:stop]) + 1  # steps with a higher learning rate than the one before
    pauses = np.diff(rises) - 1
    too_long = pauses > rises[:-1]
    return int(rises[np.argmax(too_long)] if too_long.any() else rises[-1])


def areas(
    lr_per_step: ArrayLike, decay: float = 0.999, convention: str = "real", warmup: int | None = None
) -> tuple[Floats, Floats]:
    """Forward area S1 and annealing area S2 at every step.

    `lr_per_step`: (T+1,) learning rate of steps 0..T. `decay`: as in the formulas at the head of the module.
    `convention`: "real" sums the learning rate as it was; "peak" counts every step before the end of the warmup at the
    learning rate reached there, as the script of the annealing paper does. In both, changes of the learning rate enter
    S2 only after the first warmup; those of a later warmup are negative. `warmup`: the step at which the first warmup
    ends, by default `warmup_end(lr_per_step)`. Returns two float64 arrays (T+1,), unit lr step. Raises InputError for a
    learning rate that is not finite, a decay outside [0, 1] or an unknown convention. Source: arXiv:2408.11029.

    >>> S1, S2 = areas([1, 1, 0.5, 0.25], decay=0.9)
    >>> S1.tolist(), S2.round(12).tolist()
    ([1.0, 2.0, 2.5, 2.75], [0.0, 0.0, 0.5, 1.2])
    """
    S1, S2 = zip(*area_blocks(lr_per_step, decay, convention, warmup), strict=True)
    return np.concatenate(S1), np.concatenate(S2)


def area_blocks(
    lr_per_step: ArrayLike,
    decay: float = 0.999,
    convention: str = "real",
    warmup: int | None = None,
    block: int = BLOCK,
) -> Iterator[tuple[Floats, Floats]]:
    """The S1 and S2 of `areas` for `block` steps at a time (fewer in the last pair), without full-length arrays.

    >>> [s2.round(12).tolist() for s1, s2 in area_blocks([1, 1, 0.5, 0.25], decay=0.9, block=3)]
    [[0.0, 0.0, 0.5], [1.2]]
    """
    lr = _checked(lr_per_step, decay, convention, warmup)
    end = min(warmup_end(lr) if warmup is None else warmup, lr.size - 1)
    s1, s2 = 0.0, 0.0
    for start in range(0, lr.size, block):
        part = lr[start : start + block]
        before = min(max(end - start, 0), part.size)  # steps of this block before the end of the warmup
        gap = lr[end] - part
        gap[:before] = 0.0
        forward = part.copy()
        if convention == "peak":
            forward[:before] = lr[end]
        forward[0] += s1
        S1, S2 = np.cumsum(forward), _decayed_sums(gap, decay, s2)
        s1, s2 = float(S1[-1]), float(S2[-1])
        yield S1, S2


def refuse_too_long(steps: int, where: str) -> None:
    """Raise InputError for a number of steps so large that it must count tokens or be a mistake."""
    if steps > MOST_STEPS:
        what = f"{steps:.3g} steps are too many: at most {MOST_STEPS:.0e} are computed"
        raise InputError(what, where=where, todo="count optimiser steps: tokens over tokens per step")


def per_step_lr(steps: ArrayLike, lr: ArrayLike, *, warmup: int | None = None, where: str = "") -> tuple[Floats, str]:
    """The learning rate at every step 0..steps[-1] from logged rows, and how it was obtained, as text.

    `steps`: (n,) increasing integers; `lr`: (n,). Between rows the learning rate is interpolated linearly. Before the
    first row it is known only if that row is step 0, or step 1 (step 0 then counts as learning rate 0). Otherwise
    `warmup` is needed: a straight line from 0 to the first logged value at step `warmup`, then constant up to the first
    row; `warmup=0` is accepted only if the first row is at most one row spacing after step 0. Raises InputError, saying
    what to pass, if the learning rate before the first row is not known.

    >>> per_step_lr([0, 2, 4], [1.0, 1.0, 0.0])
    (array([1. , 1. , 1. , 0.5, 0. ]), 'interpolated between rows 2 steps apart')
    """
    at, values = np.asarray(steps), np.asarray(lr, dtype=np.float64)
    first, last = int(at[0]), int(at[-1])
    refuse_too_long(last, where)
    every = at.size == last - first + 1
    if every and first == 0:
        return values, "logged at every step"
    spacing = int(np.median(np.diff(at))) if at.size > 1 else 0
    how = "logged at every step" if every else f"interpolated between rows {spacing} steps apart"
    if first > 1:
        before, how_before = _before_first_row(at, values, spacing, warmup, where)
        how = f"{how_before}; {how} from step {first}"
    else:
        before = ([0], [0.0]) if first == 1 else ([], [])
    nodes = np.concatenate([np.asarray(before[0], dtype=at.dtype), at])
    return np.interp(np.arange(last + 1), nodes, np.concatenate([before[1], values])), how


def rises_from_zero(steps: ArrayLike, lr: ArrayLike) -> int:
    """How many of the first rows lie on one line through 0 at step 0 (or the step beside it); 0 if too few show one.

    >>> rises_from_zero([10, 20, 30, 40], [1.0, 2.0, 3.0, 3.0]), rises_from_zero([10, 20, 30], [1.0, 1.0, 1.0])
    (3, 0)
    """
    at, values = np.asarray(steps, dtype=float), np.asarray(lr, dtype=float)
    most = 0
    for shift in (0.0, 1.0, -1.0):
        line = values[0] / (at[0] + shift) * (at + shift)
        on_it = np.abs(values - line) <= ON_LINE * np.abs(line)
        most = max(most, int(np.argmin(on_it)) if not on_it.all() else len(at))
    known = most >= FEWEST_ON_LINE and values[0] > 0 and at[most - 1] >= FARTHER * at[0]
    return most if known else 0


def guessed_warmup(end: int, rows: int) -> str:
    """What is guessed where the first ``rows`` logged rates, up to step ``end``, lie on a line through 0."""
    return (
        f"linear warmup from 0 over about {end} steps (guessed: the first {rows} logged rates lie on a line through 0)"
    )


def _before_first_row(
    at: Floats, values: Floats, spacing: int, warmup: int | None, where: str
) -> tuple[tuple[list[int], list[float]], str]:
    """The steps and learning rates before the first row, and how they are known, as text."""
    first, lr = int(at[0]), float(values[0])
    rising = rises_from_zero(at, values)
    if warmup is None and rising:
        return ([0], [0.0]), guessed_warmup(int(at[rising - 1]), rising)
    if warmup == 0 and rising:
        what = f"warmup=0, but the first {rising} logged rates lie on a line through 0: the log begins within a warmup"
        raise InputError(what, where=where, todo="leave --warmup out, or give the length of the warmup")
    if warmup is None:
        what = f"the learning rate before step {first} is not known"
        todo = "pass the schedule (--schedule), or --warmup STEPS for a linear warmup from 0"
        raise InputError(what, where=where, todo=todo)
    if warmup == 0 and first > max(spacing, 1):
        what = f"warmup=0, but the first row is step {first}, more than one row spacing after step 0"
        raise InputError(what, where=where, todo="pass the schedule (--schedule)")
    if warmup == 0:
        return ([0], [lr]), f"constant up to step {first}"
    end = min(warmup, first)
    ramp = ([0, end], [0.0, lr]) if end < first else ([0], [0.0])
    return ramp, f"linear warmup from 0 over {end} steps (given)"


def _checked(lr_per_step: ArrayLike, decay: float, convention: str, warmup: int | None) -> Floats:
    lr = np.asarray(lr_per_step, dtype=np.float64)
    if lr.ndim != 1 or lr.size == 0:
        raise InputError(f"the learning rate per step has shape {lr.shape}", todo="give one value for each step from 0")
    with np.errstate(over="ignore"):
        usable = np.isfinite(lr.sum())
    if not usable:
        row = int(np.argmin(np.isfinite(lr))) if not np.isfinite(lr).all() else int(np.argmax(lr))
        raise InputError(f"the learning rate at step {row} is {lr[row]}", todo="give finite learning rates")
    if not 0 <= decay <= 1:
        raise InputError(f"decay={decay} is outside 0..1", todo="use 0.99 or 0.999, say")
    if convention not in ("real", "peak"):
        raise InputError(f"unknown warmup convention '{convention}'", todo="use 'real' or 'peak'")
    if warmup is not None and warmup < 0:
        raise InputError(f"warmup={warmup} is negative", todo="give a step from 0")
    return lr


def _decayed_sums(values: Floats, decay: float, carry: float) -> Floats:
    """y_i = decay y_{i-1} + values_i with y_{-1} = carry: within rows of LANES steps, then over the ends of rows."""
    rows = -(-values.size // LANES)
    padded = np.zeros((rows, LANES))
    padded.ravel()[: values.size] = values
    powers = decay ** np.arange(LANES + 1.0)
    lag = np.arange(LANES) - np.arange(LANES)[:, None]
    sums = padded @ np.where(lag >= 0, powers[np.abs(lag)], 0.0)
    starts = np.full(rows, carry)
    if rows > 1:
        starts[1:] = _decayed_sums(sums[:-1, -1], float(powers[-1]), carry)
    sums += starts[:, None] * powers[1:]
    return sums.ravel()[: values.size]
