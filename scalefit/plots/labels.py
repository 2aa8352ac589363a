"""The words on axes and in legends: quantities with their units, runs by the part of their names that differs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalefit.fitting.result import Fit
from scalefit.laws.law import Law
from scalefit.plots.ticks import Scale, plain, power_of_ten, short_number
from scalefit.runs.columns import COLUMNS
from scalefit.schedules import Schedule

WORDS = {
    "N": "model size $N$",
    "N_total": "model size with embeddings",
    "D": "training data $D$",
    "C": "training compute $C$",
    "loss": "loss",
    "loss_source": "loss on the source",
    "step": "optimiser step",
    "tokens": "tokens seen",
    "lr": "learning rate",
    "peak_lr": "peak learning rate",
    "batch": "batch size",
    "U": "unique data $U$",
    "d_model": "width",
    "n_layer": "depth (layers)",
}
NO_UNIT = ("", "1", "any", "as logged")
COUNTED = ("parameters", "tokens", "optimiser steps")
LONGEST = 30  #: characters of a run's name in a legend


def axis_label(column: str, law: Law | None = None) -> str:
    """The label of a column, with its unit.

    >>> axis_label("N"), axis_label("lr"), axis_label("train_examples")
    ('model size $N$ (parameters)', 'learning rate', 'train_examples')
    """
    unit = unit_of(column, law)
    words = WORDS.get(column, column)
    return words if unit in (*NO_UNIT, column) else f"{words} ({unit})"


def unit_of(column: str, law: Law | None = None) -> str:
    """The unit of a column: from the glossary, else from the law that reads it."""
    if column in COLUMNS:
        return "" if column == "step" else COLUMNS[column].unit
    declared = {law.columns[name]: variable.unit for name, variable in law.variables.items()} if law else {}
    return declared.get(column, "")


def target_label(fit: Fit) -> str:
    """The measured quantity with its unit: ``loss (nats/token)``."""
    if fit.target in COLUMNS or fit.target != type(fit.law).target:
        return axis_label(fit.target)
    unit = fit.law.target_unit
    return fit.target if unit in NO_UNIT else f"{fit.target} ({unit})"


def numbers_of(column: str) -> Scale:
    """How the numbers of a column are written on an axis: 1B, 10^21 or 0.5."""
    if column == "C":
        return power_of_ten
    return short_number if COLUMNS.get(column) and COLUMNS[column].unit in COUNTED else plain


def value_text(value: float, low: float | None = None, high: float | None = None) -> str:
    """A predicted value with its interval, where there is one.

    >>> value_text(1.97361), value_text(1.97361, 1.951, 1.996)
    ('1.974', '1.974 [1.951, 1.996]')
    """
    texts = [f"{number:#.4g}".rstrip(".") for number in (value, low, high) if number is not None]
    return texts[0] if low is None else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def point_text(at: Mapping[str, Any]) -> str:
    """The variables of one point, as text.

    >>> point_text({"N": 7e9, "D": 1.4e12})
    'N = 7B, D = 1.4T'
    """
    written = {name: numbers_of(name) if name in COLUMNS else short_number for name in at}
    return ", ".join(f"{name} = {written[name](float(value))}" for name, value in at.items())


def schedule_text(plan: Schedule) -> str:
    """A schedule in a few words: its kind (or its name in a file) and its length.

    >>> from scalefit.schedules import parse_schedule
    >>> schedule_text(parse_schedule("wsd:peak_lr=8e-3,steps=3200,decay_steps=320"))
    'wsd, 3.2k steps'
    """
    kind, _, rest = plan.text.partition(":")
    name = rest.rpartition("#")[2].rpartition("/")[2] if kind == "csv" else kind
    return f"{trimmed(name)}, {short_number(plan.steps)} steps"


def signed(value: float, digits: int) -> str:
    """A number with its sign, and a real minus.

    >>> signed(-0.25, 2)
    '−0.25'
    """
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A relative error: two digits, in percent.

    >>> percent(0.0123), percent(0.25), percent(1.79)
    ('1.2 %', '25 %', '179 %')
    """
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 9.95 else f"{value:.2g} %"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Runs by the part of their names that differs, cut at a separator.

    >>> short_names(["25M_cosine_24000", "25M_wsd_24000"])
    {'25M_cosine_24000': 'cosine_24000', '25M_wsd_24000': 'wsd_24000'}
    """
    prefix = os.path.commonprefix(list(names)) if len(names) > 1 else ""  # noqa: RUF071 - characters are meant
    cut = max((match.end() for match in re.finditer(r"[_\-/ .]", prefix)), default=0)
    return {name: trimmed(name[cut:] or name) for name in names}


def trimmed(text: str, longest: int = LONGEST) -> str:
    """A name cut to what a legend can hold."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
