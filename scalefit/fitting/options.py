"""How a law is fitted: the keyword arguments of :func:`scalefit.fit`, not yet checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from scalefit.rows.gather import Which


@dataclass(frozen=True)
class Options:
    """The options that a fit, a back-test and a profile share; :func:`scalefit.fit` describes them."""

    target: str | None = None
    residuals: Literal["log", "linear"] | None = None
    loss: Literal["huber", "squared", "soft_l1"] = "huber"
    delta: float | Literal["auto"] = "auto"
    weights: str | None = None
    fix: Mapping[str, float] | None = None
    tie: Mapping[str, str] | None = None
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None
    parameters: Any = None
    start: Mapping[str, float] | pd.DataFrame | None = None
    starts: int = 8
    points: Which = "auto"
    drop_diverged: bool = False
    force: bool = False
