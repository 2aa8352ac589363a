"""Lines through boundaries that lie in gaps: the ridge regression of their middles, and draws where gaps are points."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scalefit.transfer.edges import Edges, _Ends, fit_edges

GROUP = np.array([0, 0, 1, 1, 1])
X = np.array([[6.0, 1.0], [8.0, 3.0], [6.0, 2.0], [7.0, 1.0], [9.0, 5.0]])


def ridge(x, y, group, known):
    """Heights, common slope, slopes of groups and of other variables, with their prior spreads and noise of .15."""
    groups = group.max() + 1
    away = x - x.mean(axis=0)
    rows = [
        [*(float(group[i] == g) for g in range(groups)), away[i, 0]]
        + [away[i, 0] * (group[i] == g) for g in range(groups)]
        + list(away[i, 1:])
        for i in range(len(x))
    ]
    spread = np.array([10.0] * groups + [1.5] + [0.3] * groups + [1.0] * (x.shape[1] - 1))
    prior = np.array([y.mean()] * groups + [0.0] * (len(spread) - groups))
    use = np.array(rows)[known]
    left = use.T @ use / 0.15**2 + np.diag(1 / spread**2)
    return np.linalg.solve(left, use.T @ y[known] / 0.15**2 + prior / spread**2)


@pytest.mark.parametrize("open_end", [None, 1, 4])
def test_the_first_line_is_a_ridge_regression_of_the_middles_of_gaps(open_end):
    """Of a gap that is open the known end counts for the mean height, and nothing else of it."""
    gaps = [(-6.0, -5.0), (-8.0, -7.5), (-6.5, -6.0), (-7.0, -6.0), (-9.0, -8.0)]
    y, known = np.array([np.mean(gap) for gap in gaps]), np.ones(5, dtype=bool)
    if open_end is not None:
        lower = open_end == 1
        gaps[open_end] = (gaps[open_end][0], np.inf) if lower else (-np.inf, gaps[open_end][1])
        y[open_end], known[open_end] = gaps[open_end][0 if lower else 1], False
    found = fit_edges(gaps, GROUP, X, draws=3)
    height0, height1, slope, own0, own1, other = ridge(X, y, GROUP, known)
    assert found.height[0] == pytest.approx([height0, height1])
    assert found.slope[0] == pytest.approx([slope + own0, slope + own1])
    assert found.others[0] == pytest.approx([other])
    assert found.origin == pytest.approx([7.2, 2.4])
    assert len(found.height) == 4
    assert found.at(1, np.array([9.2, 3.4]))[0] == pytest.approx(height1 + 2 * (slope + own1) + other)


def test_draws_where_gaps_are_points_have_the_spread_of_a_regression():
    """The variance is a scaled inverse chi-squared: (3 x .15^2 + squares) / (1 + n - 2) in the mean."""
    x = np.arange(8.0)[:, None]
    off = 0.4 * np.array([1, -1, -1, 1, 1, -1, -1, 1])
    y = -5 - 0.5 * x[:, 0] + off - np.polyval(np.polyfit(x[:, 0], off, 1), x[:, 0])
    found = fit_edges([(value, value) for value in y], np.zeros(8, dtype=int), x, draws=250)
    squares = np.sum((y + 5 + 0.5 * x[:, 0]) ** 2)
    variance = (3 * 0.15**2 + squares) / 7
    assert np.mean(found.slope[1:]) == pytest.approx(-0.5, abs=0.03)
    assert np.std(found.slope[1:]) == pytest.approx(np.sqrt(variance / 42), rel=0.15)
    assert np.mean(found.height[1:]) == pytest.approx(-6.75, abs=0.05)
    assert np.std(found.height[1:]) == pytest.approx(np.sqrt(variance / 8), rel=0.15)


def test_a_boundary_at_a_point_is_the_height_and_the_way_from_the_origin():
    lines = Edges(np.array([[1.0, 2.0]]), np.array([[-1.0, -2.0]]), np.array([[0.5]]), np.array([3.0, 4.0]))
    assert lines.at(0, np.array([5.0, 6.0])).tolist() == [1 - 2 + 1]
    assert lines.at(1, np.array([2.0, 4.0])).tolist() == [2 + 2]


def drawn(low, high, mean, share=0.25, sigma=1.0):
    rng = SimpleNamespace(uniform=lambda size: np.full(size, share))
    first, last, middle = (np.array([float(value)]) for value in (low, high, mean))
    return _Ends.of(first, last).drawn(middle, sigma, rng)[0]


def test_a_boundary_is_drawn_from_the_part_of_a_normal_distribution_in_its_gap():
    """A quarter of the way in probability: the 62.5 % point of the upper half, the 12.5 % point of the lower."""
    assert drawn(0, np.inf, 0) == pytest.approx(0.318639, abs=1e-6)
    assert drawn(-np.inf, 0, 0) == pytest.approx(-1.150349, abs=1e-6)
    assert drawn(5, np.inf, 5, sigma=2.0) == pytest.approx(5 + 2 * 0.318639, abs=1e-5)
    assert drawn(-1, 1, 0) == pytest.approx(-0.442, abs=2e-3)
    assert drawn(1, np.inf, 0, sigma=2.0) == pytest.approx(2 * 0.7344, abs=1e-3)  # 69.1 % lie below: the 76.9 % point


def test_far_from_the_line_it_is_uniform_in_the_gap_or_in_one_deviation_beside_its_end():
    assert drawn(10, 12, 0) == pytest.approx(10.5)
    assert drawn(100, np.inf, 0, sigma=2.0) == pytest.approx(100.5)
    assert drawn(-np.inf, -100, 0, sigma=2.0) == pytest.approx(-101.5)
