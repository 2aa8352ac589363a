"""What convex optimisation theory says about a schedule: a bound on the loss with the shape of measured curves.

For a convex G-Lipschitz problem at distance D from its solution, with learning rates gamma eta_t, t = 1..T,

    Omega(gamma) = T1 / gamma + gamma T2
    T1 = D^2 / (2 sum_t eta_t)
    T2 = (1/2) ( sum_t eta_t^2 G_t^2 / sum_t eta_t
         + sum_{k<T} [eta_k / sum_{t>k} eta_t] [sum_{t>=k} eta_t^2 G_t^2 / sum_{t>=k} eta_t] )

bounds the suboptimality of the last iterate. The best gamma is sqrt(T1/T2), where Omega = 2 sqrt(T1 T2).

Sources: arXiv:2501.18965 (use as a model of loss curves), arXiv:2310.07831 (theorem 10; refinement of schedules).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError

Floats = NDArray[np.float64]
RESAMPLED = 10_000  #: points to which measured gradient norms are resampled before they are smoothed
CUT = 2  #: samples left out at each end
SMOOTHED = 0.1  #: width of the median filter, as a share of the run
BLOCK = 1 << 22  #: elements in the windows of the median filter that are held at a time


@dataclass(frozen=True)
class Bound:
    """The bound on the last iterate as a function of the factor gamma on the learning rate."""

    distance: float  #: T1, unit of the loss times learning rate
    noise: float  #: T2, unit of the loss per learning rate

    def at(self, gamma: ArrayLike) -> Floats:
        """Omega(gamma) = T1/gamma + gamma T2."""
        factor = np.asarray(gamma, dtype=float)
        return np.asarray(self.distance / factor + factor * self.noise)

    @property
    def best_gamma(self) -> float:
        """The factor with the lowest bound: sqrt(T1/T2)."""
        return float(np.sqrt(self.distance / self.noise))

    @property
    def best(self) -> float:
        """The lowest bound: 2 sqrt(T1 T2)."""
        return float(2 * np.sqrt(self.distance * self.noise))


def convex_bound(lr: ArrayLike, grad_norm: ArrayLike = 1.0, distance: float = 1.0) -> Bound:
    """Bound on the suboptimality after the last step of a schedule.

    ``lr``: (T,) learning rates eta_1..eta_T, the last above 0 (leave out a final zero: nothing happens in it);
    ``grad_norm``: G_t, one number or (T,); ``distance``: D. O(T). Raises InputError for a schedule that ends at zero
    or has a negative learning rate.

    >>> bound = convex_bound(np.ones(400))
    >>> round(bound.best_gamma, 8), round(bound.best, 8)
    (0.0181759, 0.13754481)
    """
    eta = _rates(lr)
    square = eta**2 * np.broadcast_to(np.asarray(grad_norm, dtype=float), eta.shape) ** 2
    rest, rest_square = _tails(eta), _tails(square)
    pulls = eta[:-1] / rest[1:] * rest_square[:-1] / rest[:-1]
    noise = 0.5 * (rest_square[0] / rest[0] + float(pulls.sum()))
    return Bound(distance**2 / (2 * rest[0]), noise)


def bound_curve(
    lr: ArrayLike, gamma: float, steps: ArrayLike, grad_norm: ArrayLike = 1.0, distance: float = 1.0
) -> Floats:
    """The bound after each of some steps of a schedule with factor gamma on its learning rate: a model of a loss curve.

    ``steps``: (n,) counts of steps in 1..T; each costs O(T). A step at learning rate zero has the bound of the last
    step before it that was not.
    """
    eta = np.asarray(lr, dtype=float)
    norms = np.broadcast_to(np.asarray(grad_norm, dtype=float), eta.shape)
    found = []
    for step in np.asarray(steps, dtype=int):
        last = int(np.flatnonzero(eta[:step] > 0)[-1]) + 1 if np.any(eta[:step] > 0) else step
        found.append(float(convex_bound(eta[:last], norms[:last], distance).at(gamma)))
    return np.array(found)


def constant_bound(steps: int, grad_norm: float = 1.0, distance: float = 1.0) -> Bound:
    """The bound of a constant schedule in closed form: best = D G sqrt((1 + H_{T-1})/T).

    >>> round(constant_bound(400).best, 8)
    0.13754481
    """
    return Bound(distance**2 / (2 * steps), 0.5 * grad_norm**2 * (1 + _harmonic(steps - 1)))


def wsd_bound(steps: int, cooldown_start: int, grad_norm: float = 1.0, distance: float = 1.0) -> float:
    """An upper limit, in closed form, of the best bound of a constant schedule with linear cooldown.

    ``steps`` = T, ``cooldown_start`` = T0: the learning rate is constant up to T0 and falls linearly until T. Unlike
    the constant schedule's, it has no logarithm of T. Source: arXiv:2501.18965.

    >>> round(wsd_bound(400, 320), 8)
    0.13420394
    """
    T, T0 = steps, cooldown_start
    if not 2 <= T0 < T:
        what = f"the closed form needs a cooldown that starts between step 2 and the last but one, not at {T0} of {T}"
        raise InputError(what, todo="start it there, or use convex_bound")
    total, length = T + T0, T - T0
    harmonics = _harmonic(T + T0 - 2) - _harmonic(length + 1)
    inner = 2 / 3 + (T + 2 * T0) / (3 * total) + harmonics
    inner += -length * (T0 - 1) / (3 * (length + 2) * total) + length**-2.0 + _harmonic(length - 1) / (length + 1)
    return float(distance * grad_norm * np.sqrt(4 * inner / total))


def refine_schedule(grad_norm: ArrayLike, power: float = 2.0) -> Floats:
    """The best schedule, by theory, for measured gradient norms, with peak 1.

        eta_t = w_t sum_{p>t} w_p,  w_t = G_t^-power

    ``power``: 2 for Euclidean norms of SGD's gradient, 1 for the sum of absolute values under Adam. Equal norms give a
    linear decay; norms that start large give a warmup. The last step is zero. Smooth measured norms first
    (:func:`smooth_norms`). Source: arXiv:2310.07831.

    >>> refine_schedule(np.ones(5)).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    norm = np.asarray(grad_norm, dtype=float)
    if norm.ndim != 1 or norm.size < 2 or not np.all(np.isfinite(norm) & (norm > 0)):
        raise InputError("gradient norms must be two or more positive numbers", todo="leave out steps without a norm")
    weight = (norm / norm.min()) ** -power
    eta = weight * (_tails(weight) - weight)
    eta[-1] = 0.0
    return np.asarray(eta / eta.max())


def smooth_norms(grad_norm: ArrayLike, points: int = RESAMPLED) -> Floats:
    """Gradient norms of a run, resampled to evenly spaced points and median-filtered over a tenth of the run.

    Two samples are cut at each end, the series is reflected at its last end before filtering. Returns (points - 4,).
    Source: the reference implementation of arXiv:2310.07831.
    """
    norm = np.asarray(grad_norm, dtype=float)
    even = np.interp(np.linspace(0, norm.size - 1, points), np.arange(norm.size), norm)[CUT:-CUT]
    width = 2 * (int(SMOOTHED * points) // 2) + 1
    padded = np.pad(even, (0, 2 * width), mode="reflect")
    return _median_filter(padded, width)[: even.size]


def _median_filter(values: Floats, width: int) -> Floats:
    half = width // 2
    windows = sliding_window_view(np.pad(values, half, mode="edge"), width)
    rows = max(1, BLOCK // width)
    return np.concatenate([np.median(windows[i : i + rows], axis=1) for i in range(0, len(windows), rows)])


def _rates(lr: ArrayLike) -> Floats:
    eta = np.asarray(lr, dtype=float)
    if eta.ndim != 1 or eta.size == 0 or not np.all(np.isfinite(eta) & (eta >= 0)):
        raise InputError("learning rates must be a list of numbers of at least 0", todo="give one for each step")
    if eta[-1] == 0:
        raise InputError("the schedule ends at learning rate 0", todo="leave out the last step: it does nothing")
    return eta


def _tails(values: Floats) -> Floats:
    """Sums from each element to the end."""
    return np.cumsum(values[::-1])[::-1].copy()


def _harmonic(n: int) -> float:
    return float(np.sum(1.0 / np.arange(1, n + 1)))
