"""Laws side by side: the errors of each when it is fitted to smaller runs and predicts larger ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.comparison import Comparison
from scalefit.plots import canvas, colours, labels, legend, ticks

WIDTH, ROW, MARGIN = 6.0, 0.42, 1.5  #: inches
MIDDLE, TAIL = (25, 75), 90  #: percentiles of the errors that the bar and the thin line reach
LEAST = 1e-3  #: percent; smaller errors are drawn there


def plot_comparison(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Draw each law's back-test errors, best law on top: the error that ranks them (dot), middle half, worst tenth.

    Beside each law stand the share of its predictions inside their 90 % intervals and its number of parameters; the
    error on held-out runs is a diamond. The recommended law is blue, and so are those that cannot be told from it.
    """
    names = [str(name) for name in comparison.table.index]
    ax = canvas.new_axes(ax, (WIDTH, MARGIN + ROW * len(names)))
    alike = comparison.alike
    for row, name in enumerate(names):
        _one(ax, comparison, name, row, colours.FITTED if name in alike else colours.QUIET)
    canvas.rows(ax, names)
    ticks.set_log(ax, "x", ticks.plain)
    ax.set_xlabel("error of predictions of larger runs by fits to smaller ones (%)")
    ranked: dict[str, Any] = {"marker": "o", "markersize": 6, "linewidth": 4, "alpha": 0.9}
    entries = [
        Line2D([], [], color=colours.FITTED, label="error by which laws are ranked; middle half", **ranked),
        Line2D([], [], color=colours.FITTED, linewidth=1, label="up to the worst tenth"),
    ]
    if "judge_error" in comparison.table.columns:
        entries.append(Line2D([], [], color=colours.HELD_OUT, marker="D", linestyle="", label="mean on held-out runs"))
    legend.above(ax, entries)
    return ax


def _one(ax: Axes, comparison: Comparison, name: str, row: int, colour: str) -> None:
    size = np.maximum(100 * comparison.backtests[name].table["error"].abs().to_numpy(float), LEAST)
    low, high = np.percentile(size, MIDDLE)
    ax.plot([low, np.percentile(size, TAIL)], [row, row], color=colour, linewidth=1, zorder=2)
    ax.plot([low, high], [row, row], color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt", zorder=2)
    facts = {str(key): float(value) for key, value in comparison.table.loc[name].to_dict().items()}
    ranked = max(100 * facts["backtest_error"], LEAST)  # the mean over refits of their medians
    ax.plot(ranked, row, color=colour, marker="o", markersize=6, zorder=3)
    if "judge_error" in facts:
        judged = max(100 * facts["judge_error"], LEAST)
        ax.plot(judged, row, color=colours.HELD_OUT, marker="D", markersize=5, zorder=4)
    text = f"{labels.percent(facts['coverage'])} inside\n{int(facts['parameters'])} parameters"
    place = ax.get_yaxis_transform()
    ax.annotate(text, (1.01, row), xycoords=place, va="center", fontsize="x-small", color="0.3", annotation_clip=False)
