"""A mixture of sources, drawn with given weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from scalefit.errors import InputError
from scalefit.proxy.tasks.data import Examples, Source


class Mixture(Source):
    """Every example comes from one of several sources, chosen with probability proportional to its weight.

    Held-out examples are in the same proportion, and each source has its own held-out set besides (``parts``), also
    one with weight 0. Raises InputError for weights that are negative or all zero, for sources of different tasks or
    shapes, and for one that is to be read in passes or to have fixed examples.
    """

    def __init__(self, parts: Mapping[str, Source], weights: Mapping[str, float]) -> None:
        self.parts = dict(parts)
        if not all(weight >= 0 for weight in weights.values()) or not sum(weights.values()) > 0:
            raise InputError(f"weights {dict(weights)}", where="mixture", todo="give weights of at least 0, one above")
        first = next(iter(self.parts.values()))
        if len({source.task for source in self.parts.values()}) > 1:
            told = ", ".join(f"{name} is for {source.task}" for name, source in self.parts.items())
            raise InputError(f"sources of different tasks: {told}", where="mixture", todo="choose one task")
        whole = [name for name, source in self.parts.items() if source.examples or source.passes]
        if whole:
            todo = "leave out passes and examples: a mixture draws at random; limit holds a source to fewer tokens"
            raise InputError(f"{whole[0]} has passes or a fixed number of examples", where="mixture", todo=todo)
        if len({(source.inputs, source.read) for source in self.parts.values()}) > 1:
            told = ", ".join(f"{name} reads {source.inputs or source.read}" for name, source in self.parts.items())
            todo = "give all the same options of their shape"
            raise InputError(f"examples of different shapes: {told} numbers", where="mixture", todo=todo)
        self.task, self.vocab = first.task, max(source.vocab for source in self.parts.values())
        self.inputs, self.read = first.inputs, first.read
        share = np.array([weights[name] for name in self.parts], dtype=float)
        self.share = share / share.sum()
        self.facts = {
            "source": "mixture",
            "unit": first.facts["unit"],
            "shares": dict(zip(self.parts, self.share.tolist(), strict=True)),
            "sources": {name: source.facts for name, source in self.parts.items()},
        }

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """``size`` random training examples."""
        chosen = self.share.cumsum().searchsorted(generator.random(size), side="right").clip(max=len(self.parts) - 1)
        drawn = [(np.flatnonzero(chosen == i), source) for i, source in enumerate(self.parts.values())]
        found = [(place, source.draw(generator, len(place))) for place, source in drawn if len(place)]
        order = torch.from_numpy(np.concatenate([place for place, _ in found]).argsort())
        return {name: torch.cat([examples[name] for _, examples in found])[order] for name in found[0][1]}

    def held_out(self, size: int) -> Examples:
        """``size`` held-out examples, the same ones at every call, in proportion to the weights."""
        ends = np.rint(self.share.cumsum() * size).astype(int)
        sizes = np.diff(ends, prepend=0).tolist()
        pairs = zip(self.parts.values(), sizes, strict=True)
        found = [source.held_out(each) for source, each in pairs if each]
        return {name: torch.cat([examples[name] for examples in found]) for name in found[0]}
