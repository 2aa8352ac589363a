"""Exact first derivatives of any formula of NumPy operations: forward mode, in whatever precision comes in.

A :class:`Dual` is a value with its partial derivatives by name. It goes through operators, universal functions and the
few array functions of :data:`SHAPING` as the value does, and each operation applies the chain rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

Array = Any  #: a numpy array or scalar
TINY = 1e-30  #: of a complex step, which has no subtraction and so no cancellation


class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """A value and its partial derivatives; each broadcasts against the value.

    >>> a = Dual(np.array([1.0, 2.0]), {"a": 1.0})
    >>> (3 * a**2 + np.exp(0 * a)).partials["a"].tolist()
    [6.0, 12.0]
    """

    __slots__ = ("partials", "value")

    def __init__(self, value: Array, partials: Mapping[str, Array]) -> None:
        self.value, self.partials = value, partials

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return np.shape(self.value)

    def __getitem__(self, key: Any) -> Dual:
        value = np.asarray(self.value)
        return Dual(value[key], {name: np.broadcast_to(p, value.shape)[key] for name, p in self.partials.items()})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        if ufunc in DIRECT:
            return DIRECT[ufunc](*inputs)
        if ufunc in RULES:
            return _chained(RULES[ufunc], *inputs)
        plain = [value_of(each) for each in inputs]
        return ufunc(*plain) if ufunc in FLAT else _chained(partial(_by_complex_step, ufunc), *inputs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        return SHAPING[function](*args, **options) if function in SHAPING else NotImplemented

    # The operators that formulas are made of, straight to their rules: a fit spends its time here.
    def __add__(self, other: Any) -> Dual:
        return _added(self, other)

    def __radd__(self, other: Any) -> Dual:
        return _added(other, self)

    def __sub__(self, other: Any) -> Dual:
        return _subtracted(self, other)

    def __rsub__(self, other: Any) -> Dual:
        return _subtracted(other, self)

    def __mul__(self, other: Any) -> Dual:
        return _multiplied(self, other)

    def __rmul__(self, other: Any) -> Dual:
        return _multiplied(other, self)

    def __truediv__(self, other: Any) -> Dual:
        return _chained(_divide, self, other)

    def __rtruediv__(self, other: Any) -> Dual:
        return _chained(_divide, other, self)

    def __pow__(self, other: Any) -> Dual:
        return _raised(self, other)

    def __rpow__(self, other: Any) -> Dual:
        return _raised(other, self)

    def __neg__(self) -> Dual:
        return Dual(-self.value, {name: -inner for name, inner in self.partials.items()})


Factor = Callable[[], Array]
Rule = Callable[..., tuple[Array, tuple[Factor, ...]]]


def value_of(each: Any) -> Array:
    """The value without its derivatives."""
    return each.value if isinstance(each, Dual) else each


def differentiated(function: Callable[..., Any], plain: Mapping[str, Any], by: Mapping[str, Any]) -> Dual:
    """``function(**plain | by)`` with its partial derivatives by every name of ``by``.

    Raises TypeError where the function uses an operation that is not differentiated here.

    >>> differentiated(lambda x, k: x**-k, {"x": np.e}, {"k": 1.0}).partials["k"].round(6)
    np.float64(-0.367879)
    """
    found = function(**{**plain, **{name: Dual(value, {name: 1.0}) for name, value in by.items()}})
    partials = found.partials if isinstance(found, Dual) else {}
    return Dual(value_of(found), {name: partials.get(name, 0.0) for name in by})


def _chained(rule: Rule, *inputs: Any) -> Dual:
    """The chain rule: what a rule makes of the values, and its partial derivatives times those of the inputs."""
    value, factors = rule(*[each.value if each.__class__ is Dual else each for each in inputs])
    partials: dict[str, Array] = {}
    for each, factor in zip(inputs, factors, strict=True):
        if each.__class__ is not Dual or not each.partials:
            continue
        slope = factor()
        for name, inner in each.partials.items():
            term = _times(inner, slope)
            partials[name] = partials[name] + term if name in partials else term
    return Dual(value, partials)


def _times(inner: Array, slope: Array) -> Array:
    """Their product, without work where one of them is the number 1."""
    kind = slope.__class__
    if kind is tuple:  # small factors first: they may not depend on every member or row
        for part in slope:
            inner = _times(inner, part)
        return inner
    if kind is float and slope == 1.0:
        return inner
    return slope if inner.__class__ is float and inner == 1.0 else inner * slope


def _joined(one: Mapping[str, Array], other: Mapping[str, Array]) -> Mapping[str, Array]:
    """The partial derivatives of a sum."""
    if not one or not other:
        return one or other
    partials = dict(one)
    for name, term in other.items():
        partials[name] = partials[name] + term if name in partials else term
    return partials


def _added(x: Any, y: Any) -> Dual:
    if y.__class__ is not Dual:
        return Dual(x.value + y, x.partials)
    if x.__class__ is not Dual:
        return Dual(x + y.value, y.partials)
    return Dual(x.value + y.value, _joined(x.partials, y.partials))


def _subtracted(x: Any, y: Any) -> Dual:
    if y.__class__ is not Dual:
        return Dual(x.value - y, x.partials)
    minus = {name: -inner for name, inner in y.partials.items()}
    if x.__class__ is not Dual:
        return Dual(x - y.value, minus)
    return Dual(x.value - y.value, _joined(x.partials, minus))


def _multiplied(x: Any, y: Any) -> Dual:
    if y.__class__ is not Dual:
        return Dual(x.value * y, {name: _times(inner, y) for name, inner in x.partials.items()})
    if x.__class__ is not Dual:
        return Dual(x * y.value, {name: _times(inner, x) for name, inner in y.partials.items()})
    one, other = x.value, y.value
    by_x = {name: _times(inner, other) for name, inner in x.partials.items()}
    return Dual(one * other, _joined(by_x, {name: _times(inner, one) for name, inner in y.partials.items()}))


def _raised(x: Any, y: Any) -> Dual:
    """A power; of positive numbers to an exponent with derivatives, which laws are made of, without detours."""
    if x.__class__ is Dual or y.__class__ is not Dual or not _is_positive(x):
        return _chained(_power, x, y)
    log = np.log(x)
    value = np.exp(y.value * log)
    return Dual(value, {name: _times(_times(inner, log), value) for name, inner in y.partials.items()})


def _is_positive(x: Array) -> bool:
    """Whether all numbers are; what stands for an array says it itself."""
    return x.is_positive() if hasattr(x, "is_positive") else bool((np.asarray(x) > 0).all())


def _power(x: Array, y: Array) -> tuple[Array, tuple[Factor, Factor]]:
    square = np.ndim(y) == 0 and y == 2
    if square or not _is_positive(x):
        value = x * x if square else np.power(x, y)
        by_y = lambda: value * np.log(np.where(value == 0, 1.0, x))  # noqa: E731 - 0^y is 0 for every y > 0
        return value, (lambda: 2 * x if square else y * np.power(x, y - 1), by_y)
    log = np.log(x)
    value = np.exp(y * log)
    return value, (lambda: (y / x, value), lambda: (log, value))


def _divide(x: Array, y: Array) -> tuple[Array, tuple[Factor, Factor]]:
    value = np.divide(x, y)
    return value, (lambda: np.divide(1.0, y), lambda: np.divide(-value, y))


def _chosen(compare: np.ufunc, x: Array, y: Array) -> tuple[Array, tuple[Factor, Factor]]:
    first = compare(x, y)
    return np.where(first, x, y), (lambda: first * 1.0, lambda: ~first * 1.0)


def _exp(x: Array) -> tuple[Array, tuple[Factor]]:
    value = np.exp(x)
    return value, (lambda: value,)


def _expm1(x: Array) -> tuple[Array, tuple[Factor]]:
    value = np.expm1(x)
    return value, (lambda: value + 1.0,)


def _tanh(x: Array) -> tuple[Array, tuple[Factor]]:
    value = np.tanh(x)
    return value, (lambda: 1.0 - value * value,)


#: universal function -> its value and, one an argument, what makes its partial derivative
RULES: dict[np.ufunc, Rule] = {
    np.divide: _divide,
    np.exp: _exp,
    np.log: lambda x: (np.log(x), (lambda: np.divide(1.0, x),)),
    np.log1p: lambda x: (np.log1p(x), (lambda: np.divide(1.0, 1.0 + x),)),
    np.expm1: _expm1,
    np.tanh: _tanh,
    np.absolute: lambda x: (np.abs(x), (lambda: np.sign(x),)),
    np.minimum: partial(_chosen, np.less_equal),
    np.maximum: partial(_chosen, np.greater_equal),
}
#: universal functions that make a Dual themselves
DIRECT: dict[np.ufunc, Callable[..., Dual]] = {
    np.add: _added,
    np.subtract: _subtracted,
    np.multiply: _multiplied,
    np.power: _raised,
    np.negative: Dual.__neg__,
    np.positive: lambda x: x,
}
#: universal functions that are flat, or true or false
FLAT = {
    *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.sign, np.floor, np.ceil),
    *(np.isfinite, np.isnan, np.isinf, np.logical_and, np.logical_or, np.logical_not),
}


def _by_complex_step(ufunc: np.ufunc, *plain: Array) -> tuple[Array, tuple[Factor, ...]]:
    """The rule of a function that has no written one: f'(x) = Im f(x + i h) / h, exact to rounding."""

    def factor(i: int) -> Array:
        stepped = [np.asarray(x) + 1j * TINY if j == i else x for j, x in enumerate(plain)]
        return np.imag(ufunc(*stepped)) / TINY

    return ufunc(*plain), tuple(partial(factor, i) for i in range(len(plain)))


def _where(condition: Array, x: Any, y: Any) -> Dual:
    one, other = (each if isinstance(each, Dual) else Dual(each, {}) for each in (x, y))
    names = {**one.partials, **other.partials}
    partials = {n: np.where(condition, one.partials.get(n, 0.0), other.partials.get(n, 0.0)) for n in names}
    return Dual(np.where(condition, one.value, other.value), partials)


def _sum(x: Dual, axis: int) -> Dual:
    whole = {name: np.broadcast_to(inner, x.shape) for name, inner in x.partials.items()}
    return Dual(np.sum(x.value, axis=axis), {name: np.sum(inner, axis=axis) for name, inner in whole.items()})


def _einsum(subscripts: str, x: Any, y: Any) -> Dual:
    """A sum of products of two arrays, without the array of products."""
    one, other = value_of(x), value_of(y)
    partials: dict[str, Array] = {}
    for each, first in ((x, True), (y, False)):
        for name, inner in each.partials.items() if isinstance(each, Dual) else ():
            whole = np.broadcast_to(inner, each.shape)
            term = np.einsum(subscripts, whole, other) if first else np.einsum(subscripts, one, whole)
            partials[name] = partials[name] + term if name in partials else term
    return Dual(np.einsum(subscripts, one, other), partials)


def _expand_dims(x: Dual, axis: int) -> Dual:
    grown = {n: np.expand_dims(p, axis) if np.ndim(p) else p for n, p in x.partials.items()}
    return Dual(np.expand_dims(x.value, axis), grown)


SHAPING: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: _where,
    np.sum: _sum,
    np.einsum: _einsum,
    np.expand_dims: _expand_dims,
    np.real: value_of,
}
