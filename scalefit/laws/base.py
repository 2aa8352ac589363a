"""The first stage of a law that its source fits in stages. Not a law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Array = Any


@dataclass(frozen=True)
class Base:
    """A law that is fitted to some of the rows first, and what it holds in the law of all rows."""

    law: str
    rows: Callable[[Mapping[str, Array]], Array]  #: which rows (n,), from the variables of all
    ties: Mapping[str, str]
    held: Callable[[Mapping[str, float]], dict[str, float]]  #: parameters to hold, from those of the base law
    delta: float  #: Huber's threshold of its fit
    what: str  #: its rows in words: "of one epoch"
