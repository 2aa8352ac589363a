"""What became of the starts of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Starts:
    """What became of the starts: how many there were, how many reached the optimum, where the others ended."""

    count: int
    agree: int
    lost: Mapping[str, int] = field(default_factory=dict)
    iterations: int = 0
