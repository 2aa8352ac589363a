"""Which further sweep of learning rates would turn an undecided verdict into one: sizes, rates, seeds.

Each plan is tried on futures that the present optima allow: more runs at a size move its optimum within its interval
and narrow it, a new size has its optimum on a drawn line, strayed and measured as well as the others. The chance of a
plan is the share of its futures in which :func:`scalefit.lr_transfer` would say that the optimum transfers, or that it
does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.answers import Shown, as_lines
from scalefit.notices import Line
from scalefit.numerics import FloatArray
from scalefit.transfer.drift import LEAST_ERROR, STRAY, drift_line, interval_of
from scalefit.transfer.lr_transfer import Arm, Transfer, lr_transfer
from scalefit.transfer.optimum import DRAWS
from scalefit.transfer.verdict import verdict_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.runs import Runs
    from scalefit.transfer.sweeps import Sweeps

FUTURES, LINES = 60, 200  #: futures of each plan; draws of each line
LIKELY = 0.8  #: chance from which on a plan is advised
TIMES = (2, 4)  #: as many runs at every size
FACTORS = (0.5, 2.0, 4.0, 8.0)  #: new sizes, over the smallest or the largest
REACH = 2.0  #: octaves on either side of the expected optimum in which rates are tried at a new size
#: of the size, to which the compute of a run is proportional at the same number of steps
POWERS = {"d_model": 2, "N": 1, "n_layer": 1, "D": 1, "batch": 1}
DECIDED = ("transfers", "does not transfer")


@dataclass(frozen=True, eq=False, repr=False)
class NextSweeps(Shown):
    """What :func:`next_sweeps` found; ``table`` has one row for each arm and plan, the cheapest first."""

    transfer: Transfer
    table: (
        pd.DataFrame
    )  #: arm, plan, size (NaN: all), lr_low, lr_high, runs, cost (in runs at the largest size), chance

    @property
    def advised(self) -> pd.DataFrame:
        """The cheapest plan of each undecided arm that is likely to decide it."""
        likely = self.table[self.table["chance"] >= LIKELY]
        return likely.groupby("arm", sort=False).head(1)

    @property
    def stop(self) -> bool:
        """Whether no plan that was tried is likely to decide any arm."""
        return bool(len(self.table)) and not len(self.advised)

    @property
    def ok(self) -> bool:
        """Whether every verdict is there, or is likely to come."""
        return set(self.table["arm"]) <= set(self.advised["arm"])

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The chance of each plan against its number of runs."""
        from scalefit.plots.next_sweeps import plot_next_sweeps

        return plot_next_sweeps(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        lines: list[Line] = []
        for arm in self.transfer.arms:
            own = self.table[self.table["arm"] == arm.name]
            if not len(own):
                lines.append(f"{arm.prefix}decided already: {arm.verdict}")
                continue
            best = self.advised[self.advised["arm"] == arm.name]
            if len(best):
                row = best.iloc[0]
                chance = f"decides whether it transfers with a chance of {100 * row['chance']:.0f} %"
                head = f"next: {row['plan']} ({row['runs']:.0f} runs), which {chance}"
            else:
                most = own.iloc[int(np.argmax(own["chance"]))]
                head = f"stop: no plan is likely to decide it (at best {100 * most['chance']:.0f} %: {most['plan']})"
            lines += [f"{arm.prefix}{head}", f"  now {arm.verdict}", as_lines(_shown(own)), ""]
        if not len(self.table):
            return lines
        futures = f"in {FUTURES} simulated outcomes of each plan that agree with the present optima"
        lines.append(f"decides: share of decided verdicts {futures}; a plan is advised from {100 * LIKELY:g} % on")
        scale = f"{self.transfer.sweeps.over}^{POWERS.get(self.transfer.sweeps.over, 1)}"
        lines.append(f"cost: in runs at the largest size, proportional to {scale} at the same number of steps")
        return lines


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    rates = [
        "those nearest to the minima" if low != low else f"{low:.3g} to {high:.3g}"
        for low, high in zip(rows["lr_low"], rows["lr_high"], strict=True)
    ]
    chances = [f"{100 * each:.0f} %" for each in rows["chance"]]
    return pd.DataFrame({"plan": rows["plan"], "learning rates": rates, "runs": rows["runs"],
                         "cost": [f"{each:.3g}" for each in rows["cost"]], "decides": chances})  # fmt: skip


def next_sweeps(
    runs: Runs | pd.DataFrame | Sweeps | Transfer, *, draws: int = DRAWS, seed: int = 0, **settings: Any
) -> NextSweeps:
    """Which sizes, learning rates and seeds would turn an undecided verdict of :func:`scalefit.lr_transfer` into one.

    ``runs`` and ``settings``: as for :func:`scalefit.lr_transfer`, or what it found. Plans are two and four times the
    runs at every size, a sweep at half the smallest size or at 2, 4 and 8 times the largest, a sweep with other
    learning rates at a size that has no optimum, and pairs of these. Raises what lr_transfer raises.

    >>> grid = [(w, lr, 2 * np.exp(0.02 * np.log2(lr * w) ** 2)) for w in (64, 128) for lr in 2.0 ** np.arange(-10, -3)]
    >>> next_sweeps(pd.DataFrame(grid, columns=["width", "lr", "loss"])).stop
    False
    """
    found = runs if isinstance(runs, Transfer) else lr_transfer(runs, draws=draws, seed=seed, **settings)
    rows = []
    for arm in found.arms:
        if not arm.verdict.startswith(DECIDED) and arm.found:
            plans = [_judged(found, arm, plan, seed) for plan in _plans(found, arm)]
            rows += sorted(plans, key=lambda row: (row["cost"], -row["chance"]))
    columns = ["arm", "plan", "size", "lr_low", "lr_high", "runs", "cost", "chance"]
    return NextSweeps(found, pd.DataFrame(rows, columns=columns))


@dataclass(frozen=True)
class _Plan:
    """Further runs of one arm."""

    text: str
    runs: int
    cost: float  #: in runs at the largest size with an optimum
    times: int = 1  #: the runs at every size, over those that are there
    size: float = np.nan  #: of a new sweep


def _plans(found: Transfer, arm: Arm) -> list[_Plan]:
    """What is tried."""
    over, cells = found.sweeps.over, {size: found.sweeps.cell(arm.name, size) for size in arm.found}
    one = int(np.median([len(cell) for cell in cells.values()]))
    there = sum(len(cell) for cell in cells.values())
    power, largest = POWERS.get(over, 1), max(cells)
    cost = sum(len(cell) * (size / largest) ** power for size, cell in cells.items())
    more = [
        _Plan(f"{times} times the runs at every {over} (further seeds)", there * (times - 1), cost * (times - 1), times)
        for times in TIMES
    ]
    refused = [size for size, best in arm.optima.items() if best.refused]
    sizes = {size: f"other learning rates at {over} {size:g}" for size in refused}
    new = [(min(cells) * f if f < 1 else largest * f) for f in FACTORS]
    sizes |= {size: f"a sweep at {over} {size:g}" for size in new if size not in refused}
    wider = [_Plan(text, one, one * (size / largest) ** power, 1, size) for size, text in sizes.items()]
    times = TIMES[0]
    both = [
        _Plan(
            f"{each.text}, {times} times the runs at the others", each.runs + there, each.cost + cost, times, each.size
        )
        for each in wider
    ]
    return [*more, *wider, *both]


def _judged(found: Transfer, arm: Arm, plan: _Plan, seed: int) -> dict[str, Any]:
    """The chance that a plan decides the verdict, and which learning rates it tries at a new size."""
    sizes = np.array(list(arm.found))
    logs = np.array([best.log2 for best in arm.found.values()])
    variance = np.array([max(float(np.var(best.draws)), LEAST_ERROR**2) for best in arm.found.values()])
    rng = np.random.default_rng([seed, 3])
    decided = 0
    for future in range(FUTURES):
        x, y, left = _future(arm, plan, sizes, logs, variance, rng)
        drawn = y[:, None] + np.sqrt(left)[:, None] * rng.standard_normal((len(x), LINES))
        _, slope = drift_line(np.log2(x / arm.origin), np.concatenate([y[:, None], drawn], axis=1), future)
        drift = interval_of(slope) if len(x) > 1 else arm.drift
        decided += verdict_of(arm.name, arm.over, drift, x).startswith(DECIDED)
    low, high = np.nan, np.nan
    if np.isfinite(plan.size):
        low, high = _rates(arm, plan.size)
    row = {"arm": arm.name, "plan": plan.text, "size": plan.size, "lr_low": low, "lr_high": high}
    return row | {"runs": plan.runs, "cost": plan.cost, "chance": decided / FUTURES}


def _future(
    arm: Arm, plan: _Plan, sizes: FloatArray, logs: FloatArray, variance: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sizes, measured log2 optima and their variances after a plan, in one future."""
    left = variance / plan.times
    y = logs + np.sqrt(variance - left) * rng.standard_normal(len(sizes))
    if not np.isfinite(plan.size):
        return sizes, y, left
    k = int(rng.integers(1, len(arm.height))) if len(arm.height) > 1 else 0
    slope = arm.slope[k] if np.isfinite(arm.slope[k]) else STRAY * rng.standard_normal()
    place = arm.height[k] + slope * np.log2(plan.size / arm.origin)
    usual = float(np.median(variance))
    place += np.hypot(STRAY, np.sqrt(usual)) * rng.standard_normal()
    return np.append(sizes, plan.size), np.append(y, place), np.append(left, usual)


def _rates(arm: Arm, size: float) -> tuple[float, float]:
    """The learning rates to try at a size: around the law's optimum, within what a refused sweep leaves."""
    best = arm.optima.get(size)
    low, high = best.within if best is not None else (-np.inf, np.inf)
    if np.isfinite(low) != np.isfinite(high):  # beyond one end of the grid that was tried
        return (2.0**low, 2.0 ** (low + 2 * REACH)) if np.isfinite(low) else (2.0 ** (high - 2 * REACH), 2.0**high)
    middle = np.log2(arm.at(size).value) if np.isfinite(arm.slope[0]) else arm.height[0]
    return float(2.0 ** (middle - REACH)), float(2.0 ** (middle + REACH))
