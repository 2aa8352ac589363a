"""The summary of a back-test by distance, from a table of errors by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from scalefit.comparison import Backtest

#: fold, decades beyond, error, inside
ROWS = [
    ("a", 0.05, -0.02, True), ("a", 0.08, 0.01, True), ("a", 0.4, -0.10, False),
    ("b", 0.05, 0.03, True), ("b", 0.45, 0.04, True), ("b", 2.0, -0.50, False), ("b", 0.2, 0.0, True),
]  # fmt: skip


@pytest.fixture
def tested():
    table = pd.DataFrame(ROWS, columns=["fold", "decades", "error", "inside"])
    return Backtest("power", table.assign(run="r", fitted=9, low=-0.05, high=0.05))


def test_sizes_of_errors_are_gathered_by_distance(tested):
    found = tested.summary
    assert found["predictions"].tolist() == [3, 1, 2, 1]
    assert found["median_error"].tolist() == pytest.approx([0.02, 0.0, 0.07, 0.5])
    assert found["worst_tenth"].tolist() == pytest.approx([0.028, 0.0, 0.094, 0.5])
    assert found["coverage"].tolist() == pytest.approx([1, 1, 0.5, 0])


def test_the_error_is_the_mean_over_folds_of_their_medians(tested):
    """The medians are .02 of the first fold, and .035 of the second."""
    assert tested.error == pytest.approx((0.02 + 0.035) / 2)
