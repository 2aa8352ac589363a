"""How unlike the fitted schedules a schedule is, at each step: laws of curves err more under an unseen shape.

The state of a schedule at a step is made of five numbers: by how much the learning rate has fallen from its peak so
far, the share of the steps since the warmup that the fall has taken, the mean rate during the fall over the peak (.5
for a straight line, less for one that falls early), and the decimal logarithms of the peak and of the steps of the
fall. The distance between two states is Euclidean in the first four. A run that goes on under the same plan is at
distance 0; from a constant rate to the end of a cooldown it is about 1; from a cosine to a cooldown over the last fifth
of the steps, 0.7. Laws forget past rates over so many steps, not over a share of them, so that a fall of more steps
than any fitted one is new as well: a fall of more steps, or of a larger share of them, than any fitted one is further
away, by LONGER for each decade.

Under a schedule at the distance u from the fitted ones a law misses SCHEDULE f min(u / UNLIKE, 1) of what it explains.
What laws miss of a schedule is what its decay does, so f is the share of the peak by which the rate has fallen; under
another peak it misses SCHEDULE min(u_p / UNLIKE, 1) where that is more, with u_p the distance from the nearest fitted
peak. What the law misses of the fitted decays is known: the root mean square h of the residuals there, beyond the
noise. A decay elsewhere is believed to be missed by as much, and one that is unlike them by more, up to 1 + FURTHER
times: by h f (1 + FURTHER min(u / UNLIKE, 1)).

Where a fall that is longer than every fitted one takes the prediction by b below all fitted ones, the law promises what
no run has shown, and the loss may lie higher by PROMISED l b^2 / (b + R), with l the decades by which the fall is
longer, at most 1: laws whose gain keeps growing with the length of a cooldown are wrong by most of b where b is as
large as R.

What is missed of two schedules is alike as far as they are: errors m and n at the distance v from each other, which
counts the difference of their lengths as u does, have the correlation 1 - min(v / UNLIKE, 1). docs/intervals.md names
the data sets that set the constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.runs import Trajectory

if TYPE_CHECKING:
    from scalefit.uncertainty.calibration import Calibration

FALLING = 0.95  #: share of the peak below which a rate counts as falling
MOST_STATES = 200  #: states of the fitted rows that are kept
BLOCK = 1 << 20  #: pairs of states that are compared at a time
FALLEN, SHARE, PEAK = 0, 1, 3  #: columns of a state: the fall from the peak, its share of the steps, and the peak
SCHEDULE = 0.022  #: error where the rate has fallen to zero under a schedule that is unlike the fitted ones
UNLIKE = 0.7  #: distance from which on a schedule is no more like one that was fitted than any other
FURTHER = 2.0  #: by how many times more of a decay is missed there than of the fitted ones
LONGER = 0.5  #: how much further away a schedule is whose fall takes ten times the steps, or share, of any fitted one
#: share of what a law promises of a long fall, below all that was fitted, by which the loss may lie higher
PROMISED = 0.8
LENGTHENED = 0.25  #: and by how much where the question is only whether a fitted run has shown it
SHORTEST = 1e-3  #: share of the steps below which falls count as equally long
LENGTH = 4  #: and its steps; fits of earlier versions were saved without

State = tuple[float, ...]


def states_at(lr: FloatArray, warmup: int, steps: NDArray[np.int64]) -> FloatArray:
    """The states (n, 5) of a schedule, its learning rate at every step, at some steps.

    >>> rate = np.r_[np.ones(81), np.linspace(1, 0, 21)[1:]]
    >>> states_at(rate, 0, np.array([50, 100])).round(2).tolist()
    [[0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 0.19, 0.45, 0.0, 1.28]]
    """
    peak = np.maximum.accumulate(lr)
    peak = np.where(peak > 0, peak, 1.0)
    high = np.maximum.accumulate(np.where(lr >= FALLING * peak, np.arange(len(lr)), 0))
    area = np.concatenate([[0.0], np.cumsum(lr)])
    long = steps - high[steps]
    mean = (area[steps + 1] - area[high[steps] + 1]) / np.maximum(long, 1) / peak[steps]
    fallen, share = 1 - lr[steps] / peak[steps], long / np.maximum(steps - warmup, 1)
    mean, length = np.where(long > 0, mean, 1.0), np.log10(np.maximum(long, 1))
    return np.column_stack([fallen, np.minimum(share, 1.0), mean, np.log10(peak[steps]), length])


def states_of(paths: Mapping[str, Trajectory], names: NDArray[Any], steps: NDArray[np.int64]) -> FloatArray:
    """The states (n, 5) of rows of several runs."""
    found = np.empty((len(names), 5))
    for run in dict.fromkeys(names.tolist()):
        mine = names == run
        found[mine] = states_at(paths[run].lr, paths[run].warmup, steps[mine])
    return found


def kept_states(states: FloatArray) -> tuple[State, ...]:
    """An even choice of the states of the fitted rows, with the last of them."""
    chosen = np.unique(np.linspace(0, len(states) - 1, min(len(states), MOST_STATES)).astype(np.intp))
    return tuple(map(tuple, states[chosen].tolist()))


def unlike(states: FloatArray, fitted: Sequence[State] | FloatArray) -> FloatArray:
    """The distance of each state (n, k) from the nearest fitted one, (n,)."""
    known, least = np.asarray(fitted), np.empty(len(states))
    block = max(1, BLOCK // max(len(known), 1))
    for begin in range(0, len(states), block):
        part = slice(begin, begin + block)
        least[part] = np.sqrt(np.sum((states[part, None] - known[None]) ** 2, axis=-1)).min(axis=1)
    return least


def missed_under(
    states: FloatArray, fitted: FloatArray, change: float, decays: float, past: float | None = None
) -> FloatArray:
    """The error that is believed of a law under the schedules of some states (n, 5), (n,).

    ``change`` is R, ``decays`` is h. A run in progress has its rate fallen by ``past`` already: only what it still
    falls is missed, and its own decay so far is among the ``fitted`` ones, which the run has followed as it followed.
    """
    fallen = states[:, FALLEN] if past is None else np.maximum(states[:, FALLEN] - past, 0.0)
    peak = np.minimum(unlike(states[:, [PEAK]], fitted[:, [PEAK]]) / UNLIKE, 1.0)
    far = unlike(states[:, :LENGTH], fitted[:, :LENGTH]) + LONGER * _longer(states, fitted)
    far = np.minimum(far / UNLIKE, 1.0)
    known = 1.0 if past is None else 0.0
    schedule = SCHEDULE * np.maximum(fallen * far, peak)
    return np.hypot(change * schedule, decays * fallen * (known + FURTHER * far))


def missed_ahead(calibration: Calibration, states: FloatArray, seen: FloatArray) -> FloatArray:
    """What m holds of the schedule alone, for a run in progress whose own states so far (k, 5) are known."""
    if not calibration.states:
        return np.zeros(len(states))
    change, decays, known = calibration.change, calibration.decays, _known(calibration, seen)
    return missed_under(states, known, change, decays, past=float(seen[-1, FALLEN]))


def promised(
    calibration: Calibration, predicted: FloatArray, states: FloatArray | None, seen: FloatArray | None = None
) -> FloatArray:
    """By how much losses may lie above predictions (n,), as residuals, that fall below all fitted ones, (n,).

    Of falls that are longer than every fitted one, and than those that a run in progress has ``seen``.
    """
    if states is None or not calibration.states or calibration.lowest is None:
        return np.zeros(len(predicted))
    below = np.maximum(calibration.lowest - predicted, 0.0)
    share = below / np.maximum(below + calibration.change, np.finfo(float).tiny)
    return np.asarray(PROMISED * below * share * np.minimum(_longer(states, _known(calibration, seen)), 1.0))


def _known(calibration: Calibration, seen: FloatArray | None) -> FloatArray:
    fitted = np.array(calibration.states)
    return fitted if seen is None else np.vstack([fitted, seen[:, : fitted.shape[1]]])


def missed_between(states: FloatArray, other: FloatArray, missed: FloatArray, there: float) -> FloatArray:
    """The error of the difference between schedules of some states (n, 5) and ``other`` (5,), of known errors, (n,).

    ``missed`` (n,) and ``there`` are the errors of each by itself. It is 0 where both are the same.
    """
    far = np.linalg.norm(states[:, :LENGTH] - other[:LENGTH], axis=1)
    far = np.minimum((far + LONGER * np.abs(states[:, LENGTH] - other[LENGTH])) / UNLIKE, 1.0)
    return np.asarray(np.sqrt((missed - there) ** 2 + 2 * missed * there * far))


def unshown(states: FloatArray, fitted: FloatArray) -> FloatArray:
    """How far the falls of states (n, k) are, in shape, length and depth, from any that fitted ones have shown, (n,).

    A fall that goes deeper than every fitted one is further away by as much again: to zero, where they end at a tenth.

    >>> shown = np.array([[1.0, 0.1, 0.5, -3.0, 2.0]])
    >>> unshown(np.array([[1.0, 0.1, 0.5, -3.0, 2.0], [1.0, 0.1, 0.5, -3.0, 3.0]]), shown).tolist()
    [0.0, 0.25]
    """
    deeper = np.maximum(states[:, FALLEN] - float(fitted[:, FALLEN].max()), 0.0)
    return np.asarray(unlike(states[:, :PEAK], fitted[:, :PEAK]) + deeper + LENGTHENED * _longer(states, fitted))


def _longer(states: FloatArray, fitted: FloatArray) -> FloatArray:
    """By how many decades the falls of states (n, 5) are longer than every fitted one, in share or in steps."""
    longest = max(float(fitted[:, SHARE].max()), SHORTEST)
    longer = np.log10(np.maximum(states[:, SHARE], longest) / longest)
    if fitted.shape[1] > LENGTH and fitted[:, LENGTH].max() > 0:
        longer = np.maximum(longer, states[:, LENGTH] - fitted[:, LENGTH].max())
    return np.asarray(longer)
