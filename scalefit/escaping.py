"""How text from files is written: escaped where it is shown, and between backquotes where an expression names a column.

Control characters can move the cursor, clear the screen, rename the window or turn a line around. Names, cells, notes
and messages all hold text from files, so text is escaped where it enters (names and words of tables, saved fits) and
once more where it leaves (the command line). A column name that is no identifier is quoted: `` `GPU Count` == 4 ``.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
import unicodedata
from typing import Any

#: C0 and C1 controls, line and paragraph separators, marks that turn or hide text, halves of pairs, tags
_RANGES = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
)
_CONTROLS = re.compile(f"[{_RANGES}\U000e0000-\U000e007f]")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {9: r"\t", 10: r"\n", 13: r"\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")


def one_line(text: str) -> str:
    r"""A text with every control character escaped, line ends among them.

    >>> one_line("loss\x1b[2J\n"), one_line("Verlust α")
    ('loss\\x1b[2J\\n', 'Verlust α')
    """
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub(_escaped, text)


def lines_of(text: str) -> str:
    r"""A text of several lines with every control character escaped, but for tabs and the ends of its lines.

    >>> lines_of("a\tb\n\x9bc")
    'a\tb\n\\x9bc'
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in "\t\n" else _escaped(found), text)


def plain_words(value: Any) -> Any:
    r"""The same JSON value with control characters escaped in every text and every name.

    >>> plain_words({"a\n": ["b\x07", 1.5, None]})
    {'a\\n': ['b\\x07', 1.5, None]}
    """
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {one_line(name): plain_words(each) for name, each in value.items()}
    return [plain_words(each) for each in value] if isinstance(value, list) else value


#: names that mean a number unless they are quoted
CONSTANTS = {"pi": math.pi, "e": math.e}
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
