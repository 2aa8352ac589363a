"""Laws compared in a figure: the best and those that cannot be told from it in one colour, errors where they lie."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from scalefit.plots import colours
from scalefit.plots.comparison import plot_comparison

ERRORS = {"a": [0.01, -0.02, 0.03], "b": [0.02, 0.02, -0.02], "c": [0.1, 0.3, 0.2]}


def test_laws_that_cannot_be_told_from_the_best_have_its_colour():
    table = pd.DataFrame({"coverage": [0.9, 0.8, 0.5], "parameters": [5, 4, 3], "judge_error": [0.04, 0.05, 0.06]})
    table["backtest_error"] = [0.021, 0.022, 0.19]  # the mean over refits is not the median of all predictions
    tested = {name: SimpleNamespace(table=pd.DataFrame({"error": each})) for name, each in ERRORS.items()}
    found = SimpleNamespace(table=table.set_index(pd.Index(list("abc"))), alike=["a", "b"], backtests=tested)
    ax = plot_comparison(found, ax=plt.subplots()[1])
    ranked = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in ranked] == pytest.approx([2.1, 2.2, 19])
    shown = [to_hex(line.get_color()) for line in ranked]
    assert shown == [to_hex(each) for each in (colours.FITTED, colours.FITTED, colours.QUIET)]
    held = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert held == pytest.approx([4, 5, 6])
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    middle = np.percentile([1, 2, 3], [25, 75])
    assert spans[1] == pytest.approx(middle)
    assert spans[0] == pytest.approx([middle[0], np.percentile([1, 2, 3], 90)])
    assert [text.get_text() for text in ax.texts][:1] == ["90 % inside\n5 parameters"]
