"""Text from files as it may be shown: control characters escaped, so that none reaches a terminal or a figure.

Control characters can move the cursor, clear the screen, rename the window or turn a line around. Names, cells, notes
and messages all hold text from files, so text is escaped where it enters (names and words of tables, saved fits) and
once more where it leaves (the command line).
"""

from __future__ import annotations

import re
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
