"""The folders of data/: each is a bundled data set, read like any other run log."""

from __future__ import annotations

from pathlib import Path

from scalefit.datasets.fetching import public
from scalefit.errors import InputError
from scalefit.numerics import nearest_names
from scalefit.runs import Runs, read_runs

#: beside the package in a source tree, inside it when installed
ROOTS = (Path(__file__).parents[2] / "data", Path(__file__).parent / "data")


def root() -> Path:
    """The folder of the bundled data sets."""
    for place in ROOTS:
        if place.is_dir():
            return place
    raise InputError("the bundled data sets are not installed", todo="run from the source tree")


def names() -> list[str]:
    """The names of the bundled data sets.

    >>> "schedules" in names()
    True
    """
    return sorted(place.name for place in root().iterdir() if _table(place) is not None)


def load(name: str) -> Runs:
    """The run logs of a bundled data set, or of a public one that was fetched (``scalefit data fetch NAME``).

    Raises :class:`InputError` with the known names for an unknown one, and for a public one that was not fetched.

    >>> len(load("schedules")) > 3
    True
    """
    if name in public():
        if not public()[name].path.is_file():
            raise InputError(f"{name} is not here yet", where="load", todo=f"fetch it: scalefit data fetch {name}")
        return read_runs(public()[name].path)
    folder = root() / name
    table = _table(folder)
    if table is None:
        near = ", ".join(nearest_names(name, names()))
        todo = f"the nearest names are {near}; scalefit data lists all" if near else f"there are {', '.join(names())}"
        raise InputError(f'no data set "{name}"', todo=todo)
    schedule = next((place for place in folder.glob("lr.csv*")), None)
    return read_runs(table, schedule=None if schedule is None else str(schedule))


def _table(folder: Path) -> Path | None:
    return next((place for pattern in ("curves.csv*", "runs.csv*") for place in folder.glob(pattern)), None)
