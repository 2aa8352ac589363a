"""A law from a formula string: ``"E + A*N**-alpha + B*D**-beta"``."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from scalefit.errors import InputError, listed
from scalefit.escaping import is_quoted
from scalefit.expressions import Expression, parse
from scalefit.laws.law import Array, Law, Parameter, Span, Variable
from scalefit.runs.columns import COLUMNS

#: variables that formulas use beside the columns of run logs
FREE_VARIABLES = frozenset({"x", "x1", "x2", "x3", "t", "S1", "S2"})
#: columns whose names papers also give to parameters: the C of A S1^-alpha - C S2
LETTERS = frozenset({"C", "E0", "E1", "U"})
IN_POWER = (0.05, 2.0)  #: where searches for an exponent begin, of either sign
IN_EXP = (0.05, 20.0)  #: the same for the logarithm of a factor


class FormulaLaw(Law):
    """A law that a user wrote as one expression.

    Names that are columns of run logs (N, D, C, x, step, lr ...) are variables, or those listed in ``variables``;
    all others are parameters. The parameters in which the expression is jointly linear are found from its tree.
    Nothing is known of their signs, so all are free: bound them where the formula needs it.

    >>> law = FormulaLaw("E + A*N**-alpha")
    >>> list(law.variables), [name for name, p in law.parameters.items() if p.linear]
    (['N'], ['E', 'A'])
    """

    source = "the user's formula"

    def __init__(
        self,
        text: str,
        *,
        variables: tuple[str, ...] | list[str] = (),
        bounds: Mapping[str, Span] | None = None,
        starts: Mapping[str, Span] | None = None,
    ) -> None:
        super().__init__()
        left, sign, right = text.partition("=")
        if sign and left.strip().isidentifier() and not right.startswith("="):
            self.target, text = left.strip(), right  # type: ignore[misc]
        self.expression: Expression = parse(text)
        self.named = tuple(variables)  #: the variables, where the user names them
        known = frozenset(variables) or FREE_VARIABLES | COLUMNS.keys()
        self._columns = {name for name in self.expression.names if name in known}
        unknowns = [name for name in self.expression.names if name not in self._columns]
        if any(
            isinstance(node, ast.Constant) and isinstance(node.value, str) for node in ast.walk(self.expression.tree)
        ):
            what, todo = "holds a word in quotes", 'write a name with blanks between backquotes, as in "A*`GPU count`"'
            raise InputError(what, where=f'formula "{self.expression.text[:200]}"', todo=todo)
        if _is_condition(self.expression.tree):
            what, todo = "is true or false and no number", 'write a formula of numbers, such as "E + A*N**-alpha"'
            raise InputError(what, where=f'formula "{self.expression.text[:200]}"', todo=todo)
        if _has_bare_e(self.expression.tree):
            what, todo = "e is the number 2.718, not a parameter", "write E or `e` for a parameter, exp(x) for e**x"
            raise InputError(what, where=f'formula "{self.expression.text[:200]}"', todo=todo)
        if not unknowns:
            where, todo = f'formula "{self.expression.text}"', 'write it like "E + A*N**-alpha"'
            raise InputError("has no parameter to fit", where=where, todo=todo)
        linear = _jointly_linear(self.expression, unknowns)
        low_high, begin = bounds or {}, starts or {}
        ranges = _start_ranges(self.expression.tree)
        self._variables = {
            name: Variable("as logged", f"column {name}", positive=False) for name in sorted(self._columns)
        }
        self._parameters = {
            name: Parameter(
                "as the formula implies",
                "parameter of the user's formula",
                *low_high.get(name, (-np.inf, np.inf)),
                starts=begin.get(name, ranges.get(name)),
                linear=name in linear,
            )
            for name in unknowns
        }

    def with_columns(self, columns: Iterable[str]) -> FormulaLaw:
        """The same formula where the names that are columns of the data at hand are variables too.

        A letter of :data:`LETTERS` is a parameter where the data have no such column; compute is then 6 N D only in
        a formula of C alone.
        """
        if self.named:
            return self
        present = set(columns)
        known = {name for name in self.expression.names if name in present | self._columns}
        if not known:
            raise InputError(
                "has no variable",
                where=f'formula "{self.expression.text}"',
                todo=f"use the name of a column: {listed(sorted(present - {'run', 'source', self.target}), 9)}",
            )
        if {"N", "D"} <= present and not {"N", "D"} & self._columns:
            present.add("C")
        used = [name for name in self.expression.names if name in present or name in self._columns - LETTERS]
        used = used or list(self._columns)
        return self.rewritten(self.expression.text, used)

    def rewritten(self, text: str, variables: Iterable[str]) -> FormulaLaw:
        """Another formula with the bounds and starts of this one's parameters, and its target."""
        used = list(variables)
        kept = {name: p for name, p in self._parameters.items() if name not in used}
        bounds = {name: (p.low, p.high) for name, p in kept.items()}
        starts = {name: p.starts for name, p in kept.items() if isinstance(p.starts, tuple)}
        law = FormulaLaw(text, variables=used, bounds=bounds, starts=starts)
        law.target = self.target  # type: ignore[misc]
        return law

    @property
    def name(self) -> str:  # type: ignore[override]
        """The formula itself."""
        return self.expression.text

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The columns in the formula."""
        return self._variables

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The other names in the formula."""
        return self._parameters

    @property
    def spec(self) -> str:
        """The formula itself."""
        return self.expression.text

    @property
    def irreducible(self) -> str:
        """The first parameter that is added as it stands: the E of E + A N^-alpha.

        >>> FormulaLaw("2*A*N**-alpha + B*D**-beta + floor").irreducible
        'floor'
        """
        place = {name: np.array([0.31, 0.77]) + 0.13 * i for i, name in enumerate(self.expression.names)}
        linear = [name for name, each in self._parameters.items() if each.linear]
        with np.errstate(all="ignore"):
            slopes = self.expression.gradient(place, linear)[1]
        return next((name for name in linear if np.all(np.asarray(slopes[name]) == 1.0)), "")

    @property
    def equation(self) -> str:
        """The formula itself."""
        return f"{self.target} = {self.expression.text}"

    def evaluate(self, variables: Mapping[str, Array], parameters: Mapping[str, Array]) -> Array:
        """The formula's value; shapes broadcast."""
        return self.expression({**variables, **parameters})

    def derivatives(
        self, variables: Mapping[str, Array], parameters: Mapping[str, Array], by: Collection[str] = ()
    ) -> tuple[Array, dict[str, Array]]:
        """The formula's value and exact partial derivatives, by forward differentiation of its tree."""
        return self.expression.gradient({**variables, **parameters}, by or tuple(self.parameters))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.expression.text, self.named, dict(self._parameters)))


def _is_condition(tree: ast.expr) -> bool:
    """Whether the value of an expression is true or false: a comparison, or several of them.

    >>> [_is_condition(parse(text).tree) for text in ("a < b", "not a", "(a < b) & c", "a * (b > 2)")]
    [True, True, True, False]
    """
    match tree:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not() | ast.Invert()):
            return True
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
            return True
    return False


def _has_bare_e(tree: ast.expr) -> bool:
    """Whether e, unquoted, stands elsewhere than as what is raised to a power: those who write it mean a parameter.

    >>> [_has_bare_e(parse(text).tree) for text in ("e + A*N**-b", "A*e**(-k*N)", "`e` + A*N**-b")]
    [True, False, False]
    """
    bases = [n.left for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow)]
    named = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "e" and not is_quoted(n)]
    return any(all(name is not base for base in bases) for name in named)


def _start_ranges(tree: ast.expr) -> dict[str, tuple[float, float]]:
    """Where searches begin for exponents, and for the logarithms of factors.

    >>> _start_ranges(parse("exp(e0) + exp(a - alpha*log(N)) + B*exp(-k*N) + D**-b").tree)
    {'a': (0.05, 20.0), 'e0': (0.05, 20.0), 'alpha': (0.05, 2.0), 'b': (0.05, 2.0)}
    """
    logarithms, powers = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            powers.append(node.right)
        if _calls(node, "exp"):
            logarithms += _summands(node.args[0])  # type: ignore[attr-defined]
    for term in logarithms:
        if isinstance(term, ast.BinOp) and isinstance(term.op, ast.Mult):
            powers += [term.left] * _calls(term.right, "log") + [term.right] * _calls(term.left, "log")
    return dict.fromkeys(_alone(logarithms), IN_EXP) | dict.fromkeys(_alone(powers), IN_POWER)


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        return [*_summands(node.left), *_summands(node.right)]
    return _summands(node.operand) if isinstance(node, ast.UnaryOp) else [node]


def _alone(nodes: list[ast.expr]) -> list[str]:
    """The names among the nodes, with a sign or without, in the order of the alphabet."""
    plain = [node.operand if isinstance(node, ast.UnaryOp) else node for node in nodes]
    return sorted({node.id for node in plain if isinstance(node, ast.Name)})


def _rebuild(text: str, variables: tuple[str, ...], parameters: dict[str, Parameter]) -> FormulaLaw:
    law = FormulaLaw(text, variables=variables)
    law._parameters = parameters
    return law


def _jointly_linear(expression: Expression, names: list[str]) -> set[str]:
    """A largest set, taken greedily in order of appearance, in which the expression has degree one."""
    chosen: list[str] = []
    for name in names:
        if expression.degree([*chosen, name]) == 1:
            chosen.append(name)
    return set(chosen)
