"""The losses of one run in a file for each split: `train.csv` and `eval.csv` in the folder of the run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scalefit.errors import listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.splits import kind, measured
from scalefit.runs.matching import canonical

BESIDE = {"log", "logs", "loss", "losses", "metrics", "history", "curve", "results", "stats", "steps", "step", ""}
AXES = ("step", "tokens", "epoch")


def joined_splits(raws: list[RawTable]) -> list[RawTable]:
    """The tables, those of one folder that are named by the splits of one run as one table, with a remark.

    Losses of a file of evaluations get the word of the split before their names, unless they have it.
    """
    groups: dict[Path, dict[str, RawTable]] = {}
    for raw in raws:
        word = _split_of(raw)
        if word:
            groups.setdefault(raw.path.parent, {})[word] = raw
    found = list[RawTable]()
    for raw in raws:
        group = groups.get(raw.path.parent, {})
        parts = group if sorted(map(kind, group))[:1] == ["train"] and len({*map(kind, group)}) == 2 else {}
        if not any(part is raw for part in parts.values()):
            found.append(raw)
        elif kind(_split_of(raw)) == "train":
            found.append(_joined(parts))
    return found


def _split_of(raw: RawTable) -> str:
    """The word for a split in the name of the file of one run, where all other words are such as log or metrics."""
    words = re.split(r"[^a-z0-9]+", raw.path.name.partition(".")[0].lower())
    splits = [word for word in words if kind(word)]
    names = {canonical(str(name)) for name in raw.frame.columns}
    plain = len(splits) == 1 and {*words} - {splits[0]} <= BESIDE and raw.path.is_file()
    return splits[0] if plain and "run" not in names and names & {*AXES} else ""


def _joined(parts: dict[str, RawTable]) -> RawTable:
    trained = next(raw for word, raw in parts.items() if kind(word) == "train")
    ordered = [trained, *(raw for raw in parts.values() if raw is not trained)]
    frames, nans, at = list[pd.DataFrame](), dict[str, list[int]](), 1
    for raw in ordered:
        word = next(word for word, other in parts.items() if other is raw)
        names = {str(name): _named(str(name), word) for name in raw.frame.columns}
        places = pd.Series(range(at, at + len(raw.frame)), index=raw.frame.index)
        for name, rows in (raw.nans or {}).items():
            nans.setdefault(names.get(name, name), []).extend(
                places[[row for row in rows if row in places.index]].tolist()
            )
        frames.append(raw.frame.rename(columns=names).set_axis(places.to_numpy()))
        at += len(raw.frame)
    files = listed([raw.path.name for raw in ordered])
    told = Remark("joined", f"{files} are one run, by their names: losses of evaluations are named by their split")
    scalars = {name: value for raw in reversed(ordered) for name, value in raw.scalars.items()}
    remarks = (*dict.fromkeys(remark for raw in ordered for remark in raw.remarks), told)
    name = trained.name or trained.path.absolute().parent.name
    made = replace(trained, frame=pd.concat(frames), nans=nans, unsure=False, name=name, single=True)
    return replace(made, scalars=scalars, remarks=remarks)


def _named(name: str, word: str) -> str:
    """The name of a column in a table of several splits: an axis or a setting keeps it, a measure says its split."""
    known = canonical(name)
    if not measured(name) or (known in COLUMNS and known != "loss") or kind(word) == "train":
        return known if known in AXES else name
    said = any(kind(part) for part in re.split(r"[^a-z0-9]+", name.lower()))
    return name if said else f"{word}_{name}"
