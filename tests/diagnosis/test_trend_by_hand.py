"""From how many runs on a bend away from the law is reported, and which bends are."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.diagnosis.residuals import Units, trends
from scalefit.laws import find_law

LAW = find_law("power-floor:over=N")


def found(count, bend, noise=0.002, size=None):
    """Residuals that are flat below the middle size and change by ``bend`` a decade above it."""
    size = np.geomspace(1e6, 1e10, count) if size is None else size
    residual = bend * np.maximum(np.log10(size) - 8, 0) + noise * (-1.0) ** np.arange(count)
    names = np.array([f"r{i}" for i in range(count)])
    return trends(LAW, Units(names, residual, dict.fromkeys(LAW.variables, size)), noise, 1.0)


@pytest.mark.parametrize("bend", [0.1, -0.1])
def test_fourteen_runs_show_a_bend_and_thirteen_do_not(bend):
    """Seven above the middle one are the fewest of which the ranks tell anything."""
    assert len(found(14, bend)) == 1
    assert len(found(40, bend)) == 1
    assert found(13, bend) == []


@pytest.mark.parametrize(("sizes", "told"), [(6, 0), (7, 1), (8, 1)])
def test_a_bend_needs_four_sizes_above_the_middle_however_many_runs(sizes, told):
    """Five runs at each size: three, four and four of the sizes lie at the median or above it."""
    assert len(found(5 * sizes, 0.1, size=np.repeat(np.geomspace(1e6, 1e10, sizes), 5))) == told


def test_residuals_that_are_all_one_number_show_no_trend():
    assert found(40, 0.0, noise=0.0) == []


def test_a_flat_or_small_one_is_none():
    assert found(40, 0.0) == []
    assert found(40, 1e-4) == []
