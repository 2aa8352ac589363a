"""A run in progress: its name, or none, beside what was seen, what is ahead and what has been measured since."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from scalefit.plots.partial import plot_partial
from scalefit.progress.forecast import PartialForecast


@pytest.mark.parametrize(("run", "name"), [("DataFrame", "run"), ("lr-0.1", "lr-0.1")])
@pytest.mark.parametrize("measured", [None, 2.4])
def test_what_the_figure_of_a_run_in_progress_names(run, name, measured):
    seen = pd.DataFrame({"step": [10, 25], "loss": [4.0, 3.2]})
    curve = pd.DataFrame({"step": [50, 100], "loss": [2.8, 2.5], "low": [2.6, 2.0], "high": [3.0, 3.0]})
    history = pd.DataFrame({"step": [10, 25], "final": [2.6, 2.5], "low": [2.0, 2.0], "high": [3.2, 3.0]})
    given = {"run": run, "step": 25, "steps": 100, "final": 2.5, "low": 2.0, "high": 3.0, "level": 0.8}
    made = PartialForecast(**given, seen=seen, curve=curve, history=history, basis="b", scale=1.0, forecasts=2)
    ax = plot_partial(made, measured=measured, ax=plt.subplots()[1])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[:3] == [f"{name}, so far", "forecast", "80 % interval"]
    assert ("measured since" in texts) == (measured is not None)
    past = [list(line.get_ydata()) for line in ax.history_axes.lines]
    assert [2.6, 2.5] in past
    if measured is not None:
        assert [measured, measured] in past
