"""One figure for each law: what it says, drawn from its declaration. Written while the site is built.

The constants are the first that a source publishes for the law, where one does; else made up so that each term counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from scalefit.laws import Law, find_law, law_names
from scalefit.plots import canvas, colours, labels, legend, ticks
from scalefit.schedules import parse_schedule

SIZE = (5.2, 3.4)
LINES = 4  #: values of the second variable
POINTS = 200  #: along an axis
UP = 0.35  #: how far up its start range a made-up parameter lies
SHARES = (1.0, 0.6, 0.8)  #: sizes of the terms that are linear in a made-up constant
COUNTS = ("step", "steps", "experts", "streams", "granularity", "samples", "examples")
#: schedules under which a law along the run is drawn
SCHEDULES = {
    "constant": "constant:peak_lr={lr:g},steps=20000,warmup=500",
    "cosine": "cosine:peak_lr={lr:g},steps=20000,warmup=500",
    "wsd": "wsd:peak_lr={lr:g},steps=20000,warmup=500,decay_steps=4000",
}
SWITCH = 10_000  #: step at which a second stage of training begins, for a law of two
STEEP = 1e3  #: times the median, from where on a curve that grows beyond all numbers is cut off
FALL = 0.1  #: size of a made-up term that lowers the target, such as the gain of annealing
#: made-up constants where the middle of all ranges would turn the law upside down
ODD = {"observational": {"floor": 0.25, "top": 0.9}, "reinforcement": {"R0": 0.3, "A": 0.7}}
ODD |= {"annealing-transfer": {"C": 2.0}}
TEMPLATE = "![What the law {name} says, {how}]({folder}{name}-light.svg){{.only-light}}\n"
TEMPLATE += "![What the law {name} says, {how}]({folder}{name}-dark.svg){{.only-dark}}\n\n*{how_}.*\n"


def written(folder: Path) -> None:
    """Write the figures, on a light and on a dark page, and the page that shows them all."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        "# Gallery of laws\n",
        "What each law says. A constant is a source's where the line below a figure says so.\n",
    ]
    for name in law_names():
        law = find_law(name)
        light, dark = canvas.as_svg(figure(law))
        (folder / f"{name}-light.svg").write_text(light, encoding="utf-8")
        (folder / f"{name}-dark.svg").write_text(dark, encoding="utf-8")
        parts += [f"## [{name}](../laws/{name}.md)\n", f"`{law.equation}`\n", shown(law, "laws/")]
    (folder.parent / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


def shown(law: Law, folder: str) -> str:
    """The figure of a law in Markdown."""
    source = constants(law)[1]
    how = f"with the constants of {source}" if source else "with made-up constants"
    return TEMPLATE.format(name=law.name, folder=folder, how=how, how_=how[0].upper() + how[1:])


def figure(law: Law) -> Axes:
    """The target against the first variable for several values of the second, or along a run under three schedules."""
    ax = canvas.new_axes(None, SIZE)
    entries = _along_runs(ax, law) if law.is_trajectory else _over_variables(ax, law)
    unit = f" ({law.target_unit})" if law.target_unit not in ("", "1") else ""
    ax.set_ylabel(labels.axis_label(law.target) if law.target == "loss" else f"{law.target}{unit}")
    if entries:
        legend.place(ax, entries[0], entries[1])
    return ax


def _over_variables(ax: Axes, law: Law) -> tuple[list[Any], str] | None:
    first = next(iter(law.variables))
    found, _ = constants(law)
    x = np.geomspace(*law.variables[first].span, POINTS)
    second = strongest(law, found)
    values = np.geomspace(*law.variables[second].span, LINES) if second else np.ones(1)
    if second and law.columns[second] in COUNTS:
        values = np.unique(np.rint(values))
    paint = colours.ramp(values.tolist())
    for value, colour in zip(values, paint, strict=True):
        with np.errstate(invalid="ignore"):  # a law may have no value there
            y = np.ravel(law.evaluate({**middle(law), first: x, **({second: value} if second else {})}, found))
        kept = np.isfinite(y) & (np.abs(y) < STEEP * np.nanmedian(np.abs(y)))
        ax.plot(x[kept], y[kept], color=colour)
    if ticks.suits_log(x):
        ticks.set_log(ax, "x", ticks.short_number)
    _log_where_wide(ax)
    ax.set_xlabel(labels.axis_label(law.columns[first], law))
    if not second:
        return None
    lines = [legend.stroke(c, ticks.short_number(float(f"{v:.2g}"))) for c, v in zip(paint, values, strict=True)]
    return lines, labels.axis_label(law.columns[second], law)


def middle(law: Law) -> dict[str, np.ndarray]:
    """Every variable at the middle of its span."""
    return {name: np.full(1, float(np.sqrt(np.prod(one.span)))) for name, one in law.variables.items()}


def strongest(law: Law, found: dict[str, float]) -> str:
    """Of the other variables that which changes the target most over its span; none where there is no other."""
    others = list(law.variables)[1:]
    change = {
        name: float(np.ptp(law.evaluate({**middle(law), name: np.geomspace(*law.variables[name].span, LINES)}, found)))
        for name in others
    }
    return max(change, key=lambda name: change[name]) if change else ""


def _log_where_wide(ax: Axes) -> None:
    y = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
    ticks.set_value_axis(ax, "y", y.min() > 0 and y.max() / y.min() > 3)


def _along_runs(ax: Axes, law: Law) -> tuple[list[Any], str]:
    found, source = constants(law)
    peak = 3e-4 if source else law.variables[next(iter(law.variables))].span[1] / 30_000
    lines = []
    for (name, text), colour in zip(SCHEDULES.items(), colours.KINDS, strict=False):
        plan = parse_schedule(text.format(lr=peak))
        steps = np.unique(np.geomspace(plan.warmup + 200, plan.steps, POINTS).astype(int))
        variables = law.at_steps(plan.per_step(), plan.warmup, steps, **dict.fromkeys(law.path_columns, SWITCH))
        for other, declared in law.variables.items():
            variables.setdefault(other, np.full(len(steps), float(np.sqrt(np.prod(declared.span)))))
        ax.plot(steps, np.ravel(law.evaluate(variables, found)), color=colour)
        lines.append(legend.stroke(colour, name))
    ax.set_xlabel(labels.axis_label("step"))
    _log_where_wide(ax)
    return lines, "schedule"


def constants(law: Law) -> tuple[dict[str, float], str]:
    """Constants of the law, and whose they are; nobody's where none are published."""
    for one in law.published:
        whole = set(one.parameters) == set(law.parameters) and not one.source.startswith("closed form")
        if whole and "of=" not in one.source:  # those are constants of another option
            return dict(one.parameters), one.source
    return made_up(law), ""


def made_up(law: Law) -> dict[str, float]:
    """Constants with which each term counts in the middle of the variables' spans."""
    rng = np.random.default_rng(0)
    drawn = {
        name: np.exp(rng.uniform(*np.log(one.span), (POINTS, 3) if one.many else POINTS))
        for name, one in law.variables.items()
    }
    found = {}
    for name, one in law.parameters.items():
        low, high = (
            np.quantile(drawn[one.starts], (0.2, 0.8)) if isinstance(one.starts, str) else one.starts or (0.3, 2.0)
        )
        wide = low > 0 and high / low > 10
        found[name] = 0.0 if one.linear else float(low * (high / low) ** UP if wide else low + UP * (high - low))
    found |= ODD.get(law.name, {})
    linear = [name for name, one in law.parameters.items() if one.linear and name not in ODD.get(law.name, {})]
    for name, share in zip(linear, SHARES * len(linear), strict=False):
        term = law.evaluate(drawn, {**found, name: 1.0}) - law.evaluate(drawn, found)
        size = np.abs(np.ravel(term * np.ones(1)))
        found[name] = FALL * share / size.max() if np.median(term) < 0 else share / float(np.median(size))
        found[name] = min(found[name], 0.5 * share * law.parameters[name].high)
    return found
