"""Schedules of one budget by the final loss that a law predicts, each with its learning rate drawn beside it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from scalefit.planning.schedules.ranking import ScheduleRanking
from scalefit.plots import canvas, colours, labels, ticks

WIDTH, ROW, MARGIN = 7.2, 0.3, 1.1  #: inches
MOST_ROWS = 16
SHAPE_POINTS = 240
SHAPE_PLACE = (1.02, 0.24)  #: left end and width of the drawn learning rates, in widths of the axes
SHARE = 1 / 3  #: of the figure that names of rows may take
TALL = 0.72  #: height of a learning rate, in rows


def plot_schedule_ranking(ranking: ScheduleRanking, *, ax: Axes | None = None) -> Axes:
    """Draw the difference of each schedule to the best one with its paired interval, the best on top.

    Blue schedules cannot be told from the best; the grey field is the difference below which the law misjudges the
    order of schedules in a back-test. To the right of each row is its learning rate over the run.
    """
    table = ranking.table.head(MOST_ROWS)
    names = [str(name) for name in table["schedule"]]
    alike = set(ranking.alike["schedule"])
    own = ax is None  # its warning stands across the figure, else above the axes
    ax = canvas.new_axes(ax, (WIDTH, MARGIN + ROW * len(names)))
    for row, (_, each) in enumerate(table.iterrows()):
        colour = colours.FITTED if each["schedule"] in alike else colours.QUIET
        if np.isfinite(each["difference_low"]):
            ax.plot(
                [each["difference_low"], each["difference_high"]], [row, row], color=colour, linewidth=1.6, zorder=2
            )
        ax.plot(each["difference"], row, color=colour, marker="o", markersize=5, zorder=3)
    if np.isfinite(ranking.resolution):
        ax.axvspan(0, ranking.resolution, color="0.93", linewidth=0, zorder=0)
    canvas.rows(ax, _rows_named(names, ax))
    ticks.set_linear(ax, "x", ticks.plain, nbins=5)
    ax.set_xlabel(f"final {ranking.fit.target} above the best ({labels.unit_of(ranking.fit.target, ranking.fit.law)})")
    ax.margins(x=0.04)
    left, width = SHAPE_PLACE
    step = np.linspace(0, 1, SHAPE_POINTS)
    for row, name in enumerate(names):
        plan = ranking.plans[name]
        lr = plan(step * plan.steps) / ranking.budget.peak_lr
        height = row + TALL / 2 - TALL * lr
        ax.plot(left + width * step, height, transform=ax.get_yaxis_transform(), color=colours.TARGET, linewidth=0.9,
                clip_on=False)  # fmt: skip
    ax.annotate("learning\nrate", (left, float(own)), (0, 2 if own else -4), xycoords="axes fraction", ha="left",
                va="bottom" if own else "top", textcoords="offset points", fontsize="small", color="0.35",
                annotation_clip=False)  # fmt: skip
    canvas.warn_of(ax, [check.text for check in ranking.cautions], across=own)
    return ax


def _rows_named(names: list[str], ax: Axes) -> list[str]:
    """The names, cut where they would take more than a third of the figure, unless two were then the same."""
    longest = int(SHARE * ax.figure.bbox.width / ax.figure.dpi * canvas.LETTERS)
    for most in (min(longest, labels.LONGEST), labels.LONGEST):
        cut = [labels.trimmed(name, most) for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return names
