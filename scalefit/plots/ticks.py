"""Log axes whose ticks can be read: 2.2, 2.4 on a loss axis; 100M, 1B, 10T on an axis of sizes; 10^21 for compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import Formatter, FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter, NullLocator

SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
MOST_PLAIN = 99_999.5  #: from here on five digits do not suffice
POWERS_FROM = 1e16  #: from here on numbers are written as powers of ten
LINEAR_BELOW = 4.0  #: a log axis spanning less than this factor gets evenly spaced round numbers
LOG_FROM = 6.0  #: a positive variable that spans this factor is drawn on a log axis
MOST_LABELS = 8
LABEL_EMS, LINE_EMS = 4.6, 1.8  #: room of a label beside others and above others, in its size
STEPS = [1, 2, 2.5, 5, 10]  #: between ticks of a linear axis, times a power of ten
#: the leading digits of the ticks of a log axis that spans less than a factor
LEADS = ((10, (1, 1.5, 2, 3, 4, 6, 8)), (30, (1, 2, 3, 5)), (500, (1, 2, 5)), (math.inf, (1,)))


Scale = Callable[..., str]  #: turns a number (and the position of its tick, which is not used) into a tick label


def short_number(value: float, position: Any = None) -> str:
    """A number as it is said: 100M, 1.5B, 10T; powers of ten where names end.

    >>> [short_number(v) for v in (250, 12_000, 1e8, 1.5e9, 1e13)]
    ['250', '12k', '100M', '1.5B', '10T']
    >>> short_number(3e21), short_number(1e18)
    ('$3\\\\times10^{21}$', '$10^{18}$')
    """
    size = abs(value)
    if size >= POWERS_FROM:
        return power_of_ten(value)
    for unit, suffix in SUFFIXES:
        if size >= unit * (1 - 1e-9):
            return f"{value / unit:.4g}{suffix}"
    return f"{value:.4g}"


def power_of_ten(value: float, position: Any = None) -> str:
    """A number as a power of ten, with its leading digits where they are not 1.

    >>> power_of_ten(1e21), power_of_ten(2.5e-4)
    ('$10^{21}$', '$2.5\\\\times10^{-4}$')
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    lead = f"{value / 10.0**exponent:.3g}"
    if lead.lstrip("-") == "10":  # rounded up to the next power
        lead, exponent = lead[:-1], exponent + 1
    return f"$10^{{{exponent}}}$" if lead == "1" else f"${lead}\\times10^{{{exponent}}}$"


def plain(value: float, position: Any = None) -> str:
    """A number as it stands, up to five digits, or a power of ten when it is very small or large.

    >>> plain(2.4), plain(0.035), plain(3e-7), plain(1e5)
    ('2.4', '0.035', '$3\\\\times10^{-7}$', '$10^{5}$')
    """
    return f"{value:.5g}" if value == 0 or 1e-4 <= abs(value) < MOST_PLAIN else power_of_ten(value)


class EvenFormatter(Formatter):
    """Plain numbers, all with as many decimals as the one that needs most: 2.8, 3.0, 3.2; or all as powers of ten.

    >>> EvenFormatter().format_ticks([2.75, 3.0]), EvenFormatter().format_ticks([1e3, 1e5])
    (['2.75', '3.00'], ['$10^{3}$', '$10^{5}$'])
    """

    def __call__(self, value: float, pos: int | None = None) -> str:
        """The label of one value."""
        return plain(value).replace("-", "\N{MINUS SIGN}")

    def format_ticks(self, values: Any) -> list[str]:
        """The labels of all ticks of an axis."""
        texts = [plain(value) for value in values]
        if any("$" in text for text in texts):
            return [power_of_ten(value) for value in values]
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        return [f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}") for value in values]


def rate(value: float, position: Any = None) -> str:
    """A learning rate as it is written in configurations.

    >>> rate(3e-4), rate(1.5e-4), rate(0.02)
    ('3e-4', '1.5e-4', '0.02')
    """
    lead, _, exponent = f"{value:.2e}".partition("e")
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.4g}"
    return f"{float(lead):g}e{int(exponent)}"


def most_labels(axis: Any) -> int:
    """How many labels an axis has room for, by its length and the size of its letters."""
    if getattr(axis, "axes", None) is None:  # of no figure
        return MOST_LABELS + 1
    box = axis.axes.get_window_extent()
    letters = axis.get_major_ticks(1)[0].label1.get_size() * axis.axes.figure.dpi / 72
    size, room = (LINE_EMS, box.height) if axis.axis_name == "y" else (LABEL_EMS, box.width)
    return max(2, int(room / (size * letters)))


class FittingLocator(MaxNLocator):
    """Round numbers on a linear axis, at most as many as it has room for."""

    def __init__(self, nbins: int, steps: Sequence[float]) -> None:
        super().__init__(nbins=nbins, steps=steps)
        self._most = nbins

    def __call__(self) -> Sequence[float]:
        """The ticks of the axis' present limits."""
        self.set_params(nbins=max(2, min(self._most, most_labels(self.axis) - 1)))
        return super().__call__()  # type: ignore[no-any-return]


class RoundLogLocator(Locator):
    """Ticks of a log axis at round numbers, as many as can be read.

    >>> [round(float(v), 3) for v in RoundLogLocator().tick_values(2.0, 3.1)]
    [2.0, 2.2, 2.4, 2.6, 2.8, 3.0]
    >>> [float(v) for v in RoundLogLocator().tick_values(3e7, 4e9)]
    [50000000.0, 100000000.0, 200000000.0, 500000000.0, 1000000000.0, 2000000000.0]
    """

    def __call__(self) -> Sequence[float]:
        """The ticks of the axis' present limits."""
        low, high = self.axis.get_view_interval()  # type: ignore[union-attr]
        return self.thinned(self.tick_values(low, high), most_labels(self.axis))

    @staticmethod
    def thinned(found: Sequence[float], most: int) -> Sequence[float]:
        """At most so many of some ticks: those of the rounder numbers, evenly thinned where that is not enough."""
        for leads in (range(1, 10), (1, 2, 4, 5), (1, 2, 5), (1, 3), (1,)):
            if len(found) <= most:
                return found
            rounder = [tick for tick in found if round(tick / 10.0 ** math.floor(math.log10(tick) + 1e-9), 6) in leads]
            found = rounder if len(rounder) > 1 else found
        return found if len(found) <= most else found[:: math.ceil(len(found) / most)]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """The ticks between two limits."""
        low, high = min(vmin, vmax), max(vmin, vmax)
        if not (low > 0 and np.isfinite(high)):
            return []
        ratio = high / low
        if ratio < LINEAR_BELOW:
            ticks = np.asarray(MaxNLocator(nbins=7, steps=STEPS).tick_values(low, high))
        else:
            leads = next(leads for below, leads in LEADS if ratio < below)
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = np.array([lead * 10.0**decade for decade in decades for lead in leads])
        kept: list[float] = ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))].tolist()
        return kept[:: math.ceil(len(kept) / MOST_LABELS)] if ratio >= 500 else kept


def set_log(ax: Axes, which: Literal["x", "y"], label: Scale) -> None:
    """Make an axis logarithmic, with readable ticks."""
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(RoundLogLocator())
    axis.set_major_formatter(EvenFormatter() if label is plain else FuncFormatter(label))
    low, high = axis.get_view_interval()
    wide = low > 0 and high / low >= LINEAR_BELOW
    axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=99) if wide else NullLocator())
    axis.set_minor_formatter(NullFormatter())


def set_fixed(ax: Axes, places: Sequence[float], texts: Sequence[str]) -> None:
    """Make the x axis logarithmic, with ticks at these places only."""
    ax.set_xscale("log")
    ax.set_xticks(places, texts)
    ax.set_xticks([], minor=True)


def set_linear(ax: Axes, which: Literal["x", "y"], label: Scale, nbins: int = 7) -> None:
    """Keep an axis linear, with readable ticks."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(FittingLocator(nbins, STEPS if nbins > 4 else [1, 1.5, 2, 3, 5, 10]))
    axis.set_major_formatter(EvenFormatter() if label is plain else FuncFormatter(label))


def set_value_axis(ax: Axes, which: Literal["x", "y"], log: bool) -> None:
    """The axis of the measured quantity: logarithmic where residuals are, if all that is drawn is positive."""
    drawn = np.concatenate([np.asarray(line.get_data()[which == "y"], dtype=np.float64) for line in ax.lines])
    least = min(drawn[np.isfinite(drawn)], default=0.0)
    if log and least > 0:
        set_log(ax, which, plain)
    else:
        set_linear(ax, which, plain)


def suits_log(values: Any) -> bool:
    """Whether values are best drawn on a log axis: all positive and over a wide range.

    >>> suits_log([1e6, 1e9]), suits_log([2.0, 3.0]), suits_log([0.0, 5.0])
    (True, False, False)
    """
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return bool(numbers.size and numbers.min() > 0 and numbers.max() / numbers.min() >= LOG_FROM)
