"""The first lines of an answer that predicts: what was asked for comes before what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalefit.answers import interval
from scalefit.fitting.cautions import how_far

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.fitting.result import Fit


def forecasts(fit: Fit, point: pd.DataFrame) -> list[str]:
    """A line for each predicted point, and what the brackets are; nothing for a curve."""
    if "step" in point.columns:
        return []
    names = [name for name in fit.law.columns.values() if name in point.columns]
    lines = []
    for _, row in point.iterrows():
        where = ", ".join(f"{name} = {_said(float(row[name]))}" for name in names)
        ends = interval((float(row[fit.target]), float(row["low"]), float(row["high"])), ".4g")
        lines.append(f"{fit.target} {ends}{f' at {where}' if where else ''}, {how_far(fit, row)}")
    return [*lines, *bracketed(point)]


def _said(value: float) -> str:
    """A value as it was asked for: whole numbers of up to five digits in full, as widths and depths are.

    >>> _said(2048.0), _said(2e9)
    ('2048', '2B')
    """
    from scalefit.planning.allocation.answer import said

    return f"{value:.0f}" if value < 1e5 and value.is_integer() else said(value)


def bracketed(table: pd.DataFrame) -> list[str]:
    """What the brackets behind a prediction are, where there are any."""
    return [] if table["low"].isna().all() else ["in brackets: the 90 % prediction interval"]
