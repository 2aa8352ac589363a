"""Where windows of tokens come from: rows in memory, or shards of files that stay on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[Any]  # integers, one axis
Integers = NDArray[np.int64]
ROUNDS = 4  #: of the cipher that shuffles


class Shelf:
    """Rows of tokens; a window of ``window`` tokens lies within one row. Rows of one length are a matrix."""

    def __init__(self, rows: Sequence[Tokens] | Tokens, window: int) -> None:
        self.rows, self.window = rows, window
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self.size = int(self.lengths.sum())
        self.equal = isinstance(rows, np.ndarray) or len(rows) == 1

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return int(self.lengths.max(initial=0))

    def random(self, generator: np.random.Generator, size: int) -> Tokens:
        """Windows at random places, (size, window)."""
        if self.equal:
            row = generator.integers(len(self.rows), size=size)
            return self.windows(row, generator.integers(self.longest - self.window + 1, size=size))
        places = np.maximum(self.lengths - self.window + 1, 0)
        return self._numbered(generator.integers(places.sum(), size=size), places, 1)

    def spaced(self, size: int) -> Tokens:
        """Windows evenly spaced over all rows."""
        places = np.maximum(self.lengths - self.window + 1, 0)
        return self._numbered(np.linspace(0, int(places.sum()) - 1, size).astype(np.int64), places, 1)

    @property
    def _in_pass(self) -> Integers:
        """Windows of each row in a pass."""
        return np.maximum((self.lengths - 1) // (self.window - 1), 0)

    @property
    def of_a_pass(self) -> tuple[int, int]:
        """How many tokens a pass reads, and how many of them it predicts: all but the first of each row."""
        predicted = int(self._in_pass.sum()) * (self.window - 1)
        return predicted + int((self._in_pass > 0).sum()), predicted

    def in_passes(self, first: int, size: int, seed: int) -> Tokens:
        """Windows number ``first`` and following of passes over all of them, each in an order of its own.

        The windows of a pass predict every token once: they overlap by one token, which begins the next.
        """
        stride, places = self.window - 1, self._in_pass
        total, number = int(places.sum()), first + np.arange(size, dtype=np.int64)
        chosen = number % total
        for turn in np.unique(number // total):
            now = number // total == turn
            chosen[now] = shuffled(chosen[now], total, seed, int(turn))
        return self._numbered(chosen, places, stride)

    def _numbered(self, number: Integers, places: Integers, stride: int) -> Tokens:
        """Windows by their number when all rows are read one after the other."""
        ends = places.cumsum()
        row = ends.searchsorted(number, side="right")
        return self.windows(row, (number - (ends - places)[row]) * stride)

    def windows(self, row: Integers, start: Integers) -> Tokens:
        """Windows by row and first token, (size, window)."""
        place = start[:, None] + np.arange(self.window)
        if isinstance(self.rows, np.ndarray):
            return np.asarray(self.rows[row[:, None], place])
        found = np.empty(place.shape, dtype=np.int64)
        for each in np.unique(row):
            found[row == each] = self.rows[each][place[row == each]]
        return found


def shuffled(number: Integers, size: int, seed: int, turn: int) -> Integers:
    """Where a random order of 0..size − 1 puts each number: a permutation that needs no memory, from a Feistel cipher
    on the next power of four, applied again to what falls outside.

    >>> sorted(shuffled(np.arange(10), 10, seed=3, turn=0).tolist()) == list(range(10))
    True
    """
    half = max(-(-(max(size - 1, 1)).bit_length() // 2), 1)
    mask, key = np.uint64(2**half - 1), _mixed(np.uint64(seed % 2**64) ^ _mixed(np.uint64(turn)))
    x = number.astype(np.uint64)
    outside = np.ones(len(x), dtype=bool)
    while outside.any():
        left, right = x[outside] >> np.uint64(half), x[outside] & mask
        for each in range(ROUNDS):
            left, right = right, left ^ (_mixed(right ^ _mixed(key + np.uint64(each))) & mask)
        x[outside] = (left << np.uint64(half)) | right
        outside = x >= size
    return x.astype(np.int64)


def _mixed(x: Any) -> Any:
    """Whole numbers of 64 bits, scrambled one by one (splitmix64)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
