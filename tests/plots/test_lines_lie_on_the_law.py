"""The figure of a law of sizes: every line is the law at one size, over the compute, data or size that it stands at."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.plots import plot_sizes

SIZES = (1e7, 1e8, 1e9)
TARGET = {"N": 1e10, "D": 1e12}


def law(N, D):
    return 1.7 + 400 * N**-0.34 + 410 * D**-0.28


@pytest.fixture(scope="module")
def fit():
    rows = [(N, D, law(N, D)) for N in SIZES for D in (2e9, 2e10, 2e11)]
    return sf.fit(sf.read_runs(pd.DataFrame(rows, columns=["N", "D", "loss"])), "chinchilla")


@pytest.mark.parametrize("across", ["C", "D", "N"])
def test_each_line_is_the_law_at_one_size_and_the_last_leads_to_the_target(fit, across):
    ax = plot_sizes(fit, x=across, target=TARGET)
    by = {"C": lambda x, other: law(other, x / 6 / other), "D": lambda x, N: law(N, x), "N": lambda x, D: law(x, D)}
    others = (2e9, 2e10, 2e11, 1e12) if across == "N" else (*SIZES, 1e10)
    lines = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 20]
    found = []
    for x, y in (line.T for line in lines):
        fitting = [other for other in others if np.allclose(by[across](x, other), y, rtol=1e-4)]
        assert len(fitting) == 1, "a line that is the law at no size"
        found += fitting
    assert set(found) == set(others)
    place = {"C": 6 * 1e10 * 1e12, "D": 1e12, "N": 1e10}[across]
    way = lines[found.index(others[-1])]
    assert way[-1] == pytest.approx([place, law(1e10, 1e12)], rel=1e-4)
    plt.close(ax.figure)


def test_dots_are_the_measured_losses_over_their_compute(fit):
    ax = plot_sizes(fit)
    dots = [line.get_xydata() for line in ax.lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 3]
    D = np.array([2e9, 2e10, 2e11])
    for N, places in zip(SIZES, sorted(dots, key=lambda each: each[0, 0]), strict=True):
        np.testing.assert_allclose(places, np.column_stack([6 * N * D, law(N, D)]))
    plt.close(ax.figure)
