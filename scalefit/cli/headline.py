"""The first lines of an answer that predicts: what was asked for comes before what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalefit.answers import interval, place
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
        where = place({name: float(row[name]) for name in names})
        ends = interval((float(row[fit.target]), float(row["low"]), float(row["high"])), ".4g")
        lines.append(f"{fit.target} {ends}{f' at {where}' if where else ''}, {how_far(fit, row)}")
    return [*lines, *bracketed(point)]


def bracketed(table: pd.DataFrame) -> list[str]:
    """What the brackets behind a prediction are, where there are any."""
    return [] if table["low"].isna().all() else ["in brackets: the 90 % prediction interval"]
