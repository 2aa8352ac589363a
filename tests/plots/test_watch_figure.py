"""The figure of a run in progress: its loss, its spikes and its warnings, at the steps that the answer names."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.plots import plot_watch


def test_spikes_and_warnings_stand_at_their_steps():
    calm = 3.0 + 5.0 / np.arange(1, 201) + 0.01 * np.cos(np.arange(200.0) ** 2)
    rows = pd.DataFrame({"step": np.arange(200), "loss": np.where(np.abs(np.arange(200) - 151) < 2, 5.0, calm)})
    seen = sf.watch(rows)
    ax = plot_watch(seen, rows, name="a")
    curve = ax.lines[0]
    assert np.allclose(curve.get_xdata(), rows["step"])
    assert np.allclose(curve.get_ydata(), rows["loss"])
    (shaded,) = ax.patches
    assert (shaded.get_x(), shaded.get_x() + shaded.get_width()) == (150, 152)
    assert [line.get_xdata()[0] for line in ax.lines[1:]] == [each.step for each in seen.warnings]
    assert "spikes" in ax.get_title(loc="left")
    assert {text.get_text() for text in ax.get_legend().get_texts()} >= {"loss", "1 spike", "loss warns"}
    plt.close("all")


def test_a_calm_run_has_no_warning_and_no_title():
    rows = pd.DataFrame({"step": np.arange(100), "loss": 3.0 + 5.0 / np.arange(1, 101)})
    ax = plot_watch(sf.watch(rows), rows)
    assert not ax.patches
    assert ax.get_title(loc="left") == ""
    plt.close("all")
