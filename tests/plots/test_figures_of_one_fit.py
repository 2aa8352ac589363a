"""Residuals, parity and influence: the numbers on the axes, from the rows and the law itself."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import scalefit as sf
from scalefit.plots import colours, plot_parity, plot_residuals
from scalefit.plots.influence import plot_influence

N, D = np.repeat([1e6, 1e7, 1e8, 1e9], 5), np.tile([1e8, 1e9, 1e10, 1e11, 1e12], 4)
RNG = np.random.default_rng(3)
LOSS = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(0.004 * RNG.standard_normal(20))
LOSS[7] *= 1.2  # far out


@pytest.fixture(scope="module")
def fit():
    return sf.fit(sf.read_runs(pd.DataFrame({"N": N, "D": D, "loss": LOSS})), "chinchilla")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def law(fit):
    return fit["E"] + fit["A"] * N ** -fit["alpha"] + fit["B"] * D ** -fit["beta"]


def far_out(fit):
    found = np.abs(LOSS / law(fit) - 1) > 5 * fit.sigma
    assert found[7]
    return found


def dots(ax, colour):
    """The points that are drawn in one colour, without a line."""
    found = [line.get_xydata() for line in ax.lines if line.get_linestyle() == "None" and len(line.get_xdata())
             and to_hex(colour) in (to_hex(line.get_markeredgecolor()), to_hex(line.get_color()))]  # fmt: skip
    return np.vstack(found)


def test_residuals_are_how_far_each_row_lies_above_the_law(fit):
    ax = plot_residuals(fit)
    shown = dots(ax, colours.FITTED)
    np.testing.assert_allclose(shown[:, 0], 6 * N * D)
    np.testing.assert_allclose(shown[:, 1], 100 * (LOSS / law(fit) - 1), rtol=1e-6, atol=1e-9)
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((-100 * fit.sigma, 100 * fit.sigma))
    np.testing.assert_allclose(dots(ax, colours.WARNING)[:, 0], (6 * N * D)[far_out(fit)])


def test_parity_has_the_same_two_axes_that_hold_all_and_little_more(fit):
    ax = plot_parity(fit)
    np.testing.assert_allclose(dots(ax, colours.FITTED), np.column_stack([LOSS, law(fit)]), rtol=1e-6)
    np.testing.assert_allclose(dots(ax, colours.WARNING), np.column_stack([LOSS, law(fit)])[far_out(fit)], rtol=1e-6)
    low, high = ax.get_xlim()
    assert ax.get_ylim() == (low, high)
    every = np.r_[LOSS, law(fit)]
    room = (every.max() / every.min()) ** 0.02  # a fiftieth of the range at least, so that no dot is cut
    assert 0.8 * every.min() < low < every.min() / room
    assert every.max() * room < high < 1.25 * every.max()


def test_a_target_is_a_line_at_its_prediction(fit):
    at = {"N": 1e11, "D": 1e13}
    ax = plot_parity(fit, target=at)
    value = fit.predict(**at)["loss"].iloc[0]
    assert value in [pytest.approx(float(line.get_ydata()[0])) for line in ax.lines if line.get_linestyle() == ":"]
    assert ax.get_ylim()[0] < value


def test_influence_is_drawn_with_the_furthest_on_top_over_its_size_by_chance(fit):
    at = {"N": 1e10, "D": 1e13}
    table = fit.influence(**at).head(14)
    ax = plot_influence(fit, **at)
    ends = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    np.testing.assert_allclose(ends, np.column_stack([100 * table["change"], np.arange(len(table))]))
    sizes = np.abs(table["change"].to_numpy())
    assert np.all(np.diff(sizes) <= 0)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    for bar, chance in zip(ax.patches, table["by_chance"], strict=False):
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx((-100 * chance, 100 * chance))
    red = [to_hex(line.get_color()) == to_hex(colours.WARNING) for line in ax.lines if line.get_marker() == "o"]
    assert red == table["influential"].tolist()
