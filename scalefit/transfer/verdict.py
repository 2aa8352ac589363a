"""The verdict in words: does the best learning rate transfer, over which factor of the size, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scalefit.errors import listed
from scalefit.numerics import FloatArray

ONE_OCTAVE = 1.0  #: an optimum that moves by less than this transfers
FAST = 0.5  #: octaves per doubling above which an optimum does not transfer, however near the sizes are
SLOW = 0.1  #: octaves per doubling below which no limit is given: it would lie a thousand times beyond the sizes
#: what is known to keep the optimum in place over each kind of size
CURES = {
    "d_model": "train in mup (hidden learning rate and init scaled with the width, weight decay times the width ratio)",
    "N": "train in mup over the width, and with residual branches divided by the depth ratio over the depth",
    "n_layer": "divide residual branches by the depth ratio (completep), or by its root (depth-mup)",
    "batch": "scale the learning rate with the root of the batch size under Adam, in proportion to it under SGD",
    "D": "keep the timescale of weight decay, 1/(lr weight_decay), the same share of the run",
}
IN_PLACE = ("mup", "completep", "u-mup")


class Interval(NamedTuple):
    """A value and the ends of its 90 % interval."""

    value: float
    low: float
    high: float


class Apart(NamedTuple):
    """The least distance between two optima, one of which is only known to lie outside its grid."""

    octaves: float
    text: str


NOT_APART = Apart(0.0, "")


def apart(found: Mapping[float, float], bounds: Mapping[float, tuple[float, float]]) -> Apart:
    """The largest distance that two optima are sure to have, where one of them lies outside its grid.

    ``found``: log2 of the optimum by size; ``bounds``: for a size without one, log2 of the learning rates between which
    it lies. One between sizes that have an optimum counts for an octave at most, as a single run may be wrong.

    >>> apart({256.0: -7.0}, {1024.0: (-np.inf, -9.0)})
    Apart(octaves=2.0, text='at 1024 the best learning rate lies below 0.00195, at least 2.00 octaves from that at 256')
    """
    far = NOT_APART
    for size, (low, high) in bounds.items():
        amid = bool(found) and min(found) < size < max(found)
        for other, place in found.items():
            octaves = max(place - high, low - place)
            octaves = min(octaves, ONE_OCTAVE) if amid else octaves
            side, end = ("below", high) if place > high else ("above", low)
            if octaves > far.octaves:
                place_of = f"at {size:g} the best learning rate lies {side} {2**end:.3g}"
                far = Apart(octaves, f"{place_of}, at least {octaves:.2f} octaves from that at {other:g}")
    return far


def verdict_of(
    arm: str,
    over: str,
    drift: Interval,
    sizes: FloatArray,
    beyond: Apart = NOT_APART,
    along: Mapping[str, Sequence[float]] | None = None,
) -> str:
    """One or two sentences on an arm whose optimum drifts by ``drift`` octaves per doubling of ``over``.

    The optimum transfers where the whole interval stays within one octave over the measured sizes and within half an
    octave per doubling. It does not where the whole interval lies beyond one octave, or where two optima are sure to
    lie further apart than that (``beyond``). Everything else is undecided. Where other sizes change ``along`` with this
    one, there is no verdict: the drift may be one effect or two.

    >>> verdict_of("sp", "d_model", Interval(-1.0, -1.2, -0.8), np.array([64, 128, 256]))[:63]
    'does not transfer: the best learning rate falls to 0.25 times i'
    """
    if along and (np.isfinite(drift.value) or beyond.octaves > ONE_OCTAVE):
        return _one_or_two(over, drift, sizes, beyond, along)
    if beyond.octaves > ONE_OCTAVE:
        return f"does not transfer: {beyond.text}. Use the fitted law, or {_cure(arm, over)}"
    if not np.isfinite(drift.value):
        return f"not known: only one {over} has an optimum, which shows no drift; add a sweep at another {over}"
    (_, low, high), detail = _moved(over, drift, sizes)
    if low > ONE_OCTAVE or high < -ONE_OCTAVE:
        return f"does not transfer: {detail}. Use the fitted law, or {_cure(arm, over)}"
    if max(abs(low), abs(high)) > ONE_OCTAVE:
        more = "more seeds, learning rates closer to the minima, or sizes further apart would decide it"
        return f"undecided: {detail}: perhaps more than a factor of 2, perhaps less; {more}"
    if beyond.octaves > 0:
        return f"undecided: {detail}, but {beyond.text}; extend the learning rates there"
    fastest = max(abs(drift.low), abs(drift.high))
    if fastest > FAST:
        return f"undecided: {detail}, possibly over {FAST:g} octaves per doubling; sizes further apart would decide it"
    if fastest < SLOW:
        return f"transfers: {detail}; the drift is too small to give a limit in {over}"
    reach = f"{2 ** (ONE_OCTAVE / fastest):.3g} in {over}"
    return f"transfers: {detail}; it stays within a factor of 2 over a factor of at least {reach}"


def _moved(over: str, drift: Interval, sizes: FloatArray) -> tuple[Interval, str]:
    """By how many octaves the optimum moves over all the sizes; in words, by which factor."""
    doublings = float(np.log2(sizes.max() / sizes.min()))
    moved = Interval(*(end * doublings for end in drift))
    way = "falls" if moved.value < 0 else "rises"
    factor, low, high = (f"{2**end:.3g}" for end in moved)
    span = f"over a factor of {sizes.max() / sizes.min():.3g} in {over}"
    return moved, f"the best learning rate {way} to {factor} times its value [{low}, {high}] {span}"


def _one_or_two(
    over: str, drift: Interval, sizes: FloatArray, beyond: Apart, along: Mapping[str, Sequence[float]]
) -> str:
    """What can be said of a drift over a size with which others change."""
    detail = beyond.text if beyond.octaves > ONE_OCTAVE else _moved(over, drift, sizes)[1]
    names = " and ".join(along)
    values = "; ".join(listed([f"{value:.4g}" for value in each], 4) for each in along.values())
    verb = "change" if len(along) > 1 else "changes"
    alone = f"at one {names}" if len(along) == 1 or over != "N" else f"over {names} one at a time"
    return (
        f"one effect or two? {detail}, but {names} {verb} along with {over} ({values}): each may move it, or one may "
        f"hide the other. The fitted law holds while they go on together; sweep the learning rate {alone} to part them"
    )


def _cure(arm: str, over: str) -> str:
    if arm.lower() in IN_PLACE and over in ("d_model", "N"):
        return (
            "look for what is not scaled: weight decay (times the width ratio), Adam's epsilon, the readout's "
            "multiplier, the head size; a coordinate check shows which"
        )
    return CURES.get(over, f"sweep the learning rate at each {over}")
