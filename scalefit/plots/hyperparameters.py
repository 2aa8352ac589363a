"""Settings of a planned run: learning rates against batches, by fits with their intervals and by published rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.planning.hyperparameters.answer import Hyperparameters
from scalefit.planning.hyperparameters.fitted import SURFACE, Setting
from scalefit.plots import canvas, colours, labels, legend, ticks

LEVELS = (0.1, 0.3, 1.0)  #: percent of the loss by which a contour lies above the bottom
SIDE, POINTS = 8.0, 81  #: the contours reach so many times beyond the settings; places on each side of the grid
MARKS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class _Pair:
    """Rate and batch of one source; None where it says nothing of one."""

    source: str
    rate: Setting | None
    batch: Setting | None


def plot_hyperparameters(found: Hyperparameters, *, ax: Axes | None = None) -> Axes:
    """Draw the peak learning rate against the batch: a mark for each source, bars for 90 % intervals.

    A source that gives a rate alone is a line across. Grey contours of the fitted surface: where its loss lies 0.1, 0.3
    and 1 % above the bottom at this size and data. Raises InputError where nothing says a learning rate.
    """
    pairs = _pairs(found)
    if not pairs:
        raise InputError("no learning rate and no batch to draw", where="plot", todo="leave one of them free")
    ax = canvas.new_axes(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    handles: list[Line2D] = []
    palette = colours.kinds([pair.source for pair in pairs])
    for pair, mark in zip(pairs, MARKS * len(pairs), strict=False):
        colour = palette[pair.source]
        if pair.rate is not None and pair.batch is not None:
            _cross(ax, pair.batch, pair.rate, colour, mark)
        elif pair.rate is not None:
            ax.axhline(pair.rate.value, color=colour, linewidth=1.2, linestyle="--", zorder=3)
        elif pair.batch is not None:
            ax.axvline(pair.batch.value, color=colour, linewidth=1.2, linestyle="--", zorder=3)
        both = pair.rate is not None and pair.batch is not None
        dot = Line2D([], [], color=colour, marker=mark, linestyle="", label=pair.source)
        handles.append(dot if both else legend.stroke(colour, pair.source, dashed=True))
    surface = next((fit for fit in found.fits if fit.law.name == SURFACE), None)
    _room(ax, pairs, surface is not None)
    if surface is not None:
        _contours(ax, surface, found)
        handles.append(legend.stroke(colours.QUIET, "loss + 0.1, 0.3, 1 %"))
    ax.set_xlabel(labels.axis_label("batch"))
    ax.set_ylabel(labels.axis_label("peak_lr"))
    ticks.set_log(ax, "x", ticks.short_number)
    ticks.set_log(ax, "y", ticks.plain)
    legend.place(ax, handles)
    planned = [f"{name} = {ticks.short_number(found.at[name])}" for name in ("N", "D") if name in found.at]
    ax.set_title(", ".join(planned), loc="left", fontsize="medium")
    canvas.warn_of(ax, [check.text for check in found.cautions])
    return ax


def _pairs(found: Hyperparameters) -> list[_Pair]:
    """The sources of rates and batches; what is held stands in for what a source then leaves out."""
    held = {
        name: Setting(name, "held", np.array([found.at[name]])) for name in ("peak_lr", "batch") if name in found.at
    }
    own = {(each.source, each.name): each for each in found.settings if each.name in ("peak_lr", "batch")}
    sources = dict.fromkeys(source for source, _ in own)
    return [
        _Pair(name, *(own.get((name, key), held.get(key)) for key in ("peak_lr", "batch")))  # type: ignore[arg-type]
        for name in sources
    ]


def _cross(ax: Axes, batch: Setting, rate: Setting, colour: str, mark: str) -> None:
    """One source as a mark with a bar in each direction in which it has an interval."""
    for setting, other, along in ((batch, rate, True), (rate, batch, False)):
        low, high = setting.ends
        if np.isfinite(low) and np.isfinite(high):
            x, y = [low, high], [other.value, other.value]
            ax.plot(*((x, y) if along else (y, x)), color=colour, linewidth=1.6, zorder=4)
    ax.plot([batch.value], [rate.value], color=colour, marker=mark, markersize=7, linestyle="", zorder=5,
            markeredgecolor="white")  # fmt: skip


def _room(ax: Axes, pairs: list[_Pair], wide: bool) -> None:
    """Limits around all that is drawn, wider where contours are."""
    margin = 4.0 if wide else 2.0
    for name, set_limits, legend_room in (("batch", ax.set_xlim, 1.0), ("rate", ax.set_ylim, 2.5 if wide else 1.0)):
        settings = [getattr(pair, name) for pair in pairs if getattr(pair, name) is not None]
        values = [value for each in settings for value in (each.value, *each.ends) if np.isfinite(value)]
        if values:
            set_limits(min(values) / margin, max(values) * margin * legend_room)


def _contours(ax: Axes, fit: Fit, found: Hyperparameters) -> None:
    """Where the fitted loss lies some shares above its bottom on the axes."""
    batch = np.geomspace(*ax.get_xlim(), POINTS)
    rate = np.geomspace(*ax.get_ylim(), POINTS)
    x, y = np.meshgrid(batch, rate)
    columns = {"N": found.at["N"], "D": found.at["D"], "peak_lr": y.ravel(), "batch": x.ravel()}
    loss = fit.evaluate({name: columns[column] for name, column in fit.law.columns.items()}).reshape(x.shape)
    least = float(found.at.get("loss", loss.min()))
    lines = ax.contour(x, y, 100 * (loss / min(least, float(loss.min())) - 1), levels=list(LEVELS),
                       colors=colours.QUIET, linewidths=0.9, zorder=1)  # fmt: skip
    ax.clabel(lines, fmt=lambda level: f"+{level:g} %", fontsize="x-small")
