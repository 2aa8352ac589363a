"""A synthetic translation task whose loss is a product of what the encoder and what the decoder have not learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.proxy.tasks.data import Examples, draws
from scalefit.proxy.tasks.synthetic import Floats

Integers = NDArray[np.int64]


class Translation:
    """A message told twice: in a source language to the encoder, and in a draft to the decoder.

    The target is ``seq_len`` meanings, drawn evenly from ``meanings``. Either text says each meaning by one of
    its words, and what a word means depends on the word before it: a random dictionary of source_words² or
    draft_words² pairs, that gives every meaning to an equal share of the words after any word. Among those the word
    is drawn with frequency ∝ rank^-exponent of the word.

    Given the meaning the two texts are independent. So a model that knows a share 1 − u of the encoder's pairs and
    1 − v of the decoder's loses u v log(meanings): the product of two shares, each of which falls with the size of
    its own side. That is the law ``encoder-decoder``, L = L_inf + A N_enc^-p_enc N_dec^-p_dec, with L_inf what is
    missed in this number of steps however large the model is; who knows one dictionary whole loses nothing.
    """

    task = "translation"
    inputs = 0

    def __init__(
        self,
        seq_len: int,
        *,
        source_words: float = 24,
        draft_words: float = 48,
        meanings: float = 8,
        exponent: float = 1.0,
        seed: float = 0,
    ) -> None:
        sizes = (int(source_words), int(draft_words))
        self.seq_len, self.vocab, self.meanings = seq_len, max(sizes), int(meanings)
        if self.meanings < 2 or any(size < self.meanings or size % self.meanings for size in sizes):
            raise InputError(
                f"no translation of {sizes[0]} and {sizes[1]} words into {self.meanings} meanings",
                todo="choose two meanings or more, and multiples of them for source_words and draft_words",
            )
        generator = np.random.Generator(np.random.PCG64(int(seed)))
        self.dictionaries = [_dictionary(size, self.meanings, exponent, generator) for size in sizes]
        self.facts: dict[str, Any] = {"source": "translation", "unit": "target tokens", "loss_floor": 0.0}

    def batch(self, seed: int, step: int, size: int) -> Examples:
        """``size`` fresh examples: source, tokens (the draft) and target, (size, seq_len) each."""
        return self.examples(draws(seed, step), size)

    def held_out(self, size: int) -> Examples:
        """``size`` examples from a stream of their own."""
        return self.examples(draws(2**62, 0), size)

    def examples(self, generator: np.random.Generator, size: int) -> Examples:
        """Meanings and the two texts that tell them."""
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
    """The words of each meaning after each word (the last row: at the start) and their cumulative frequencies,
    (size + 1, meanings, size/meanings) each."""
    order = generator.random((size + 1, size)).argsort(-1)
    words = np.sort(order.reshape(size + 1, meanings, -1), -1)
    cumulative = (np.arange(1.0, size + 1) ** -exponent)[words].cumsum(-1)
    return words, cumulative / cumulative[..., -1:]
