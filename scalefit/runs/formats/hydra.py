"""What Hydra keeps in the folder of a run, `.hydra`: its configuration, and the overrides that tell it from others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from scalefit.errors import InputError
from scalefit.runs.formats.flat_yaml import Loader, flat_yaml
from scalefit.runs.formats.raw import RawTable

KEPT, FARTHEST = ".hydra", 3  #: folders between that of the run and the log, at most


def with_settings(raw: RawTable) -> RawTable:
    """The table of a log with the settings of its run, and the name that Hydra gives the run: its overrides.

    A log without `.hydra` beside it, or in a folder above, stays as it is.
    """
    place = raw.path.absolute()
    kept = next((part / KEPT for part in [place, *place.parents][: FARTHEST + 2] if (part / KEPT).is_dir()), None)
    if kept is None:
        return raw
    settings = flat_yaml(kept / "config.yaml")
    overrides = _overrides(kept / "overrides.yaml")
    return replace(raw, scalars={**settings, **raw.scalars}, name=raw.name or ",".join(overrides))


def _overrides(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("not a YAML file", where=str(path), todo="mend the file, or move it away") from error
    return [str(each) for each in found] if isinstance(found, list) else []
