"""Tables as other code makes them: columns of several levels, a named index, an index that repeats itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

N = np.array([1e6, 1e7, 1e8, 1e9])
LOSS = 2.0 + 300 * N**-0.3


def same(runs):
    assert runs.table["N"].tolist() == N.tolist()
    assert runs.table["loss"].tolist() == LOSS.tolist()


def test_levels_of_columns_are_joined():
    columns = pd.MultiIndex.from_tuples([("model", "size"), ("final", "loss")])
    frame = pd.DataFrame(np.column_stack([N, LOSS]), columns=columns)
    same(sf.read_runs(frame, rename={"model/size": "N", "final/loss": "loss"}))


def test_the_levels_of_a_named_index_are_columns():
    plain = pd.DataFrame({"N": N, "loss": LOSS})
    same(sf.read_runs(plain.set_index("N")))
    same(sf.read_runs(plain.assign(seed=[0, 1, 2, 3]).set_index(["seed", "N"])))
    same(sf.read_runs(plain.set_index("N", drop=False)))  # which then stands there twice


def test_an_index_that_repeats_itself_does_no_harm():
    plain = pd.DataFrame({"N": N, "loss": LOSS})
    same(sf.read_runs(pd.concat([plain[:2], plain[2:].reset_index(drop=True)])))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame(np.column_stack([N, LOSS, LOSS]), columns=["N", "loss", "loss"])
    with pytest.raises(InputError, match="loss"):
        sf.read_runs(frame)


@pytest.mark.parametrize("given", [[{"N": 1e6, "loss": 3.0}], [3]])
def test_what_is_neither_a_file_nor_a_table_is_refused(given):
    with pytest.raises(InputError, match="is no run log; give a file, a folder or a table"):
        sf.read_runs(given)


def test_a_mapping_of_columns_is_a_table():
    runs = sf.read_runs({"N": [1e6, 2e6], "loss": [3.2, 3.0]})
    assert runs.table["N"].tolist() == [1e6, 2e6]
    with pytest.raises(sf.InputError, match=r"mapping: no table of columns \(.*; give lists of one length"):
        sf.read_runs({"N": [1e6, 2e6], "loss": [3.2]})
