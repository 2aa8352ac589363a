"""How far a law can be trusted: the errors of its predictions of larger runs, against the extrapolation factor."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from scalefit.comparison import Backtest
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks

SIZE = (6.0, 3.8)
NEAR, FEW = (
    0.05,
    0.3,
)  #: with at most the share FEW further out than NEAR decades, folds replace distances
FACTORS = (1, 2, 5, 10, 20, 50, 100, 1000, 10_000, 100_000)
MOST_DOTS = 600
MOST_BANDS = 4
LEAST = 5  #: predictions in a band of distances
HEADROOM = 1.15  #: room at the top for the shares of predictions inside their interval
CUT = 0.98  #: share of the errors that the y axis holds at least
BAND = "#DCE8F2"


def plot_backtest(backtest: Backtest, *, ax: Axes | None = None) -> Axes:
    """Draw each prediction's error (measured over predicted, minus one) against how far beyond the fitted runs it lies.

    The band is the typical 90 % interval at that distance, the line the median error; predictions that missed their
    interval are ringed in red. The share inside is written above each part of the axis. Where all runs lie within
    the fitted scales (schedules), the folds stand side by side instead.
    """
    ax = canvas.new_axes(ax, SIZE)
    table = backtest.table
    far = bool((table["decades"] > NEAR).mean() > FEW)
    place, names = _places(table, far)
    bands = _bands(table, place, far)
    limit = _limit(table, bands)
    _draw(ax, table, place, bands, limit)
    _dress(ax, place, names, bands, limit)
    entries = [
        legend.dots(colours.FITTED, "inside its 90 % interval"),
        legend.dots(colours.WARNING, "outside", hollow=True),
        Patch(color=BAND, label="typical interval"),
        Line2D([], [], color=colours.TARGET, label="median absolute error (±)"),
        Line2D([], [], linestyle="", label="at the top: share inside"),
    ]
    legend.place(ax, entries)
    title = f"{backtest.law}: {len(table)} predictions by {table['fold'].nunique()} refits to the smaller runs"
    ax.set_title(title, loc="left", fontsize="medium")
    return ax


def _places(table: pd.DataFrame, far: bool) -> tuple[np.ndarray, list[str]]:
    """The x position of each prediction: its distance in decades, or the number of its fold."""
    if far:
        return table["decades"].to_numpy(float), []
    codes, folds = pd.factorize(table["fold"])
    spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(codes))
    bare = [str(fold).removeprefix("without ") for fold in folds]
    short = labels.short_names(bare)
    return codes + spread, [short[name] for name in bare]


def _bands(table: pd.DataFrame, place: np.ndarray, far: bool) -> pd.DataFrame:
    """Parts of the x axis with about equally many predictions: ends, median error, median interval, share inside."""
    if far:
        parts = min(MOST_BANDS, max(1, len(table) // LEAST))
        edges = np.unique(np.quantile(place, np.linspace(0, 1, parts + 1)))
        code = np.clip(np.searchsorted(edges, place, "right") - 1, 0, max(len(edges) - 2, 0))
        ends = list(pairwise(edges)) or [(place.min(), place.max())]
    else:
        code = np.round(place).astype(int)
        ends = [(c - 0.4, c + 0.4) for c in range(code.max() + 1)]
    how = {"error": "median", "low": "median", "high": "median", "inside": "mean"}
    found = table.assign(error=table["error"].abs()).groupby(code).agg(how)
    found["left"], found["right"] = zip(*(ends[int(c)] for c in found.index), strict=True)
    return found


def _limit(table: pd.DataFrame, bands: pd.DataFrame) -> float:
    return 1.15 * max(float(np.quantile(table["error"].abs(), CUT)), float(np.median(bands["high"] - bands["low"])) / 2)


def _draw(ax: Axes, table: pd.DataFrame, place: np.ndarray, bands: pd.DataFrame, limit: float) -> None:
    for _, part in bands.iterrows():
        ends = [part["left"], part["right"]]
        ax.fill_between(ends, 100 * part["low"], 100 * part["high"], color=BAND, linewidth=0, zorder=0)
        for size in (-part["error"], part["error"]):
            ax.plot(ends, [100 * size] * 2, color=colours.TARGET, linewidth=1.4, zorder=3)
    ax.axhline(0, color=colours.QUIET, linewidth=1.0, zorder=1)
    error = np.clip(table["error"].to_numpy(float), -limit, limit)
    inside = table["inside"].to_numpy(bool)
    keep = np.zeros(len(table), dtype=bool)
    keep[samples.thinned(len(table), MOST_DOTS)] = True
    for chosen, colour, hollow in ((keep & inside, colours.FITTED, False), (~inside, colours.WARNING, True)):
        size = 4.5 if hollow else 3.2
        marks.points(ax, place[chosen], 100 * error[chosen], colour, hollow, size, alpha=0.7, zorder=2)


def _dress(ax: Axes, place: np.ndarray, names: list[str], bands: pd.DataFrame, limit: float) -> None:
    ticks.set_linear(ax, "y", ticks.plain)
    ax.set_ylabel("error of the prediction (%)")
    ax.set_ylim(-105 * limit, 100 * limit * HEADROOM)
    if names:
        crowded = len(names) > 4
        ax.set_xticks(range(len(names)), names, rotation=20 * crowded, ha="right" if crowded else "center")
        ax.set_xlabel("run left out")
    else:
        last = float(place.max())
        shown = [factor for factor in FACTORS if np.log10(factor) <= last + 0.2]
        ax.set_xticks(np.log10(shown), [f"{factor:,}×".replace(",", " ") for factor in shown])
        ax.set_xlim(-0.03 * last, last * 1.03)
        ax.set_xlabel("extrapolation factor: compute over the largest fitted")
    top = ax.get_xaxis_transform()
    for _, part in bands.iterrows():
        middle = 0.5 * (part["left"] + part["right"])
        text = f"{100 * part['inside']:.0f} %"
        ax.annotate(text, (middle, 0.985), xycoords=top, ha="center", va="top", fontsize="x-small", color="0.3")
