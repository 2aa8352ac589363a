"""What readers of SQLite data bases share: which tables one holds, and the rows of a query."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from scalefit.errors import InputError


def tables(path: Path) -> set[str]:
    """The names of the tables of a data base; none where the file is no data base."""
    try:
        return {str(name) for (name,) in _query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return set()


def rows(path: Path, query: str, kind: str) -> list[tuple[Any, ...]]:
    """The rows of a query. Raises InputError where the file is no data base of that kind."""
    try:
        return _query(path, query)
    except sqlite3.Error as error:
        todo = "give the data base that the runs were logged to"
        raise InputError(f"not a data base of {kind} ({error})", where=str(path), todo=todo) from error


def _query(path: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        return base.execute(query).fetchall()


def labels(names: dict[str, str]) -> dict[str, str]:
    """The names of runs by identifier; those that several share get the first letters of their identifiers.

    >>> labels({"9a1b2c3d4e": "first", "0f9e8d7c6b": "first"})["9a1b2c3d4e"]
    'first (9a1b2c3d)'
    """
    shown = list(names.values())
    return {run: name if shown.count(name) == 1 else f"{name} ({run[:8]})" for run, name in names.items()}
