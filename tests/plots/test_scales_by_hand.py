"""What an axis holds and how: the wedge of a coordinate check, logarithmic or linear, tables of aligned columns."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scalefit.cli.output import as_lines
from scalefit.plots import ticks
from scalefit.plots.coordinates import plot_coordinates

WIDTHS = np.array([32, 64, 128, 256])


def grown(slope, module="mlp", seeds=(0.9, 1.0, 1.1)):
    """The size of a module's output in three seeds, as a power of the width."""
    rows = [
        (module, width, 5, seed, 3 * factor * (width / 32) ** slope)
        for width in WIDTHS
        for seed, factor in enumerate(seeds)
    ]
    return pd.DataFrame(rows, columns=["module", "d_model", "step", "seed", "mean_abs"])


@pytest.fixture
def axes():
    yield plt.figure().add_subplot()
    plt.close("all")


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.5, -0.5, 1.0])
def test_a_coordinate_check_holds_all_that_it_draws(axes, slope):
    ax = plot_coordinates(grown(slope), {"mlp": slope}, ax=axes)
    low, high = ax.get_ylim()
    most = max(2.0, 8 ** abs(slope))  # an octave at least, so that nothing looks like much
    assert low < 1 / most
    assert most < high < most**1.5
    assert low * high == pytest.approx(1)
    (line,) = [line for line in ax.lines if len(line.get_xdata()) == 4 and line.get_marker() == "None"]
    assert np.polyfit(np.log(WIDTHS), np.log(line.get_ydata()), 1)[0] == pytest.approx(slope, abs=1e-9)
    assert line.get_linestyle() == ("--" if abs(slope) >= 0.1 else "-")
    wedge = ax.collections[0].get_paths()[0].vertices
    assert wedge[:, 1].max() == pytest.approx(8**0.1)
    assert wedge[:, 1].min() == pytest.approx(8**-0.1)


def test_dots_are_means_over_seeds_relative_to_the_smallest_size(axes):
    ax = plot_coordinates(grown(0.3), {"mlp": 0.3}, ax=axes)
    (dots,) = [box.lines[0] for box in ax.containers]
    assert dots.get_ydata() == pytest.approx((WIDTHS / 32) ** 0.3)
    bars = np.array(ax.containers[0].lines[2][0].get_segments())
    assert bars[:, :, 1] == pytest.approx(np.outer((WIDTHS / 32) ** 0.3, [0.9, 1.1]))


@pytest.mark.parametrize(
    ("values", "scale"), [([1.0, 2.0, 3.0], "log"), ([3.0, 0.0], "linear"), ([2.0, -1.0], "linear")]
)
@pytest.mark.parametrize("which", ["x", "y"])
def test_an_axis_is_logarithmic_where_all_that_is_drawn_is_positive(axes, values, scale, which):
    for drawn in ([5.0, 6.0], values):
        axes.plot(*((drawn, [1, 1, 1][: len(drawn)]) if which == "x" else ([1, 1, 1][: len(drawn)], drawn)))
    ticks.set_value_axis(axes, which, log=True)
    assert axes.properties()[f"{which}scale"] == scale
    ticks.set_value_axis(axes, which, log=False)


def test_columns_of_a_printed_table_begin_and_end_together():
    table = pd.DataFrame({"run": ["a", "longer", "mid"], "N": [1e6, 2e6, 3e10], "loss": [2.5, 3.25, 10.0]})
    lines = as_lines(table).split("\n")
    text = [line[2 : 2 + len("longer")].rstrip() for line in lines]
    assert text == ["run", "a", "longer", "mid"]  # text to the left
    assert len({len(line) for line in lines}) == 1  # numbers to the right
    ends = [
        [place for place, letter in enumerate(line + " ") if letter == " " and line[place - 1] != " "] for line in lines
    ]
    assert len({tuple(each[-2:]) for each in ends}) == 1
