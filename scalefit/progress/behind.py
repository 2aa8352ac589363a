"""The examples behind spikes of a loss, where the trainer of a run has saved them beside its log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalefit.errors import InputError

NAMED, CHARACTERS = 3, 50  #: examples of either sign that are told of a spike, and how much of each
FILE = "spikes.json"


def named_behind(files: Sequence[str], run: str) -> list[dict[str, Any]]:
    """What spikes.json says of a run, in its folder or in the folder of its sweep; nothing where there is none.

    Raises InputError for a file that is damaged.
    """
    places = [place for file in files for place in (Path(file), Path(file) / run) if place.resolve().name == run]
    for place in (place / FILE for place in places):
        if place.is_file():
            try:
                return [dict(each) for each in json.loads(place.read_text(encoding="utf-8"))["spikes"]]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError("not the spikes of a run", where=str(place), todo="delete it") from error
    return []


def as_told(spike: dict[str, Any]) -> str:
    """One spike with the examples whose loss rose and fell most.

    >>> print(as_told({"step": 9, "since": 4, "examples": [{"step": 8, "example": 3, "change": 2.0, "text": "abc"}]}))
      step 9: examples by the change of their loss since step 4
        +2 nats, example 3 of batch 8: 'abc'
    """
    examples = [each for each in spike["examples"] if each["change"] is not None]
    rose = [each for each in examples if each["change"] > 0][:NAMED]
    fell = [each for each in examples if each["change"] < 0][:NAMED]
    lines = [f"  step {spike['step']}: examples by the change of their loss since step {spike['since']}"]
    for each in (*rose, *fell):
        about = each.get("text") or " ".join(map(str, each.get("tokens", [])))
        what = f": {about[:CHARACTERS]!r}" if about else ""
        lines.append(f"    {each['change']:+.3g} nats, example {each['example']} of batch {each['step']}{what}")
    return "\n".join(lines)
