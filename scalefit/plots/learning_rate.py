"""Sweeps of the learning rate: loss against it, one line a size, each optimum marked; LR sensitivity against size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.plots import canvas, colours, labels, legend, marks, ticks
from scalefit.transfer.lr_transfer import Arm, Transfer
from scalefit.transfer.optimum import Optimum

PANEL = (4.6, 4.2)  #: inches, of one arm
NARROWEST, LEAST_HEIGHT = 2.4, 2.2  #: inches, of a panel
HEADROOM = 0.35  #: room above the losses near the optima, as a share of their range
FAR = 3  #: losses further than this from an optimum (octaves) do not set the scale of the y axis
MOST_TICKS = 8
ON_GRID = 0.02  #: half octaves; a learning rate so close to a power of the root of two counts as one
OCTAVES_OF_TEN = float(np.log2(10))
BAND = 0.08  #: opacity of the law's interval


def plot_lr_transfer(transfer: Transfer, *, axes: Sequence[Axes] | None = None) -> Axes:
    """Draw loss against learning rate (log2 axis), arms side by side, or below each other where the figure is narrow.

    Each dot is the mean over seeds, a cross at the top a diverged run; the diamond is the optimum, its bar the 90 %
    interval; a dashed line is the law's optimum at the target. One legend serves all panels. ``axes``: one for each
    arm. The first axes are returned.
    """
    own = axes is None
    panels = _panels(len(transfer.arms)) if axes is None else list(axes)
    limits = _limits(transfer)
    entries: list[Artist] = []
    for ax, arm in zip(panels, transfer.arms, strict=True):
        entries += _draw_arm(ax, transfer, arm, limits)
    order = ["best at", "its 90 %", "diverged"]  # after the sizes
    kept = {str(entry.get_label()): entry for entry in entries}
    shown = sorted(kept.values(), key=lambda e: [str(e.get_label()).startswith(word) for word in reversed(order)])
    title = labels.WORDS.get(transfer.sweeps.over, transfer.sweeps.over)
    if own:
        legend.below(panels[0], shown, title)
    else:
        legend.place(panels[0], shown, title=title)
        low, high = panels[0].get_ylim()  # the legend may have made room for itself
        panels[0].set_ylim(min(limits[0], low), max(limits[1], high))
    panels[0].set_ylabel(labels.axis_label("loss"))
    return panels[0]


def _panels(count: int) -> list[Axes]:
    """Axes of a new figure: side by side where the width of the style has room for that, else below each other."""
    import matplotlib.pyplot as plt

    wide = (PANEL[0] * count + 0.6, PANEL[1])
    width = canvas.fitted_size(wide)[0]
    across = max(1, min(count, int(width / NARROWEST)))
    down = -(-count // across)
    size = (width, down * max(0.75 * width / across, LEAST_HEIGHT))
    figure, grid = plt.subplots(down, across, figsize=size, layout="constrained", sharey=True, squeeze=False)
    for spare in grid.ravel()[count:]:
        figure.delaxes(spare)
    for ax in grid[:, 0]:
        ax.set_ylabel(labels.axis_label("loss"))
    return list(grid.ravel()[:count])


def plot_lr_sensitivity(transfer: Transfer, *, ax: Axes | None = None) -> Axes:
    """Draw the LR sensitivity of each arm against size. Raises InputError where only one is known."""
    if transfer.table["lr_sensitivity"].notna().sum() < 2:
        todo = "give --initial-loss, or learning rates that sizes share"
        raise InputError("the LR sensitivity of fewer than two sizes is known", where="plot", todo=todo)
    ax = canvas.new_axes(ax)
    colour = colours.kinds([arm.name for arm in transfer.arms])
    for name, rows in transfer.table.groupby("arm", sort=False):
        marks.points(ax, rows["size"], rows["lr_sensitivity"], colour[str(name)], linestyle="-", linewidth=1.3)
    over, number = transfer.sweeps.over, labels.numbers_of(transfer.sweeps.over)
    sizes = sorted(transfer.table["size"].unique())
    ticks.set_fixed(ax, sizes, [number(float(f"{size:.2g}" if over == "N" else size)) for size in sizes])
    ax.set_xlabel(labels.axis_label(over))
    ax.set_ylabel("LR sensitivity (nats/token)")
    ax.set_ylim(bottom=0.0)
    if transfer.arms[0].prefix:
        legend.place(ax, [legend.dots(colour[arm.name], arm.name, line="-") for arm in transfer.arms])
    return ax


def _draw_arm(ax: Axes, transfer: Transfer, arm: Arm, limits: tuple[float, float]) -> list[Artist]:
    canvas.tidy(ax)
    sizes = list(arm.optima)
    paint, number = colours.ramp(sizes), labels.numbers_of(transfer.sweeps.over)
    for size, colour in zip(sizes, paint, strict=True):
        cell = transfer.sweeps.cell(arm.name, size)
        means = cell.groupby("lr")["loss"].mean().dropna()
        marks.points(ax, np.log2(means.index.to_numpy(float)), means, colour, size=3.5, linestyle="-", linewidth=1.2)
        lost = cell.loc[cell["loss"].isna(), "lr"].unique()
        if len(lost):
            ax.plot(np.log2(lost), np.full(len(lost), limits[1]), "x", color=colour, clip_on=False)
        if not arm.optima[size].refused:
            _mark_optimum(ax, arm.optima[size], colour)
    ax.set_ylim(*limits)
    _tick_rates(ax, np.log2(transfer.sweeps.points["lr"].unique()))
    ticks.set_linear(ax, "y", ticks.plain)
    ax.set_xlabel(labels.axis_label("peak_lr"))
    drift = f"{labels.signed(arm.drift.value, 2)} octaves per doubling" if np.isfinite(arm.drift.value) else ""
    title = f"{arm.prefix}{drift}" if drift else arm.prefix.rstrip(": ")
    ax.set_title(title, loc="left", fontsize="medium")
    entries: list[Artist] = [legend.dots(c, number(s), line="-") for s, c in zip(sizes, paint, strict=True)]
    entries += _mark_target(ax, transfer, arm)
    if any(transfer.sweeps.cell(arm.name, size)["loss"].isna().any() for size in sizes):
        entries.append(Line2D([], [], color=colours.TARGET, linestyle="", marker="x", label="diverged"))
    return entries


def _tick_rates(ax: Axes, logs: FloatArray) -> None:
    """Ticks at powers of two where the grids are made of them (and of their roots), else at powers of ten."""
    if np.mean(np.abs(2 * logs - np.round(2 * logs)) < ON_GRID) > 0.5:
        most = 2 * ticks.most_labels(ax.xaxis)  # they are half as wide as other labels
        ax.xaxis.set_major_locator(MultipleLocator(math.ceil(np.ptp(ax.get_xlim()) / most)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"$2^{{{value:.0f}}}$"))
        return
    low, high = ax.get_xlim()
    tens = np.arange(np.floor(low / OCTAVES_OF_TEN), np.ceil(high / OCTAVES_OF_TEN) + 1)
    digits = (1, 3) if np.ptp(ax.get_xlim()) < MOST_TICKS * OCTAVES_OF_TEN / 2 else (1,)
    rates = [digit * 10.0**ten for ten in tens for digit in digits]
    ax.set_xticks(np.log2(rates), [f"{rate:.0e}".replace("e-0", "e-") for rate in rates])
    ax.set_xlim(low, high)


def _mark_optimum(ax: Axes, best: Optimum, colour: str) -> None:
    reach = [[best.log2 - np.log2(best.low)], [np.log2(best.high) - best.log2]]
    ax.errorbar([best.log2], [best.loss], xerr=reach, color=colours.TARGET, capsize=3, linewidth=1.1, zorder=5)
    ax.plot([best.log2], [best.loss], "D", markersize=6.5, color=colour, markeredgecolor=colours.TARGET, zorder=6)


def _mark_target(ax: Axes, transfer: Transfer, arm: Arm) -> list[Artist]:
    """The law's optimum at the target: a dashed line with its interval."""
    if transfer.target is None or not np.isfinite(arm.height[0]) or not np.isfinite(arm.slope[0]):
        return []
    at = arm.at(transfer.target)
    ax.axvline(np.log2(at.value), color=colours.TARGET, linestyle="--", linewidth=1.1)
    ax.axvspan(np.log2(at.low), np.log2(at.high), color=colours.TARGET, alpha=BAND, linewidth=0)
    number = labels.numbers_of(transfer.sweeps.over)
    return [
        legend.stroke(colours.TARGET, f"best at {number(transfer.target)}, by the law", dashed=True),
        Patch(color=colours.TARGET, alpha=BAND, linewidth=0, label="its 90 % interval"),
    ]


def _limits(transfer: Transfer) -> tuple[float, float]:
    """Losses to show: from below the best optimum to those some octaves from the optima."""
    low, high = [], []
    for arm in transfer.arms:
        for size, best in arm.optima.items():
            cell = transfer.sweeps.cell(arm.name, size)
            means = cell.groupby("lr")["loss"].mean().dropna()
            if not len(means):
                continue
            middle = best.log2 if not best.refused else float(np.log2(float(str(means.idxmin()))))
            near = means[np.abs(np.log2(means.index.to_numpy(float)) - middle) <= FAR]
            low.append(min(float(means.min()), best.loss))
            high.append(float(near.max()) if len(near) else float(means.max()))
    bottom, top = min(low), max(high)
    return bottom - 0.06 * (top - bottom), top + HEADROOM * (top - bottom)
