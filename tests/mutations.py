"""The faults that mutants.py plants: slips that a person makes and that change what the code does.

Comparisons turned or moved by their boundary, signs and operators swapped, a constant by a factor or one, min for max,
and for or, first for last, the other axis, a sort the other way, log10 for log, the ends of a tuple or of an interval
swapped, a dropped not, minus, abs, sqrt or cumsum, a default changed, the other branch returned, an option not passed
on, two arguments swapped.

Left alone: docstrings, annotations, messages (f-strings, what is raised or warned about), ``__repr__``, the looks of
figures, sizes of blocks and caches, tolerances, starts, spans and outer bounds of a search.
"""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path
from typing import NamedTuple

COMPARED = {
    "<": "<= >",
    "<=": "< >=",
    ">": ">= <",
    ">=": "> <=",
    "==": "!=",
    "!=": "==",
    "in": "not in",
    "is": "is not",
}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "**": "*", "//": "*"}
NAMES = {
    **{"min": "max", "any": "all", "minimum": "maximum", "argmin": "argmax", "nanmin": "nanmax", "floor": "ceil"},
    **{"log": "log10", "log2": "log", "exp": "exp2", "mean": "median", "first": "last", "vstack": "hstack"},
    **{"idxmin": "idxmax", "cummin": "cummax", "head": "tail", "low": "high", "zeros": "ones", "left": "right"},
}
NAMES |= {new: old for old, new in NAMES.items() if new not in ("log", "log10", "exp2", "median", "hstack", "ones")}
DROPPED = {"abs", "sqrt", "cumsum", "sorted", "diff", "log1p", "expm1", "square", "reversed", "absolute"}
#: keywords and names whose numbers are looks, speed or the reach of a search
QUIET_KEYWORDS = {
    *("alpha", "lw", "linewidth", "markersize", "ms", "zorder", "fontsize", "figsize", "color", "pad", "labelpad"),
    *("bbox_to_anchor", "width", "height", "length", "maxsize", "span", "starts", "iterations", "maxiter", "seed"),
    *("tolerance", "tol", "rtol", "atol", "xtol", "ftol", "gtol", "digits", "stacklevel", "indent", "dpi", "nbins"),
    *("divide", "invalid", "over", "under", "published"),
}
QUIET_NAMES = re.compile(r"BLOCK|CHUNK|CACHE|MEMORY|TOLERANCE|SHOWN|STARTS|SPAN|SEED|WIDTH|INDENT|EPS|TINY|ROUNDING")
#: options that are speed, words or looks
QUIET_OPTIONS = {
    *("blocks", "limit", "workers", "threads", "progress", "near", "robust_steps", "rivals"),
    *("hint", "label", "title", "cure", "about", "note", "where", "sep", "served_text", "size", "line", "dashed"),
}
TEXTUAL = re.compile(r"(Error|Warning)$|^(warn|Note|Remark|Warned|Variable|echo|option|argument)$")


class Fault(NamedTuple):
    """One fault: bytes of a file to be replaced."""

    file: str  #: below the root: scalefit/...
    line: int
    kind: str
    begin: int
    end: int
    old: str
    new: str
    function: int  #: the first line of the function it stands in, decorators included; 0 at module level
    statement: int  #: the first line of its statement
    last: int  #: the last line of what is replaced

    @property
    def room(self) -> str:
        """The folder (or file) of the package that mirrors the tests: runs/formats, comparison.py."""
        return self.file.removeprefix("scalefit/").rpartition("/")[0] or self.file.removeprefix("scalefit/")

    def __str__(self) -> str:
        old, new = (re.sub(r"\s+", " ", text)[:70] for text in (self.old, self.new))
        return f"{self.file}:{self.line} [{self.kind}] {old} → {new}"


def plant(tree: Path, fault: Fault) -> None:
    """Write a fault into a copy."""
    path = tree / fault.file
    text = path.read_bytes()
    path.write_bytes(text[: fault.begin] + fault.new.encode() + text[fault.end :])


class Finder(ast.NodeVisitor):
    """Collects the faults that one file can have."""

    def __init__(self, root: Path, path: Path, optional: dict[str, dict[str, str]]) -> None:
        self.optional = optional
        self.file = str(path.relative_to(root))
        self.source = path.read_bytes()
        self.is_figure = self.file.startswith("scalefit/plots/")
        self.starts = [0]
        for line in self.source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.functions: list[ast.FunctionDef] = []
        self.statement = 1
        self.faults: list[Fault] = []
        self.visit(ast.parse(self.source))

    def at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def ends(self, node: ast.AST) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.AST) -> str:
        begin, end = self.ends(node)
        return self.source[begin:end].decode()

    def add(self, kind: str, node: ast.AST, new: str, span: tuple[int, int] | None = None, show: ast.AST | None = None):
        """Note a fault that replaces a node, or a span of bytes near it."""
        begin, end = span or self.ends(node)
        old = self.source[begin:end].decode()
        if show is not None:  # a lone operator says little: show what stands around it
            first, last = self.ends(show)
            around = (self.source[first:begin].decode(), self.source[end:last].decode())
            begin, end, old, new = first, last, around[0] + old + around[1], around[0] + new + around[1]
        function = self.functions[-1] if self.functions else None
        first_line = min([function.lineno, *(d.lineno for d in function.decorator_list)]) if function else 0
        if old != new:
            last = (show or node).end_lineno
            self.faults.append(
                Fault(self.file, node.lineno, kind, begin, end, old, new, first_line, self.statement, last)
            )

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self.statement = node.lineno
        super().visit(node)

    # --- what is not looked into --------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in ("__repr__", "__str__", "_repr_html_") or "overload" in map(self.text, node.decorator_list):
            return
        self.functions.append(node)
        positional = [*node.args.posonlyargs, *node.args.args]
        pairs = list(zip(reversed(positional), reversed(node.args.defaults), strict=False))
        for argument, default in [*pairs, *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]:
            if argument.arg in QUIET_KEYWORDS or "seed" in argument.arg:
                continue
            kinds = (bool,) if self.is_figure else (bool, int, float)  # numbers are the looks of a figure
            if isinstance(default, ast.Constant) and isinstance(default.value, kinds):
                value = default.value
                self.add("default", default, repr(changed(value)))
        self.returns(node)
        for statement in node.body:
            self.visit(statement)
        self.functions.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.assigned([node.target], node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.assigned(node.targets, node.value)

    def assigned(self, targets: list[ast.expr], value: ast.expr | None) -> None:
        if value is not None and not any(QUIET_NAMES.search(self.text(target)) for target in targets):
            self.visit(value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_Raise(self, node: ast.Raise) -> None: ...

    def visit_Assert(self, node: ast.Assert) -> None: ...

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg == "axis" and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int):
            self.add("axis", node.value, "1" if node.value.value == 0 else "0")
        elif node.arg in ("ascending", "reverse", "descending") and isinstance(node.value, ast.Constant):
            self.add("order", node.value, repr(not node.value.value))
        elif node.arg not in QUIET_KEYWORDS and not is_guard(node):
            self.visit(node.value)

    # --- operators ----------------------------------------------------------------------------------------------------

    def between(self, left: ast.AST, right: ast.AST, token: str) -> tuple[int, int]:
        """Where an operator stands between its operands."""
        begin, end = self.ends(left)[1], self.ends(right)[0]
        found = re.search(re.escape(token), self.source[begin:end].decode())
        assert found, self.source[begin:end]
        return begin + found.start(), begin + found.end()

    def visit_Compare(self, node: ast.Compare) -> None:
        tokens = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in"}
        token = tokens.get(type(node.ops[0]), "is" if isinstance(node.ops[0], ast.Is) else "")
        if token and "__name__" not in self.text(node):
            span = self.between(node.left, node.comparators[0], token)
            for new in [COMPARED[token]] if token in ("in", "is") else COMPARED[token].split():
                self.add("compare", node, new, span, node)
        for part in [node.left, *(c for c in node.comparators if not isinstance(c, ast.Tuple))]:
            self.visit(part)  # the order within a tuple of choices means nothing

    def visit_BinOp(self, node: ast.BinOp) -> None:
        tokens = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.FloorDiv: "//"}
        token = tokens.get(type(node.op), "")
        joined = (ast.List, ast.Tuple, ast.JoinedStr, ast.ListComp)
        if token and not any(isinstance(side, joined) or is_text(side) for side in (node.left, node.right)):
            self.add("operator", node, ARITHMETIC[token], self.between(node.left, node.right, token), node)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self.add("and/or", node, new, self.between(node.values[0], node.values[1], old), node)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.Invert, ast.USub)) and not isinstance(node.operand, ast.Constant):
            self.add("dropped", node, self.text(node.operand))
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        body, test, other = (self.text(part) for part in (node.body, node.test, node.orelse))
        if not isinstance(node.orelse, ast.IfExp):
            self.add("branches", node, f"{other} if {test} else {body}")
        self.generic_visit(node)

    # --- values -------------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        name = self.text(node.func).rpartition(".")[2]
        if TEXTUAL.search(name):
            return
        if name in NAMES and not isinstance(node.func, ast.Subscript):
            end = self.ends(node.func)[1]
            self.add("name", node.func, NAMES[name], (end - len(name), end), node)
        if name in DROPPED and len(node.args) == 1 and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
            self.add("dropped", node, f"({self.text(node.args[0])})")
        elif name in ("abs", "cumsum") and isinstance(node.func, ast.Attribute) and not node.args:
            self.add("dropped", node, self.text(node.func.value))
        self.passed(name, node)
        self.generic_visit(node)

    def passed(self, name: str, node: ast.Call) -> None:
        """An argument that the function could do without is not passed on; two neighbours trade places."""
        inner = [*node.args, *node.keywords]
        for argument in node.keywords:
            default = self.optional.get(name, {}).get(argument.arg)
            quiet = argument.arg in QUIET_KEYWORDS | QUIET_OPTIONS or is_guard(argument)
            if quiet or default in (None, self.text(argument.value)):
                continue
            begin, end = self.ends(argument)
            after = self.ends(inner[inner.index(argument) + 1])[0] if argument is not inner[-1] else end
            self.add("keyword", argument, "", (begin, after), node)
        names = [self.text(argument) for argument in node.args if isinstance(argument, (ast.Name, ast.Attribute))]
        if name in self.optional and len(node.args) == len(names) > 1 and names[0] != names[1]:
            span = (self.ends(node.args[0])[0], self.ends(node.args[1])[1])
            self.add("swapped", node, f"{names[1]}, {names[0]}", span, node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in ("low", "high") and isinstance(node.ctx, ast.Load):
            end = self.ends(node)[1]
            self.add("ends", node, NAMES[node.attr], (end - len(node.attr), end), node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Load) and self.text(node.slice) in ("-1", "0"):
            begin, end = self.ends(node.slice)
            self.add("index", node, "0" if self.text(node.slice) == "-1" else "-1", (begin, end), node)
        elif self.text(node.slice) == "::-1":
            self.add("order", node, ":", self.ends(node.slice), node)
        else:
            self.visit(node.slice)
        self.visit(node.value)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        if len(node.elts) == 2 and not self.is_figure and all(is_number(part) for part in node.elts):
            first, second = (self.text(part) for part in node.elts)
            self.add("ends", node, f"{second}, {first}", (self.ends(node.elts[0])[0], self.ends(node.elts[1])[1]))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if not is_number(node) or self.is_figure:
            return
        if isinstance(node.value, int):
            self.add("constant", node, str(node.value + random.Random(node.col_offset).choice((-1, 1))))
        elif 1e-5 < abs(node.value) < 1e15:
            self.add("constant", node, f"{node.value * random.Random(node.col_offset).choice((0.5, 0.8, 1.2, 2)):.6g}")

    def returns(self, function: ast.FunctionDef) -> None:
        """A branch that returns early returns what the end returns."""
        last = function.body[-1]
        if not isinstance(last, ast.Return) or last.value is None:
            return
        own = {name.id for name in ast.walk(last.value) if isinstance(name, ast.Name)}
        set_inside = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for statement in ast.walk(function):
            inside = statement.body if isinstance(statement, ast.If) else []
            if inside and isinstance(inside[-1], ast.Return) and inside[-1].value is not None and not own & set_inside:
                self.add("return", inside[-1].value, self.text(last.value).replace("\n", " "))


def optional_in(paths: list[Path]) -> dict[str, dict[str, str]]:
    """Each function and class of the package, with the text of the defaults of its arguments or fields."""
    known: dict[str, dict[str, str]] = {}
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_bytes()))):
        if isinstance(node, ast.FunctionDef):
            positional = [*node.args.posonlyargs, *node.args.args]
            pairs = list(zip(reversed(positional), reversed(node.args.defaults), strict=False))
            pairs += [pair for pair in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if pair[1]]
            known.setdefault(node.name, {}).update({argument.arg: ast.unparse(value) for argument, value in pairs})
        elif isinstance(node, ast.ClassDef):
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and part.value is not None]
            own = {ast.unparse(part.target): ast.unparse(part.value) for part in fields}
            known.setdefault(node.name, {}).update(own)
    return known


def changed(default: bool | int | float) -> bool | int | float:
    """Another default of the same kind: a share stays a share."""
    if isinstance(default, bool):
        return not default
    return (1 + default) / 2 if isinstance(default, float) and 0.1 < default < 1 else default * 2 or 1


def is_guard(argument: ast.keyword) -> bool:
    """Whether it is a bound that only keeps a search from running away, such as 5 for an exponent: its exact place, and
    whether there is one, changes no fit that ends."""
    value = argument.value.operand if isinstance(argument.value, ast.UnaryOp) else argument.value
    return argument.arg in ("low", "high") and is_number(value) and value.value >= 1.5


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_number(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, (int, float)) and not isinstance(value, bool)
