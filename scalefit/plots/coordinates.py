"""The coordinate check: size of what each module puts out against the size of the model, and its slope."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from scalefit.numerics import FloatArray, flatness
from scalefit.plots import canvas, colours, labels, legend, ticks
from scalefit.plots.narrow import NARROW
from scalefit.stability.coordinates import CoordinateSlopes

SHAPES = "osD^v<>ph"  #: markers of the modules, so that lines on top of each other can be told apart
APART = 0.01  #: share of the axis by which the markers of neighbouring modules are moved apart
LONGEST = 24  #: letters of a module's name in the legend; of a longer one its end is shown
ROOM = 1.08  #: of the y axis, beyond the largest change


def plot_coordinates(
    table: pd.DataFrame,
    slopes: Mapping[str, float],
    *,
    verdicts: Mapping[str, str] | None = None,
    gate: float = 0.1,
    name: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw how the mean |x| of each module changes with the size of the model, relative to the smallest one.

    ``table``: columns module, the size (its name is on the axis), step, seed, mean_abs; of each module the rows of one
    step, that of the slope. ``slopes``: of log mean |x| in log size, by module; ``verdicts``: on them (default: flat
    below ``gate``, else it fails). What is not flat is drawn dashed and hollow. Dots are means over seeds, bars from
    the least seed to the largest, lines the power law of the slope; the shaded wedge is what the gate allows.
    ``name``: of the parametrisation, in the title.
    """
    given, ax = ax, canvas.new_axes(ax)
    over = str(table.columns[1])
    sizes = np.array(sorted(table[over].unique()), dtype=float)
    ratio = sizes / sizes[0]
    ax.fill_between(sizes, ratio**-gate, ratio**gate, color="0.88", linewidth=0, zorder=0.5)
    judged = verdicts or {module: flatness(slope, np.nan, np.nan, gate) for module, slope in slopes.items()}
    colour = colours.kinds(list(slopes))
    entries = []
    for number, (module, slope) in enumerate(slopes.items()):
        rows = table[table["module"] == module]
        hollow = judged[module] != "flat"
        shift = ratio[-1] ** (APART * (number - (len(slopes) - 1) / 2))
        shown = _draw(ax, rows, sizes, slope, colour[module], hollow, shift, SHAPES[number % len(SHAPES)])
        text = labels.signed(slope, 3) if np.isfinite(slope) else "not finite"
        name_of = module if len(module) <= LONGEST else f"…{module[1 - LONGEST :].lstrip('.')}"
        shown.set_label(f"{name_of} {text}")
        entries.append(shown)
    _scale(ax, table, sizes, over)
    ax.set_title(_verdict(judged, over, name), loc="left", fontsize="medium")
    wedge = Patch(color="0.88", label=f"allowed: ±{gate:g}")
    own = ax is not given and ax.figure.canvas.figure.get_figwidth() < NARROW
    put = legend.below if own else legend.place
    put(ax, [*entries, wedge], f"slope in {labels.axis_label(over)}")
    return ax


def plot_slopes(found: CoordinateSlopes, *, ax: Axes | None = None) -> Axes:
    """The same figure of measured activations, see :func:`scalefit.coordinate_slopes`."""
    last = found.table.set_index("module")["step"]
    at_last = found.points[found.points["step"] == found.points["module"].map(last)]
    slopes = dict(zip(found.table["module"], found.table["slope"], strict=True))
    verdicts = dict(zip(found.table["module"], found.table["verdict"], strict=True))
    return plot_coordinates(at_last, slopes, verdicts=verdicts, gate=found.gate, ax=ax)


def _draw(
    ax: Axes, rows: pd.DataFrame, sizes: FloatArray, slope: float, colour: str, hollow: bool, shift: float, shape: str
) -> Line2D:
    """One module: means with the range of the seeds, and the power law through them. The legend's entry."""
    by_size = rows.groupby(rows.columns[1])["mean_abs"].agg(["mean", "min", "max"]).reindex(sizes)
    unit = float(by_size["mean"].iloc[0])
    mean, low, high = (by_size[end].to_numpy() / unit for end in ("mean", "min", "max"))
    dot = legend.marker(colour, hollow, 5.0) | {"marker": shape}
    ax.errorbar(sizes * shift, mean, yerr=[mean - low, high - mean], color=colour, linestyle="", capsize=2, **dot)
    line: legend.Line = "--" if hollow else "-"
    if np.isfinite(slope) and (mean > 0).all():
        ratio = sizes / np.exp(np.log(sizes).mean())
        ax.plot(sizes, np.exp(np.log(mean).mean()) * ratio**slope, color=colour, linestyle=line, linewidth=1.3)
    return Line2D([], [], color=colour, linestyle=line, **dot)


def _scale(ax: Axes, table: pd.DataFrame, sizes: FloatArray, over: str) -> None:
    """Log axes: the sizes as they are, the change in factors of two around one."""
    number = labels.numbers_of(over)
    ticks.set_fixed(ax, sizes.tolist(), [number(size) for size in sizes])
    ticks.set_log(ax, "y", ticks.plain)
    means = table.groupby(["module", over])["mean_abs"].mean().unstack(0)
    change = (means / means.iloc[0]).to_numpy()
    reach = np.nanmax(np.abs(np.log2(np.where(change > 0, change, np.nan)))) if np.isfinite(change).any() else 1.0
    reach = ROOM * max(float(reach), 1.0)
    ax.set_ylim(2**-reach, 2**reach)
    ax.set_xlabel(labels.axis_label(over))
    ax.set_ylabel(f"mean |x|, times that at {number(float(sizes[0]))}")


def _verdict(verdicts: Mapping[str, str], over: str, name: str) -> str:
    """What the check says, in words."""
    start = f"{name}, " if name else ""
    failed = [module for module, verdict in verdicts.items() if verdict not in ("flat", "undecided")]
    if failed:
        return f"{start}FAIL: {_joined(failed)} {'change' if failed[1:] else 'changes'} with {labels.axis_label(over)}"
    open_ = [module for module, verdict in verdicts.items() if verdict == "undecided"]
    if open_:
        return f"{start}undecided whether {_joined(open_)} {'keep their' if open_[1:] else 'keeps its'} size"
    return f"{start}pass: every module keeps its size"


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
