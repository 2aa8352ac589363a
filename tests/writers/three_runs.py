"""Three short runs whose every value is known: what each logger is given, and what must be read again.

All have one size and one peak learning rate and follow the annealing law, so that what is read can be fitted and the
planted constants come back. `cosine` logs a loss that is NaN, at a step that has an evaluation as well; `wsd` is killed
and resumed from a checkpoint, and repeats steps; `constant` diverges: its loss rises, is infinite once, then NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

L0, A, C, ALPHA, DECAY = 2.6, 0.8, 0.4, 0.2, 0.999
STEPS, EVERY, EVALUATED, WARMUP, PEAK = 2000, 10, 100, 100, 2e-3
LOST_AT = 1200  #: the step of the NaN of `cosine`
KILLED, CHECKPOINT = 1240, 1000  #: last step before the kill of `wsd`, and the one that it goes on from
DIVERGES = 1400
APART = 0.05  #: evaluation loss above training loss
EPOCH = 100  #: steps of an epoch, for loggers that log epochs

#: what a configuration says: the size, and a learning rate that is a setting and no curve
SETTINGS = {"n_params": 1_500_000, "d_model": 128, "lr": PEAK, "note": "warmup, then: decay"}


@dataclass(frozen=True)
class Point:
    """What is logged at a step; `val` is None where nothing was evaluated."""

    step: int
    loss: float
    lr: float
    val: float | None


def rate(run: str, step: int) -> float:
    """The learning rate of a step: a linear warmup, then what the name of the run says."""
    done = (step - WARMUP) / (STEPS - WARMUP)
    if step <= WARMUP:
        return PEAK * step / WARMUP
    if run == "cosine":
        return PEAK * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))
    if run == "wsd" and step > 1500:
        return PEAK * (1 - 0.9 * (step - 1500) / 500)
    return PEAK


def smooth(run: str) -> list[float]:
    """The loss of the law after 0, 1, ... steps (infinite before the first), with sums over every step."""
    forward = annealed = momentum = last = 0.0
    values = [math.inf]
    for step in range(1, STEPS + 1):
        lr = rate(run, step)
        momentum = DECAY * momentum + last - lr if step > WARMUP else 0.0  # the warmup is no annealing
        forward, annealed, last = forward + lr, annealed + momentum, lr
        values.append(L0 + A * forward**-ALPHA - C * annealed)
    return values


RUNS = ("cosine", "wsd", "constant")
_LOSS = {run: smooth(run) for run in RUNS}


def point(run: str, step: int) -> Point:
    """What the run logs at a step, undisturbed by the kill."""
    loss = round(_LOSS[run][step], 4)
    val = round(_LOSS[run][step] + APART, 4) if step % EVALUATED == 0 else None
    if run == "cosine" and step == LOST_AT:
        loss = math.nan
    if run == "constant" and step > DIVERGES:
        rise = min(6.0, 0.02 * (step - DIVERGES))
        loss, val = round(loss + rise, 4), None if val is None else round(val + rise, 4)
        loss = math.inf if step == STEPS - 100 else math.nan if step > STEPS - 100 else loss
    return Point(step, loss, rate(run, step), val)


def logged(run: str) -> list[Point]:
    """The points that the run ends with."""
    return [point(run, step) for step in range(EVERY, STEPS + 1, EVERY)]


def lives(run: str) -> list[list[Point]]:
    """The points in the order in which they are logged, a list for each start of the process.

    Before the kill, steps after the checkpoint had other losses: the data came in another order.
    """
    points = logged(run)
    if run != "wsd":
        return [points]
    first = [each if each.step <= CHECKPOINT else _otherwise(each) for each in points if each.step <= KILLED]
    return [first, [each for each in points if each.step > CHECKPOINT]]


def _otherwise(each: Point) -> Point:
    val = None if each.val is None else round(each.val + 0.01, 4)
    return replace(each, loss=round(each.loss + 0.01, 4), val=val)


def epochs(run: str) -> list[Point]:
    """The points at the ends of epochs, numbered from 0, as Keras logs them."""
    return [replace(point(run, step), step=step // EPOCH - 1) for step in range(EPOCH, STEPS + 1, EPOCH)]
