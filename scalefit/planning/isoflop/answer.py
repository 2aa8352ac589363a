"""What three approaches say of the best size, as text, tables and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.answers import Shown, as_lines, far_out, interval
from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.reach import BELOW, BEYOND, decades_beyond, in_words, too_far
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.planning.isoflop.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVEL = 0.9


def _empty() -> FloatArray:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Found:
    """One approach: N* = exp(log_factor) C^exponent, with the lines of its draws."""

    what: str
    exponent: float
    log_factor: float
    lines: FloatArray  #: (draws, 2): exponent and log_factor
    optima: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["C", "N", "D", "loss"]))
    sizes: FloatArray = field(default_factory=_empty)  #: (draws, optima): the best size of each budget
    left_out: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()  #: optima at the edge of what was tried

    def exponent_ends(self) -> tuple[float, float]:
        """The 90 % interval of the exponent of N."""
        return _ends(self.lines[:, 0], self.exponent)

    def size(self, C: float) -> tuple[float, float, float]:
        """The best size at a compute, with its interval."""
        logs = self.lines[:, 1] + self.lines[:, 0] * np.log(C)
        own = self.log_factor + self.exponent * float(np.log(C))
        low, high = _ends(logs, own)
        return float(np.exp(own)), float(np.exp(low)), float(np.exp(high))


def _ends(values: FloatArray, own: float) -> tuple[float, float]:
    """The interval of draws, which holds the value ``own`` that they belong to; NaN without any.

    Resampled runs of a budget leave sizes out, so that a minimum which one size makes is in few of the draws.

    >>> tuple(round(end, 3) for end in _ends(np.linspace(1, 2, 101), 2.1))
    (1.05, 2.1)
    """
    kept = values[np.isfinite(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), own), max(float(high), own)


def _are_apart(two: list[tuple[float, float, float]]) -> bool:
    """Whether two intervals do not overlap; False where there are none."""
    return max(low for _, low, _ in two) > min(high for _, _, high in two)


def _both(two: list[tuple[float, float, float]], form: str) -> str:
    return " and ".join(interval(each, form) for each in two)


@dataclass(frozen=True, eq=False, repr=False)
class IsoFlopStudy(Shown):
    """What :func:`scalefit.isoflop` found."""

    found: Mapping[str, Found]  #: by approach
    points: pd.DataFrame  #: N, D, C and loss of the runs
    sizes: pd.DataFrame  #: the same with one row a size and budget, through which the curves of the budgets go
    curve: Curve
    target: float  #: FLOP at which the best size is predicted
    law: Fit | None  #: approach 3
    bias: Mapping[str, float] | None  #: of approach 2 at these sizes if the law were exact: exponent, N, D
    missing: Mapping[str, str]  #: why an approach is not there

    @property
    def table(self) -> pd.DataFrame:
        """One row per approach: exponents of N and D, the best size and data at the target, with intervals."""
        rows = {}
        for name, each in self.found.items():
            low, high = each.exponent_ends()
            N, N_low, N_high = each.size(self.target)
            row = {"exponent_N": each.exponent, "exponent_N_low": low, "exponent_N_high": high}
            row |= {"exponent_D": 1 - each.exponent, "exponent_D_low": 1 - high, "exponent_D_high": 1 - low}
            D = self.target / 6
            row |= {"N": N, "N_low": N_low, "N_high": N_high, "D": D / N, "D_low": D / N_high, "D_high": D / N_low}
            rows[name] = row
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("approach")

    @property
    def optima(self) -> pd.DataFrame:
        """The best size of each budget by approach 2, with its interval; empty where there is none."""
        second = self.found.get("approach 2")
        if second is None:
            return pd.DataFrame(columns=["C", "N", "N_low", "N_high", "D", "loss"])
        pairs = zip(second.sizes.T, second.optima["N"], strict=True) if len(second.sizes) else ()
        ends = [_ends(column, float(own)) for column, own in pairs]
        table = second.optima.copy()
        table.insert(2, "N_low", [low for low, _ in ends] or np.nan)
        table.insert(3, "N_high", [high for _, high in ends] or np.nan)
        return table

    @property
    def disagreements(self) -> list[str]:
        """Pairs of approaches whose intervals do not overlap, in the exponent or at the target."""
        lines = []
        for (one, first), (other, second) in combinations(self.found.items(), 2):
            slopes = [(each.exponent, *each.exponent_ends()) for each in (first, second)]
            sizes = [each.size(self.target) for each in (first, second)]
            apart = [f"the exponent of N: {_both(slopes, '.3f')}"] * _are_apart(slopes)
            apart += [f"N* at {self.target:.3g} FLOP: {_both(sizes, '.3g')}"] * _are_apart(sizes)
            if apart:
                lines.append(f"{one} and {other} disagree beyond their intervals on {'; on '.join(apart)}")
        return lines

    @property
    def cautions(self) -> tuple[Check, ...]:
        """A warning where the target lies too far beyond the budgets of the runs."""
        low, high = float(self.points["C"].min()), float(self.points["C"].max())
        span, far = float(np.log10(high / low)), self._decades_beyond
        if not too_far(far, span):
            return ()
        text = f"C lies {in_words(far, span, 'the runs', self._side)}: they do not support a size so far out"
        return (Check("far-beyond", f"{text}; add runs at larger budgets"),)

    @property
    def _side(self) -> str:
        return BELOW if self.target < float(self.points["C"].min()) else BEYOND

    @property
    def _decades_beyond(self) -> float:
        ranges = {"C": (float(self.points["C"].min()), float(self.points["C"].max()))}
        return float(decades_beyond(ranges, {"C": np.array([self.target])})["C"][0])

    @property
    def ok(self) -> bool:
        """Whether the approaches agree within their intervals, and the target is within reach of the runs."""
        return not self.disagreements and not self.cautions

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The isoFLOP curves with their minima, and the lines of the approaches through them."""
        from scalefit.plots.isoflop import plot_isoflop

        return plot_isoflop(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        rows = []
        for name, row in self.table.iterrows():
            N = f"{row['N']:.3g} [{row['N_low']:.3g}, {row['N_high']:.3g}]"
            a = f"{row['exponent_N']:.3f} [{row['exponent_N_low']:.3f}, {row['exponent_N_high']:.3f}]"
            b = f"{row['exponent_D']:.3f} [{row['exponent_D_low']:.3f}, {row['exponent_D_high']:.3f}]"
            rows.append(
                {"approach": str(name), "a in N* ~ C^a": a, "b in D* ~ C^b": b, f"N* at {self.target:.3g} FLOP": N}
            )
        lines = [self._headline(), "", as_lines(pd.DataFrame(rows)).replace("nan", "-"), ""]
        lines += [f"{name}: {each.what}" for name, each in self.found.items()]
        lines += [f"no {name}: {why}" for name, why in self.missing.items()]
        optima = self.optima
        if len(optima):
            shown = optima.map(lambda value: f"{value:.4g}" if value == value else "-")
            lines += ["", "best size of each budget (approach 2):", as_lines(shown)]
        for each in self.found.values():
            lines += [f"  left out: {text}" for text in each.left_out]
            lines += [f"  at the edge: {text}" for text in each.edges]
        if self.bias is not None:
            lines += ["", self._bias_text(self.bias)]
        checks = (*self.cautions, *(self.law.warnings if self.law else ()))
        return [*lines, *doubted([*self.disagreements, *(check.text for check in checks)])]

    def _headline(self) -> str:
        """The best size at the target by each approach, and whether they agree."""
        sizes = [f"{interval(each.size(self.target))} by {name}" for name, each in self.found.items()]
        agree = "" if len(sizes) < 2 else "; they disagree" if self.disagreements else "; they agree"
        reach = far_out(self._decades_beyond, self._side)
        return f"best size at {self.target:.3g} FLOP: N* {', '.join(sizes)}{agree}; {reach}"

    def _bias_text(self, bias: Mapping[str, float]) -> str:
        where = f"N* at {self.target:.3g} FLOP by {100 * bias['N']:+.2g} %"
        return f"bias of approach 2 at these sizes, if the law were exact: exponent {bias['exponent']:+.4f}, {where}"
