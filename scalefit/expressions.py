"""Arithmetic written by a user (``"E + A*N**-alpha"``, ``"N > 1e9"``), parsed, never evaluated as code.

A text becomes a syntax tree of which only a short list of node types is allowed: there are no attributes, no
subscripts, no calls but those of :data:`FUNCTIONS`. The same tree gives values, exact first derivatives (forward
mode, in whatever precision comes in) and the degree of the expression in a set of names, which is how the linear
parameters of a formula are found. A name that is no plain one stands between backquotes (:func:`quoted`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from scalefit.duals import differentiated
from scalefit.errors import InputError
from scalefit.escaping import CONSTANTS, is_quoted, put_names, quoted, unquoted

__all__ = ["CHOICES", "CONSTANTS", "FUNCTIONS", "Expression", "parse", "quoted"]

Array = Any  # a numpy array or scalar: float64, longdouble, complex128 or bool

NOT_LINEAR = 99  # a degree larger than any that matters
DEEPEST = 250  # levels of an expression: as many terms of a sum
LONGEST, MOST_NAMES = 20_000, 64  # letters and different names of an expression
LONGEST_SHOWN = 200  # letters of an expression in an error message
LARGEST = 10**300  # numbers beyond it are refused

#: the functions that an expression may call with one argument
FUNCTIONS: dict[str, np.ufunc] = {
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "abs": np.absolute,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "arctan": np.arctan,
}
CHOICES: dict[str, np.ufunc] = {"minimum": np.minimum, "maximum": np.maximum}

_ARITHMETIC: dict[type, Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
}
_COMPARISONS: dict[type, Callable[[Array, Array], Array]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.In: lambda a, b: reduce(np.logical_or, [a == item for item in b]),
    ast.NotIn: lambda a, b: ~reduce(np.logical_or, [a == item for item in b]),
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression; call it with a mapping of name to number or array.

    >>> parse("E + A * N**-0.5")({"E": 1.0, "A": 2.0, "N": 4.0})
    np.float64(2.0)
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr

    def __call__(self, values: Mapping[str, Array]) -> Array:
        """The value; shapes broadcast. Raises :class:`InputError` for a name without a value, or words as numbers."""
        try:
            with np.errstate(all="ignore"):  # what is not finite is seen in the result
                return _value(self.tree, values)
        except TypeError as error:
            where, todo = f'expression "{_shown(self.text)}"', "compare words with == or in: split == 'fit'"
            raise InputError(f"words and numbers do not mix ({error})", where=where, todo=todo) from error

    def gradient(self, values: Mapping[str, Array], wrt: Iterable[str]) -> tuple[Array, dict[str, Array]]:
        """The value and the exact partial derivatives by the names in ``wrt`` (forward mode).

        >>> parse("A * N**-alpha").gradient({"A": 2.0, "N": np.e, "alpha": 1.0}, ["A"])[1]["A"].round(6)
        np.float64(0.367879)
        """
        names = set(wrt)
        plain = {name: value for name, value in values.items() if name not in names}
        found = differentiated(lambda **given: self(given), plain, {name: values[name] for name in names})
        return found.value, {name: partial + np.zeros_like(found.value) for name, partial in found.partials.items()}

    def degree(self, names: Iterable[str]) -> int:
        """The joint polynomial degree in ``names``; 99 where it is not a polynomial in them.

        >>> parse("A * x + B * exp(-k * x)").degree(["A", "B"]), parse("A * x**k").degree(["k"])
        (1, 99)
        """
        return _degree(self.tree, frozenset(names))


def parse(text: str) -> Expression:
    """Parse an arithmetic or logical expression.

    Raises :class:`InputError` naming the place and the construct for anything but numbers, strings, names,
    ``+ - * / **``, comparisons, ``in``, ``and or not & | ~`` and the functions listed in :data:`FUNCTIONS`.

    >>> parse("a + b * a").names, parse("`GPU Count` == 4").names
    (('a', 'b'), ('GPU Count',))
    >>> parse("__import__('os')")
    Traceback (most recent call last):
    ...
    scalefit.errors.InputError: expression "__import__('os')", column 1: cannot call "__import__"; allowed ...
    """
    if len(text) > LONGEST:
        what = f"{len(text)} letters, and {LONGEST} are the most"
        raise InputError(what, where=f'expression "{_shown(text)}"', todo="shorten it")
    plain, spelled = unquoted(text.strip())
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = f", column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        todo = 'write it like "E + A*N**-alpha" or "N > 1e9", names with spaces or signs like `GPU Count` == 4'
        if re.fullmatch(r"[^=<>!]+=[^=]+", plain):
            todo = "compare with ==, and put words in quotes, as in recipe == 'base'"
        what = f"not an expression ({getattr(error, 'msg', error)})"
        raise InputError(what, where=f'expression "{_shown(text)}"{column}', todo=todo) from None
    put_names(tree, spelled)
    names: dict[str, None] = {}
    try:
        if _depth(tree) > DEEPEST:
            raise RecursionError
        _check(tree, text.strip(), names)
    except RecursionError:
        raise InputError(
            "too deep, or too many terms", where=f'expression "{_shown(text)}"', todo="shorten it"
        ) from None
    if len(names) > MOST_NAMES:
        what = f"{len(names)} names, and {MOST_NAMES} are the most"
        raise InputError(what, where=f'expression "{_shown(text)}"', todo="write it with fewer parameters")
    return Expression(text.strip(), tuple(names), tree)


def _shown(text: str) -> str:
    """A text as an error message shows it."""
    return text.strip() if len(text) <= LONGEST_SHOWN else f"{text.strip()[:LONGEST_SHOWN]}..."


def _depth(tree: ast.AST) -> int:
    """How many nodes lie above one another, counted level by level."""
    depth, level = 0, [tree]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _refuse(node: ast.AST, text: str, what: str) -> InputError:
    return InputError(
        what,
        where=f'expression "{_shown(text)}", column {getattr(node, "col_offset", 0) + 1}',
        todo="allowed are numbers, names, + - * / **, comparisons and " + " ".join([*FUNCTIONS, *CHOICES]),
    )


def _check(node: ast.AST, text: str, names: dict[str, None]) -> None:
    match node:
        case ast.Name(id=name):
            if name not in CONSTANTS or is_quoted(node):
                names[name] = None
        case ast.Constant(value=str()):
            pass
        case ast.Constant(value=bool() | int() | float() as value) if value < LARGEST:  # a sign is a node of its own
            pass
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _check(left, text, names)
            _check(right, text, names)
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            _check(operand, text, names)
        case ast.BoolOp(values=values):
            for part in values:
                _check(part, text, names)
        case ast.Compare(left=left, ops=ops, comparators=others):
            _check(left, text, names)
            for comparison, other in zip(ops, others, strict=True):
                is_list = isinstance(other, (ast.List, ast.Tuple)) and isinstance(comparison, (ast.In, ast.NotIn))
                for item in (is_list and other.elts) or [other]:  # type: ignore[attr-defined]
                    _check(item, text, names)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS or name in CHOICES:
            if len(args) != (2 if name in CHOICES else 1):
                raise _refuse(node, text, f'"{name}" got {len(args)} arguments')
            for argument in args:
                _check(argument, text, names)
        case ast.Call(func=func):
            raise _refuse(node, text, f'cannot call "{ast.unparse(func)}"')
        case ast.Attribute():
            path = ast.unparse(node)
            error = _refuse(node, text, f'"{path}" (Attribute) is not allowed')
            raise InputError(error.what, where=error.where, todo=f"write a column of that name as {quoted(path)}")
        case _:
            raise _refuse(node, text, f'"{ast.unparse(node)}" ({type(node).__name__}) is not allowed')


def _lookup(name: str, values: Mapping[str, Array]) -> Array:
    if name in values:
        return values[name]
    if name in CONSTANTS:
        return CONSTANTS[name]
    raise InputError(f'there is no "{name}"', where="expression", todo=f"the names are: {', '.join(map(str, values))}")


def _value(node: ast.expr, values: Mapping[str, Array]) -> Array:
    match node:
        case ast.Name(id=name):
            return _lookup(name, values)
        case ast.Constant(value=value):
            return float(value) if type(value) is int else value
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            inner = _value(operand, values)
            if isinstance(op, (ast.Not, ast.Invert)):
                return np.logical_not(inner)
            return np.negative(inner) if isinstance(op, ast.USub) else inner
        case ast.BoolOp(op=op, values=parts):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return reduce(join, [_value(part, values) for part in parts])
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compare(left, ops, others, values)
        case ast.Call(func=ast.Name(id=name), args=args):
            return (FUNCTIONS | CHOICES)[name](*(_value(argument, values) for argument in args))
    raise AssertionError(f"unchecked node {node!r}")


def _compare(left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], values: Mapping[str, Array]) -> Array:
    result: Array = True
    first = _value(left, values)
    for op, other in zip(ops, others, strict=True):
        if isinstance(other, (ast.List, ast.Tuple)):
            second = [_value(item, values) for item in other.elts]
        else:
            second = _value(other, values)
            second = [second] if isinstance(op, (ast.In, ast.NotIn)) else second
        result = np.logical_and(result, _COMPARISONS[type(op)](first, second))
        first = second
    return result


def _degree(node: ast.expr, names: frozenset[str]) -> int:
    inside = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)} & names
    if not inside:
        return 0
    match node:
        case ast.Name():
            return 1
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _degree(operand, names)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return max(_degree(left, names), _degree(right, names))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return min(NOT_LINEAR, _degree(left, names) + _degree(right, names))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _degree(left, names) if _degree(right, names) == 0 else NOT_LINEAR
    return NOT_LINEAR
