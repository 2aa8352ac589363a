"""What a law takes of a point that is asked for: its own variables, or those from which they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.runs import Runs, runs_of
from scalefit.runs.matching import canonical, match
from scalefit.runs.quantities import quantity
from scalefit.runs.table import DERIVED

Point = Mapping[str, Any]


def asked_of(law: Law) -> set[str]:
    """The names by which a point may be given to a law: its variables, and those from which they follow.

    >>> from scalefit.laws import find_law
    >>> sorted(asked_of(find_law("power:over=D")))
    ['C', 'D', 'N', 'x']
    """
    wanted = {*law.columns, *law.columns.values(), *law.path_columns}
    for name, (_, sources) in DERIVED.items():
        if name in wanted:
            wanted |= {*sources}
    return wanted


def read_as(name: str, known: set[str]) -> str:
    """The name of ``known`` that is meant by the name of a column; of tokens the amount of data, as in a table of runs.

    >>> read_as("model size", {"N", "D"}), read_as("tokens", {"N", "D"}), read_as("tokens", {"tokens"})
    ('N', 'D', 'tokens')
    """
    found = name if name in known else canonical(name)
    return "D" if found == "tokens" and "D" in known and "tokens" not in known else found


def read_point(at: Point, known: set[str]) -> dict[str, Any]:
    """A point by the names of ``known``, as a table with such columns would be read: numbers in the unit of their name.

    >>> read_point({"params_M": 70, "tokens": "2B"}, {"N", "D"})
    {'N': 70000000.0, 'D': '2B'}
    """
    found: dict[str, Any] = {}
    for name, value in at.items():
        own = read_as(name, known)
        found |= {name: value} if own == name or own not in known else {own: _in_unit(name, value)}
    return found


def _in_unit(name: str, value: Any) -> Any:
    """A number times the unit that a name ends in; a text that has a unit of its own, such as 7B, as it is."""
    scale = next((binding.scale for binding in match([name])), 1.0)
    if isinstance(value, list | tuple):
        return [_in_unit(name, each) for each in value]
    if scale == 1.0 or np.isnan(scale):
        return value
    try:
        return float(value) * scale if isinstance(value, str | int | float) else np.asarray(value, dtype=float) * scale
    except ValueError:
        return value


def own_point(law: Law, at: Point) -> Point:
    """What a law takes of a point that is given to several laws.

    >>> from scalefit.laws import find_law
    >>> own_point(find_law("power:over=D"), {"N": 1e9, "D": 2e10})
    {'D': 20000000000.0}
    >>> own_point(find_law("power:over=C"), {"N": 1e9, "D": 2e10})
    {'N': 1000000000.0, 'D': 20000000000.0}
    """
    known, direct = asked_of(law), {*law.columns, *law.columns.values(), *law.path_columns}
    own = {name: value for name, value in at.items() if read_as(name, known) in known}
    given = {read_as(name, known) for name in own}
    if all({name, column} & given for name, column in law.columns.items()):
        return {name: value for name, value in own.items() if read_as(name, known) in direct}
    return own


def takes(law: Law, at: Point) -> bool:
    """Whether a point gives every variable of a law, itself or by those from which it follows."""
    given = {read_as(name, asked_of(law)) for name in own_point(law, at)}
    derived = {name for name, (_, sources) in DERIVED.items() if given >= {*sources}}
    return all({name, column} & (given | derived) for name, column in law.columns.items())


def refuse_unread(laws: Sequence[Law], at: Point) -> None:
    """Raise :class:`InputError` for a name that none of several laws reads."""
    known = set().union(*(asked_of(law) for law in laws))
    nobody = [name for name in at if read_as(name, known) not in known]
    if nobody:
        todo = (
            f"give {', '.join(sorted(known - {'x'}))}, or fit with --law a law that reads it (scalefit laws --for FILE)"
        )
        named = " or ".join(f'"{name}"' for name in nobody)
        raise InputError(f"no law of this fit has a variable {named}", where="predict", todo=todo)


def scales_asked(data: Runs | pd.DataFrame | None, at: Point) -> pd.DataFrame:
    """The sizes, amounts of data and compute for which a prediction is asked, one row each."""
    if data is not None:
        return runs_of(data).table
    scales = {"N", "D", "C"}
    read = {name: value for name, value in read_point(at, scales).items() if name in scales}
    several = {name: value if isinstance(value, list | tuple) else np.atleast_1d(value) for name, value in read.items()}
    found = {name: [quantity(v) if isinstance(v, str) else v for v in values] for name, values in several.items()}
    return pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in found.items()}).ffill()
