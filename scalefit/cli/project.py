"""``scalefit.toml``: choices for reading the logs of a project, remembered; the options of a command come first."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.runs import Runs

NAME = "scalefit.toml"
#: keys and the type of each
KEYS: dict[str, type] = {"map": dict, "schedule": str, "warmup": int, "pattern": str, "join": bool}
TODO = "keys: [map] NAME = COLUMN, schedule, warmup, pattern, join"


@dataclass(frozen=True)
class Project:
    """The choices of a project file: its path ("" where there is none) and the values of its keys."""

    path: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def noted(self, runs: Runs, taken: Mapping[str, Any]) -> Runs:
        """The runs, with a note on what of the file was used: the keys taken, and the maps of columns there are."""
        from scalefit.runs.table import Note

        mapped = {each.source: each.name for each in runs.columns if each.how == "mapped"}
        maps = [f"{name}={column}" for name, column in self.values.get("map", {}).items() if mapped.get(column) == name]
        used = [f"map {', '.join(maps)}"] if maps else []
        used += [f"{key} {value}" for key, value in taken.items()]
        note = Note("mapped", f"{self.path} sets {'; '.join(used)}", len(used))
        return replace(runs, notes=(*runs.notes, note)) if used else runs


def project_of(files: Iterable[str]) -> Project:
    """The project file beside the first of the files (or in it, where it is a folder), else in the working directory.

    Raises InputError, in one line, for a file that is no TOML, or has a key or a value of another kind.
    """
    first = next((Path(file) for file in files if file != "-"), None)
    beside = [] if first is None else [first if first.is_dir() else first.parent]
    found = next((folder / NAME for folder in (*beside, Path()) if (folder / NAME).is_file()), None)
    if found is None:
        return Project()
    try:
        values = tomllib.loads(found.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"not a TOML file ({error})", where=str(found), todo=TODO) from error
    for key, value in values.items():
        _check(str(found), key, value)
    schedule = values.get("schedule")
    if schedule and (found.parent / schedule.partition("#")[0]).is_file():
        values["schedule"] = str(found.parent / schedule)
    return Project(str(found), values)


def _check(where: str, key: str, value: Any) -> None:
    if key not in KEYS:
        raise InputError(f"there is no key '{key}'", where=where, todo=TODO)
    if not isinstance(value, KEYS[key]) or (KEYS[key] is int and isinstance(value, bool)):
        kind = {dict: "a table", str: "a text", int: "a whole number", bool: "true or false"}[KEYS[key]]
        raise InputError(f"{key} is not {kind}", where=where, todo=TODO)
    if isinstance(value, dict):
        wrong = next((name for name, column in value.items() if not isinstance(column, str)), None)
        if wrong is not None:
            raise InputError(f"map.{wrong} is not the name of a column", where=where, todo='write loss = "train/lm_ce"')
