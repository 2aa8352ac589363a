"""Column names that are not identifiers, written between backquotes in an expression: `` `GPU Count` == 4 ``."""

from __future__ import annotations

import ast
import keyword
import math
import re
import unicodedata

CONSTANTS = {"pi": math.pi, "e": math.e}  #: names that mean a number unless they are quoted
_TOKEN = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?P<name>(?:[^`\n]|``)+)`""")


def quoted(name: str) -> str:
    """A name as it must be written in an expression: between backquotes unless it is an identifier.

    >>> quoted("N"), quoted("GPU Count"), quoted("optimizer.weight_decay"), quoted("lambda"), quoted("a`b")
    ('N', '`GPU Count`', '`optimizer.weight_decay`', '`lambda`', '`a``b`')
    """
    plain = name.isidentifier() and not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return name if plain and name not in CONSTANTS else f"`{name.replace('`', '``')}`"


def unquoted(text: str) -> tuple[str, dict[tuple[int, int], str]]:
    """The text with an identifier of the same length for each quoted name, and the names by line and column.

    >>> unquoted("`GPU Count` == 4")
    ('(_________) == 4', {(1, 1): 'GPU Count'})
    >>> unquoted("split == '`fit`'")
    ("split == '`fit`'", {})
    """
    found: dict[tuple[int, int], str] = {}
    parts, end = "", 0
    for token in _TOKEN.finditer(text):
        if token["name"] is None:
            continue
        parts += text[end : token.start()] + "("
        line = parts.rpartition("\n")[2]
        found[parts.count("\n") + 1, len(line.encode())] = token["name"].replace("``", "`")
        parts, end = parts + "_" * len(token["name"]) + ")", token.end()
    return parts + text[end:], found


def put_names(tree: ast.expr, names: dict[tuple[int, int], str]) -> None:
    """Restore the spelling of quoted names in a parsed tree, and mark them as quoted."""
    for node in ast.walk(tree) if names else ():
        if isinstance(node, ast.Name) and (node.lineno, node.col_offset) in names:
            node.id = names[node.lineno, node.col_offset]
            node.quoted = True  # type: ignore[attr-defined]


def is_quoted(node: ast.Name) -> bool:
    """Whether a name of a tree was written between backquotes."""
    return bool(getattr(node, "quoted", False))
