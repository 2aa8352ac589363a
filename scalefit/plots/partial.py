"""A run in progress: its curve so far, its predicted rest, and how the forecast of its final loss has narrowed."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.progress.forecast import PartialForecast

SIZE = (6.4, 5.2)
SHARES = (2.2, 1.0)  #: heights of the curve and of the panel of earlier forecasts
MOST_DOTS = 60
SETTLED = 0.12  #: the y axis begins at the loss after this share of the run


def plot_partial(forecast: PartialForecast, *, measured: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the run so far (dots), its forecast (dashed) with an interval; below it earlier forecasts of the final loss.

    ``measured`` is the final loss, where the run has been finished since. The lower panel is ``ax.history_axes``.
    """
    ax = canvas.new_axes(ax, SIZE)
    panel = canvas.panel_below(ax, "history_axes", "forecasts", SHARES)
    seen = forecast.seen.iloc[samples.thinned(len(forecast.seen), MOST_DOTS)]
    marks.points(ax, seen["step"], seen["loss"], colours.FITTED, size=3.6, alpha=0.8, zorder=3)
    curve = forecast.curve.rename(columns={"loss": "predicted"})
    marks.line(ax, curve["step"], curve, colours.HELD_OUT, "--", 1.6, zorder=4)
    marks.star(ax, float(curve["step"].iloc[-1]), curve.iloc[-1], "", colours.HELD_OUT)
    past = forecast.history  # earlier forecasts of the final loss, against the step at which they were made
    panel.fill_between(past["step"], past["low"], past["high"], color=colours.HELD_OUT, alpha=marks.BAND, linewidth=0)
    marks.points(panel, past["step"], past["final"], colours.HELD_OUT, size=3.6, linestyle="-", linewidth=1.2)
    _dress(ax, panel, forecast)
    name = "run" if forecast.run == "DataFrame" else labels.trimmed(forecast.run)
    entries: list[Artist] = [
        legend.dots(colours.FITTED, f"{name}, so far"),
        legend.stroke(colours.HELD_OUT, "forecast", dashed=True),
        Patch(color=colours.HELD_OUT, alpha=marks.BAND, linewidth=0, label=f"{100 * forecast.level:.0f} % interval"),
    ]
    if measured is not None:
        marks.points(ax, [forecast.steps], [measured], colours.TARGET, hollow=True, size=6.0, zorder=7)
        panel.axhline(measured, color=colours.TARGET, linewidth=1.0, linestyle=":")
        entries.append(legend.dots(colours.TARGET, "measured since", hollow=True))
    canvas.warn_of(ax, [check.text for check in forecast.warnings])
    legend.place(ax, entries)
    return ax


def _dress(ax: Axes, panel: Axes, forecast: PartialForecast) -> None:
    ax.set_ylabel(labels.axis_label("loss"))
    panel.set_ylabel("forecast of\nthe final loss")
    panel.set_xlabel(labels.axis_label("step"))
    ticks.set_linear(panel, "x", ticks.short_number)
    ticks.set_linear(ax, "y", ticks.plain)
    ticks.set_linear(panel, "y", ticks.plain, nbins=4)
    seen = forecast.seen[forecast.seen["step"] >= SETTLED * forecast.steps]
    values = np.concatenate([seen["loss"], forecast.curve["low"], forecast.curve["high"]])
    canvas.limit(ax, values, 0.06, forecast.steps)
    ax.get_figure().align_ylabels([ax, panel])  # type: ignore[union-attr]
