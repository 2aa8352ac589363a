"""Loss along runs under learning-rate schedules, with the learning rate on a thin panel below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks
from scalefit.runs import Runs
from scalefit.schedules import Schedule

SIZE = (6.4, 5.0)
DOTS = (15, 42)  #: measured points drawn of a short run and of the longest one
MOST_VERTICES = 1500  #: of the line of one run
MOST_NAMES = 10  #: runs that the legend names
SETTLED = 0.2  #: the y axis begins at the loss after this share of the middle run


def plot_curves(
    fit: Fit,
    held_out: Runs | pd.DataFrame | None = None,
    *,
    ax: Axes | None = None,
    target: Mapping[str, Any] | None = None,
    lr_panel: bool = True,
    whole: bool = False,
) -> Axes:
    """Draw a trajectory law: loss against step, fitted runs filled and solid, held-out ones hollow and dashed.

    The learning rate is drawn on a panel below, which is reachable as ``ax.lr_axes``; for fitted runs it is the mean
    between two logged points. ``target`` is a schedule never run, as :meth:`Fit.predict` takes it
    (``{"schedule": "cosine:...", "N": "1B"}``): its predicted curve is drawn with its interval, and its end marked. The
    y axis leaves out the first steep drop unless ``whole``.
    """
    ax, panel = _sheet(fit, ax, lr_panel)
    fitted, held = samples.fitted_rows(fit), samples.held_rows(fit, held_out)
    shown = pd.concat([fitted, held])
    paint = _paint(shown)
    logs = samples.as_runs(held_out)
    for table, is_held in ((fitted, False), (held, True)):
        for run, rows in table.groupby("run", sort=False):
            colour = paint[str(run)]
            _draw_dots(ax, rows, colour, is_held, _gap(shown))
            some = rows.iloc[samples.thinned(len(rows), MOST_VERTICES)]
            marks.line(ax, some["step"], some, colour, "--" if is_held else "-", 1.4)
            lr = _mean_lr(rows)
            if is_held and logs is not None:
                lr = _corners(np.asarray(logs.trajectory(str(run)).lr))
            _draw_lr(panel, *lr, colour, is_held)
    entries = _entries(fit, fitted, held, paint)
    if target:
        rows, entry = _draw_target(ax, panel, fit, target)
        shown, entries = pd.concat([shown, rows]), [*entries, entry]
    return _dress(ax, panel, fit, None if whole else shown, entries)


def plot_schedule_prediction(
    fit: Fit,
    schedule: str | Schedule,
    *,
    measured: Runs | pd.DataFrame | None = None,
    ax: Axes | None = None,
    lr_panel: bool = True,
    whole: bool = False,
    **at: Any,
) -> Axes:
    """Draw the loss curve that a fit predicts for a schedule never run, over the fitted runs in grey.

    ``at`` holds what else the law needs (``N="1B"``); ``measured`` is the run, where it was made later.
    The learning rate is drawn on a panel below (``ax.lr_axes``).
    """
    ax, panel = _sheet(fit, ax, lr_panel)
    fitted, later = samples.fitted_rows(fit), samples.held_rows(fit, measured)
    for _, rows in fitted.groupby("run", sort=False):
        ax.plot(rows["step"], rows["measured"], color=colours.QUIET, linewidth=0.9, alpha=0.7)
        _draw_lr(panel, *_mean_lr(rows), colours.QUIET, held=False)
    handles = [legend.stroke(colours.QUIET, "measured, fitted runs")]
    for _, rows in later.groupby("run", sort=False):
        _draw_dots(ax, rows, colours.HELD_OUT, held=True, gap=_gap(later))
    predicted, entry = _draw_target(ax, panel, fit, {"schedule": schedule, **at}, colours.HELD_OUT)
    handles.append(entry)
    if np.isfinite(later["measured"]).any():
        text = samples.error_text(fit, later)
        handles.append(legend.dots(colours.HELD_OUT, f"measured later ({text} mean error)", hollow=True))
    return _dress(ax, panel, fit, None if whole else pd.concat([fitted, later, predicted]), handles)


def _sheet(fit: Fit, ax: Axes | None, lr_panel: bool) -> tuple[Axes, Axes | None]:
    """The axes of the loss and those of the learning rate; refuses a law that follows no schedule."""
    if not fit.law.is_trajectory:
        what = f"law {fit.law.name} does not follow a learning-rate schedule"
        raise InputError(what, where="plot", todo="use plot_fit")
    ax = canvas.new_axes(ax, SIZE)
    return ax, canvas.panel_below(ax) if lr_panel else None


def _paint(rows: pd.DataFrame) -> dict[str, str]:
    """A colour for each run: by model size where sizes differ, else one each."""
    if "N" not in rows.columns or rows["N"].nunique() < 2:
        return colours.kinds([str(run) for run in rows["run"].unique()])
    size = rows.groupby("run", sort=False)["N"].first()
    sizes = sorted(set(size))
    by_size = dict(zip(sizes, colours.ramp(sizes), strict=True))
    return {str(run): by_size[one] for run, one in size.items()}


def _gap(rows: pd.DataFrame) -> float:
    """Steps between the dots of one run, the same for all runs."""
    return float(rows["step"].max()) / DOTS[1]


def _draw_dots(ax: Axes, rows: pd.DataFrame, colour: str, held: bool, gap: float) -> None:
    some = rows[np.isfinite(rows["measured"])]
    most = max(DOTS[0], int(np.ptp(some["step"]) / gap)) if len(some) else DOTS[0]
    some = some.iloc[samples.thinned(len(some), most)]
    if len(some):
        marks.points(ax, some["step"], some["measured"], colour, held, 3.6, alpha=0.75, zorder=2)


def _mean_lr(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The mean learning rate between logged points, from the growth of S1, at the middle of each; may be empty."""
    if "S1" not in rows.columns or len(rows) < 2:
        return np.empty(0), np.empty(0)
    steps = rows["step"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lr = np.diff(rows["S1"].to_numpy(dtype=np.float64)) / np.diff(steps)
    middles = 0.5 * (steps[1:] + steps[:-1])
    return np.concatenate([steps[:1], middles, steps[-1:]]), np.concatenate([lr[:1], lr, lr[-1:]])


def _corners(lr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and learning rates of a run, without the steps at which its slope does not change."""
    bends = np.flatnonzero(np.abs(np.diff(lr, 2)) > 1e-6 * float(lr.max())) + 1
    keep = np.unique(np.concatenate([[0, len(lr) - 1], bends, np.linspace(0, len(lr) - 1, 300).astype(int)]))
    return keep.astype(np.float64), lr[keep]


def _draw_lr(panel: Axes | None, steps: np.ndarray, lr: np.ndarray, colour: str, held: bool) -> None:
    if panel is None or not len(steps):
        return
    panel.plot(steps, lr, color=colour, linewidth=1.1, linestyle="--" if held else "-")


def _draw_target(
    ax: Axes, panel: Axes | None, fit: Fit, at: Mapping[str, Any], colour: str = colours.TARGET
) -> tuple[pd.DataFrame, Line2D]:
    """The predicted curve of a schedule never run, with its end marked; its rows and its entry in the legend."""
    if "schedule" not in at:
        todo = 'give a schedule such as "cosine:peak_lr=3e-4,steps=60000,warmup=1000"'
        raise InputError(f"law {fit.law.name} predicts curves, and no schedule is given", where="plot", todo=todo)
    rows = samples.predicted(fit, at)
    marks.line(ax, rows["step"], rows, colour, "--", 1.6, zorder=4)
    plan = samples.plan_of(at["schedule"])
    _draw_lr(panel, *_corners(plan.per_step()), colour, held=True)
    marks.star(ax, float(rows["step"].iloc[-1]), rows.iloc[-1], "", colour)
    others = {name: rows[name].iloc[-1] for name in at if name in rows.columns}
    words = ", ".join(filter(None, [labels.schedule_text(plan), labels.point_text(others)]))
    entry = legend.stroke(colour, f"predicted: {words}", dashed=True)
    return rows.assign(run="target", measured=np.nan), entry


def _dress(ax: Axes, panel: Axes | None, fit: Fit, shown: pd.DataFrame | None, entries: Sequence[Artist]) -> Axes:
    """Labels, ticks and the legend; the y axis begins after the steep drop of the curves ``shown``, if any are."""
    ax.set_ylabel(labels.target_label(fit))
    ticks.set_linear(ax, "x", ticks.short_number)
    ticks.set_linear(ax, "y", ticks.plain)
    if shown is not None:
        _limit(ax, shown)
    (panel or ax).set_xlabel(labels.axis_label("step"))
    if panel is not None:
        panel.set_ylabel("learning\nrate")
        panel.set_ylim(bottom=0)
        ticks.set_linear(panel, "y", ticks.rate, nbins=3)
        ax.get_figure().align_ylabels([ax, panel])  # type: ignore[union-attr]
    canvas.warn(ax, fit)
    legend.place(ax, entries)
    return ax


def _limit(ax: Axes, shown: pd.DataFrame) -> None:
    """Let the y axis begin below the first steep drop, which would press all else flat; it holds what is predicted."""
    middle = float(shown.groupby("run", sort=False)["step"].max().median())
    settled = shown[shown["step"] >= SETTLED * middle]
    ends = shown.iloc[-1:].reindex(columns=["low", "high"]) if shown["run"].iloc[-1] == "target" else shown.iloc[:0]
    values = np.concatenate([np.ravel(part) for part in (settled[["measured", "predicted"]], ends)]).astype(np.float64)
    values = values[np.isfinite(values)]
    canvas.limit(ax, values, 0.05, float(shown["step"].max()))


def _entries(fit: Fit, fitted: pd.DataFrame, held: pd.DataFrame, paint: dict[str, str]) -> list[Line2D]:
    """What the legend says: each run (or each size), then how fitted and held-out runs are drawn."""
    if "N" in fitted.columns and len(set(paint.values())) < len(paint):
        return _entries_by_size(fit, fitted, held, paint)
    names = labels.short_names(list(paint))
    found = [legend.dots(paint[run], names[run], line="-") for run in dict.fromkeys(fitted["run"])]
    for run, rows in held.groupby("run", sort=False):
        text = samples.error_text(fit, rows)
        words = f"{names[str(run)]}, held out{f' ({text} off)' if text else ''}"
        found.append(legend.dots(paint[str(run)], words, hollow=True, line="--"))
    return legend.some_of(found, MOST_NAMES)


def _entries_by_size(fit: Fit, fitted: pd.DataFrame, held: pd.DataFrame, paint: dict[str, str]) -> list[Line2D]:
    sizes = pd.concat([fitted, held]).groupby("run", sort=False)["N"].first().sort_values()
    by_size = {float(size): paint[str(run)] for run, size in sizes.items()}
    found = [legend.stroke(colour, f"$N$ = {ticks.short_number(size)}") for size, colour in by_size.items()]
    found.append(legend.dots(colours.QUIET, "fitted", line="-"))
    if len(held):
        text = samples.error_text(fit, held)
        words = f"held out{f' ({text} mean error)' if text else ''}"
        found.append(legend.dots(colours.QUIET, words, hollow=True, line="--"))
    return found
