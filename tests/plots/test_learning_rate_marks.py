"""Marks of the figure of a sweep: everything stands over its learning rate, on an axis of octaves."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.plots import plot_lr_sensitivity, plot_lr_transfer
from scalefit.transfer.lr_transfer import lr_transfer

GRID = 2.0 ** np.arange(-10.0, -2.0)


@pytest.fixture(scope="module")
def found():
    """Bowls about 2^-6, 2^-6.5 and 2^-7; the two largest learning rates of each width diverged, the third rose."""
    rows = []
    for width, centre in ((64, -6.0), (128, -6.5), (256, -7.0)):
        for lr in GRID:
            z = np.log2(lr) - centre
            loss = 2.5 + 0.02 * z**2
            rows += [(width, lr, seed, np.nan if lr > 2.0**-4.5 else loss) for seed in (0, 1)]
    return lr_transfer(
        pd.DataFrame(rows, columns=["width", "lr", "seed", "loss"]), target=512, draws=40, initial_loss=5.0
    )


@pytest.fixture
def ax(found):
    yield plot_lr_transfer(found)
    plt.close("all")


def marked(ax, marker):
    """The places of the marks of one kind in the picture; legends are not lines of the axes."""
    lines = [line for line in ax.lines if line.get_marker() == marker and len(line.get_xdata())]
    return [np.column_stack([line.get_xdata(), line.get_ydata()]) for line in lines]


def test_crosses_stand_over_the_learning_rates_that_diverged_at_the_top(ax):
    crosses = marked(ax, "x")
    assert len(crosses) == 3
    for places in crosses:
        assert places[:, 0] == pytest.approx([-4, -3])
        assert np.all(places[:, 1] >= max(dots[:, 1].max() for dots in marked(ax, "o") if len(dots) > 1) * 0.9)


def test_dots_are_the_means_over_seeds(ax):
    for places, centre in zip(marked(ax, "o"), (-6.0, -6.5, -7.0), strict=True):
        assert places[:, 0] == pytest.approx(np.log2(GRID[:-2]))
        assert places[:, 1] == pytest.approx(2.5 + 0.02 * (np.log2(GRID[:-2]) - centre) ** 2)


def test_each_diamond_stands_within_its_bar(ax, found):
    optima = found["all"].optima
    assert [float(place[0, 0]) for place in marked(ax, "D")] == pytest.approx([best.log2 for best in optima.values()])
    bars = [path.get_segments()[0] for path in ax.collections if hasattr(path, "get_segments")]
    ends = [(np.log2(best.low), np.log2(best.high)) for best in optima.values()]
    np.testing.assert_allclose(sorted((bar[0][0], bar[1][0]) for bar in bars[:3]), sorted(ends))


def test_the_target_is_a_dashed_line_in_its_interval(ax, found):
    at = found["all"].at(512)
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [float(line.get_xdata()[0]) for line in dashed] == pytest.approx([np.log2(at.value)])
    spans = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert (spans[0].x0, spans[0].x1) == pytest.approx((np.log2(at.low), np.log2(at.high)))
    assert at.value == pytest.approx(2.0**-7.5, rel=0.1)


def test_sensitivity_is_drawn_over_size(found):
    ax = plot_lr_sensitivity(found)
    (line,) = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert line.get_xdata().tolist() == [64, 128, 256]
    assert np.asarray(line.get_ydata()) == pytest.approx(found.table["lr_sensitivity"].to_numpy())
    assert ax.get_ylim()[0] == 0
    plt.close(ax.figure)
    one = replace(found, table=found.table.assign(lr_sensitivity=[0.3, np.nan, np.nan]))
    with pytest.raises(InputError, match="fewer than two sizes"):
        plot_lr_sensitivity(one)
