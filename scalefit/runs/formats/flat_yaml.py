"""The scalars of a simple YAML file, without a YAML library."""

from __future__ import annotations

import re
from pathlib import Path

ENTRY = re.compile(r"^(?P<indent> *)(?P<key>[^\s:#'\"-][^:#]*?)\s*:(?:\s+(?P<value>.*))?$")
WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None}


def flat_yaml(path: Path) -> dict[str, object]:
    """The entries `key: scalar`, nested ones as `outer/inner`; lists and all else are skipped. None without a file."""
    found: dict[str, object] = {}
    above: list[tuple[int, str]] = []
    text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        entry = ENTRY.match(line)
        if not entry:
            continue
        indent = len(entry["indent"])
        above = [outer for outer in above if outer[0] < indent]
        value = (entry["value"] or "").split(" #")[0].strip()
        if value:
            found["/".join([name for _, name in above] + [entry["key"]])] = scalar(value)
        else:
            above.append((indent, entry["key"]))
    return found


def scalar(text: str) -> object:
    """The value that a YAML scalar stands for.

    >>> [scalar(text) for text in ("3", "1e-3", "true", "'7'", "adam")]
    [3, 0.001, True, '7', 'adam']
    """
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        return text[1:-1]
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
