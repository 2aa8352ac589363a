"""In words: does the best learning rate transfer, how far, and what would make it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.numerics import FloatArray

ONE_OCTAVE = 1.0  #: an optimum that moves by less transfers
SLOW = 0.1  #: octaves per doubling below which no reach is claimed: it would lie a thousand times beyond what was seen
#: what is known to hold the optimum still over each size
CURES = {
    "d_model": "train in mup (hidden learning rate and init scaled with the width, weight decay times the width ratio)",
    "N": "train in mup over the width, and with residual branches divided by the depth ratio over the depth",
    "n_layer": "divide residual branches by the depth ratio (completep), or by its root (depth-mup)",
    "batch": "scale the learning rate with the root of the batch under Adam, in proportion under SGD",
    "D": "keep the timescale of weight decay, 1/(lr weight_decay), the same share of the run, or follow the law",
}
IN_PLACE = ("mup", "completep", "u-mup")


class Interval(NamedTuple):
    """A value and the ends of its 90 % interval."""

    value: float
    low: float
    high: float


def verdict_of(arm: str, over: str, drift: Interval, sizes: FloatArray) -> str:
    """One sentence or two on an arm with a measured drift (octaves per doubling of ``over``) between some sizes.

    >>> verdict_of("sp", "d_model", Interval(-1.0, -1.2, -0.8), np.array([64, 128, 256]))[:63]
    'does not transfer: the best learning rate falls by 2.00 octaves'
    """
    if not np.isfinite(drift.value):
        return f"not known: one {over} with an optimum shows no drift; add a sweep at another {over}"
    doublings = float(np.log2(sizes.max() / sizes.min()))
    moved = drift.value * doublings
    worst = max(abs(drift.low), abs(drift.high)) * doublings
    way = "falls" if moved < 0 else "rises"
    span = f"over a factor {sizes.max() / sizes.min():.3g} of {over}"
    detail = f"{abs(moved):.2f} octaves {span} [{drift.low * doublings:+.2f}, {drift.high * doublings:+.2f}]"
    if worst <= ONE_OCTAVE:
        return f"transfers: the best learning rate {way} by {detail}; {_reach(drift, over)}"
    if not drift.low <= 0 <= drift.high and abs(moved) > ONE_OCTAVE / 2:
        return f"does not transfer: the best learning rate {way} by {detail}. Use its law, or {_cure(arm, over)}"
    return (
        f"undecided: the best learning rate {way} by {detail}. More seeds, learning rates closer to the minima, or "
        f"sizes further apart would tell"
    )


def _reach(drift: Interval, over: str) -> str:
    """Over which factor of the size the optimum stays within an octave."""
    fastest = max(abs(drift.low), abs(drift.high))
    if fastest < SLOW:
        return f"no limit in {over} is seen"
    return f"within an octave up to {2 ** (ONE_OCTAVE / fastest):.3g} times the {over} at least"


def _cure(arm: str, over: str) -> str:
    cure = CURES.get(over, f"sweep the learning rate at each {over}")
    if arm.lower() in IN_PLACE and over in ("d_model", "N"):
        return (
            "look for what is not scaled: weight decay (times the width ratio), Adam's epsilon, the readout's "
            "multiplier, the head size; a coordinate check shows which"
        )
    return cure
