"""Runs that were resumed under a new name: proposed as one, and joined on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import listed
from scalefit.runs.reading.results import FIXED
from scalefit.runs.reading.tidy import Tidy

SHOWN = 5
OVERLAP = 0.5  #: share of the first part within which the second may begin (it is resumed from its last checkpoint)
NEAR = 0.1  #: log ratio within which the losses of the two parts agree where one follows the other


@dataclass(frozen=True)
class _Part:
    """A run of one table: the table's number, the run's steps in order, its losses there, and its settings."""

    table: int
    run: str
    places: np.ndarray
    losses: np.ndarray
    settings: dict[str, object]

    @property
    def spacing(self) -> float:
        return float(np.median(np.diff(self.places))) if len(self.places) > 1 else 0.0

    def near(self, place: float) -> float:
        """The loss at the row nearest to a place (NaN where there is none)."""
        known = np.flatnonzero(np.isfinite(self.losses))
        if not known.size:
            return float("nan")
        return float(self.losses[known[np.argmin(np.abs(self.places[known] - place))]])


def resumed(tables: Sequence[Tidy], names: list[str], join: bool) -> tuple[list[Tidy], list[str]]:
    """The tables, in which runs that go on where another ends are named in a note, or with `join` get its name.

    A run goes on where another ends if it begins after its own start, within or right after the other, ends later,
    shares its settings, and its loss follows on; where several fit, none is taken.
    """
    late = any(_begins_late(tidy) for tidy in tables)
    follows = _followers([part for number, tidy in enumerate(tables) for part in _parts(number, tidy)]) if late else []
    if not follows:
        return list(tables), names
    told = [
        f"{after.run} ({after.places[0]:.10g} to {after.places[-1]:.10g}) goes on where {before.run} ends "
        f"({before.places[-1]:.10g})"
        for before, after in follows
    ]
    first = tables[follows[0][0].table]
    if not join:
        text = f"{listed(told, SHOWN, '; ')}: if they are one run each, --join reads them so"
        first.note("suspect", text, len(told))
        return list(tables), names
    first.note("joined", f"{listed(told, SHOWN, '; ')}: read as one run each", len(told))
    root: dict[str, str] = {}
    for before, after in follows:
        root[after.run] = root.get(before.run, before.run)
    order = dict.fromkeys(range(len(tables)))
    for before, after in follows:  # the rows of the later part replace those of the earlier one
        if after.table != before.table:
            del order[after.table]
            rest = [*order]
            rest.insert(rest.index(before.table) + 1, after.table)
            order = dict.fromkeys(rest)
    for tidy in tables:
        if tidy.axis and any(run in root for run in tidy.frame["run"].cat.categories):
            _rename(tidy, root)
    return [tables[number] for number in order], [names[number] for number in order]


def _is_curves(tidy: Tidy) -> bool:
    """Whether a table holds curves with a step and a loss."""
    return tidy.axis == "step" and "loss" in tidy.frame.columns and tidy.frame["loss"].dtype.kind in "iuf"


def _begins_late(tidy: Tidy) -> bool:
    """Whether a run of curves begins after the second step, as every run does that goes on from another."""
    if not _is_curves(tidy):
        return False
    return bool((tidy.frame["step"].groupby(tidy.frame["run"], observed=True).min() > 2).any())


def _parts(number: int, tidy: Tidy) -> list[_Part]:
    """The runs of a table of curves with a step and a loss."""
    if not _is_curves(tidy):
        return []
    fixed = [name for name in FIXED if name in tidy.frame.columns]
    found = []
    for run, rows in tidy.frame.groupby("run", observed=True, sort=False):
        order = np.argsort(rows["step"].to_numpy(dtype=float), kind="stable")
        settings = {name: rows[name].iloc[0] for name in fixed if rows[name].nunique() == 1}
        scalars = {key: value for key, value in tidy.scalars.items() if key in FIXED}
        places, losses = rows["step"].to_numpy(dtype=float)[order], rows["loss"].to_numpy(dtype=float)[order]
        found.append(_Part(number, str(run), places, losses, {**scalars, **settings}))
    return found


def _followers(parts: list[_Part]) -> list[tuple[_Part, _Part]]:
    """Pairs of a run and the one that goes on where it ends, in order of their steps, where both fit nothing else."""
    late = [part for part in parts if len(part.places) and part.places[0] > 2 * max(part.spacing, 1.0)]
    pairs = [(before, after) for after in late for before in parts if before is not after and _goes_on(before, after)]
    pairs = [
        (before, after)
        for before, after in pairs
        if sum(other is after for _, other in pairs) == 1 and sum(other is before for other, _ in pairs) == 1
    ]
    return sorted(pairs, key=lambda pair: float(pair[1].places[0]))


def _goes_on(before: _Part, after: _Part) -> bool:
    first, start, end = after.places[0], before.places[0], before.places[-1]
    reach = max(before.spacing, after.spacing, 1.0)
    if not (start + OVERLAP * (end - start) < first <= end + 2 * reach and after.places[-1] > end):
        return False
    shared = before.settings.keys() & after.settings.keys()
    if any(str(before.settings[name]) != str(after.settings[name]) for name in shared):
        return False
    one, other = before.near(first), after.near(first)
    return bool(one > 0 and other > 0 and abs(np.log(one / other)) < NEAR)


def _rename(tidy: Tidy, new: dict[str, str]) -> None:
    """Give runs the names of those that they continue; rows of one run stay in the order of their parts."""
    column = tidy.frame["run"]
    names = list(dict.fromkeys(new.get(str(run), str(run)) for run in column.cat.categories))
    codes = [names.index(new.get(str(run), str(run))) for run in column.cat.categories]
    values = pd.Categorical.from_codes(np.asarray(codes)[column.cat.codes.to_numpy()], pd.Index(names))
    tidy.frame = tidy.frame.assign(run=pd.Series(values, index=tidy.frame.index))
