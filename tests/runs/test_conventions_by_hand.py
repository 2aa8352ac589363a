"""Conventions that differ among rows: each is told once, and what all rows share is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.runs.conventions import mixed_conventions

N = np.array([1e6, 2e6, 4e6, 8e6])


def found(reads=("N",), **columns):
    return mixed_conventions(pd.DataFrame({"N": N, "loss": 2 + 300 * N**-0.3, **columns}), set(reads))


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        (["train"] * 4, 0),
        (["train", "training"] * 2, 0),
        (["val", "valid", "validation", "val"], 0),
        (["train", "val"] * 2, 1),
        (["Train", "TEST"] * 2, 1),
        (["web", "books"] * 2, 0),
    ],
)
def test_losses_of_several_splits_in_one_column(splits, told):
    assert len(found(split=splits)) == told


@pytest.mark.parametrize(("vocab", "told"), [([256] * 4, 0), ([256, 512] * 2, 1), ([256, np.nan] * 2, 0)])
def test_vocabularies(vocab, told):
    assert len(found(vocab=vocab)) == told
    assert found(reads=("N", "vocab"), vocab=vocab) == []


def test_sizes_of_which_some_count_embeddings():
    assert found(N_total=1.5 * N) == []
    assert found(N_total=N) == []
    assert len(found(N_total=N * [1.0, 1.5, 1.0, 1.5])) == 1
