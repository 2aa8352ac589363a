"""Translation of arithmetic from infix to postfix notation: a grammar to its parse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch

from scalefit.errors import InputError
from scalefit.proxy.tasks.data import Examples, Source

LEVELS, PER_LEVEL = 2, 2  #: of precedence; operators of each
MOST_LEAVES = 7
Tree = tuple[Any, ...]  # (operator, level, left, right), or (leaf,)


class Postfix(Source):
    """The encoder reads an expression such as ``a * ( b + c - d )``, the decoder writes postfix, ``a b c + d - *``.

    ``seq_len`` = 2 n − 1 target symbols stand for n variables and n − 1 binary operators of two levels of precedence,
    all of which group from the left; parentheses stand only where they must. Every shape of expression with every
    assignment of levels is equally likely, as are variables and operators of a level. The source is padded to its
    greatest length. The target follows from the source, so that the least possible loss is 0; that of one side alone
    is not, and nothing is known of how it falls with the sizes of the two.
    """

    task = "translation"

    def __init__(self, seq_len: int, *, variables: int = 8) -> None:
        n = (seq_len + 1) // 2
        if seq_len % 2 == 0 or not 2 <= n <= MOST_LEAVES or variables < 2:
            raise InputError(
                f"no expressions of {seq_len} symbols with {variables} variables",
                where="postfix",
                todo=f"choose an odd seq_len from 3 to {2 * MOST_LEAVES - 1}, and 2 variables or more",
            )
        self.leaves, self.variables = n, variables
        names = {sign: variables + LEVELS * PER_LEVEL + i for i, sign in enumerate(("(", ")", "pad", "begin"))}
        self.begin, self.vocab = names["begin"], variables + LEVELS * PER_LEVEL + len(names)
        trees = [tree for shape in _shapes(0, n) for tree in _levelled(shape, n)]
        infix, postfix = [_infix(tree, 0) for tree in trees], [list(_postfix(tree)) for tree in trees]
        self.read = longest = max(map(len, infix))
        # places of leaves and operators count from zero, signs from below: they are filled in when an example is drawn
        signs = {sign: -1 - i for i, sign in enumerate(names)}
        padded = [[*line, *["pad"] * (longest - len(line))] for line in infix]
        self.infix = np.array([[signs.get(each, each) for each in line] for line in padded], dtype=np.int64)
        self.postfix = np.array(postfix, dtype=np.int64)
        self.levels = np.array([[level for _, level in sorted(_operators(tree))] for tree in trees])
        self.signs = np.array([names[sign] for sign in reversed(signs)])
        self.facts: dict[str, Any] = {"source": "postfix", "unit": "target tokens", "loss_floor": 0.0}

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """Source (size, longest), tokens (the target so far) and target, (size, seq_len) each."""
        chosen = generator.integers(len(self.infix), size=size)
        letters = generator.integers(self.variables, size=(size, self.leaves))
        which = generator.integers(PER_LEVEL, size=(size, self.leaves - 1))
        operators = self.variables + PER_LEVEL * self.levels[chosen] + which
        signs = np.broadcast_to(self.signs, (size, len(self.signs)))
        said = np.concatenate([letters, operators, signs], axis=1)  # an index below zero counts from the end
        places = (part[chosen] % said.shape[1] for part in (self.infix, self.postfix))
        source, target = (np.take_along_axis(said, place, 1) for place in places)
        tokens = np.concatenate([np.full((size, 1), self.begin), target[:, :-1]], axis=1)
        return {name: torch.from_numpy(x) for name, x in (("source", source), ("tokens", tokens), ("target", target))}


def _shapes(first: int, n: int) -> Iterator[Tree]:
    """Every tree of n leaves, the leaves numbered from ``first``."""
    if n == 1:
        yield (first,)
    for left in range(1, n):
        yield from product(_shapes(first, left), _shapes(first + left, n - left))


def _levelled(shape: Tree, n: int) -> Iterator[Tree]:
    """A shape with every assignment of levels; operators are numbered from n, in the order of postfix."""
    for levels in product(range(LEVELS), repeat=n - 1):
        yield _named(shape, iter(range(n - 1)), n, levels)


def _named(shape: Tree, numbers: Iterator[int], n: int, levels: tuple[int, ...]) -> Tree:
    if len(shape) == 1:
        return shape
    left, right = (_named(part, numbers, n, levels) for part in shape)
    number = next(numbers)
    return (n + number, levels[number], left, right)


def _operators(tree: Tree) -> Iterator[tuple[int, int]]:
    """Number and level of every operator."""
    if len(tree) > 1:
        yield from _operators(tree[2])
        yield from _operators(tree[3])
        yield tree[0], tree[1]


def _postfix(tree: Tree) -> Iterator[int]:
    if len(tree) > 1:
        yield from _postfix(tree[2])
        yield from _postfix(tree[3])
    yield tree[0]


def _infix(tree: Tree, least: int) -> list[Any]:
    """The words of a tree whose surroundings bind at level ``least``."""
    if len(tree) == 1:
        return [tree[0]]
    number, level, left, right = tree
    words = [*_infix(left, level), number, *_infix(right, level + 1)]
    return ["(", *words, ")"] if level < least else words
