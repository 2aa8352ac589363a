"""A law in model size and data: one line for each size, against compute or data (or one for each D, against N)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.runs import Runs

SIZES = ("N", "N_total")
MOST_LINES = 8  #: more distinct sizes than this share lines
LINE_POINTS = 120
SAME = 1.2  #: sizes within this factor of the smallest of them share a line
SHORTEST = 2.0  #: the factor of D that the line of a size with a single D covers
BEYOND = 1.12  #: a dashed line goes this factor past the furthest held-out point
WAY = 20.0  #: the line to a predicted point begins at this fraction of its data

X = Literal["C", "D", "N"]


@dataclass(frozen=True)
class Group:
    """Rows of about one size (the middle of their sizes), in one colour."""

    size: float
    rows: pd.DataFrame  #: fitted rows
    held: pd.DataFrame
    colour: str
    spread: float  #: largest size over smallest

    @property
    def is_held(self) -> bool:
        """Whether no row of this size was fitted."""
        return not len(self.rows)

    @property
    def rounded(self) -> float:
        """The size as it is written: the middle of several sizes to two digits, a single one to three."""
        return float(f"{self.size:.2g}" if self.spread > 1 else f"{self.size:.3g}")


def size_column(fit: Fit) -> str:
    """The column of model size that a law reads."""
    return next(name for name in fit.law.columns.values() if name in SIZES)


def with_compute(rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """The rows with their training compute C = 6 N D (FLOP)."""
    return rows.assign(C=6.0 * rows[size].astype(np.float64) * rows["D"].astype(np.float64))


def suits_sizes(fit: Fit) -> bool:
    """Whether a law reads a model size and data and nothing else."""
    columns = set(fit.law.columns.values())
    return len(columns) == 2 and "D" in columns and bool(columns & set(SIZES))


def plot_sizes(
    fit: Fit,
    held_out: Runs | pd.DataFrame | None = None,
    *,
    x: X = "C",
    ax: Axes | None = None,
    target: Mapping[str, Any] | None = None,
) -> Axes:
    """Draw a law in N and D against compute C = 6 N D (or against D, or N), one line for each size.

    Lines are solid over the D that their size was fitted on and dashed beyond; sizes that were not fitted are dashed
    all along. With more than eight sizes, neighbours share a line at their geometric mean. Held-out points are
    hollow, their predictions crosses. ``target`` (``{"N": "70B", "D": "1.4T"}``, or lists for several points) is marked
    by a star, with its value and prediction interval.
    """
    if not suits_sizes(fit):
        raise InputError(f"law {fit.law.name} is not one of N and D", where="plot", todo="use plot_fit")
    if x not in ("C", "D", "N"):
        raise InputError(f'no x axis "{x}"', where="plot", todo="choose C, D or N")
    size = size_column(fit)
    along, by = (size, "D") if x == "N" else ("D", size)
    axes = across, *_ = (size if x == "N" else x, along, by)
    fitted, held = (with_compute(rows, size) for rows in (samples.fitted_rows(fit), samples.held_rows(fit, held_out)))
    aims = with_compute(samples.predicted(fit, target), size) if target else held.iloc[:0]
    ax = canvas.new_axes(ax)
    groups = group(fitted, held, by)
    for one in groups:
        _draw_group(ax, fit, one, axes)
    for _, aim in aims.iterrows():
        values = np.geomspace(aim[along] / WAY, aim[along], LINE_POINTS)
        _draw_line(ax, fit, values, aim[by], axes, colours.TARGET, "--", 1.2, 2)
        marks.star(ax, float(aim[across]), aim, labels.point_text({name: aim[name] for name in (size, "D")}))
    ax.set_xlabel("training compute $C = 6ND$ (FLOP)" if across == "C" else labels.axis_label(across, fit.law))
    ax.set_ylabel(labels.target_label(fit))
    ticks.set_log(ax, "x", labels.numbers_of(across))
    ticks.set_value_axis(ax, "y", fit.settings.residuals == "log")
    number = labels.numbers_of(by)
    entries = [
        legend.dots(one.colour, number(one.rounded), hollow=one.is_held, line="--" if one.is_held else "-")
        for one in groups
    ]
    entries += marks.held_entries(fit, held, colours.QUIET)
    canvas.warn(ax, fit)
    legend.place(ax, entries, title=labels.axis_label(by))
    return ax


def group(fitted: pd.DataFrame, held: pd.DataFrame, by: str) -> list[Group]:
    """Rows by size: one group a distinct size, or evenly spaced classes where there are many."""
    sizes = np.concatenate([fitted[by], held[by]]).astype(np.float64)
    edges = _edges(np.unique(sizes))
    places = np.searchsorted(edges, sizes, side="right")
    middles = {place: float(np.exp(np.log(sizes[places == place]).mean())) for place in np.unique(places)}
    spreads = {place: float(sizes[places == place].max() / sizes[places == place].min()) for place in middles}
    paint = dict(zip(middles, colours.ramp(list(middles.values())), strict=True))
    own, other = places[: len(fitted)], places[len(fitted) :]
    parts = ((place, middle, fitted[own == place], held[other == place]) for place, middle in middles.items())
    return [Group(middle, rows, beyond, paint[place], spreads[place]) for place, middle, rows, beyond in parts]


def _edges(sizes: np.ndarray) -> np.ndarray:
    """Where one group of sorted sizes ends and the next begins."""
    edges, first = [], sizes[0]
    for below, size in pairwise(sizes):
        if size > SAME * first:
            edges.append(float(np.sqrt(below * size)))
            first = size
    if len(edges) < MOST_LINES:
        return np.array(edges)
    return np.geomspace(sizes[0], sizes[-1], MOST_LINES + 1)[1:-1]


def _draw_group(ax: Axes, fit: Fit, one: Group, axes: tuple[str, str, str]) -> None:
    across, along, _ = axes
    for low, high, style in _spans(one, along):
        _draw_line(ax, fit, np.geomspace(low, high, LINE_POINTS), one.size, axes, one.colour, style)
    marks.points(ax, one.rows[across], one.rows["measured"], one.colour, size=3.8, alpha=0.6, zorder=2)
    marks.held_points(ax, one.held, across, one.colour)


def _draw_line(
    ax: Axes, fit: Fit, values: np.ndarray, size: float, axes: tuple[str, str, str], colour: str, *how: Any
) -> None:
    """The law along one axis at one value of the other, as a line; ``how``: its style, width and order."""
    across, along, by = axes
    rows = samples.predicted(fit, {along: values, by: float(size)})
    marks.line(ax, 6.0 * values * size if across == "C" else values, rows, colour, *how)


def _spans(one: Group, along: str) -> list[tuple[float, float, str]]:
    """(low, high, style) of the pieces of a line: solid where fitted, dashed out to held-out points."""
    beyond = [float(value) for value in one.held[along]]
    if one.is_held:
        low, high = min(beyond), max(beyond)
        spread = max(1.0, SHORTEST / (high / low)) ** 0.5 * BEYOND
        return [(low / spread, high * spread, "--")]
    low, high = float(one.rows[along].min()), float(one.rows[along].max())
    if high / low < SHORTEST**0.5:
        low, high = low / SHORTEST**0.5, high * SHORTEST**0.5
    pieces = [(low, high, "-")]
    if beyond and max(beyond) > high:
        pieces.append((high, max(beyond) * BEYOND, "--"))
    if beyond and min(beyond) < low:
        pieces.append((min(beyond) / BEYOND, low, "--"))
    return pieces
