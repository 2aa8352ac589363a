"""What data/measures.py measures of finished runs, on numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import commands
import numpy as np
import pytest

pytest.importorskip("torch")
measures = commands.script(Path(__file__).parents[2] / "data" / "measures.py")


def test_the_most_frequent_pair_becomes_a_token_from_the_left() -> None:
    """The textbook's aaabdaaabac: aa, then aaa b; in aaaa two pairs begin, not three."""
    ((size, tokens),) = measures.byte_pairs(b"aaabdaaabac", [257])
    assert (size, tokens.tolist()) == (257, [256, 97, 98, 100, 256, 97, 98, 97, 99])
    assert next(measures.byte_pairs(b"aaaaa", [257]))[1].tolist() == [256, 256, 97]
    text = bytes(np.random.default_rng(0).integers(97, 101, size=3000, dtype=np.uint8))
    lengths = [len(tokens) for _, tokens in measures.byte_pairs(text, [256, 260, 280])]
    assert lengths[0] == 3000 > lengths[1] > lengths[2] > 1000


def test_a_unigram_model_knows_how_often_a_token_occurs_before_the_end() -> None:
    tokens = np.array([0, 0, 0, 1] * 95 + [0, 1, 1, 1] * 5)
    share = (3 * 95 + 1) / (4 * 95 + 3)  # of token 0 before the end, one more of each of three tokens
    other = (95 + 1) / (4 * 95 + 3)
    assert measures.unigram(tokens, 3) == pytest.approx(-(np.log(share) + 3 * np.log(other)) / 4)


def test_n_grams_are_matched_as_often_as_they_stand_in_the_reference() -> None:
    said, wanted = np.array([[1, 1, 1, 2]]), np.array([[1, 1, 3, 2]])
    assert measures._matched(said, wanted, 1) == 3 / 4  # 1, 1 and 2
    assert measures._matched(said, wanted, 2) == 1 / 3  # 1 1 once
    assert measures._matched(said, wanted, 3) == 0
    assert measures._matched(wanted, wanted, 4) == 1
