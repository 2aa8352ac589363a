"""Settings of a planned run as an answer: by your fits, by published rules, with what each counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.answers import Shown, interval, said
from scalefit.diagnosis.checks import Check
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.planning.hyperparameters.fitted import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "peak_lr": "peak learning rate",
    "batch": "batch (tokens a step)",
    "critical_batch": "critical batch (tokens a step): twice the least steps",
    "timescale": "AdamW timescale (share of the run)",
    "weight_decay": "weight decay = batch/(learning rate x timescale x D)",
}
SHORT = {"peak_lr": "the peak learning rate", "batch": "the batch"}
SAID = ("N", "D", "batch")  #: shown as 7B
APART = 2.0  #: a factor between rules from which on the answer advises a sweep


@dataclass(frozen=True, eq=False, repr=False)
class Hyperparameters(Shown):
    """What :func:`scalefit.plan` found with ``hyperparameters``."""

    fits: tuple[Fit, ...]
    at: Mapping[str, float]
    settings: tuple[Setting, ...]  #: the fitted ones first
    conventions: tuple[str, ...]  #: what each source counts
    cautions: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per setting and source: value, 90 % interval (NaN for rules), note."""
        rows = []
        for each in self.settings:
            low, high = each.ends
            row = {"setting": each.name, "source": each.source, "value": each.value, "low": low, "high": high}
            rows.append(row | {"note": each.note})
        return pd.DataFrame(rows, columns=["setting", "source", "value", "low", "high", "note"])

    @property
    def ok(self) -> bool:
        """Whether no fit has warnings and the place lies within their reach; rules have neither."""
        return all(fit.ok for fit in self.fits) and not self.cautions

    def value(self, setting: str, source: str) -> float:
        """One setting by the source whose name begins so. Raises KeyError where there is none."""
        for each in self.settings:
            if each.name == setting and each.source.startswith(source):
                return each.value
        raise KeyError(f"no {setting} by {source}")

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Learning rates against batches: the contours of the fitted surface, the fits with intervals, the rules."""
        from scalefit.plots.hyperparameters import plot_hyperparameters

        return plot_hyperparameters(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        first = {name: self.at[name] for name in ("N", "D")}
        known = {name: value for name, value in {**first, **self.at}.items() if not name.startswith("tuned")}
        texts = {name: said(value) if name in SAID else f"{value:.4g}" for name, value in known.items()}
        where = ", ".join(f"{name} = {text}" for name, text in texts.items())
        lines = [f"settings at {where}:", *self._verdict()]
        for name, title in TITLES.items():
            found = [each for each in self.settings if each.name == name]
            width = max((len(each.source) for each in found), default=0)
            lines += [f"  {title}"] if found else []
            lines += [f"    {each.source.ljust(width)}  {self._valued(each)}" for each in found]
        lines += ["", "conventions:", *(f"  {text}" for text in self.conventions)]
        lines += [f"  {fit.law.spec}: {fit.law.equation}, fitted to {fit.rows} rows of {fit.runs} runs"
                  for fit in self.fits]  # fmt: skip
        if any(fit.intervals is not None for fit in self.fits):
            lines.append("  90 % intervals: from the draws of the fits; rules have none")
        warnings = [*self.cautions, *(check for fit in self.fits for check in fit.warnings)]
        return [*lines, *doubted(dict.fromkeys(check.text for check in warnings)), *self.notes]

    def _verdict(self) -> list[str]:
        """What to do, and where the sources differ by much."""
        lines = []
        own = {each.name: each for each in self.settings if each.source.startswith("your fit of lr-batch")}
        if own:
            use = " and ".join(f"{each.name} = {self._valued(replace(each, note=''))}" for name, each in own.items())
            lines.append(f"  use {use}, by your sweep")
        for name in ("peak_lr", "batch"):
            found = [each for each in self.settings if each.name == name and np.isfinite(each.value)]
            if len(found) < 2:
                continue
            low, high = (pick(found, key=lambda each: each.value) for pick in (min, max))
            if high.value >= APART * low.value:
                apart = f"  the sources differ by a factor of {high.value / low.value:.2g} in {SHORT[name]}"
                ends_ = f" ({low.source}: {low.value:.3g}, {high.source}: {high.value:.3g})"
                lines.append(f"{apart}{ends_}: sweep between them before the large run")
        return lines

    def _valued(self, each: Setting) -> str:
        """One value with its interval, the batch also in sequences, and its note."""
        form = said if each.name.endswith("batch") else "{:.3g}".format
        value = form(each.value)
        low, high = each.ends
        if low == low:
            value = f"{value} [{form(low)}, {form(high)}]"
        if each.name.endswith("batch") and "seq_len" in self.at:
            value += f" = {interval((each.value / self.at['seq_len'], np.nan, np.nan), '.4g')} sequences"
        return f"{value}  {each.note}".rstrip()
