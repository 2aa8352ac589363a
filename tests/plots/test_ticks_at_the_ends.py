"""A round number at either end of an axis has its tick."""

import pytest

from scalefit.plots.ticks import RoundLogLocator


@pytest.mark.parametrize(("low", "high"), [(1.0, 10.0), (0.1, 100.0), (1e6, 1e9), (2.0, 20.0)])
def test_both_ends_have_a_tick_where_they_are_round(low, high):
    ticks = list(RoundLogLocator().tick_values(low, high))
    assert ticks[0] == pytest.approx(low)
    assert ticks[-1] == pytest.approx(high)
