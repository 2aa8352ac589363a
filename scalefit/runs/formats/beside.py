"""Settings of a run in a file beside its log: `config.json`, `args.yaml` and the like."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from scalefit.errors import InputError
from scalefit.runs.formats.flat_yaml import flat_yaml
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.splits import kind
from scalefit.runs.formats.text import parsed
from scalefit.runs.matching import canonical

WORDS = ("config", "args", "hparams", "params", "run", "settings", "cfg", "hyperparameters", "train_config")
FILES = tuple(f"{word}{ending}" for word in WORDS for ending in (".json", ".yaml", ".yml"))
OWN = "run.json"
LARGEST = 1 << 20  #: bytes of a file of settings


def with_config(raw: RawTable) -> RawTable:
    """The table of a log with the settings that lie beside it, and a remark on these.

    It is done for the log of one run that is the only log in its folder; the entries of the log itself come first.
    """
    path = raw.path
    if not path.is_file() or path.name in FILES:
        return raw
    if (own := path.with_name(OWN)).is_file() and ".jsonl" in path.suffixes:  # written by our trainer
        return replace(raw, scalars={**settings_of(own), **raw.scalars})
    found = settings_file(path)
    if found is None or any(canonical(str(name)) == "run" for name in raw.frame.columns):
        return raw
    logs = [file for file in path.parent.glob(f"*{path.suffix}") if file.name not in FILES and file != path]
    others = [file for file in logs if not any(map(kind, re.split(r"[^a-z0-9]+", file.stem.lower())))]
    if others:
        text = f"{found.name} was not read: {len(others) + 1} logs lie beside it, and it does not say whose it is"
        return replace(raw, remarks=(*raw.remarks, Remark("dropped", text)))
    try:
        settings = settings_of(found)
    except InputError as error:
        return replace(raw, remarks=(*raw.remarks, Remark("dropped", f"{found.name} was not read: {error.what}")))
    told = [Remark("derived", f"{len(settings)} settings are those of {found.name}")] if settings else []
    return replace(raw, scalars={**settings, **raw.scalars}, remarks=(*raw.remarks, *told))


def settings_file(path: Path) -> Path | None:
    """The file of settings beside a log, if there is one that is not too large."""
    files = [path.with_name(name) for name in FILES]
    return next((file for file in files if file.is_file() and file.stat().st_size <= LARGEST), None)


def settings_of(path: Path) -> dict[str, object]:
    """The entries of a file of settings, nested ones as `outer/inner`; those that W&B keeps lie below a key `value`.

    Raises InputError where it is neither JSON nor YAML.
    """
    if path.suffix != ".json":
        return flat_yaml(path)
    try:
        content = parsed(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError("not a JSON file", where=str(path), todo="write one JSON object, or remove it") from error
    found, left = dict[str, object](), [("", content)]
    while left:  # however deep
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{name}/{key}" if name else str(key), inner) for key, inner in reversed(value.items())]
        elif name and not isinstance(value, list):
            found[name] = value
    return found
