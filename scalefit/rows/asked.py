"""What a law takes of a point that is asked for: its own variables, or those from which they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.runs import Runs, read_runs
from scalefit.runs.matching import canonical
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


def _read_as(name: str, known: set[str]) -> str:
    return name if name in known else canonical(name)


def own_point(law: Law, at: Point) -> Point:
    """What a law takes of a point that is given to several laws.

    >>> from scalefit.laws import find_law
    >>> own_point(find_law("power:over=D"), {"N": 1e9, "D": 2e10})
    {'D': 20000000000.0}
    >>> own_point(find_law("power:over=C"), {"N": 1e9, "D": 2e10})
    {'N': 1000000000.0, 'D': 20000000000.0}
    """
    known, direct = asked_of(law), {*law.columns, *law.columns.values(), *law.path_columns}
    own = {name: value for name, value in at.items() if _read_as(name, known) in known}
    given = {_read_as(name, known) for name in own}
    if all({name, column} & given for name, column in law.columns.items()):
        return {name: value for name, value in own.items() if _read_as(name, known) in direct}
    return own


def takes(law: Law, at: Point) -> bool:
    """Whether a point gives every variable of a law, itself or by those from which it follows."""
    given = {_read_as(name, asked_of(law)) for name in own_point(law, at)}
    derived = {name for name, (_, sources) in DERIVED.items() if given >= {*sources}}
    return all({name, column} & (given | derived) for name, column in law.columns.items())


def refuse_unread(laws: Sequence[Law], at: Point) -> None:
    """Raise :class:`InputError` for a name that none of several laws reads."""
    known = set().union(*(asked_of(law) for law in laws))
    nobody = [name for name in at if _read_as(name, known) not in known]
    if nobody:
        todo = (
            f"give {', '.join(sorted(known - {'x'}))}, or fit with --law a law that reads it (scalefit laws --for FILE)"
        )
        named = " or ".join(f'"{name}"' for name in nobody)
        raise InputError(f"no law of this fit has a variable {named}", where="predict", todo=todo)


def scales_asked(data: Runs | pd.DataFrame | None, at: Point) -> pd.DataFrame:
    """The sizes, amounts of data and compute for which a prediction is asked, one row each."""
    if data is not None:
        return (data if isinstance(data, Runs) else read_runs(data, need=())).table
    read = {canonical(name): value for name, value in at.items() if canonical(name) in ("N", "D", "C")}
    several = {name: value if isinstance(value, list | tuple) else np.atleast_1d(value) for name, value in read.items()}
    found = {name: [quantity(v) if isinstance(v, str) else v for v in values] for name, values in several.items()}
    return pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in found.items()}).ffill()
