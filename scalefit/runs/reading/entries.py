"""What a file says of a whole run, beside its rows: a configuration, the steps that are planned."""

from __future__ import annotations

import pandas as pd

from scalefit.runs.columns import COLUMNS
from scalefit.runs.matching import match
from scalefit.runs.reading.tidy import Tidy

MOVING = frozenset({"run", "step", "tokens", "loss", "split"})  #: no setting, whatever a configuration calls so


def entries_of_runs(curves: list[Tidy]) -> dict[str, dict[str, object]]:
    """The entries for each run, by run: those with a name that is known get it, those at the top keep theirs.

    A learning rate of a configuration is the peak.
    """
    found: dict[str, dict[str, object]] = {}
    for tidy in curves:
        scalars = {key: value for key, value in tidy.scalars.items() if isinstance(value, str | int | float | bool)}
        entries = _named(scalars)
        for run in tidy.frame["run"].cat.categories if entries else ():
            found.setdefault(str(run), {}).update(entries)
    return found


def settings_of_results(tidy: Tidy) -> None:
    """Give the rows of final results what their file says of all of them, where they have no such column."""
    scalars = {key: value for key, value in tidy.scalars.items() if isinstance(value, str | int | float | bool)}
    tokens = next((each.source for each in match(scalars, ties={}) if each.name == "tokens"), None)
    kept = [str(name) for name in tidy.frame.columns]
    named = ({} if tokens is None else {"D": scalars[tokens]}) | _named(scalars)
    new = {name: value for name, value in named.items() if name not in kept and name not in MOVING}
    known = {name: value for name, value in new.items() if name in COLUMNS}
    if tidy.axis or not known:
        return
    rows = tidy.frame.index
    tidy.frame = tidy.frame.assign(**{name: pd.Series([value] * len(rows), index=rows) for name, value in new.items()})
    tidy.note("derived", f"{', '.join(known)} of all rows are those that the file gives beside them")


def _named(scalars: dict[str, str | int | float | bool]) -> dict[str, object]:
    nested = {key.rsplit("/", 1)[-1]: value for key, value in scalars.items() if "/" in key}
    entries: dict[str, object] = {key: value for key, value in nested.items() if key in COLUMNS}
    words = {key for key, value in scalars.items() if isinstance(value, str)}
    guessed = [each for each in match(scalars, words=words, ties={}) if each.name not in MOVING]
    for each in sorted(guessed, key=lambda each: each.name == "lr"):
        value = scalars[each.source]
        scaled = value * each.scale if each.scale != 1.0 and not isinstance(value, str) else value
        if each.name != "lr":
            entries[each.name] = scaled
        else:  # a peak that is named as such stays
            entries.setdefault("peak_lr", scaled)
    taken = {each.source for each in guessed}
    return entries | {key: value for key, value in scalars.items() if "/" not in key and key not in taken}
