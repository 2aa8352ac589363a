"""A synthetic translation task whose loss is the product of what encoder and decoder have each failed to learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.proxy.tasks.data import Examples, Source
from scalefit.proxy.tasks.synthetic import Floats

Integers = NDArray[np.int64]


class Translation(Source):
    """A message told twice: in a source language to the encoder, and as a draft in another language to the decoder.

    The target is ``seq_len`` meanings, drawn uniformly from ``meanings``. Each text expresses every meaning by one
    word, and what a word means depends on the word before it: a random dictionary of source_words² or draft_words²
    pairs assigns an equal share of the words to every meaning, whatever the word before. Among the words of a
    meaning, one is drawn with frequency ∝ rank^-exponent of the word.

    Given the meaning, the two texts are independent. So a model that knows a share 1 − u of the encoder's pairs and
    1 − v of the decoder's has the loss u v log(meanings): the product of two shares, each of which falls with the size
    of its own side. That is the law ``encoder-decoder``, L = L_inf + A N_enc^-p_enc N_dec^-p_dec, where L_inf is what
    this number of steps does not suffice to learn at any size. A model that knows one dictionary completely has loss 0.
    """

    task = "translation"

    def __init__(
        self,
        seq_len: int,
        *,
        source_words: int = 24,
        draft_words: int = 48,
        meanings: int = 8,
        exponent: float = 1.0,
        seed: int = 0,
    ) -> None:
        sizes = (source_words, draft_words)
        self.seq_len = self.read = seq_len
        self.vocab, self.meanings = max(sizes), meanings
        if meanings < 2 or any(size < meanings or size % meanings for size in sizes):
            raise InputError(
                f"no translation of {source_words} and {draft_words} words into {meanings} meanings",
                todo="choose two meanings or more, and multiples of that number for source_words and draft_words",
            )
        generator = np.random.Generator(np.random.PCG64(seed))
        self.dictionaries = [_dictionary(size, meanings, exponent, generator) for size in sizes]
        self.facts: dict[str, Any] = {"source": "translation", "unit": "target tokens", "loss_floor": 0.0}

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """Source, tokens (the draft) and target, (size, seq_len) each."""
        target = generator.integers(self.meanings, size=(size, self.seq_len))
        texts = {"source": self._tell(0, target, generator), "tokens": self._tell(1, target, generator)}
        return {name: torch.from_numpy(value) for name, value in (texts | {"target": target}).items()}

    def _tell(self, language: int, target: Integers, generator: np.random.Generator) -> Integers:
        """Words for the meanings, (size, seq_len)."""
        words, cumulative = self.dictionaries[language]
        u, text = generator.random((*target.shape, 1)), np.empty_like(target)
        before = np.full(len(target), len(words) - 1)
        for t in range(self.seq_len):
            choice = (cumulative[before, target[:, t]] <= u[:, t]).sum(1)
            text[:, t] = before = words[before, target[:, t], choice]
        return text


def _dictionary(size: int, meanings: int, exponent: float, generator: np.random.Generator) -> tuple[Integers, Floats]:
    """The words for each meaning after each word (last row: at the start of a text) and their cumulative frequencies,
    (size + 1, meanings, size/meanings) each."""
    order = generator.random((size + 1, size)).argsort(-1)
    words = np.sort(order.reshape(size + 1, meanings, -1), -1)
    cumulative = (np.arange(1.0, size + 1) ** -exponent)[words].cumsum(-1)
    return words, cumulative / cumulative[..., -1:]
