"""The entries of a YAML file as one level, `outer/inner`: configurations beside logs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from scalefit.errors import InputError

MOST, LONGEST_LIST = 10_000, 20  #: entries of a configuration, and of a list in one
FLOAT = re.compile(r"^[-+]?(\d+(?:\.\d*)?|\.\d+)([eE][-+]?\d+)?$")  #: YAML 1.1 takes 3e-4 for a word
WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "none": None, "~": None}


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only; whatever an unknown tag would make is read as the value below it."""


def _plain(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
Loader.add_multi_constructor("", _plain)


def flat_yaml(path: Path) -> dict[str, object]:
    """Entries `key: scalar`, nested ones as `outer/inner`, short lists as text; none where there is no such file.

    Raises InputError, with the line, for a file that is not YAML, and for one of more than 10,000 entries.
    """
    found: dict[str, object] = {}
    if not path.is_file():
        return found
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig", errors="replace"), Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, row {mark.line + 1}" if mark else str(path)
        raise InputError("not a YAML file", where=where, todo="mend the file, or move it away") from error
    left: list[tuple[str, Any]] = [("", content)]
    while left:
        prefix, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{prefix}/{key}" if prefix else str(key), inner) for key, inner in reversed(value.items())]
        elif prefix and not (isinstance(value, list) and len(value) > LONGEST_LIST):
            found[prefix] = value if isinstance(value, str | int | float | None) else str(value)
        if len(found) + len(left) > MOST:
            raise InputError(f"more than {MOST} entries", where=str(path), todo="give a smaller configuration")
    return found


def scalar(text: str) -> object:
    """The value that an unquoted word stands for.

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
