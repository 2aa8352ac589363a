"""Figures at the width of a column: nothing sticks out, no two labels touch, marks are smaller."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.plots import plot_residuals, save_figure, styled
from scalefit.plots.canvas import new_axes
from scalefit.plots.legend import place, stroke
from scalefit.plots.narrow import finish
from scalefit.plots.next_sweeps import plot_next_sweeps
from scalefit.plots.ticks import RoundLogLocator, plain, power_of_ten, set_linear, set_log

LONG = "error of predictions of larger runs by fits to smaller ones (%)"


@pytest.fixture(scope="module")
def fit():
    N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 3)))
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(N)))
    return sf.fit(pd.DataFrame({"N": N, "D": D, "loss": (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * noise}), "chinchilla")


def inside(figure):
    """Labels and titles that stick out of the figure."""
    figure.draw_without_rendering()
    whole = figure.bbox
    texts = [
        t for ax in figure.axes for t in (ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title) if t.get_text()
    ]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [t for t, b in boxes if min(b.x0 - whole.x0, b.y0 - whole.y0, whole.x1 - b.x1, whole.y1 - b.y1) < -3]


def touching(ax):
    """Pairs of tick labels beside each other that touch."""
    ax.figure.draw_without_rendering()
    low, high = sorted(ax.get_xlim())
    ticks = [tick for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_text()]
    boxes = [tick.label1.get_window_extent() for tick in sorted(ticks, key=lambda tick: tick.get_loc())]
    return [(a, b) for a, b in itertools.pairwise(boxes) if a.x1 > b.x0]


def test_long_words_are_broken_until_they_fit():
    with styled("paper", 3.25):
        ax = new_axes(None, (6.0, 4.2))
        ax.set_xlabel(LONG)
        ax.set_ylabel(LONG)
        ax.set_title(LONG, loc="left")
        assert inside(ax.figure), "they do not fit as they are"
        finish(ax.figure)
    assert not inside(ax.figure)
    assert [" ".join(text.split()) for text in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left"))] == [
        LONG
    ] * 3
    plt.close(ax.figure)


def test_words_that_fit_are_left_alone():
    ax = new_axes(None, (6.0, 4.2))
    ax.set_xlabel("training compute")
    (line,) = ax.plot([1, 2], [1, 2], marker="o", markersize=4)
    assert finish(ax.figure), "the axes keep their room"
    assert ax.get_xlabel() == "training compute"
    assert line.get_markersize() == 4
    plt.close(ax.figure)


def test_marks_of_a_narrow_figure_are_smaller_once():
    with styled("paper", 3.25):
        ax = new_axes(None, (6.0, 4.2))
        (line,) = ax.plot([1, 2], [1, 2], marker="o", markersize=4, linewidth=2)
        for _ in range(2):
            finish(ax.figure)
    assert (line.get_markersize(), line.get_linewidth()) == (3.0, 1.5)
    plt.close(ax.figure)


@pytest.mark.parametrize("width", [2.0, 3.25, 6.0])
@pytest.mark.parametrize("limits", [(7e9, 3e12), (3.0, 30.0), (1e-3, 1e9), (2.0, 2.9)])
def test_labels_of_a_log_axis_do_not_touch(width, limits):
    with styled("paper", width):
        ax = new_axes(None, (6.0, 4.2))
        ax.plot(limits, (1, 2))
        ax.set_xlim(*limits)
        set_log(ax, "x", plain if limits[0] > 1e-2 and limits[1] < 1e3 else power_of_ten)
        assert not touching(ax)
        assert len([t for t in ax.get_xticks() if limits[0] <= t <= limits[1]]) >= 2
    plt.close(ax.figure)


@pytest.mark.parametrize("width", [2.0, 3.25, 6.0])
def test_labels_of_a_linear_axis_do_not_touch(width):
    with styled("paper", width):
        ax = new_axes(None, (6.0, 4.2))
        ax.plot([0, 0.17], [0, 1])
        set_linear(ax, "x", plain)
        assert not touching(ax)
    plt.close(ax.figure)


def test_thinned_ticks_are_the_rounder_ones():
    ticks = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    assert list(RoundLogLocator.thinned(ticks, 7)) == ticks
    assert list(RoundLogLocator.thinned(ticks, 3)) == [1.0, 10.0, 100.0]
    assert list(RoundLogLocator.thinned(ticks, 2)) == [1.0, 100.0]


def test_a_column_of_a_paper_holds_whole_figures(fit, tmp_path):
    for draw in (lambda: fit.plot(N=7e9, D=2e11), lambda: plot_residuals(fit), lambda: fit.plan(compute=1e21).plot()):
        with styled("paper", 3.25):
            ax = draw()
            save_figure(ax, tmp_path / "a.png")
            assert not inside(ax.figure)
            assert not touching(ax)
        plt.close(ax.figure)


def test_a_broken_title_is_set_anew_and_leaves_no_line_of_one_word():
    with styled("paper", 3.25):
        ax = new_axes(None)
    words = "the last 5 checkpoints of 8 runs begin as early as at a fifth of their tokens\nso that their mean is none"
    ax.set_title(words, loc="left", fontsize="small")
    finish(ax.figure.canvas.figure)
    lines = ax.get_title(loc="left").splitlines()
    assert " ".join(lines) == words.replace("\n", " ")
    assert min(map(len, lines[:-1])) > 0.6 * max(map(len, lines))
    plt.close("all")


def test_the_name_of_an_advised_sweep_stays_inside_a_narrow_figure():
    rows = {"arm": "all", "plan": "a sweep at d_model 2048, 2 times the runs at the others", "chance": [0.85, 0.5]}
    table = pd.DataFrame({**rows, "cost": [104.0, 0.1]})
    with styled("paper", 3.25):
        ax = plot_next_sweeps(SimpleNamespace(table=table, advised=table.head(1)))
    (text,) = ax.texts
    ax.figure.draw_without_rendering()
    box = text.get_window_extent().transformed(ax.transAxes.inverted())
    assert 0 <= box.x0 < box.x1 <= 1
    assert ax.get_legend() is None  # nothing is compared
    plt.close("all")


def test_a_legend_keeps_off_a_line_across_the_axes():
    ax = new_axes(None)
    ax.plot([0, 1], [0, 1])
    ax.axhline(0.95)
    shown = place(ax, [stroke("k", "limit")])
    box = shown.get_window_extent().transformed(ax.transData.inverted())
    assert not box.y0 < 0.95 < box.y1
    plt.close("all")
