"""The figure of a back-test: what is on its axes, against a table of errors made by hand."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from scalefit.comparison import Backtest
from scalefit.plots import colours
from scalefit.plots.backtest import plot_backtest


def judged(decades):
    """Forty predictions of four folds, of which every fifth missed its interval of ±6 %."""
    number = np.arange(40)
    error = np.where(number % 5 == 0, 0.08, 0.02 + 0.0005 * number) * np.where(number % 2, 1, -1)
    table = pd.DataFrame({"fold": [f"without {k}" for k in "abcd" for _ in range(10)], "run": number.astype(str)})
    return table.assign(fitted=20, decades=decades, error=error, low=-0.06, high=0.06, inside=number % 5 != 0)


@pytest.fixture(params=[0.5, 0.0], ids=["far", "near"])
def drawn(request):
    table = judged(request.param * (1 + np.arange(40) / 10))
    figure, ax = plt.subplots()
    yield plot_backtest(Backtest("power", table), ax=ax), table
    plt.close(figure)


def dots(ax, colour):
    """The points of one colour, (n, 2); the rings of what missed its interval are hollow."""
    found = []
    for line in ax.lines:
        used = {to_hex(line.get_markeredgecolor()), to_hex(line.get_markerfacecolor())} - {"none"}
        if line.get_linestyle() == "None" and to_hex(colour) in used and len(line.get_xdata()):
            found.append(np.column_stack([line.get_xdata(), line.get_ydata()]))
    assert len(found) == 1
    return found[0]


def test_every_error_is_a_dot_and_those_that_missed_are_rings(drawn):
    ax, table = drawn
    for colour, rows in ((colours.FITTED, table[table["inside"]]), (colours.WARNING, table[~table["inside"]])):
        assert dots(ax, colour)[:, 1] == pytest.approx(100 * rows["error"].to_numpy())


def test_distances_or_folds_are_the_x_axis(drawn):
    ax, table = drawn
    x = dots(ax, colours.WARNING)[:, 0]
    rows = table[~table["inside"]]
    if table["decades"].max() > 0:
        assert x == pytest.approx(rows["decades"].to_numpy())
    else:
        assert np.round(x) == pytest.approx(pd.factorize(table["fold"])[0][rows.index])


@pytest.mark.parametrize(("decades", "label"), [(0.05, "run left out"), (0.051, "extrapolation factor")])
def test_runs_further_out_than_a_twentieth_of_a_decade_are_set_apart_by_distance(decades, label):
    assert plot_backtest(Backtest("power", judged(decades))).get_xlabel().startswith(label)


def test_the_axis_holds_the_errors_and_is_filled_by_them(drawn):
    ax, table = drawn
    low, high = ax.get_ylim()
    most = 100 * table["error"].abs().max()
    assert low < -most
    assert most < high < 2 * most


def test_each_part_states_its_share_inside(drawn):
    ax, _ = drawn
    shares = [text.get_text().split()[0] for text in ax.texts if "%" in text.get_text()]
    assert shares == ["80"] * 4


def test_the_median_error_is_drawn_on_both_sides(drawn):
    ax, table = drawn
    levels = {
        round(float(line.get_ydata()[0]), 6)
        for line in ax.lines
        if to_hex(line.get_color()) == to_hex(colours.TARGET) and len(line.get_ydata()) == 2
    }
    wanted = 100 * table["error"].abs().groupby(np.arange(40) // 10).median().to_numpy()
    assert sorted(levels) == pytest.approx(sorted([*wanted, *-wanted]))
