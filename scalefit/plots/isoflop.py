"""IsoFLOP curves with their minima, and the best size against compute by three approaches."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec

from scalefit.planning.isoflop.answer import Found, IsoFlopStudy
from scalefit.planning.isoflop.approaches import budgets_in, budgets_of
from scalefit.planning.isoflop.curves import FEWEST, through
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.plots.narrow import NARROW

SIZE = (8.6, 4.2)
LINE_POINTS, CURVE_POINTS = 60, 200
MOST_NAMED = 5  #: budgets in the legend
WIDTHS = {"approach 1": 3.2, "approach 2": 1.4, "approach 3": 1.4}  #: the first is seen below the second
COLOURS = {"approach 1": colours.KINDS[2], "approach 2": colours.TARGET, "approach 3": colours.KINDS[1]}


def plot_isoflop(study: IsoFlopStudy, *, ax: Axes | None = None) -> Axes:
    """Draw the losses of each budget against size with their minima; to the right, in ``ax.line_axes``, the best sizes.

    The line through a budget is the curve that gives its minimum. Lines of approaches are solid over the budgets and
    dashed to the target; bands are 90 % intervals.
    """
    ax = canvas.new_axes(ax, SIZE)
    right = _beside(ax)
    C = study.points["C"].to_numpy(float)
    paint = colours.painter(float(C.min()), float(C.max()))
    for _, rows in study.points.groupby(budgets_of(C)):
        marks.points(ax, rows["N"], rows["loss"], paint(float(rows["C"].mean())), size=3.5, alpha=0.8)
    for compute, (log_N, loss) in budgets_in(study.sizes):
        if len(np.unique(log_N)) >= FEWEST:
            x = np.linspace(log_N.min(), log_N.max(), CURVE_POINTS)
            ax.plot(np.exp(x), through(log_N, loss, study.curve)(x), color=paint(compute), linewidth=0.8, alpha=0.8)
    for _, row in study.optima.iterrows():
        ax.plot([row["N"]], [row["loss"]], marker="v", color=colours.TARGET, markersize=5, linestyle="", zorder=5)
    ax.set_xlabel(labels.axis_label("N"))
    ax.set_ylabel(labels.axis_label("loss"))
    ticks.set_log(ax, "x", labels.numbers_of("N"))
    ticks.set_value_axis(ax, "y", True)
    budgets = [float(rows["C"].mean()) for _, rows in study.points.groupby(budgets_of(C))]
    named = [budgets[place] for place in samples.thinned(len(budgets), MOST_NAMED)]
    shown = [legend.dots(paint(each), ticks.power_of_ten(float(f"{each:.2g}"))) for each in named]
    legend.place(ax, shown, title="compute (FLOP)" if len(named) == len(budgets) else "some budgets (FLOP)")
    for name, each in study.found.items():
        _line(right, each, COLOURS[name], WIDTHS[name], (float(C.min()), float(C.max()), study.target))
    _minima(right, study)
    right.set_xlabel("training compute (FLOP)")
    right.set_ylabel("best model size (parameters)")
    ticks.set_log(right, "x", labels.numbers_of("C"))
    ticks.set_log(right, "y", labels.numbers_of("N"))
    legend.place(right, [legend.stroke(COLOURS[name], f"{name}: $C^{{{each.exponent:.3f}}}$")
                         for name, each in study.found.items()])  # fmt: skip
    canvas.warn_of(ax, study.disagreements)
    return ax


def _beside(ax: Axes) -> Axes:
    """Axes to the right of these, cut from their room; below them where the figure is narrow."""
    present = getattr(ax, "line_axes", None)
    if isinstance(present, Axes):
        return present
    spec = ax.get_subplotspec()
    if spec is not None:
        narrow = ax.figure.canvas.figure.get_figwidth() < NARROW
        parts = GridSpecFromSubplotSpec(*((2, 1) if narrow else (1, 2)), spec, wspace=0.04, hspace=0.08)
        if narrow:
            ax.figure.canvas.figure.set_figheight(2 * ax.figure.canvas.figure.get_figheight())
        ax.set_subplotspec(parts[0])
        right = ax.figure.add_subplot(parts[1])
    else:
        left, bottom, width, height = ax.get_position().bounds
        ax.set_position((left, bottom, 0.43 * width, height))
        right = ax.figure.add_axes((left + 0.57 * width, bottom, 0.43 * width, height))
    setattr(ax, "line_axes", right)  # noqa: B010 - axes have no such attribute for a type checker
    return canvas.tidy(right)


def _line(ax: Axes, each: Found, colour: str, width: float, ends: tuple[float, float, float]) -> None:
    """The power law of one approach, with its band."""
    low, high, last = ends
    for first, second, style in ((low, high, "-"), (high, max(high, last), "--")):
        C = np.geomspace(first, second, LINE_POINTS)
        sizes = np.array([each.size(float(c)) for c in C])
        ax.plot(C, sizes[:, 0], color=colour, linewidth=width, linestyle=style, zorder=3)
        if np.isfinite(sizes).all():
            ax.fill_between(C, sizes[:, 1], sizes[:, 2], color=colour, alpha=marks.BAND, linewidth=0, zorder=1)


def _minima(ax: Axes, study: IsoFlopStudy) -> None:
    """The best size of each budget, with its interval as a bar."""
    table = study.optima
    for _, row in table.iterrows():
        if np.isfinite(row["N_low"]):
            ax.plot([row["C"]] * 2, [row["N_low"], row["N_high"]], color=colours.TARGET, linewidth=1.0, zorder=4)
    if len(table):
        ax.plot(table["C"], table["N"], marker="v", color=colours.TARGET, markersize=5, linestyle="", zorder=5)
