"""In words: does the best learning rate transfer, how far, and what would make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scalefit.numerics import FloatArray

ONE_OCTAVE = 1.0  #: an optimum that moves by less transfers
FAST = 0.5  #: octaves per doubling above which an optimum does not transfer, however near the sizes are
SLOW = 0.1  #: octaves per doubling below which no reach is claimed: it would lie a thousand times beyond what was seen
#: what is known to hold the optimum still over each size
CURES = {
    "d_model": "train in mup (hidden learning rate and init scaled with the width, weight decay times the width ratio)",
    "N": "train in mup over the width, and with residual branches divided by the depth ratio over the depth",
    "n_layer": "divide residual branches by the depth ratio (completep), or by its root (depth-mup)",
    "batch": "scale the learning rate with the root of the batch under Adam, in proportion under SGD",
    "D": "keep the timescale of weight decay, 1/(lr weight_decay), the same share of the run",
}
IN_PLACE = ("mup", "completep", "u-mup")


class Interval(NamedTuple):
    """A value and the ends of its 90 % interval."""

    value: float
    low: float
    high: float


class Apart(NamedTuple):
    """How far apart two optima are at least, where one is only known to lie beyond its grid."""

    octaves: float
    text: str


NOT_APART = Apart(0.0, "")


def apart(found: Mapping[float, float], bounds: Mapping[float, tuple[float, float]]) -> Apart:
    """The largest distance that must lie between two optima, one of them beyond its grid.

    ``found``: log2 of the optimum by size; ``bounds``: for a size without one, log2 of the learning rates between which
    it lies. One amid sizes that have an optimum counts for an octave at most: a single run may be wrong.

    >>> apart({256.0: -7.0}, {1024.0: (-np.inf, -9.0)})
    Apart(octaves=2.0, text='at 1024 it lies below 0.00195, at least 2.00 octaves from that at 256')
    """
    far = NOT_APART
    for size, (low, high) in bounds.items():
        amid = bool(found) and min(found) < size < max(found)
        for other, place in found.items():
            octaves = max(place - high, low - place)
            octaves = min(octaves, ONE_OCTAVE) if amid else octaves
            side, end = ("below", high) if place > high else ("above", low)
            if octaves > far.octaves:
                said = f"at {size:g} it lies {side} {2**end:.3g}, at least {octaves:.2f} octaves from that at {other:g}"
                far = Apart(octaves, said)
    return far


def verdict_of(arm: str, over: str, drift: Interval, sizes: FloatArray, beyond: Apart = NOT_APART) -> str:
    """One sentence or two on an arm with a measured drift (octaves per doubling of ``over``) between some sizes.

    It transfers where the whole interval stays within one octave over the sizes measured, and within half an octave a
    doubling; it does not where the whole interval lies beyond one octave, or two optima must (``beyond``).

    >>> verdict_of("sp", "d_model", Interval(-1.0, -1.2, -0.8), np.array([64, 128, 256]))[:63]
    'does not transfer: the best learning rate falls by 2.00 octaves'
    """
    if beyond.octaves > ONE_OCTAVE:
        return f"does not transfer: {beyond.text}. Use its law, or {_cure(arm, over)}"
    if not np.isfinite(drift.value):
        return f"not known: one {over} with an optimum shows no drift; add a sweep at another {over}"
    doublings = float(np.log2(sizes.max() / sizes.min()))
    moved, low, high = (end * doublings for end in drift)
    way = "falls" if moved < 0 else "rises"
    span = f"over a factor {sizes.max() / sizes.min():.3g} of {over}"
    detail = f"the best learning rate {way} by {abs(moved):.2f} octaves {span} [{low:+.2f}, {high:+.2f}]"
    if low > ONE_OCTAVE or high < -ONE_OCTAVE:
        return f"does not transfer: {detail}. Use its law, or {_cure(arm, over)}"
    if max(abs(low), abs(high)) > ONE_OCTAVE:
        more = "More seeds, learning rates closer to the minima, or sizes further apart would tell"
        return f"undecided: {detail}. {more}"
    if beyond.octaves > 0:
        return f"undecided: {detail}, but {beyond.text}. Extend its learning rates"
    if max(abs(drift.low), abs(drift.high)) > FAST:
        return f"undecided: {detail}, within an octave, but fast. Sizes further apart would tell"
    return f"transfers: {detail}; {_reach(drift, over)}"


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
