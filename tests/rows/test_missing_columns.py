"""A column that a law needs and a table lacks: the message names the likeliest ones first."""

from __future__ import annotations

import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError


def test_columns_that_share_a_word_with_the_missing_one_come_first():
    table = pd.DataFrame({"N": [1e6, 2e6, 4e6], "D": [1e8] * 3, "loss": [3.0, 2.8, 2.6], "loss_c4": [3.3, 3.1, 2.9]})
    with pytest.raises(InputError, match="with one of: loss_c4, N, D") as error:
        sf.fit(sf.read_runs(table, need=()), "loss-to-loss:floors_of=none")
    assert '"loss_source"' in str(error.value)


def test_what_may_be_the_loss_comes_before_columns_that_are_known_already():
    table = pd.DataFrame({"iteration": range(3), "lr": [1e-3] * 3, "train_ce": [3.0, 2.8, 2.6]})
    with pytest.raises(InputError, match=r'no column "loss".*with one of: train_ce, step, lr'):
        sf.fit(sf.read_runs(table, need=()), "annealing")
