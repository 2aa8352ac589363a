"""Measured coordinates are drawn at the step of their slopes, the last at which each module has one."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import scalefit as sf
from scalefit.plots.coordinates import plot_slopes


def rows(module, step, *sizes):
    return pd.DataFrame({"module": module, "width": [64, 256], "step": step, "mean_abs": sizes})


def test_each_module_is_drawn_at_its_last_step():
    table = pd.concat([rows("a", 1, 1.0, 1.0), rows("a", 5, 2.0, 6.0), rows("b", 1, 1.0, 1.0)])
    found = sf.coordinate_slopes(table)
    ax = plot_slopes(found, ax=plt.subplots()[1])
    drawn = {bars[0].get_marker(): bars[0].get_ydata().tolist() for bars in ax.containers}
    assert list(drawn.values()) == [[1.0, 3.0], [1.0, 1.0]]
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["a +0.792", "b +0.000"]
    assert ax.get_title(loc="left") == "FAIL: a changes with width"
    assert found["a"]["slope"] == pytest.approx(0.792, abs=1e-3)
