"""The learning rate at which a sweep diverges, by hand, and its line over size judged on the largest size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import IdentificationError
from scalefit.transfer.boundary import backtest_divergence, boundary, fit_boundary
from scalefit.transfer.sweeps import read_sweeps

OCTAVES = np.arange(-10, 1)


def cell(width, edge):
    """A bowl two octaves below the edge; every learning rate above the edge is lost."""
    loss = np.where(edge < OCTAVES, np.nan, 2.5 + 0.01 * (OCTAVES - edge + 2) ** 2)
    return pd.DataFrame({"d_model": width, "lr": 2.0**OCTAVES, "loss": loss})


def judged(edges):
    cells = [cell(64 * 2**i, edge) for i, edge in enumerate(edges)]
    return backtest_divergence(read_sweeps(pd.concat(cells), over="d_model", initial_loss=6.0))


def test_the_boundary_lies_between_the_last_stable_and_the_first_lost():
    assert boundary(cell(64, -3.2), 6.0) == pytest.approx(-3.5)
    assert np.isnan(boundary(cell(64, 5.0), 6.0))


@pytest.mark.parametrize("edges", [(-2, -3, -4), (-2, -3, -4, -5), (-3, -3, -3)])
def test_two_smaller_sizes_are_enough_and_a_line_predicts_the_largest(edges):
    found = judged(edges)
    assert found.table["predicted"].tolist() == found.table["seen"].tolist()
    assert found.table["seen"].sum() == -edges[-1]
    assert set(found.table["lr"]) <= set(2.0**OCTAVES)


def test_a_boundary_that_turns_is_predicted_wrongly():
    found = judged((-2, -4, -3))
    table = found.table.set_index("lr")
    wrong = table.index[table["predicted"] != table["seen"]]
    assert np.log2(wrong).tolist() == [-5, -4, -3]
    assert table.loc[wrong, "predicted"].all()


def test_one_smaller_size_is_not_enough():
    with pytest.raises(IdentificationError):
        judged((-2, -3))


def test_a_boundary_does_not_depend_on_the_order_of_the_sizes():
    cells = {64.0 * 2**i: cell(64 * 2**i, -2 - i) for i in range(3)}
    one, other = (fit_boundary(dict(order), 6.0) for order in (cells.items(), reversed(cells.items())))
    assert one.sizes == other.sizes == (64.0, 128.0, 256.0)
    np.testing.assert_array_equal(one.slope, other.slope)
    assert one.slope[0] == pytest.approx(-1, abs=0.2)
