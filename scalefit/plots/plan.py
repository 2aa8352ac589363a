"""A plan: valleys of equal compute, the path of their bottoms with its band, and the targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.answer import Plan
from scalefit.planning.allocation.spread import ends
from scalefit.planning.allocation.surface import Surface, surface_of
from scalefit.plots import canvas, colours, labels, legend, marks, samples, ticks

SIDE = 9.0  #: a valley is drawn from the best size over this to the best size times this
HIGHEST = 1.12  #: and up to this times its least loss
POINTS = 121
STOPS, FEW_STOPS = 31, 9  #: points of the path; where several columns are free
VALLEYS = 3  #: budgets drawn inside the fitted range; beside many targets only the least
NEAR = 1.5  #: budgets of the fitted range closer to a target than this factor are not drawn
MOST_DOTS = 400
MOST_NAMED = 2  #: targets whose numbers are printed beside them


def plot_plan(plan: Plan, *, ax: Axes | None = None) -> Axes:
    """Draw the loss against size: a valley for each budget, the path of their bottoms, the targets as stars.

    Valleys and path are solid within the compute of the fitted runs (dots, in the colour of their compute, with the
    inference that budgets pay for) and dashed beyond; the band of the path is the 90 % interval of the best size. A
    loss that is never reached is drawn as a line beside the floor of the law. Raises InputError for a law whose runs
    have no compute.
    """
    surface = _free(plan)
    ax = canvas.new_axes(ax)
    rows = _fitted(plan, surface)
    aims = plan.table[plan.table["C"].notna()] if "C" in plan.table else plan.table.iloc[:0]
    goals = sorted({float(budget) for budget in aims["C"] if np.isfinite(budget)}) if len(aims) else []
    low, high = float(rows["C"].min()), float(rows["C"].max())
    valleys = VALLEYS if len(goals) <= MOST_NAMED else 1
    inside = [C for C in np.geomspace(low, high, valleys) if all(max(C / g, g / C) > NEAR for g in goals)]
    budgets = sorted([*inside, *goals])
    paint = _paint([low, high, *budgets])
    size = surface.free[0]
    dots = rows.iloc[samples.thinned(len(rows), MOST_DOTS)]
    for C, N, loss in zip(dots["C"], dots[size], dots["measured"], strict=True):
        marks.points(ax, [N], [loss], paint(C), size=3.2, alpha=0.55, zorder=2)
    for C in budgets:
        _valley(ax, surface, C, paint(C), "-" if low / 1.001 <= C <= high * 1.001 else "--")
    banded = _path(ax, plan, surface, low, high, max([high, *goals]))
    _targets(ax, plan, aims, size)
    _floors(ax, plan)
    ax.set_xlabel(labels.axis_label(size, plan.fit.law))
    ax.set_ylabel(labels.target_label(plan.fit))
    ticks.set_log(ax, "x", labels.numbers_of(size))
    ticks.set_value_axis(ax, "y", plan.fit.settings.residuals == "log")
    entries = [legend.stroke(paint(C), ticks.power_of_ten(float(f"{C:.2g}")), not low <= C <= high) for C in budgets]
    entries += [legend.stroke(colours.TARGET, "best size" + (", 90 % interval" if banded else ""))]
    canvas.warn_of(ax, [check.text for check in (*plan.cautions, *plan.fit.warnings)])
    counted = "training and inference" if surface.cost.inference else "compute"
    legend.place(ax, entries, title=f"{counted} (FLOP)")
    return ax


def _free(plan: Plan) -> Surface:
    """The surface with N and D free again, where the plan held one of them."""
    surface = plan.surface
    if surface.free and surface.has_budget:
        return surface
    if not surface.has_budget or "D" not in surface.law.columns.values():
        what = f"law {surface.law.name} has no budget to draw valleys of"
        raise InputError(what, where="plot", todo="fit a law of size and data")
    others = {name: value for name, value in surface.held.items() if name not in ("N", "D")}
    found = surface_of(surface.law, surface.table, surface.cost, others)
    if not found.free:
        what = f"{', '.join(others)} are held, so that there is one size and no valley to draw"
        raise InputError(what, where="plot", todo="draw the loss of that model with scalefit predict --at ... --plot")
    return found


def _fitted(plan: Plan, surface: Surface) -> pd.DataFrame:
    """The fitted runs with what budgets count: their training, and their inference where that is planned for."""
    rows = samples.fitted_rows(plan.fit)
    values = {**surface.held, **{name: rows[name].to_numpy(float) for name in plan.fit.law.columns.values()}}
    return rows.assign(C=surface.cost(values))


def _paint(budgets: list[float]) -> colours.Painter:
    return colours.painter(min(budgets), max(budgets))


def _valley(ax: Axes, surface: Surface, budget: float, colour: str, style: str) -> None:
    """The loss of all sizes at one budget; what else is free stays at its best there."""
    one = surface.take([0])
    best = {name: float(values[0]) for name, values in one.optimum(budget).items()}
    size = surface.free[0]
    N = best[size] * np.geomspace(1 / SIDE, SIDE, POINTS)
    chosen = {size: N[None, :], **{name: best[name] for name in surface.free[1:]}}
    loss = one.loss(one.spent(budget, chosen))[0]
    least = float(one.least(budget)[0])
    shown = np.isfinite(loss) & (loss <= least + (HIGHEST - 1) * abs(least))
    ax.plot(N[shown], loss[shown], color=colour, linewidth=1.5, linestyle=style, zorder=3)


def _path(ax: Axes, plan: Plan, surface: Surface, low: float, high: float, last: float) -> bool:
    """The bottoms of all valleys up to the last target; whether they have a band."""
    stops = STOPS if len(surface.free) == 1 else FEW_STOPS
    C = np.unique(np.concatenate([np.geomspace(low, high, stops), np.geomspace(high, last, stops)]))
    few = plan.fit.intervals.few if plan.fit.intervals else 1.0
    N, sides, loss = np.empty(len(C)), np.empty((len(C), 2)), np.empty(len(C))
    for i, budget in enumerate(C):
        best = surface.optimum(budget)
        N[i], sides[i] = best[surface.free[0]][0], ends(best[surface.free[0]], few)
        loss[i] = replace(surface, table=surface.table[:1]).at({name: v[:1] for name, v in best.items()})[0]
    for part, style in ((high >= C, "-"), (high <= C, "--")):
        ax.plot(N[part], loss[part], color=colours.TARGET, linewidth=1.3, linestyle=style, zorder=4)
    banded = bool(np.isfinite(sides).all())
    if banded:
        ax.fill_betweenx(loss, *_inside(sides), color=colours.TARGET, alpha=marks.BAND, linewidth=0, zorder=1)
    return banded


def _inside(sides: FloatArray) -> tuple[FloatArray, FloatArray]:
    return sides[:, 0], sides[:, 1]


def _targets(ax: Axes, plan: Plan, aims: pd.DataFrame, size: str) -> None:
    """A star for each target, with its size and its loss; of many only the last is named."""
    named = {len(aims) - 1} if len(aims) > MOST_NAMED else set(range(len(aims)))
    for i, (_, row) in enumerate(aims.iterrows()):
        N = row[size] if size in row and np.isfinite(row[size]) else plan.surface.held.get(size, np.nan)
        if np.isfinite(N):
            shown = pd.Series({"predicted": row["loss"], "low": row["low"], "high": row["high"]}).dropna()
            marks.star(ax, float(N), shown, labels.point_text({size: float(f"{N:.3g}")}), named=i in named)


def _floors(ax: Axes, plan: Plan) -> None:
    """Losses that are never reached, and the floor."""
    if "floor" not in plan.table:
        return
    rows = plan.table.dropna(subset=["floor"])
    for _, row in rows.iterrows():
        ax.axhline(row["aim"], color=colours.WARNING, linewidth=1.0, linestyle=":")
        ax.annotate(f"loss {row['aim']:g}: unreachable", (0.01, row["aim"]), xycoords=("axes fraction", "data"),
                    fontsize="small", color=colours.WARNING, va="top")  # fmt: skip
    first = rows.iloc[0]
    ax.axhline(first["floor"], color=colours.QUIET, linewidth=1.0)
    if np.isfinite(first["floor_low"]):
        ax.axhspan(first["floor_low"], first["floor_high"], color=colours.QUIET, alpha=marks.BAND, linewidth=0)
    ax.annotate("floor of the law", (0.99, first["floor"]), xycoords=("axes fraction", "data"), fontsize="small",
                color=colours.QUIET, va="bottom", ha="right")  # fmt: skip
