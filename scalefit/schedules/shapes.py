"""Schedule shapes: plain, vectorised functions of the step that return the learning rate.

Every shape starts with the same linear warmup from `initial`, the learning rate at step 0, to `peak_lr`, which is
reached at step `warmup`:

    lr(t) = initial + (peak_lr - initial) t / warmup          for t < warmup

Other conventions are values of `initial`: `initial=0` is the ramp t/w, `initial=peak_lr/(warmup + 1)` the ramp
(t + 1)/(w + 1); `initial=peak_lr/100` starts at one hundredth of the peak. After the warmup, u runs from 0 at step
`warmup` to 1 at step `steps`; past the last step the learning rate keeps its last value.

Units: steps are optimiser steps counted from 0, learning rates are as fed to the optimiser, `final` is a learning rate
(not a fraction of the peak). Arguments that do not make a schedule raise InputError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError

Floats = NDArray[np.float64]


def constant(step: ArrayLike, *, peak_lr: float, warmup: int = 0, initial: float = 0.0) -> Floats:
    """Warmup, then `peak_lr` for ever.

    >>> constant([0, 5, 10, 99], peak_lr=2e-4, warmup=10).tolist()
    [0.0, 0.0001, 0.0002, 0.0002]
    """
    return _after_warmup(step, lambda t: np.full(t.shape, float(peak_lr)), peak_lr, warmup, initial=initial)


def linear(
    step: ArrayLike, *, peak_lr: float, steps: int, warmup: int = 0, final: float = 0.0, initial: float = 0.0
) -> Floats:
    """lr = final + (peak_lr - final)(1 - u), a straight line from the peak to `final`.

    >>> linear([0, 50, 100], peak_lr=1.0, steps=100, final=0.5).tolist()
    [1.0, 0.75, 0.5]
    """
    body = _decay("linear", peak_lr, final, warmup, steps)
    return _after_warmup(step, body, peak_lr, warmup, steps=steps, final=final, initial=initial)


def cosine(
    step: ArrayLike, *, peak_lr: float, steps: int, warmup: int = 0, final: float = 0.0, initial: float = 0.0
) -> Floats:
    """lr = final + (peak_lr - final)(1 + cos(pi u))/2, half a cosine from the peak to `final`.

    >>> cosine([0, 50, 100], peak_lr=1.0, steps=100, final=0.5).round(12).tolist()
    [1.0, 0.75, 0.5]
    """
    body = _decay("cosine", peak_lr, final, warmup, steps)
    return _after_warmup(step, body, peak_lr, warmup, steps=steps, final=final, initial=initial)


def wsd(
    step: ArrayLike,
    *,
    peak_lr: float,
    steps: int,
    warmup: int = 0,
    decay_steps: int | None = None,
    decay: str = "linear",
    final: float = 0.0,
    initial: float = 0.0,
) -> Floats:
    """Warmup, stable, decay: `peak_lr` until step `steps - decay_steps`, then a decay to `final`.

    The decay is by default the last tenth of the steps. With u from 0 to 1 over it and f = final/peak_lr, the learning
    rate over its peak is

        linear          f + (1 - f)(1 - u)
        1-sqrt          f + (1 - f)(1 - sqrt(u))
        exp             f^u, which needs final > 0
        cosine          f + (1 - f)(1 + cos(pi u))/2
        square          f + (1 - f)(1 - u^2)
        mirror-cosine   2 linear - cosine

    Sources: arXiv:2404.06395 (warmup, stable, decay), arXiv:2405.18392 (1-sqrt and the other decay shapes).

    >>> wsd([0, 80, 90, 100], peak_lr=1.0, steps=100, decay_steps=20).tolist()
    [1.0, 1.0, 0.5, 0.0]
    >>> wsd([80, 90, 100], peak_lr=1.0, steps=100, decay_steps=20, decay="exp", final=0.01).round(12).tolist()
    [1.0, 0.1, 0.01]
    """
    _check(peak_lr=peak_lr, steps=steps, warmup=warmup, final=final, initial=initial)
    length = steps // 10 if decay_steps is None else decay_steps
    if not 0 <= length <= steps - warmup:
        what = f"decay_steps={length} does not fit between warmup={warmup} and steps={steps}"
        raise InputError(what, todo=f"use decay_steps of at most {steps - warmup}")
    return _after_warmup(step, _decay(decay, peak_lr, final, steps - length, steps), peak_lr, warmup, initial=initial)


def inverse_sqrt(
    step: ArrayLike,
    *,
    peak_lr: float,
    warmup: int = 0,
    timescale: float | None = None,
    final: float = 0.0,
    initial: float = 0.0,
) -> Floats:
    """lr = peak_lr sqrt(s / (t - warmup + s)), never below `final`; the timescale s is `warmup` unless given.

    With s = warmup this is the familiar peak_lr sqrt(warmup/t).

    >>> inverse_sqrt([50, 100, 400], peak_lr=1.0, warmup=100).tolist()
    [0.5, 1.0, 0.5]
    """
    scale = float(warmup if timescale is None else timescale)
    if not scale > 0:
        raise InputError("inverse_sqrt without warmup needs a timescale in steps", todo="add timescale=1000, say")

    def body(t: Floats) -> Floats:
        return np.maximum(final, peak_lr * np.sqrt(scale / (np.maximum(t - warmup, 0) + scale)))

    return _after_warmup(step, body, peak_lr, warmup, final=final, initial=initial)


def multi_step(
    step: ArrayLike,
    *,
    peak_lr: float,
    at: Sequence[float],
    factor: float | Sequence[float] = 0.1,
    warmup: int = 0,
    final: float = 0.0,
    initial: float = 0.0,
) -> Floats:
    """From each step in `at` on the learning rate is multiplied by `factor`, but never below `final`.

    `factor` is one number, or one for each step in `at`; a factor above 1 raises the learning rate again.

    >>> multi_step([0, 10, 20], peak_lr=1.0, at=[10, 20], factor=0.5).tolist()
    [1.0, 0.5, 0.25]
    """
    steps_at, factors = _increasing("at", at), np.atleast_1d(np.asarray(factor, dtype=float))
    if factors.size not in (1, steps_at.size) or not np.all(factors > 0):
        what = f"multi_step has {steps_at.size} steps in at and {factors.size} values in factor"
        raise InputError(what, todo="give one factor above 0, or one for each step")
    levels = peak_lr * np.cumprod(np.concatenate([[1.0], np.broadcast_to(factors, steps_at.shape)]))

    def body(t: Floats) -> Floats:
        return np.maximum(final, levels[np.searchsorted(steps_at, t, side="right")])

    return _after_warmup(step, body, peak_lr, warmup, final=final, initial=initial)


def cyclic(
    step: ArrayLike, *, peak_lr: float, period: float, warmup: int = 0, final: float = 0.0, initial: float = 0.0
) -> Floats:
    """Triangles: from the peak at step `warmup` down to `final` in half a period, and up again in the other half.

    With `warmup = period/2` and `final = initial` this is the triangular policy that starts at the bottom.

    >>> cyclic([0, 5, 10, 15, 20], peak_lr=1.0, period=20, final=0.2).round(12).tolist()
    [1.0, 0.6, 0.2, 0.6, 1.0]
    """

    def body(t: Floats) -> Floats:
        return final + (peak_lr - final) * np.abs(1 - 2 * np.mod(t - warmup, period) / period)

    return _after_warmup(step, body, peak_lr, warmup, final=final, initial=initial, period=period)


def piecewise(step: ArrayLike, *, at: Sequence[float], lr: Sequence[float]) -> Floats:
    """Straight lines through the points (at, lr), constant before the first and after the last point.

    >>> piecewise([0, 50, 100, 150], at=[0, 100, 200], lr=[0, 1e-3, 0]).tolist()
    [0.0, 0.0005, 0.001, 0.0005]
    """
    nodes, values = _increasing("at", at), np.asarray(lr, dtype=float)
    if nodes.shape != values.shape or not np.all(np.isfinite(values) & (values >= 0)):
        what = f"piecewise has {nodes.size} values in at and {values.size} in lr"
        raise InputError(what, todo="give one learning rate of at least 0 for each step")
    return np.asarray(np.interp(np.asarray(step, dtype=float), nodes, values), dtype=np.float64)


SHAPES: dict[str, Callable[..., Floats]] = {
    shape.__name__: shape for shape in (constant, linear, cosine, wsd, inverse_sqrt, multi_step, cyclic, piecewise)
}

#: Share of the way from final (0) to peak (1) that remains at u in [0, 1]; exp depends on both levels (see _decay).
DECAYS: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda u: 1 - u,
    "1-sqrt": lambda u: 1 - np.sqrt(u),
    "cosine": lambda u: (1 + np.cos(np.pi * u)) / 2,
    "square": lambda u: 1 - u**2,
    "mirror-cosine": lambda u: 2 * (1 - u) - (1 + np.cos(np.pi * u)) / 2,
}


def _decay(name: str, peak_lr: float, final: float, start: int, stop: int) -> Callable[[Floats], Floats]:
    if name not in DECAYS and name != "exp":
        raise InputError(f"unknown decay '{name}'", todo=f"use one of {', '.join([*DECAYS, 'exp'])}")
    if name == "exp" and final == 0:
        todo = "give a final learning rate above 0, e.g. peak_lr/100"
        raise InputError("an exponential decay never reaches final=0", todo=todo)
    length = max(stop - start, 1)

    def body(t: Floats) -> Floats:
        u = np.clip((t - start) / length, 0.0, 1.0)
        if name == "exp":
            return peak_lr * (final / peak_lr) ** u
        return final + (peak_lr - final) * DECAYS[name](u)

    return body


def _after_warmup(
    step: ArrayLike, body: Callable[[Floats], Floats], peak_lr: float, warmup: int, *, initial: float, **others: float
) -> Floats:
    """A warmup, then the body, a function of the step; ``others``: arguments to be checked with these."""
    _check(peak_lr=peak_lr, warmup=warmup, initial=initial, **others)
    t = np.asarray(step, dtype=float)
    lr = body(t)
    if warmup > 0:
        lr = np.where(t < warmup, initial + (peak_lr - initial) * np.maximum(t, 0) / warmup, lr)
    return np.asarray(lr, dtype=np.float64)


def _check(*, peak_lr: float, warmup: int, **others: float) -> None:
    values = {"peak_lr": peak_lr, "warmup": warmup, **others}
    for name, value in values.items():
        above = name in ("peak_lr", "steps", "period")
        if not np.isfinite(value) or value < 0 or (above and value == 0):
            what = f"{name}={value:g} is not a number {'above' if above else 'of at least'} 0"
            raise InputError(what, todo=f"correct {name}")
    for name in ("final", "initial"):
        if values.get(name, 0.0) > peak_lr:
            what = f"{name}={values[name]:g} is above peak_lr={peak_lr:g}"
            raise InputError(what, todo="write a rising schedule as piecewise")
    if values.get("steps", np.inf) < warmup:
        raise InputError(f"warmup={warmup} is longer than steps={values['steps']:g}", todo="shorten the warmup")


def _increasing(name: str, values: Sequence[float]) -> Floats:
    nodes = np.atleast_1d(np.asarray(values, dtype=float))
    if nodes.ndim != 1 or nodes.size == 0 or not np.all(np.isfinite(nodes)) or np.any(np.diff(nodes) <= 0):
        what = f"{name}={'/'.join(f'{v:g}' for v in nodes.ravel())} is not a list of increasing steps"
        raise InputError(what, todo="write them in order, such as at=8000/12000")
    return nodes
