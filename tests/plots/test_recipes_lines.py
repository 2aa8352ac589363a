"""Lines of recipes: at each compute the loss of the joint law there, at the D/N of the target."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scalefit.plots.recipes import plot_recipes


@pytest.mark.parametrize(("kind", "at"), [("C", {"C": 1e22}), ("ND", {"N": 1e10, "D": 1e12 / 6})])
def test_lines_give_the_loss_at_their_compute(kind, at):
    """A law that gives the logarithm of compute: the height of a line is its place."""

    def losses(recipe, values):
        C = values["C"] if kind == "C" else 6 * values["N"] * values["D"]
        if kind == "ND":
            np.testing.assert_allclose(values["D"] / values["N"], at["D"] / at["N"])
        return np.log10(C)[None] + recipe

    runs = pd.DataFrame({"C": [1e18, 1e20], "N": [1e8, 1e9], "D": [1e10 / 6, 1e11 / 6], "loss": [3.0, 2.5]})
    rows = pd.concat([runs.assign(recipe=name) for name in "ab"])
    table = pd.DataFrame({"recipe": list("ab"), "loss": [22.0, 23.0], "low": [np.nan, 22.5], "high": [np.nan, 23.5]})
    joint = SimpleNamespace(names=("a", "b"), kind=kind, losses=losses)
    rows = rows.drop(columns="C") if kind == "ND" else rows
    ax = plot_recipes(
        SimpleNamespace(rows=rows, at=at, joint=joint, table=table, by="recipe", cautions=()), ax=plt.subplots()[1]
    )
    lines = [line for line in ax.lines if len(line.get_xdata()) > 5]
    assert [line.get_linestyle() for line in lines] == ["-", "--"] * 2
    for number, line in enumerate(lines):
        np.testing.assert_allclose(line.get_ydata(), np.log10(line.get_xdata()) + number // 2)
    assert [line.get_xdata()[-1] for line in lines] == pytest.approx([1e20, 1e22] * 2)
    stars = [line for line in ax.lines if line.get_marker() == "*" and len(line.get_xdata()) == 1]
    left, right = (star.get_xdata()[0] for star in stars)  # side by side, so that their bars can be told apart
    assert left * right == pytest.approx(1e44) and 1.1 < right / left < 1.5
