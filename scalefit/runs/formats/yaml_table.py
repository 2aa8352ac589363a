"""Results in a YAML file: a list of runs, or what else a JSON document may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from scalefit.errors import InputError
from scalefit.runs.formats import json_document
from scalefit.runs.formats.flat_yaml import Loader
from scalefit.runs.formats.raw import RawTable
from scalefit.runs.formats.splits import measured

NAMES = ("*.yaml", "*.yml")
LARGEST = 4 << 20  #: bytes


class _Whole(Loader):
    """Nothing stands for a part above it: such a part may be as large as one likes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="an alias", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def read(path: Path) -> RawTable:
    """Read a list of runs, or an object of them; the index counts runs from 1.

    Raises InputError for a file that is no YAML, or that measures nothing, as one of settings.
    """
    refusal = InputError(
        "a file of settings and no run log", where=str(path), todo="give the log beside it, or write results as CSV"
    )
    if path.stat().st_size > LARGEST:
        what = f"a YAML file of more than {LARGEST >> 20} MiB"
        raise InputError(what, where=str(path), todo="write the results as CSV or JSON")
    try:
        content: Any = yaml.load(path.read_text(encoding="utf-8-sig", errors="replace"), _Whole)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, row {mark.line + 1}" if mark else str(path)
        what = f"not a YAML file that can be read ({getattr(error, 'problem', None) or type(error).__name__})"
        raise InputError(what, where=where, todo="write the results as CSV or JSON") from error
    if not isinstance(content, dict | list):
        raise refusal
    raw = json_document.table(path, content)
    if not any(measured(str(name)) for name in raw.frame.columns):
        raise refusal
    return raw
