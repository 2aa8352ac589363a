"""The file and line that a refused row is said to stand in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

STEP = np.arange(1, 9)


def write(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("bad", ["one", "two"])
def test_of_two_tables_the_one_with_the_row_is_named(tmp_path, bad):
    N = np.array([1e6, 1e7, 1e8, 1e9])
    files = []
    for name, scale in (("one", 1.0), ("two", 3.0)):
        loss = 2 + 300 * (scale * N) ** -0.3
        loss[2] *= -1 if name == bad else 1
        files.append(write(tmp_path / f"{name}.csv", N=scale * N, loss=loss))
    with pytest.raises(InputError) as told:
        sf.fit(sf.read_runs(files), "power-floor:over=N")
    assert f"{bad}.csv, row 4" in str(told.value)


@pytest.mark.parametrize("order", [1, -1])
def test_of_curves_and_a_table_of_runs_the_curves_are_named_for_their_rows(tmp_path, order):
    table = write(tmp_path / "table.csv", run=["a", "b"], N=[1e6, 1e7])
    damaged = write(
        tmp_path / "curves.csv",
        run=["a"] * 8 + ["b"] * 8,
        step=[*STEP, *STEP],
        loss=[*(3 - STEP / 10), *(3 - STEP / 20 * 100)],
    )
    with pytest.raises(InputError) as told:
        sf.fit(sf.read_runs([damaged, table][::order]), "power-floor:over=step", points="all")
    assert "curves.csv, row 10" in str(told.value)


def test_of_two_tables_without_a_loss_the_first_is_named(tmp_path):
    files = [write(tmp_path / f"{name}.csv", N=[1e6, 1e7], depth=[2, 3]) for name in ("one", "two")]
    with pytest.raises(InputError, match=r"one\.csv.*loss"):
        sf.read_runs(files)
